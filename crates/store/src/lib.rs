//! Everything durable, behind small traits with one purpose each.
//!
//! Two implementations are shipped: [`embedded`] (SQLite in one folder, no setup) and [`redis`]
//! (streams and consumer groups, any number of replicas). The router uses a [`Store`] and does not
//! know which one it has. A third one, in memory, is the reference model for tests with a paused
//! clock (feature `memory`). One conformance suite (`tests/it/conformance`) runs over all three.
//!
//! [`lifecycle`] defines the states of a delivery and what changes them. Read it first.
//!
//! Times are Unix milliseconds ([`Ms`]). The caller always gives them, so tests control the clock.

mod call;
mod checkup;
mod condition;
pub mod embedded;
mod erasure;
mod error;
pub mod lifecycle;
mod limits;
#[cfg(feature = "memory")]
pub mod memory;
mod metered;
mod model;
mod queries;
mod reconcile;
pub mod redis;
mod rollup;
mod search;
pub mod steady;
mod turns;
mod type_filter;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use fanfare_contract::{Event, Memo, Tally};
use futures::stream::{self, Stream, TryStreamExt as _};

pub use call::Call;
pub use checkup::{Check, Verdict};
pub use erasure::{Erased, Erasure};
pub use error::StoreError;
pub use lifecycle::{Change, DeliveryState, Reason, StateKind};
pub use limits::{OpenCircuit, Pacing, Places};
pub use metered::{Watch, metered};
pub use model::{
    Admission, Appended, Attempt, Backlog, ChangedTenant, Changes, Claim, Counts, DeliveryRecord,
    DeliveryUpdate, Entry, EntryId, EventRecord, EventState, EventSummary, Failing, Head, LaneKey,
    Look, Ms, Next, Outcome, Page, Payload, Record, Rejected, Settlement, StoredTenant, Tail,
    TenantLimit, Usage, WaitingItem,
};

pub use queries::{DeliveryQuery, EventQuery, EventStatus};
pub use reconcile::Findings;
pub use rollup::{
    HOUR_MS, LATENCIES, LATENCY_MS, OTHER_TYPES, RollupOutcome, Series, SeriesKey, StatsQuery, Sums,
};
pub use search::{SearchKey, SearchPaths};
pub use turns::{Share, Turns, Unlimited};
pub use type_filter::TypeFilter;

/// The result of every store call.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// Bounds of one answer of [`Ledger::tail`]: events, and bytes of their bodies.
const LONGEST_TAIL: usize = 100;
const TAIL_BYTES: usize = 4 * 1024 * 1024;

/// Most records in one answer of [`Records::list`].
const LONGEST_LIST: usize = 1_000;

/// The parts of one store. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    /// Accepted events that are not settled yet.
    pub log: Arc<dyn Log>,
    /// The queues of the lanes, and when each lane may be served.
    pub agenda: Arc<dyn Agenda>,
    /// The history of events, deliveries and attempts.
    pub ledger: Arc<dyn Ledger>,
    /// The tenants' documents.
    pub directory: Arc<dyn Directory>,
    /// Other small documents, such as API keys.
    pub records: Arc<dyn Records>,
    /// Counts per hour, for statistics.
    pub rollups: Arc<dyn Rollups>,
    /// Limits that all processes keep together.
    pub limits: Arc<dyn Limits>,
    /// The channels' short-term memory.
    pub memo: Arc<dyn Memo>,
    /// Health, heartbeats and retention.
    pub upkeep: Arc<dyn Upkeep>,
    /// Permanent removal.
    pub erasure: Arc<dyn Erasure>,
}

/// Accepted events, from the moment they are durable until each of their deliveries has an outcome
/// or waits in a queue.
#[async_trait]
pub trait Log: Send + Sync {
    /// Makes the events durable, in order. When it returns, they survive `kill -9`. Returns one
    /// answer per event. A store may answer [`Appended::Accepted`] for a duplicate that is not
    /// admitted yet; [`Log::admit`] recognizes it then.
    async fn append(&self, events: Vec<Arc<Event>>) -> Result<Vec<Appended>>;

