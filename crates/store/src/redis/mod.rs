//! The Redis store: one server, a Sentinel's master or a Cluster; any number of replicas.
//!
//! # Layout
//!
//! | key | type | holds |
//! | --- | --- | --- |
//! | `fanfare:events` | stream | entries that are not settled; a settled one is deleted |
//! | `fanfare:{s07}:e:<tenant>` | hash | event id → the event, byte for byte |
//! | `fanfare:{s07}:o:<tenant>` | hash | event id → its outcome: one line per delivery, with attempts |
//! | `fanfare:{s07}:log:<tenant>` | sorted set | events by the time they were received |
//! | `fanfare:{s07}:seen:<tenant>`, `last:<tenant>` | sorted set, number | events as they were admitted |
//! | `fanfare:{s07}:i:<w, s, x>:<tenant>` | sorted set | events with a delivery waiting, suppressed, dead |
//! | `fanfare:{s07}:q:<tenant>:<lane>` | sorted set | the queue of a lane, by due time, then arrival |
//! | `fanfare:{s07}:end:<tenant>:<lane>` | sorted set | suppressed and dead deliveries of a lane, by time |
//! | `fanfare:{s07}:a:<tenant>` | sorted set | the tenant's lanes by the time of their next service |
//! | `fanfare:{s07}:l:<tenant>` | hash | lane → token of its claim |
//! | `fanfare:{s07}:use:<tenant>` | hash | bytes of the tenant's events, and how many deliveries wait |
//! | `fanfare:{s07}:k:<tenant>:<segment>:<n>`, `ks:<tenant>`, `kn:<tenant>` | text, sorted set, number | search keys of 4,096 events each |
//! | `fanfare:{s07}:r:<tenant>:<hour>`, `rh:<tenant>` | hash, sorted set | hourly rollups, and their hours |
//! | `fanfare:{s07}:all:<hour>`, `allh` | hash, sorted set | the same for all tenants of the shard |
//! | `fanfare:{s07}:gone:<tenant>` | sorted set | positions and hashes of what was erased in flight, for a day |
//! | `fanfare:{s07}:done:<tenant>`, `again:<tenant>:<id>` | number, text | reconciliation: settled up to here; routed again by |
//! | `fanfare:{s07}:agenda` | sorted set | the shard's tenants by their earliest lane |
//! | `fanfare:{s07}:tenants` | set | the shard's tenants that have events |
//! | `fanfare:events:fanfare:prefix` | text | the prefix of the Fanfare that reads this stream with this group |
//! | `fanfare:pace:<lane>` | text | when all places of a pace are free again, in microseconds |
//! | `fanfare:{up}:indexed` | hash | the paths of search keys, and since when |
//! | `fanfare:{up}:circuits` | sorted set | lanes with an open circuit |
//! | `fanfare:{dir}:…`, `{dead}:…`, `{up}:…` | | tenants' documents with their change feed, records, rejected entries, heartbeats, the key of marks |
//! | `fanfare:{s07}:kept`, `{dead}:kept` | number | written so that there is something to wait for ([`Options::wait_replicas`]) |
//!
//! An event costs about four commands in the server, most of them shared by a batch. Its entry is
//! read,
//! `admit` writes it to two keys, `settle` writes its outcome to one (one script per tenant and
//! batch),
//! and one script per batch acknowledges and deletes the entries. An event that a replica takes in
//! while it waits for entries is added, read and admitted by one script (`enter.rs`).
//!
//! Hashes per tenant, instead of keys per event, take half the memory and make this sharing
//! possible. They also have no expiry that could remove an event while a delivery of it waits.
//! Memory is bounded by [`Upkeep::tidy`](crate::Upkeep::tidy): data grows only while a replica
//! runs, and a running replica tidies.
//!
//! # What makes it safe
//!
//! - **Outcomes first, acknowledgement last**, in a round trip of its own. A pipeline continues
//!   after an error, and an acknowledgement must not.
//! - **The first outcome counts.** The script that writes outcomes skips events that have one, so a
//!   repeated batch (a lost answer, a takeover) changes nothing.
//! - **Every command can be sent twice**, and is, when a connection breaks.
//! - **Only an error of the data sets an event aside** (`fault.rs`). Any other answer of the server
//!   means that it is away, and the call is repeated.
//! - **The group can disappear.** It is created again from the start of the stream, which does not
//!   contain settled entries.
//! - **A MAC marks our own entries** (`mark.rs`), so no producer can act as the router.
//! - **A replica is gone when its heartbeat does not change** for [`Options::dead_after`] on the
//!   *observer's* clock, while the observer's own heartbeats arrive. Clocks of different machines
//!   are never compared.

