//! The types that go in and out of a store.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;
use fanfare_contract::{DeliveryId, Environment, Event, LaneId};
use serde::{Deserialize, Serialize};

use crate::lifecycle::{Change, DeliveryState, StateKind};

/// Unix time in milliseconds.
pub type Ms = i64;

/// Position of an entry in the log: a Redis stream id, or (row, 0).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntryId {
    /// Milliseconds of a stream id; the row of the embedded store.
    pub major: u64,
    /// Sequence within the millisecond; 0 in the embedded store.
    pub minor: u64,
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.major, self.minor)
    }
}

impl FromStr for EntryId {
    type Err = std::num::ParseIntError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (major, minor) = text.split_once('-').unwrap_or((text, "0"));
        Ok(Self { major: major.parse()?, minor: minor.parse()? })
    }
}

/// The answer to an appended event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appended {
    /// It is durable now.
    Accepted,
    /// An event of this tenant with this id exists already. If the store added an entry all the
    /// same, [`Log::admit`](super::Log::admit) reports it as a duplicate.
    Duplicate,
}

/// One entry read from the log.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its position, needed to settle it.
    pub id: EntryId,
    /// Its content.
    pub payload: Payload,
}

/// An entry's content.
#[derive(Clone, Debug)]
pub enum Payload {
    /// Decoded at ingest.
    Event(Arc<Event>),
    /// The fields of a stream entry, as a producer wrote them.
    Raw(Vec<(Bytes, Bytes)>),
}

/// The ledger's answer to an event that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It must be routed: it is new, or the same entry again after a crash.
    Fresh,
    /// The same entry was settled, and a crash prevented its acknowledgement.
    Settled,
    /// Another entry has the same (tenant, id).
    Duplicate,
}

/// The outcome of one entry of the log.
#[derive(Clone, Debug)]
pub struct Settlement {
    /// The entry.
    pub entry: EntryId,
    /// Its outcome.
    pub outcome: Outcome,
}

/// How an entry ended.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// It is not an event. It is kept in the dead letters.
    Rejected(Rejected),
    /// The event exists already. The entry is only acknowledged.
    Duplicate,
    /// No route matched. This is recorded, so it can be explained.
    Unrouted(Arc<Event>),
    /// One update per matched lane.
    Routed(Arc<Event>, Vec<DeliveryUpdate>),
}

/// A log entry that was rejected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejected {
    /// Position in the log.
    pub entry: String,
    /// When.
    pub at_ms: Ms,
    /// The tenant that it names, if the name is readable.
    pub tenant: Option<String>,
    /// A short, stable code such as `not_json` or `too_large`.
    pub code: String,
    /// What is wrong, and what to do.
    pub reason: String,
    /// The first 64 KiB of the entry. Bytes that are not UTF-8 are replaced.
    pub raw: String,
}

/// A change to one delivery.
#[derive(Clone, Debug)]
pub struct DeliveryUpdate {
    /// Which delivery.
    pub id: DeliveryId,
    /// Its lane.
    pub lane: LaneId,
    /// The channel's name.
    pub channel: Arc<str>,
    /// What happened. [`transition`](crate::lifecycle::transition) says what follows.
    pub change: Change,
    /// Attempts since the last update. They are added to the earlier ones.
    pub attempts: Vec<Attempt>,
    /// When.
    pub at_ms: Ms,
}

impl DeliveryUpdate {
    /// The attempts that count in the schedule.
    pub(crate) fn tries(&self) -> u32 {
        let counted = self.attempts.iter().filter(|attempt| !attempt.resent).count();
        u32::try_from(counted).unwrap_or(u32::MAX)
    }
}

/// One try at a delivery, with what the receiver answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// 1-based.
    pub number: u32,
    /// When it began.
    pub at_ms: Ms,
    /// How long it took.
    pub took_ms: u32,
    /// `ok`, or the failure's code.
    pub code: String,
    /// HTTP status or SMTP code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// What went wrong. After a success, a remark.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// The first part of the answer.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub answer: String,
    /// The receiver's id of the message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_id: Option<String>,
    /// The digest that it was part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Its connection turned out to be dead, so it was sent again at once. The schedule does not
    /// count it, and the attempt that follows has the same number.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub resent: bool,
}

/// A lane of a tenant: one destination, or one recipient of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LaneKey {
    /// The tenant.
    pub tenant: Arc<str>,
    /// The lane within the tenant.
    pub id: LaneId,
}

/// A lane that this process serves until its lease ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Which.
    pub lane: LaneKey,
    /// Identifies this claim. Made by the store.
    pub token: String,
}

/// How many lanes of a tenant a claim may take.
pub type TenantLimit = (Arc<str>, usize);

/// How much one look into a queue returns. However large the first delivery is, it is returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// Most deliveries.
    pub max: usize,
    /// Most bytes of their events, about: the delivery that reaches it is the last one.
    pub bytes: usize,
}

/// When a released lane is to be served again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// When its first waiting delivery is due.
    WhenDue,
    /// Not before this time, even if deliveries become due or are queued meanwhile.
    NotBefore(Ms),
}

/// The failures of a lane since its last success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failing {
    /// The first failure.
    pub since_ms: Ms,
    /// How many failures were recorded.
    pub told: u64,
}