    /// Reads up to `max` entries that no process has read, with no limit for any tenant.
    async fn read(&self, max: usize, wait: Duration) -> Result<Vec<Entry>> {
        self.read_shared(max, wait, &Unlimited).await
    }

    /// Reads up to `max` entries that no process has read, and of each tenant no more than its
    /// share. Waits up to `wait` for the first one. Dropping the future loses nothing.
    ///
    /// Tenants take turns, and the entries of one tenant keep their order. So a backlog of one
    /// tenant does not hide another tenant's entry, as far as the store can look ahead.
    async fn read_shared(
        &self,
        max: usize,
        wait: Duration,
        share: &dyn Share,
    ) -> Result<Vec<Entry>>;

    /// Takes up to `max` entries that a stopped reader left unsettled. Entries of a living reader,
    /// however slow, are never among them.
    async fn take_over(&self, max: usize) -> Result<Vec<Entry>>;

    /// When an entry arrived, as a time that has the order of the log: it never decreases from one
    /// entry to the next. It may lie in the future, if a producer chose the id of a stream entry.
    fn arrived_ms(&self, entry: EntryId, event: &Event) -> Ms;

    /// Records each event in the ledger under (tenant, id). Answers for each whether it is new (or
    /// the same entry again, not settled yet), already settled, or a duplicate of another entry.
    async fn admit(&self, entries: &[(EntryId, Arc<Event>)]) -> Result<Vec<Admission>>;

    /// Writes the outcomes of entries (ledger, queues, agenda, dead letters) and acknowledges the
    /// entries last. Repeating the same batch changes nothing.
    async fn settle(&self, batch: Vec<Settlement>) -> Result<()>;
}

/// The durable queues of the lanes, and the schedule by which they are served.
///
/// A lane is one destination, or one recipient of it. It has a queue of waiting deliveries, ordered
/// by due time and then by arrival, and at most one line in the agenda with the time at which it may
/// next be served. Deliveries enter through [`Log::settle`] and [`Agenda::settle`].
#[async_trait]
pub trait Agenda: Send + Sync {
    /// Takes up to `max` lanes whose time has come, earliest first, at most `per_tenant` of one
    /// tenant. No other process gets a claimed lane until `now + lease`.
    async fn claim(
        &self,
        now: Ms,
        lease: Duration,
        max: usize,
        per_tenant: usize,
    ) -> Result<Vec<Claim>> {
        self.claim_limited(now, lease, max, per_tenant, &[]).await
    }

    /// Like [`Self::claim`], with fewer lanes of some tenants: for each of `limits` its own number,
    /// which may be 0. What cannot be served now is not written.
    async fn claim_limited(
        &self,
        now: Ms,
        lease: Duration,
        max: usize,
        per_tenant: usize,
        limits: &[TenantLimit],
    ) -> Result<Vec<Claim>>;

    /// The first `max` deliveries of a claimed lane that are due at `now`. They stay in the queue
    /// until they are settled, so a repeated call returns them again.
    async fn due(&self, claim: &Claim, now: Ms, max: usize) -> Result<Vec<WaitingItem>> {
        self.more_due(claim, now, Look { max, bytes: usize::MAX }, &[]).await
    }

    /// Like [`Self::due`], within `look` and without the events in `taken`, which the caller holds
    /// and has not settled yet. So a long queue is not read again and again while it is served.
    async fn more_due(
        &self,
        claim: &Claim,
        now: Ms,
        look: Look,
        taken: &[Arc<str>],
    ) -> Result<Vec<WaitingItem>>;

    /// The first delivery of a claimed lane that is due at `now`, for a lane that keeps the order of
    /// arrival. It is ready once everything that arrived earlier and was read by any process has its
    /// outcome or is in its queue.
    async fn head(&self, claim: &Claim, now: Ms) -> Result<Head>;