mod address;
mod agenda;
mod checkup;
mod connection;
mod consumers;
mod cursor;
mod directory;
mod enter;
mod erasure;
mod facts;
mod fault;
mod handoff;
mod keys;
mod ledger;
mod limits;
mod log;
mod mark;
mod order;
mod pace;
mod pack;
mod queue;
mod reader;
mod reconcile;
mod records;
mod reply;
mod rollups;
mod script;
mod search;
mod summary;
mod upkeep;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use tokio::sync::Notify;

use super::{Result, SearchPaths, Store, StoreError};
use address::Address;

/// Checks the URL of a Redis store, without connecting.
pub fn check_address(url: &str) -> crate::Result<()> {
    Address::parse(url).map(drop)
}

use connection::{Confirm, Confirming, Dialer, Link};
use keys::Keys;

/// Longest time that one read blocks in the server.
const LONGEST_BLOCK: Duration = Duration::from_secs(5);
/// Longest wait for an answer. A server can stop for a while to fork or to write to its disk.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// How to open the store.
#[derive(Clone)]
pub struct Options {
    /// `redis://[user:password@]host[:6379][/db]`, `rediss://…` (TLS), `unix:///path`,
    /// `redis+cluster://[user:password@]h1:6379,h2:6379`, or
    /// `redis+sentinel://[user:password@]h1:26379,h2:26379/master[/db]`; `rediss+…` for TLS.
    pub url: String,
    /// The stream that producers write to.
    pub stream: String,
    /// The consumer group that all replicas share.
    pub group: String,
    /// The prefix of all other keys.
    pub prefix: String,
    /// The name of this replica. It must be unique, also from one start to the next.
    pub replica: String,
    /// How long a replica's heartbeat may stay unchanged before others take over its work. Several
    /// times the interval of [`Upkeep::beat`](super::Upkeep::beat).
    pub dead_after: Duration,
    /// How long rejected entries are kept if no others follow.
    /// [`Upkeep::tidy`](super::Upkeep::tidy) removes events.
    pub retention: Duration,
    /// How long hourly rollups are kept.
    pub keep_rollups: Duration,
    /// The paths of events whose values are indexed.
    pub search: SearchPaths,
    /// How many replicas of the Redis server must confirm a write before it is answered or
    /// acknowledged, on every written node. 0 waits for none.
    pub wait_replicas: usize,
    /// How long to wait for them.
    pub wait_timeout: Duration,
}

impl Options {
    /// The default names and times.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            stream: "fanfare:events".to_owned(),
            group: "fanfare".to_owned(),
            prefix: "fanfare".to_owned(),
            replica: replica_name(),
            dead_after: Duration::from_secs(8),
            retention: Duration::from_hours(30 * 24),
            keep_rollups: Duration::from_hours(90 * 24),
            search: SearchPaths::default(),
            wait_replicas: 0,
            wait_timeout: Duration::from_secs(1),
        }
    }
}

impl fmt::Debug for Options {
    // The URL may contain a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("stream", &self.stream)
            .field("group", &self.group)
            .field("prefix", &self.prefix)
            .field("replica", &self.replica)
            .field("dead_after", &self.dead_after)
            .field("retention", &self.retention)
            .field("keep_rollups", &self.keep_rollups)
            .field("search", &self.search)
            .field("wait_replicas", &self.wait_replicas)
            .field("wait_timeout", &self.wait_timeout)
            .finish_non_exhaustive()
    }
}

