//! Names of keys. All keys of a tenant have one hash tag, `fanfare:{s07}:…`, so they are on one
//! node of a Cluster and a script can use several of them. Sixteen tags, chosen by a hash of the
//! tenant's id, spread the tenants over the nodes.

use std::borrow::Cow;
use std::sync::Arc;

/// Number of hash tags. It cannot change: the tenants' keys depend on it.
pub(super) const SHARDS: u8 = 16;

/// The keys that a command uses. A Cluster gets one pipeline per tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Tag {
    /// Tenants of this number.
    Shard(u8),
    /// The ingest stream.
    Stream,
    /// The tenants' documents, and records.
    Directory,
    /// Rejected entries.
    Rejected,
    /// Heartbeats.
    Replicas,
    /// A key of its own.
    Alone,
}

/// Makes names.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    prefix: Arc<str>,
    /// The ingest stream, under the name that producers know.
    pub(super) stream: Arc<str>,
}

impl Keys {
    pub(super) fn new(prefix: &str, stream: &str) -> Self {
        Self { prefix: prefix.into(), stream: stream.into() }
    }

    /// The prefix of all keys but the stream.
    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The prefix of every key of a shard.
    pub(super) fn base(&self, shard: u8) -> String {
        format!("{}:{{s{shard:02}}}:", self.prefix)
    }

    /// Tenants of a shard by the earliest time at which one of their lanes may be served.
    pub(super) fn agenda(&self, shard: u8) -> String {
        self.base(shard) + "agenda"
    }

    /// Tenants of a shard that have events.
    pub(super) fn tenants(&self, shard: u8) -> String {
        self.base(shard) + "tenants"
    }

    /// The rollups of all tenants of a shard in one hour.
    pub(super) fn all_rollup(&self, shard: u8, hour: i64) -> String {
        format!("{}all:{hour}", self.base(shard))
    }

    /// The hours of which there are such rollups.
    pub(super) fn all_rollup_hours(&self, shard: u8) -> String {
        self.base(shard) + "allh"
    }

    /// The keys of one tenant.
    pub(super) fn tenant(&self, tenant: &str) -> TenantKeys {
        self.escaped(shard_of(tenant), escape(tenant).into_owned())
    }

    /// The keys of a tenant whose name comes from a set or an index of `shard`.
    pub(super) fn escaped(&self, shard: u8, name: String) -> TenantKeys {
        TenantKeys { shard, base: self.base(shard), name }
    }

    pub(super) fn documents(&self) -> String {
        format!("{}:{{dir}}:tenants", self.prefix)
    }

    pub(super) fn revisions(&self) -> String {
        format!("{}:{{dir}}:revisions", self.prefix)
    }

    pub(super) fn version(&self) -> String {
        format!("{}:{{dir}}:version", self.prefix)
    }

    /// Tenants by the version of their last change.
    pub(super) fn changes(&self) -> String {
        format!("{}:{{dir}}:changes", self.prefix)
    }

    /// The ids of all tenants, in their order.
    pub(super) fn names(&self) -> String {
        format!("{}:{{dir}}:names", self.prefix)
    }

    /// Packed records by id, ids by name, ids by expiry, and the version of a collection.
    pub(super) fn records(&self, collection: &str) -> [String; 4] {
        ["records", "ids", "ends", "moved"]
            .map(|kind| format!("{}:{{dir}}:{kind}:{collection}", self.prefix))
    }

    /// The prefix of the keys of rejected entries.
    pub(super) fn rejected_base(&self) -> String {
        format!("{}:{{dead}}:", self.prefix)
    }

    pub(super) fn rejected_index(&self) -> String {
        self.rejected_base() + "rejected"
    }

    pub(super) fn rejected_data(&self) -> String {
        self.rejected_base() + "entries"
    }

    pub(super) fn replicas(&self) -> String {
        Self::replicas_of(&self.prefix)
    }

    /// Which replica reconciles for all at the moment.
    pub(super) fn reconciling(&self) -> String {
        format!("{}:{{up}}:reconciling", self.prefix)
    }

    /// Which prefix belongs to the stream and this group: the entries of one stream must not be
    /// shared by two Fanfares with different tenants.
    pub(super) fn prefix_of_stream(&self, group: &str) -> String {
        format!("{}:{group}:prefix", self.stream)
    }

    /// What was acknowledged in the stream, and what was removed unread. It has the stream's hash
    /// tag, so that a script can use both.
    pub(super) fn account(&self) -> String {
        let tag = self.stream.split_once('{').and_then(|(_, rest)| rest.split_once('}'));
        let tag = tag.map(|(tag, _)| tag).filter(|tag| !tag.is_empty());
        format!("{}:{{{}}}:account", self.prefix, tag.unwrap_or(&self.stream))
    }

    /// Heartbeats under another prefix.
    pub(super) fn replicas_of(prefix: &str) -> String {
        format!("{prefix}:{{up}}:replicas")
    }

    /// The key of the MAC that marks our entries.
    pub(super) fn mark_key(&self) -> String {
        format!("{}:{{up}}:mark", self.prefix)
    }

    pub(super) fn probe(&self) -> String {
        format!("{}:{{up}}:probe", self.prefix)
    }

    /// A pace that all replicas share.
    pub(super) fn pace(&self, key: &str) -> String {
        format!("{}:pace:{key}", self.prefix)
    }

    /// Lanes with an open circuit, by the time at which it may be tried again.
    pub(super) fn circuits(&self) -> String {
        format!("{}:{{up}}:circuits", self.prefix)
    }