    /// Writes outcomes of deliveries of a lane. A delivery that still waits gets its new due time,
    /// and any other leaves the queue. The line of a claimed or held lane stays as it is, and any
    /// other is brought forward to `serve_ms` if that is earlier. Outcomes are facts, so the call is
    /// valid even after the lease has ended.
    ///
    /// [`lifecycle::transition`] decides what each change does. After a replay the schedule starts
    /// again: [`WaitingItem::attempts`] counts from there, and the ledger keeps all attempts.
    async fn settle(
        &self,
        lane: &LaneKey,
        updates: Vec<(Arc<Event>, DeliveryUpdate)>,
    ) -> Result<()>;

    /// Gives a claimed lane back, with the time of its next service. Ignored if another process has
    /// claimed the lane since. If the queue is empty, the line is removed, whatever `next` says.
    ///
    /// [`Next::NotBefore`] is a hold: deliveries that are queued meanwhile do not bring the lane
    /// forward (an open circuit, a FIFO lane whose head waits for its retry). The hold ends when the
    /// lane is claimed, or by [`Agenda::reschedule`].
    async fn release(&self, claim: &Claim, next: Next) -> Result<()>;

    /// Extends leases to `now + lease`. False for each lane that another process has claimed since.
    async fn renew(&self, claims: &[Claim], now: Ms, lease: Duration) -> Result<Vec<bool>>;

    /// The earliest time at which [`Agenda::claim`] could return something.
    async fn next_time(&self) -> Result<Option<Ms>> {
        self.next_time_without(&[]).await
    }

    /// The same without the lanes of some tenants.
    async fn next_time_without(&self, tenants: &[Arc<str>]) -> Result<Option<Ms>>;

    /// Waits until a line may have been added or brought forward, or `at_most` has passed.
    async fn changed(&self, at_most: Duration);

    /// Moves the line of a lane to `at`, earlier or later (resume, pause). Does nothing if its queue
    /// is empty or it is claimed.
    async fn reschedule(&self, lane: &LaneKey, at: Ms) -> Result<()>;

    /// How many deliveries wait in a lane.
    async fn waiting(&self, lane: &LaneKey) -> Result<u64>;

    /// Records that a lane failed at `at`. Returns its failures since its last success. If the
    /// failure before is longer than `gap` ago, the count starts again.
    async fn failing(&self, lane: &LaneKey, at: Ms, gap: Duration) -> Result<Failing>;

    /// Records a success: the lane has no failures now.
    async fn well(&self, lane: &LaneKey) -> Result<()>;
}

/// The history of events, deliveries and attempts. Lists are bounded, newest first, with cursors.
#[async_trait]
pub trait Ledger: Send + Sync {
    /// One event with its deliveries and their attempts.
    async fn event(&self, tenant: &str, id: &str) -> Result<Option<EventRecord>>;
    /// Events of a tenant.
    async fn events(&self, query: &EventQuery) -> Result<Page<EventSummary>>;
    /// Deliveries of a tenant.
    async fn deliveries(&self, query: &DeliveryQuery) -> Result<Page<DeliveryRecord>>;
    /// Events of a tenant with their deliveries, in the order in which they became visible, oldest
    /// first: those after the place `after` (0 is the beginning), at most `limit` (1 to 100). No
    /// event ever becomes visible before a place that was already given out.
    async fn tail(&self, tenant: &str, after: u64, limit: usize) -> Result<Tail>;
    /// Log entries that were rejected, of all tenants and of unknown ones.
    async fn rejected(&self, cursor: Option<&str>, limit: usize) -> Result<Page<Rejected>>;
    /// Deliveries of a lane that ended as suppressed or dead in `[from, to)`, by reason. Returns
    /// the suppressed ones, then the dead ones.
    async fn tally(&self, lane: &LaneKey, from: Ms, to: Ms) -> Result<(Vec<Tally>, Vec<Tally>)>;
    /// The counts of a tenant over events received in `[from, to)`.
    async fn counts(&self, tenant: &str, from: Ms, to: Ms) -> Result<Counts>;
    /// Records that this process indexes its search paths from now on, and no others. Called by a
    /// process that routes events, before it reads any.
    async fn note_indexed(&self) -> Result<()>;
    /// The place of [`Self::tail`] from which on all events can be found by their values at these
    /// paths. `None` if a path is not indexed.
    async fn indexed_since(&self, paths: &[String]) -> Result<Option<u64>>;
    /// What each of the tenants holds now, in their order. The cost does not depend on how much
    /// that is.
    async fn usage(&self, tenants: &[Arc<str>]) -> Result<Vec<Usage>>;
}

