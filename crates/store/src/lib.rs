//! Everything durable, behind small traits with one purpose each.
//!
//! Two implementations: [`embedded`] (SQLite in one folder, no set-up) and [`redis`] (streams and
//! consumer groups, any number of replicas). The router sees a [`Store`] and cannot tell which.
//! One conformance suite (`tests/it/conformance`) runs the same assertions over both.
//!
//! Times are Unix milliseconds ([`Ms`]) and always given by the caller, so that tests own the clock.

mod condition;
pub mod embedded;
mod erasure;
mod error;
pub mod lifecycle;
#[cfg(feature = "memory")]
pub mod memory;
mod metered;
mod model;
pub mod redis;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use fanfare_contract::{Event, Memo, Tally};

pub use erasure::{Erased, Erasure};
pub use error::StoreError;
pub use lifecycle::{Change, DeliveryState, Reason, StateKind};
pub use metered::{Call, Watch, metered};
pub use model::{
    Admission, Appended, Attempt, Backlog, Claim, Counts, DeliveryQuery, DeliveryRecord,
    DeliveryUpdate, Entry, EntryId, EventQuery, EventRecord, EventState, EventSummary, Failing,
    Head, LaneKey, Ms, Next, Outcome, Page, Payload, Record, Rejected, Settlement, StoredTenant,
    Tail, WaitingItem,
};

/// Shorthand for what every store call answers.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// Most events in one answer of [`Ledger::tail`], and most bytes of them, so that it stays small.
const LONGEST_TAIL: usize = 100;
const TAIL_BYTES: usize = 4 * 1024 * 1024;

/// Most records in one answer.
const LONGEST_LIST: usize = 1_000;

/// The parts of one store. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    /// Where accepted events wait to be routed.
    pub log: Arc<dyn Log>,
    /// What waits, and until when.
    pub agenda: Arc<dyn Agenda>,
    /// What happened.
    pub ledger: Arc<dyn Ledger>,
    /// Tenants' tables.
    pub directory: Arc<dyn Directory>,
    /// Small documents of everything that is configured beside the tables: keys, for example.
    pub records: Arc<dyn Records>,
    /// The channels' small memory.
    pub memo: Arc<dyn Memo>,
    /// Health, heartbeats and cleaning.
    pub upkeep: Arc<dyn Upkeep>,
    /// Removing for good.
    pub erasure: Arc<dyn Erasure>,
}

/// Accepted events, from the moment they are durable until every one of their deliveries has an
/// outcome or waits in a queue.
#[async_trait]
pub trait Log: Send + Sync {
    /// Makes the events durable, in order; when it returns they survive `kill -9`.
    /// One answer an event. A store may say [`Appended::Accepted`] of a duplicate that nobody has
    /// admitted yet, and tells it apart in [`Log::admit`].
    async fn append(&self, events: Vec<Arc<Event>>) -> Result<Vec<Appended>>;

    /// Up to `max` entries that nobody has read; waits up to `wait` for the first. Dropping the
    /// future loses nothing.
    async fn read(&self, max: usize, wait: Duration) -> Result<Vec<Entry>>;

    /// Up to `max` entries whose reader is gone and that it did not settle. Entries of a living
    /// reader, however slow, are never among them. Empty when there are none.
    async fn take_over(&self, max: usize) -> Result<Vec<Entry>>;

    /// When an entry arrived by the log's own clock, where it has one: it goes as the entries do,
    /// whatever the clocks of those who add them.
    fn arrived_ms(&self, entry: EntryId) -> Option<Ms>;

    /// Makes each event known to the ledger under (tenant, id). Tells for each whether it is new
    /// (or the same entry again, not settled yet), already settled, or another entry's duplicate.
    async fn admit(&self, entries: &[(EntryId, Arc<Event>)]) -> Result<Vec<Admission>>;

    /// Writes what became of entries (ledger, queues, agenda, dead letters) and acknowledges them
    /// last. Safe to repeat with the same batch.
    async fn settle(&self, batch: Vec<Settlement>) -> Result<()>;
}