/// A delivery in a lane's queue.
#[derive(Clone, Debug)]
pub struct WaitingItem {
    /// Which delivery.
    pub id: DeliveryId,
    /// Its event.
    pub event: Arc<Event>,
    /// Attempts made so far, since the last replay if there was one.
    pub attempts: u32,
    /// When it became due.
    pub due_ms: Ms,
}

/// The head of the queue of a lane that keeps the order of arrival.
#[derive(Clone, Debug)]
pub enum Head {
    /// Nothing is due.
    None,
    /// The first delivery that is due. No earlier arrival can still be queued.
    Ready(WaitingItem),
    /// A delivery is due, but an earlier arrival was read and is not settled yet.
    Early {
        /// When it became due.
        due_ms: Ms,
    },
}

/// The state of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventState {
    /// It is durable and not settled yet.
    Pending,
    /// No route matched.
    Unrouted,
    /// It has deliveries.
    Routed,
}

impl EventState {
    /// The serialized form.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Unrouted => "unrouted",
            Self::Routed => "routed",
        }
    }
}

/// One event with its deliveries.
#[derive(Clone, Debug)]
pub struct EventRecord {
    /// The event.
    pub event: Arc<Event>,
    /// Its state.
    pub state: EventState,
    /// In the table's order where the store knows it, else by destination.
    pub deliveries: Vec<DeliveryRecord>,
}

/// A line in a list of events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventSummary {
    /// The event's id.
    pub id: String,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// When it was created, in Unix seconds, by the producer's clock.
    pub created: i64,
    /// When it was received, in Unix milliseconds.
    pub received_ms: Ms,
    /// Live or test.
    #[serde(default)]
    pub environment: Environment,
    /// Its state.
    pub state: EventState,
    /// Its deliveries by state.
    pub deliveries: Counts,
}

/// One delivery with its attempts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeliveryRecord {
    /// Its id.
    pub id: DeliveryId,
    /// The event's id.
    pub event: String,
    /// The event's type.
    #[serde(rename = "type")]
    pub kind: String,
    /// The lane.
    pub lane: LaneId,
    /// The channel's name.
    pub channel: String,
    /// Live or test, as its event.
    #[serde(default)]
    pub environment: Environment,
    /// State, with reason and times.
    #[serde(flatten)]
    pub state: DeliveryState,
    /// All attempts, first to last.
    pub attempts: Vec<Attempt>,
    /// When its event was received.
    pub received_ms: Ms,
    /// Last change.
    pub updated_ms: Ms,
}

/// Counts of events and deliveries: received = pending + unrouted + events with deliveries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Events.
    pub received: u64,
    /// Events not settled yet.
    pub pending: u64,
    /// Events that no route matched.
    pub unrouted: u64,
    /// Deliveries.
    pub delivered: u64,
    /// Deliveries.
    pub waiting: u64,
    /// Deliveries.
    pub suppressed: u64,
    /// Deliveries.
    pub dead: u64,
}

impl Counts {
    /// The count of deliveries in this state.
    pub fn of(&mut self, kind: StateKind) -> &mut u64 {
        match kind {
            StateKind::Delivered => &mut self.delivered,
            StateKind::Waiting => &mut self.waiting,
            StateKind::Suppressed => &mut self.suppressed,
            StateKind::Dead => &mut self.dead,
        }
    }
}

/// What waits in all queues.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Deliveries that wait.
    pub waiting: u64,
    /// When the event of the oldest of them was received.
    pub oldest_ms: Option<Ms>,
}

/// What one tenant holds in the store. Kept up to date with every write, so reading it is cheap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes of its events: their bodies and, in Redis, the few fields that are stored with them.
    pub stored_bytes: u64,
    /// Its deliveries that wait in queues.
    pub waiting: u64,
}

/// Part of a tenant's events in the order in which they became visible.
#[derive(Clone, Debug, Default)]
pub struct Tail {
    /// Each with its place.
    pub items: Vec<(u64, EventRecord)>,
    /// The place up to which the events were searched.
    pub next: u64,
    /// There may be more after it.
    pub more: bool,
}

/// Part of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page<T> {
    /// The items. A page may be short or even empty although `next` is set, because a call looks at a
    /// bounded number of rows.
    pub items: Vec<T>,
    /// The cursor of the next page. `None` at the end.
    pub next: Option<String>,
}

/// A tenant's document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredTenant {
    /// The tenant's id.
    pub id: String,
    /// Counts up with every change of this tenant.
    pub revision: u64,
    /// As it was put.
    pub doc: Bytes,
}

/// What changed in the directory after a version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// The answer covers everything up to this version. The next call continues from here.
    pub version: u64,
    /// Each changed tenant once, in the order of their last changes.
    pub tenants: Vec<ChangedTenant>,
    /// There may be more after `version`.
    pub has_more: bool,
    /// Changes are missing, because the store lost data or an earlier version of Fanfare wrote to
    /// it. Any tenant may have changed.
    pub is_incomplete: bool,
}

/// A tenant that changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangedTenant {
    /// The tenant's id.
    pub id: String,
    /// The revision of its document, or `None` if the document was removed.
    pub revision: Option<u64>,
}

/// One small document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its id within the collection.
    pub id: String,
    /// Changes with every put; never the same twice in a collection.
    pub revision: u64,
    /// What was put.
    pub doc: Bytes,
}