/// Counts per hour. [`Log::settle`] and [`Agenda::settle`] write them with the outcomes.
#[async_trait]
pub trait Rollups: Send + Sync {
    /// Adds up the rollups of a tenant, or of all tenants, into series over time.
    async fn stats(&self, query: &StatsQuery) -> Result<Vec<Series>>;
    /// Removes the rollups of hours before `before`. Those of a tenant also go with
    /// [`Erasure::forget_tenant`].
    async fn forget_rollups(&self, before: Ms) -> Result<()>;
}

/// Limits that are promised to receivers, whatever the number of processes.
#[async_trait]
pub trait Limits: Send + Sync {
    /// Whether several processes can use this store to route events. If not, a process keeps its
    /// limits in memory.
    fn is_shared(&self) -> bool;
    /// Takes up to `most` places of a pace that all processes share, by one clock. Takes none if
    /// none is free now.
    async fn take_places(&self, key: &str, pacing: Pacing, most: u32) -> Result<Places>;
    /// How many processes that route events are alive, this one included.
    async fn replicas(&self) -> Result<u32>;
    /// Reports circuits that opened and closed in this process. Returns those that are open in any
    /// process. They are hints: a bounded number is returned.
    async fn share_circuits(
        &self,
        now: Ms,
        opened: &[OpenCircuit],
        closed: &[OpenCircuit],
    ) -> Result<Vec<OpenCircuit>>;
}

/// The tenants' documents. The store does not look inside.
#[async_trait]
pub trait Directory: Send + Sync {
    /// A number that increases with every change of any tenant. 0 if the store has no tenants and
    /// never had any. Cheap, because it is read twice a second.
    async fn version(&self) -> Result<u64>;
    /// How many tenants there are. Cheap.
    async fn count(&self) -> Result<u64>;
    /// Tenants after the id `after`, in the order of the ids' bytes, at most `limit`. Fewer if their
    /// documents are long. An empty answer is the end.
    async fn list(&self, after: Option<&str>, limit: usize) -> Result<Vec<StoredTenant>>;
    /// The tenants that changed after `version`, which is the version of an earlier answer, at most
    /// `limit`. The cost does not depend on how many tenants there are.
    async fn changed_since(&self, version: u64, limit: usize) -> Result<Changes>;
    /// One tenant.
    async fn get(&self, id: &str) -> Result<Option<StoredTenant>>;
    /// Writes a tenant and returns its new revision. With `expected`, only if that is its current
    /// revision (0: it must not exist), otherwise [`StoreError::Conflict`].
    async fn put(&self, id: &str, doc: Bytes, expected: Option<u64>) -> Result<u64>;
    /// Removes a tenant's document. False if there was none.
    async fn remove(&self, id: &str) -> Result<bool>;
}

impl dyn Directory + '_ {
    /// All tenants by id, page by page. For commands that need each of them: the cost grows with
    /// their number.
    pub fn all(&self) -> impl Stream<Item = Result<StoredTenant>> + '_ {
        let pages = stream::try_unfold(None::<String>, move |after| async move {
            let page = self.list(after.as_deref(), LISTED_AT_ONCE).await?;
            let last = page.last().map(|tenant| Some(tenant.id.clone()));
            let page = stream::iter(page.into_iter().map(Ok));
            Ok::<_, StoreError>(last.map(|last| (page, last)))
        });
        pages.try_flatten()
    }
}

