//! The shapes that go in and out of a store.

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

/// What became of an appended event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appended {
    /// Durable now.
    Accepted,
    /// An event of this tenant with this id is already there. If the store added an entry all the
    /// same, [`Log::admit`](super::Log::admit) says so of it.
    Duplicate,
}

/// One entry read from the log.
#[derive(Clone, Debug)]
pub struct Entry {
    /// For settling it.
    pub id: EntryId,
    /// What it holds.
    pub payload: Payload,
}

/// An entry's content.
#[derive(Clone, Debug)]
pub enum Payload {
    /// Decoded at ingest.
    Event(Arc<Event>),
    /// As a foreign producer wrote it: the stream entry's fields.
    Raw(Vec<(Bytes, Bytes)>),
}

/// What the ledger says of an event that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// To be routed: new, or the same entry again after a crash.
    Fresh,
    /// This very entry was settled before a crash kept it from being acknowledged.
    Settled,
    /// Another entry brought the same (tenant, id).
    Duplicate,
}

/// What became of one entry of the log.
#[derive(Clone, Debug)]
pub struct Settlement {
    /// Which.
    pub entry: EntryId,
    /// How it ended.
    pub outcome: Outcome,
}

/// How an entry ended.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// Not an event: kept in the dead letters.
    Rejected(Rejected),
    /// Already there: acknowledged only.
    Duplicate,
    /// No route matched. Recorded, so that it can be explained.
    Unrouted(Arc<Event>),
    /// One update a matched lane.
    Routed(Arc<Event>, Vec<DeliveryUpdate>),
}

/// An entry that could not be taken as an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejected {
    /// Position in the log.
    pub entry: String,
    /// When.
    pub at_ms: Ms,
    /// The tenant it names, if it does so legibly.
    pub tenant: Option<String>,
    /// Short and stable: `not_json`, `too_large`.
    pub code: String,
    /// What is wrong and what would be right.
    pub reason: String,
    /// The entry's first 64 KiB, with what is not UTF-8 replaced.
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
    /// Attempts made since the last update; added to those already there.
    pub attempts: Vec<Attempt>,
    /// When.
    pub at_ms: Ms,
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
    /// What happened, when it failed; a remark, when it did not.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// First part of the answer.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub answer: String,
    /// The receiver's id of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_id: Option<String>,
    /// The digest that it was part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
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
    /// Tells this claim from any other; made by the store.
    pub token: String,
}

/// When a released lane is to be served again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// When its first waiting delivery is due.
    WhenDue,
    /// Not before this time, whatever is due or comes meanwhile.
    NotBefore(Ms),
}

/// How it has gone with a lane since its last success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failing {
    /// The first failure.
    pub since_ms: Ms,
    /// How often a failure was noted.
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

/// What stands first in the queue of a lane that keeps the order of arrival.
#[derive(Clone, Debug)]
pub enum Head {
    /// Nothing is due.
    None,
    /// The first that is due; nothing that arrived before it can still be queued.
    Ready(WaitingItem),
    /// One is due, and something that arrived before it was read and is not settled yet.
    Early {
        /// When it became due.
        due_ms: Ms,
    },
}

/// Where an event stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventState {
    /// Durable, not settled yet.
    Pending,
    /// No route matched.
    Unrouted,
    /// Has deliveries.
    Routed,
}

/// One event with all that happened to it.
#[derive(Clone, Debug)]
pub struct EventRecord {
    /// The event.
    pub event: Arc<Event>,
    /// Where it stands.
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
    /// Unix seconds, the producer's.
    pub created: i64,
    /// Unix milliseconds, ours.
    pub received_ms: Ms,
    /// Which of the tenant's worlds it belongs to.
    #[serde(default)]
    pub environment: Environment,
    /// Where it stands.
    pub state: EventState,
    /// How many deliveries are delivered, waiting, suppressed, dead.
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
    /// Which of the tenant's worlds its event belongs to.
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

/// An account: received = pending + unrouted + events with deliveries.
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

/// Which events to list.
#[derive(Clone, Debug, Default)]
pub struct EventQuery {
    /// The tenant.
    pub tenant: String,
    /// Exact type.
    pub kind: Option<String>,
    /// Of this environment.
    pub environment: Option<Environment>,
    /// Received at or after.
    pub from_ms: Option<Ms>,
    /// Received before.
    pub to_ms: Option<Ms>,
    /// From the page before.
    pub cursor: Option<String>,
    /// At most so many, 1 to 1,000.
    pub limit: usize,
}

/// Which deliveries to list.
#[derive(Clone, Debug, Default)]
pub struct DeliveryQuery {
    /// The tenant.
    pub tenant: String,
    /// In this state.
    pub state: Option<StateKind>,
    /// Through this lane, or through any lane of this destination.
    pub lane: Option<LaneId>,
    /// Exact event type.
    pub kind: Option<String>,
    /// Of this environment.
    pub environment: Option<Environment>,
    /// Event received at or after.
    pub from_ms: Option<Ms>,
    /// Event received before.
    pub to_ms: Option<Ms>,
    /// The oldest first, rather than the newest. A cursor goes on in the order it began with.
    pub oldest_first: bool,
    /// From the page before.
    pub cursor: Option<String>,
    /// At most so many, 1 to 1,000.
    pub limit: usize,
}

/// Part of a tenant's events in the order in which they became visible.
#[derive(Clone, Debug, Default)]
pub struct Tail {
    /// Each with its place.
    pub items: Vec<(u64, EventRecord)>,
    /// The place up to which was looked.
    pub next: u64,
    /// There may be more behind it now.
    pub more: bool,
}

/// Part of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page<T> {
    /// The part. May be short, even empty, though `next` is set: filters look at a bounded number.
    pub items: Vec<T>,
    /// For the page after; `None` at the end.
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
