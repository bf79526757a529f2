//! [`Erasure`]: one script removes an event from all its keys. For a day, its position in the
//! stream and a hash of its id are kept, so that late outcomes of the event are ignored.
//!
//! A deleted entry of the stream shares a memory node with up to a hundred neighbors. Its bytes go
//! with the last of them, when they are settled. The files of Redis (append-only file, snapshots)
//! belong to the server: `BGREWRITEAOF` rewrites them without the deleted data.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use redis::Value;

use super::connection::Batch;
use super::keys::Tag;
use super::reader::{pairs, payload};
use super::{Core, pack, reply, script};
use crate::{Entry, EntryId, Erased, Erasure, Ms, Page, Result, StoreError};

/// Most events, entries or keys in one round trip.
const STEP: usize = 100;
/// How long late outcomes are recognized: far longer than any attempt takes.
const REMEMBERED: Duration = Duration::from_hours(24);

/// See the trait.
pub(super) struct RedisErasure {
    core: Arc<Core>,
}

impl RedisErasure {
    pub(super) fn new(core: Arc<Core>) -> Self {
        Self { core }
    }

    /// Memos under `channel/tenant/`. In a Cluster a scan sees one node, and memos on other nodes
    /// expire.
    async fn scan_memos(&self, tenant: &str) -> Result<()> {
        let mut cursor = "0".to_owned();
        loop {
            let mut cmd = redis::cmd("SCAN");
            cmd.arg(&cursor).arg("MATCH").arg(self.core.keys.memo(&format!("*/{tenant}/*")));
            cmd.arg("COUNT").arg(1_000);
            let mut parts = reply::array(self.core.link.ask(Tag::Alone, cmd).await?)?.into_iter();
            cursor = reply::text(parts.next().unwrap_or(Value::Nil))?;
            let found = reply::array(parts.next().unwrap_or(Value::Nil))?;
            let start = self.core.keys.memo("");
            let names = found.into_iter().map(reply::text).collect::<Result<Vec<_>>>()?;
            // The pattern can also match memos of other tenants.
            let own = names.iter().filter_map(|name| name.strip_prefix(&start));
            let own = own.filter(|key| key.split('/').nth(1) == Some(tenant));
            let own: Vec<String> = own.map(str::to_owned).collect();
            self.erase_memos(&own).await?;
            if cursor == "0" {
                return Ok(());
            }
        }
    }
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

#[async_trait]
impl Erasure for RedisErasure {
    async fn erase_events(&self, tenant: &str, ids: &[String], now: Ms) -> Result<Erased> {
        let keys = self.core.keys.tenant(tenant);
        let names = [
            keys.events(),
            keys.outcomes(),
            keys.log(),
            keys.tenants(),
            keys.seen(),
            keys.index("w"),
            keys.index("s"),
            keys.index("x"),
            keys.agenda(),
            keys.lanes(),
            keys.leases(),
            keys.erased(),
            keys.usage(),
        ];
        let mut all = Erased::default();
        for ids in ids.chunks(STEP) {
            let mut cmd = script::call(&script::ERASE, &names.each_ref().map(String::as_str));
            cmd.arg(&keys.base).arg(&keys.name).arg(now).arg(millis(REMEMBERED)).arg(ids);
            let answer = reply::array(self.core.link.ask(keys.tag(), cmd).await?)?;
            let part = |at: usize| answer.get(at).map(reply::count).transpose();
            all.events += part(0)?.unwrap_or(0);
            all.deliveries += part(1)?.unwrap_or(0);
        }
        Ok(all)
    }

    async fn unsettled(&self, cursor: Option<&str>, limit: usize) -> Result<Page<Entry>> {
        let limit = limit.clamp(1, STEP);
        let seal = self.core.seal().await?;
        let mut cmd = redis::cmd("XRANGE");
        cmd.arg(&*self.core.keys.stream);
        match cursor {
            Some(after) => {
                let after: EntryId = after.parse().map_err(|_| {
                    StoreError::BadQuery("the value is not a position in the stream".to_owned())
                })?;
                cmd.arg(format!("({after}"))
            }
            None => cmd.arg("-"),
        };
        cmd.arg("+").arg("COUNT").arg(limit);
        let values = reply::array(self.core.bulk.ask(Tag::Stream, cmd).await?)?;
        let mut items = Vec::with_capacity(values.len());
        for value in values {
            let mut parts = reply::array(value)?.into_iter();
            let id = reply::entry_id(parts.next().unwrap_or(Value::Nil))?;
            let fields = reply::array(parts.next().unwrap_or(Value::Nil))?;
            items.push(Entry { id, payload: payload(&seal, pairs(fields)?) });
        }
        let last = items.last().map(|entry| entry.id.to_string());
        Ok(Page { next: last.filter(|_| items.len() == limit), items })
    }