    /// The paths that are indexed, and since when.
    pub(super) fn indexed(&self) -> String {
        format!("{}:{{up}}:indexed", self.prefix)
    }

    pub(super) fn memo(&self, key: &str) -> String {
        format!("{}:memo:{key}", self.prefix)
    }
}

/// Makes the names of one tenant's keys.
#[derive(Clone, Debug)]
pub(super) struct TenantKeys {
    pub(super) shard: u8,
    pub(super) base: String,
    /// The tenant's id as it is written in keys.
    pub(super) name: String,
}

impl TenantKeys {
    pub(super) fn tag(&self) -> Tag {
        Tag::Shard(self.shard)
    }

    fn key(&self, kind: &str) -> String {
        [&self.base, kind, ":", &self.name].concat()
    }

    fn lane_key(&self, kind: &str, lane: &str) -> String {
        [&self.base, kind, ":", &self.name, ":", lane].concat()
    }

    pub(super) fn agenda(&self) -> String {
        [&self.base, "agenda"].concat()
    }

    pub(super) fn tenants(&self) -> String {
        [&self.base, "tenants"].concat()
    }

    /// Event id → packed event.
    pub(super) fn events(&self) -> String {
        self.key("e")
    }

    /// Event id → packed outcome.
    pub(super) fn outcomes(&self) -> String {
        self.key("o")
    }

    /// Events by the time they were received.
    pub(super) fn log(&self) -> String {
        self.key("log")
    }

    /// Events by the number of their admission: the time in microseconds, and always growing.
    pub(super) fn seen(&self) -> String {
        self.key("seen")
    }

    /// The last of those numbers.
    pub(super) fn last_seen(&self) -> String {
        self.key("last")
    }

    /// The number up to which all admitted events are settled.
    pub(super) fn settled_mark(&self) -> String {
        self.key("done")
    }

    /// Which replica routes an event again that the log has lost.
    pub(super) fn taken_again(&self, id: &str) -> String {
        self.lane_key("again", id)
    }

    /// What the tenant holds: bytes of events, and waiting deliveries.
    pub(super) fn usage(&self) -> String {
        self.key("use")
    }

    /// Rollups of one hour.
    pub(super) fn rollup(&self, hour: i64) -> String {
        self.lane_key("r", &hour.to_string())
    }

    /// The hours of which there are rollups.
    pub(super) fn rollup_hours(&self) -> String {
        self.key("rh")
    }

    /// The segments of search keys, by the number of their first event.
    pub(super) fn search_segments(&self) -> String {
        self.key("ks")
    }

    /// Lanes by the time they may next be served.
    pub(super) fn lanes(&self) -> String {
        self.key("a")
    }

    /// Lane → token of the claim.
    pub(super) fn leases(&self) -> String {
        self.key("l")
    }

    /// Lane → failures since its last success.
    pub(super) fn failing(&self) -> String {
        self.key("f")
    }

    /// Positions in the stream and hashes of ids that were erased while they may have been in
    /// flight, with the time until which they are kept.
    pub(super) fn erased(&self) -> String {
        self.key("gone")
    }

    /// Events that have a delivery in this state (`w`, `s`, `x`), by the time they were received.
    pub(super) fn index(&self, letter: &str) -> String {
        self.lane_key_of("i", letter)
    }

    fn lane_key_of(&self, kind: &str, letter: &str) -> String {
        [&self.base, kind, ":", letter, ":", &self.name].concat()
    }

    /// The queue of a lane, by due time.
    pub(super) fn queue(&self, lane: &str) -> String {
        self.lane_key("q", lane)
    }

    /// Suppressed and dead deliveries of a lane, by time.
    pub(super) fn ended(&self, lane: &str) -> String {
        self.lane_key("end", lane)
    }
}

/// The shard of a tenant. FNV-1a gives the same value in every version and language.
pub(super) fn shard_of(tenant: &str) -> u8 {
    let hash = tenant
        .bytes()
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    u8::try_from(hash % u32::from(SHARDS)).expect("a remainder of 16 fits")
}

/// Escapes the separator of keys in a tenant's name, so no two tenants share a key.
fn escape(tenant: &str) -> Cow<'_, str> {
    if tenant.contains([':', '%']) {
        Cow::Owned(tenant.replace('%', "%25").replace(':', "%3A"))
    } else {
        Cow::Borrowed(tenant)
    }
}

/// Undoes `escape`.
pub(super) fn unescape(name: &str) -> Cow<'_, str> {
    if name.contains('%') {
        Cow::Owned(name.replace("%3A", ":").replace("%25", "%"))
    } else {
        Cow::Borrowed(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_tenants_never_collide_and_come_back() {
        let keys = Keys::new("fanfare", "fanfare:events");
        for name in ["acme", "a:b", "a%3Ab", "%", "{x}"] {
            assert_eq!(unescape(&keys.tenant(name).name), name);
        }
        assert_ne!(keys.tenant("a:b").name, keys.tenant("a%3Ab").name);
        assert_eq!(
            keys.tenant("acme").events(),
            format!("fanfare:{{s{:02}}}:e:acme", shard_of("acme"))
        );
    }

    #[test]
    fn tenants_spread_over_all_shards() {
        let used: std::collections::HashSet<u8> =
            (0..200).map(|n| shard_of(&format!("tenant-{n}"))).collect();
        assert_eq!(used.len(), usize::from(SHARDS));
    }
}