/// The durable queues of the lanes, and the schedule by which they are served.
///
/// A lane is one destination (or one recipient of it). It has a queue of waiting deliveries,
/// ordered by due time and then by arrival, and at most one line in the agenda: when it may next be
/// served. Deliveries enter through [`Log::settle`] and [`Agenda::settle`].
#[async_trait]
pub trait Agenda: Send + Sync {
    /// Takes up to `max` lanes whose time has come, at most `per_tenant` of one tenant, earliest
    /// first. Each is the caller's alone until `now + lease`; then another may take it.
    async fn claim(
        &self,
        now: Ms,
        lease: Duration,
        max: usize,
        per_tenant: usize,
    ) -> Result<Vec<Claim>>;

    /// The first `max` deliveries of a claimed lane that are due at `now`. It does not take
    /// them out: what is not settled stays, and a repeated call returns it again.
    async fn due(&self, claim: &Claim, now: Ms, max: usize) -> Result<Vec<WaitingItem>> {
        self.more_due(claim, now, max, &[]).await
    }

    /// As [`Self::due`], without those of the events in `taken`, which the caller has and has not yet
    /// settled: a long queue that is served is not read again and again.
    async fn more_due(
        &self,
        claim: &Claim,
        now: Ms,
        max: usize,
        taken: &[Arc<str>],
    ) -> Result<Vec<WaitingItem>>;

    /// The first delivery of a claimed lane that is due at `now`, for a lane that keeps the order of
    /// arrival: not before everything that arrived earlier, and was read by whomever, has its outcome
    /// or stands in its queue.
    async fn head(&self, claim: &Claim, now: Ms) -> Result<Head>;

    /// Writes outcomes of deliveries of a claimed lane. A delivery that goes on waiting gets its
    /// new due time; any other leaves the queue. A claimed or held lane's line stays as it is; any
    /// other is brought forward to `serve_ms` if that is earlier.
    /// Valid even when the lease has run out: outcomes are facts.
    ///
    /// [`lifecycle::transition`] decides what each change does. After a replay the schedule starts
    /// again: [`WaitingItem::attempts`] counts from there, and the ledger keeps all attempts.
    async fn settle(
        &self,
        lane: &LaneKey,
        updates: Vec<(Arc<Event>, DeliveryUpdate)>,
    ) -> Result<()>;

    /// Gives a claimed lane back, with the time of its next service. Ignored when the lease has
    /// passed to another. With an empty queue the line goes away, whatever `next` says.
    ///
    /// [`Next::NotBefore`] holds: deliveries that are put meanwhile do not bring the lane forward
    /// before that time (a closed circuit, a FIFO lane whose first waits for its retry). The hold
    /// ends when the lane is next claimed, or by [`Agenda::reschedule`].
    async fn release(&self, claim: &Claim, next: Next) -> Result<()>;

    /// Prolongs leases to `now + lease`; false for each that has passed to another.
    async fn renew(&self, claims: &[Claim], now: Ms, lease: Duration) -> Result<Vec<bool>>;

    /// The earliest time at which [`Agenda::claim`] could return something.
    async fn next_time(&self) -> Result<Option<Ms>>;

    /// Waits until a line may have been added or brought forward, or `at_most` has passed.
    async fn changed(&self, at_most: Duration);

    /// Moves the line of a lane that has something waiting to `at`, sooner or later (resume,
    /// pause). Nothing when its queue is empty or it is claimed.
    async fn reschedule(&self, lane: &LaneKey, at: Ms) -> Result<()>;

    /// How many deliveries wait in a lane.
    async fn waiting(&self, lane: &LaneKey) -> Result<u64>;

    /// Notes that a lane failed at `at`, and answers how it has gone since its last success. After a
    /// silence longer than `gap` it begins anew: a failure then says nothing of the time between.
    async fn failing(&self, lane: &LaneKey, at: Ms, gap: Duration) -> Result<Failing>;

    /// Notes that a lane is well: what [`Agenda::failing`] noted is forgotten.
    async fn well(&self, lane: &LaneKey) -> Result<()>;
}

