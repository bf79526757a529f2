//! A delivery, which is one event or one digest on its way to one destination, and its receipt.

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::{Event, LaneId};

/// How many bytes of a receiver's answer the ledger keeps.
pub const ANSWER_KEPT: usize = 1024;

/// One lane of a destination: where an attempt goes.
///
/// An email destination has one lane for each recipient.
pub struct Destination {
    /// The tenant that owns the destination.
    pub tenant: Arc<str>,
    /// The lane within the tenant.
    pub lane: LaneId,
    /// Name of the channel: `webhook`, `email`, `slack` or `poll`.
    pub channel: Arc<str>,
    /// The settings as [`crate::Channel::prepare`] prepared them.
    pub settings: Arc<dyn Any + Send + Sync>,
}

impl Destination {
    /// The prepared settings, if they are of type `T`. Each channel has its own type.
    pub fn settings<T: 'static>(&self) -> Option<&T> {
        self.settings.downcast_ref()
    }
}

impl fmt::Debug for Destination {
    // The settings hold secrets and addresses, so they are never printed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Destination")
            .field("tenant", &self.tenant)
            .field("lane", &self.lane)
            .field("channel", &self.channel)
            .finish_non_exhaustive()
    }
}

/// The id of a delivery, unique within its tenant: `dlv_evt_01created.backoffice`.
///
/// It is derived from the event's (or digest's) id and the lane, so it stays the same after a crash. Neither part contains a dot, so both can be read back from the id.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DeliveryId(Arc<str>);

impl DeliveryId {
    /// The id of the delivery of `event` (or of a digest) through `lane`.
    pub fn derive(event: &str, lane: &(impl AsRef<str> + ?Sized)) -> Self {
        Self(["dlv_", event, ".", lane.as_ref()].concat().into())
    }

    /// The event's (or digest's) id and the lane.
    pub fn parts(&self) -> Option<(&str, LaneId)> {
        let (event, lane) = self.0.strip_prefix("dlv_")?.split_once('.')?;
        Some((event, lane.into()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for DeliveryId {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for DeliveryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for DeliveryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a delivery carries.
#[derive(Clone, Debug)]
pub enum Content {
    /// One event.
    Event(Arc<Event>),
    /// Several events as one message.
    Digest(Arc<Digest>),
}

/// Several deliveries of one destination, sent as one message that accounts for all of them.
#[derive(Debug)]
pub struct Digest {
    /// `dig_…`, derived from the destination and the digest's content.
    pub id: Arc<str>,
    /// Unix milliseconds: the end of the previous digest, or the time of the first event.
    pub from_ms: i64,
    /// Unix milliseconds: the tick of the schedule that made this digest.
    pub to_ms: i64,
    /// IANA name of the destination's time zone, used to show times.
    pub timezone: String,
    /// The events, in the order in which they were received.
    pub events: Vec<Arc<Event>>,
    /// Deliveries of the same period that were suppressed and are not listed, by reason.
    pub suppressed: Vec<Tally>,
    /// Deliveries of the same period that failed for good, by reason.
    pub failed: Vec<Tally>,
}

/// How many deliveries ended for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// The reason, as in the ledger.
    pub reason: String,
    /// How many deliveries.
    pub count: u64,
}

/// One attempt at a delivery, as the channel receives it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The delivery's id, the same on every attempt.
    pub id: DeliveryId,
    /// Where the delivery goes.
    pub destination: Arc<Destination>,
    /// What is delivered.
    pub content: Content,
    /// 1 for the first durable attempt.
    pub attempt: u32,
    /// Unix milliseconds of this attempt. Signatures with a timestamp use it.
    pub at_ms: i64,
    /// Whether this attempt may send a second request, or is one.
    pub resend: Resend,
}

/// Whether an attempt that fails on a dead connection is made again at once. A connection that was
/// kept open can have died unnoticed, which says nothing about the receiver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Resend {
    /// It may be made again once.
    #[default]
    Allowed,
    /// It may not: the destination has no retries.
    Never,
    /// This is the second time. It needs a new connection.
    Now,
}

/// A request that failed on a dead connection and was sent again at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resent {
    /// Unix milliseconds at which it began.
    pub at_ms: i64,
    /// How long it took.
    pub took: Duration,
    /// The code of the failure.
    pub code: String,
    /// What happened.
    pub message: String,
}

impl Delivery {
    /// The time of this attempt.
    pub fn at(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(self.at_ms.max(0).unsigned_abs())
    }

    /// The id of the event or of the digest, for headers and message ids.
    pub fn content_id(&self) -> &str {
        match &self.content {
            Content::Event(event) => &event.id,
            Content::Digest(digest) => &digest.id,
        }
    }
}

/// The first [`ANSWER_KEPT`] bytes of a receiver's answer, as text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AnswerPart(pub String);

impl AnswerPart {
    /// Keeps the first part of `bytes`. Invalid UTF-8 is replaced.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let kept = &bytes[..bytes.len().min(ANSWER_KEPT)];
        Self(String::from_utf8_lossy(kept).trim_end().to_owned())
    }
}

/// The receiver accepted the delivery.
#[derive(Clone, Debug, Default)]
pub struct Receipt {
    /// HTTP status or SMTP code.
    pub status: Option<u16>,
    /// The first part of the answer.
    pub answer: AnswerPart,
    /// The id that the receiver gave the message: SMTP queue id, Slack `ts`.
    pub remote_id: Option<String>,
    /// A remark for people, such as "sent as plain text".
    pub remark: Option<String>,
    /// Requests that failed before this one in the same attempt.
    pub resent: Vec<Resent>,
}