    async fn erase_entries(&self, tenant: &str, entries: &[EntryId], now: Ms) -> Result<u64> {
        let keys = self.core.keys.tenant(tenant);
        let mut removed = 0;
        for entries in entries.chunks(STEP) {
            // Recorded first: a replica that has read one of them learns at `admit` that it is
            // erased.
            let mut note = redis::cmd("ZADD");
            note.arg(keys.erased());
            let names = [&*self.core.keys.stream, &self.core.keys.account()];
            let mut remove = script::call(&script::ACK, &names);
            remove.arg(&self.core.group);
            for entry in entries {
                note.arg(now.saturating_add(millis(REMEMBERED))).arg(pack::arrival(*entry));
                remove.arg(entry.to_string());
            }
            let mut keep = redis::cmd("PEXPIRE");
            keep.arg(keys.erased()).arg(millis(REMEMBERED));
            let mut batch = Batch::new();
            batch.push(keys.tag(), note);
            batch.push(keys.tag(), keep);
            self.core.link.run(&batch).await?;
            removed += reply::count(&self.core.link.ask(Tag::Stream, remove).await?)?;
        }
        Ok(removed)
    }

    async fn erase_rejected(&self, entries: &[String]) -> Result<u64> {
        let keys = &self.core.keys;
        let mut removed = 0;
        for entries in entries.chunks(STEP) {
            let (mut data, mut index) = (redis::cmd("HDEL"), redis::cmd("ZREM"));
            data.arg(keys.rejected_data());
            index.arg(keys.rejected_index());
            for entry in entries {
                let id: EntryId = entry.parse().map_err(|_| {
                    StoreError::BadQuery(format!("`{entry}` is not a position in the stream"))
                })?;
                data.arg(entry);
                index.arg(format!("{}:{entry}", pack::arrival(id)));
            }
            let mut batch = Batch::new();
            batch.push(Tag::Rejected, data);
            batch.push(Tag::Rejected, index);
            let answers = self.core.link.run(&batch).await?;
            removed += answers.first().map(reply::count).transpose()?.unwrap_or(0);
        }
        Ok(removed)
    }

    async fn erase_memos(&self, keys: &[String]) -> Result<u64> {
        let mut removed = 0;
        for keys in keys.chunks(STEP) {
            let mut batch = Batch::new();
            for key in keys {
                let mut cmd = redis::cmd("DEL");
                cmd.arg(self.core.keys.memo(key));
                batch.push(Tag::Alone, cmd);
            }
            for answer in self.core.link.run(&batch).await? {
                removed += reply::count(&answer)?;
            }
        }
        Ok(removed)
    }

    async fn forget_tenant(&self, tenant: &str) -> Result<()> {
        self.scan_memos(tenant).await?;
        let keys = self.core.keys.tenant(tenant);
        let names = [
            keys.log(),
            keys.tenants(),
            keys.agenda(),
            keys.lanes(),
            keys.rollup_hours(),
            keys.leases(),
            keys.failing(),
            keys.events(),
            keys.outcomes(),
            keys.seen(),
            keys.settled_mark(),
            keys.index("w"),
            keys.index("s"),
            keys.index("x"),
            keys.usage(),
        ];
        let mut cmd = script::call(&script::FORGET_TENANT, &names.each_ref().map(String::as_str));
        cmd.arg(&keys.base).arg(&keys.name);
        self.core.link.ask(keys.tag(), cmd).await.map(drop)
    }

    async fn scrub(&self) -> Result<bool> {
        // Redis' memory holds nothing of it any more, and its files belong to the server.
        Ok(true)
    }
}