/// Opens the store: connects, and refuses a server older than 7.0. Fails within two seconds if
/// there is no server ([`Away`](super::StoreError::Away)). Once open, the store recovers by itself.
pub async fn open(options: Options) -> Result<Store> {
    let confirm = Confirm { replicas: options.wait_replicas, within: options.wait_timeout };
    let dialer = Dialer::new(Address::parse(&options.url)?, confirm)?;
    let dialer = Arc::new(upkeep::suited(dialer).await?);
    let confirming = Confirming::new(&dialer, ANSWER_WITHIN);
    let link = || Link::new(Arc::clone(&dialer), ANSWER_WITHIN);
    let core = Arc::new(Core {
        keys: Keys::new(&options.prefix, &options.stream),
        link: link().with(&confirming),
        bulk: link().with(&confirming),
        pulse: link(),
        reads: Link::new(Arc::clone(&dialer), LONGEST_BLOCK + ANSWER_WITHIN),
        group: options.group,
        replica: options.replica,
        dead_after: options.dead_after,
        retention: options.retention,
        keep_rollups: options.keep_rollups,
        search: options.search,
        changed: Notify::new(),
        beats: AtomicU64::new(0),
        heart: consumers::Heart::default(),
        tokens: AtomicU64::new(0),
        held: mark::Held::default(),
    });
    upkeep::own_stream(&core, &options.prefix).await?;
    let reader = Arc::new(reader::Reader::new(Arc::clone(&core)));
    Ok(Store {
        log: Arc::new(log::RedisLog::new(Arc::clone(&core), Arc::clone(&reader))),
        agenda: Arc::new(agenda::RedisAgenda::new(Arc::clone(&core))),
        ledger: Arc::new(ledger::RedisLedger::new(Arc::clone(&core))),
        directory: Arc::new(directory::RedisDirectory::new(Arc::clone(&core))),
        records: Arc::new(records::RedisRecords::new(Arc::clone(&core))),
        rollups: Arc::new(rollups::RedisRollups::new(Arc::clone(&core))),
        limits: Arc::new(limits::RedisLimits::new(Arc::clone(&core))),
        memo: Arc::new(directory::RedisMemo::new(Arc::clone(&core))),
        erasure: Arc::new(erasure::RedisErasure::new(Arc::clone(&core))),
        upkeep: Arc::new(upkeep::RedisUpkeep::new(core, reader)),
    })
}

/// What all parts share.
struct Core {
    keys: Keys,
    /// Small commands.
    link: Link,
    /// Large batches: append, admit, settle. Separate, so small commands do not wait behind them.
    bulk: Link,
    /// Heartbeats and renewals of leases only: they must not wait behind anything.
    pulse: Link,
    /// Blocking reads only: any command behind a blocking read waits for it.
    reads: Link,
    group: String,
    replica: String,
    dead_after: Duration,
    retention: Duration,
    keep_rollups: Duration,
    search: SearchPaths,
    /// Notified when this process adds a line to the agenda or brings one forward.
    changed: Notify,
    /// Counts heartbeats, so that each one is different.
    beats: AtomicU64,
    /// Whether this replica's own heartbeats arrive.
    heart: consumers::Heart,
    /// Counts claims, so that each token is different.
    tokens: AtomicU64,
    /// Distinguishes our entries from those of producers.
    held: mark::Held,
}

/// Outcomes cannot be written because their events are gone again each time.
fn events_disappear() -> StoreError {
    let message = "events disappear while they are settled; check that Redis evicts no keys \
                   (maxmemory-policy noeviction) and that no other program removes them";
    StoreError::Away { message: message.to_owned(), source: None }
}

fn replica_name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname")
        .or_else(|_| std::env::var("HOSTNAME"))
        .unwrap_or_default();
    let host = match host.trim() {
        "" => "host",
        host => host,
    };
    format!("{host}-{}-{:08x}", std::process::id(), rand::random::<u32>())
}