/// Tenants in a page of [`Directory::all`](#method.all).
const LISTED_AT_ONCE: usize = 500;
/// The documents of a page have about this many bytes at most.
pub(crate) const LISTED_BYTES: usize = 8 << 20;

/// Small documents by (collection, id), each with a revision. The store does not look inside.
///
/// The name of a collection is 1 to 64 characters of `a-z 0-9 - _`, chosen by the program. An id is
/// any text of up to 256 bytes.
///
/// A document may expire, by the clock of the store. An expired document is treated as absent.
/// Expiry does not change [`Records::version`].
#[async_trait]
pub trait Records: Send + Sync {
    /// A number that changes whenever a document of the collection is put or removed. Cheap, because
    /// it is read several times a second.
    async fn version(&self, collection: &str) -> Result<u64>;
    /// One document.
    async fn get(&self, collection: &str, id: &str) -> Result<Option<Record>>;
    /// Up to `limit` documents (at most 1,000) after the id `after`, in the order of the ids' bytes.
    async fn list(
        &self,
        collection: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Record>>;
    /// Writes a document and returns its new revision. With `ttl` it expires. With `expected`, it is
    /// written only if that is its current revision (0: it must not exist), otherwise
    /// [`StoreError::Conflict`]. A collection never uses a revision twice.
    ///
    /// With Redis, a call whose answer is lost is repeated, and then conflicts with itself. Read the
    /// document before concluding that another process wrote it.
    async fn put(
        &self,
        collection: &str,
        id: &str,
        doc: Bytes,
        expected: Option<u64>,
        ttl: Option<Duration>,
    ) -> Result<u64>;
    /// Removes a document, with `expected` as for [`Records::put`]. False if there was none and none
    /// was expected.
    async fn remove(&self, collection: &str, id: &str, expected: Option<u64>) -> Result<bool>;
}

/// Health, heartbeats and retention.
#[async_trait]
pub trait Upkeep: Send + Sync {
    /// `embedded` or `redis`, for people.
    fn kind(&self) -> &'static str;
    /// Checks that the store can be read and written now.
    async fn ping(&self) -> Result<()>;
    /// Checks that new events can be appended now, without appending one.
    async fn appendable(&self) -> Result<()> {
        Ok(())
    }
    /// Reports that this process lives. Called every few seconds. Without it, other processes take
    /// over.
    async fn beat(&self, now: Ms) -> Result<()>;
    /// Reports that this process stops. What it has read and not settled can be taken over at once.
    async fn leave(&self) -> Result<()>;
    /// Removes up to `max` events that were received before `before` and have no waiting delivery,
    /// with everything that belongs to them. Returns how many. Less than `max` means done for now.
    async fn tidy(&self, before: Ms, max: usize) -> Result<u64>;
    /// Compares what must agree (what is pending with what is in hand, the log with the ledger,
    /// queues with their lines) and repairs what does not. A call does a bounded part. Entries that
    /// it finds come with the next [`Log::read`].
    async fn reconcile(&self, now: Ms) -> Result<Findings>;
    /// Compares all of that without changing anything.
    async fn inspect(&self, now: Ms) -> Result<Findings>;
    /// The store's own clock, if it is another machine's. `None` if it is this machine's.
    async fn time(&self) -> Result<Option<Ms>>;
    /// Counts what waits in all queues, for metrics. The cost grows with the number of queues.
    async fn backlog(&self) -> Result<Backlog>;
    /// Checks everything that matters for relying on the store, and changes nothing. May take long.
    async fn checkup(&self, now: Ms) -> Vec<Check> {
        let _ = now;
        Vec::new()
    }
    /// Repairs what can be repaired without guessing. Returns what was done, one sentence each.
    async fn repair(&self, now: Ms) -> Result<Vec<String>> {
        let _ = now;
        Ok(Vec::new())
    }
    /// What an operator should know about durability. Logged at start.
    async fn warnings(&self) -> Vec<String>;
}