/// What happened, for people and for accounts. Bounded answers, newest first, cursors.
#[async_trait]
pub trait Ledger: Send + Sync {
    /// One event with its deliveries and their attempts.
    async fn event(&self, tenant: &str, id: &str) -> Result<Option<EventRecord>>;
    /// Events of a tenant.
    async fn events(&self, query: &EventQuery) -> Result<Page<EventSummary>>;
    /// Deliveries of a tenant.
    async fn deliveries(&self, query: &DeliveryQuery) -> Result<Page<DeliveryRecord>>;
    /// Events of a tenant with all that happened to them, in the order in which they became visible,
    /// oldest first: those after the place `after` (0 is the beginning), at most `limit` (1 to 100).
    /// However events come in at the same time, none ever becomes visible before a place that was
    /// given out.
    async fn tail(&self, tenant: &str, after: u64, limit: usize) -> Result<Tail>;
    /// Entries that could not be taken as events, of all tenants and of none.
    async fn rejected(&self, cursor: Option<&str>, limit: usize) -> Result<Page<Rejected>>;
    /// Deliveries of a lane that ended as suppressed or dead in `[from, to)`, by reason:
    /// first the suppressed, then the dead.
    async fn tally(&self, lane: &LaneKey, from: Ms, to: Ms) -> Result<(Vec<Tally>, Vec<Tally>)>;
    /// The account of a tenant over events received in `[from, to)`.
    async fn counts(&self, tenant: &str, from: Ms, to: Ms) -> Result<Counts>;
}

/// Tenants' tables as documents. The store does not look inside.
#[async_trait]
pub trait Directory: Send + Sync {
    /// A number that changes whenever any tenant changes. Cheap: asked twice a second.
    async fn version(&self) -> Result<u64>;
    /// All tenants, by id, with the version that they are of.
    async fn all(&self) -> Result<(u64, Vec<StoredTenant>)>;
    /// One tenant.
    async fn get(&self, id: &str) -> Result<Option<StoredTenant>>;
    /// Writes a tenant; with `expected`, only if its revision is that (0: it must not exist).
    /// Answers the new revision; [`StoreError::Conflict`] otherwise.
    async fn put(&self, id: &str, doc: Bytes, expected: Option<u64>) -> Result<u64>;
    /// Removes a tenant's document. False when there was none.
    async fn remove(&self, id: &str) -> Result<bool>;
}

/// Small documents by (collection, id), each with a revision. The store does not look inside.
///
/// A collection's name is 1 to 64 of `a-z 0-9 - _`, chosen by the program; an id is any text of up
/// to 256 bytes.
///
/// A document may have an end. From then on it is as if it were not there, by the clock of the
/// store; to come to its end is not a change that [`Records::version`] tells of.
#[async_trait]
pub trait Records: Send + Sync {
    /// A number that changes whenever something in the collection is put or removed. Cheap: asked
    /// several times a second.
    async fn version(&self, collection: &str) -> Result<u64>;
    /// One document.
    async fn get(&self, collection: &str, id: &str) -> Result<Option<Record>>;
    /// Up to `limit` (at most 1,000) documents by id (its bytes, ascending), those after `after`.
    async fn list(
        &self,
        collection: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Record>>;
    /// Writes a document, which ends after `ttl` if there is one; with `expected`, only if its
    /// revision is that (0: it must not exist), [`StoreError::Conflict`] otherwise. Answers the new
    /// revision; no revision of a collection is ever given twice.
    ///
    /// Redis: when the answer to a call is lost, the call is repeated, and the conflict that is
    /// then told is with oneself. Read before concluding that somebody else was there.
    async fn put(
        &self,
        collection: &str,
        id: &str,
        doc: Bytes,
        expected: Option<u64>,
        ttl: Option<Duration>,
    ) -> Result<u64>;
    /// Removes a document, with `expected` as for [`Records::put`]. False when there was none, and
    /// none was expected.
    async fn remove(&self, collection: &str, id: &str, expected: Option<u64>) -> Result<bool>;
}

/// Keeps the store well.
#[async_trait]
pub trait Upkeep: Send + Sync {
    /// `embedded` or `redis`, for people.
    fn kind(&self) -> &'static str;
    /// Can it be read and written now?
    async fn ping(&self) -> Result<()>;
    /// Says that this process lives. Called every few seconds; its absence lets others take over.
    async fn beat(&self, now: Ms) -> Result<()>;
    /// Says that this process stops: what it has read and not settled may be taken over at once.
    async fn leave(&self) -> Result<()>;
    /// Removes up to `max` events received before `before` that have nothing waiting, with all
    /// that belongs to them. Answers how many; less than `max` means done for now.
    async fn tidy(&self, before: Ms, max: usize) -> Result<u64>;
    /// What waits in all queues. For metrics: as costly as the queues are many, so not for each
    /// event.
    async fn backlog(&self) -> Result<Backlog>;
    /// What an operator should know about durability, to be logged at start.
    async fn warnings(&self) -> Vec<String>;
}
