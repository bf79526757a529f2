//! A delivery (one event, or a digest of several, for one destination) and its receipt.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::Event;

/// One lane of a destination: where an attempt goes.
///
/// `id` is the destination's id; a destination that reaches several people one by one (email
/// recipients) has one lane for each, told apart by a suffix: `compliance~3fa9c1`.
pub struct Destination {
    /// The owner.
    pub tenant: Arc<str>,
    /// Id within the tenant, with the lane's suffix.
    pub id: Arc<str>,
    /// Name of the channel, `webhook`, `email` or `slack`.
    pub channel: Arc<str>,
    /// What [`crate::Channel::prepare`] made of the settings.
    pub settings: Arc<dyn Any + Send + Sync>,
}

impl Destination {
    /// The prepared settings, if they are of type `T`. Each channel knows its own.
    pub fn settings<T: 'static>(&self) -> Option<&T> {
        self.settings.downcast_ref()
    }

    /// The id as the tenant wrote it, without the lane's suffix.
    pub fn base_id(&self) -> &str {
        self.id.split('~').next().unwrap_or(&self.id)
    }
}

impl fmt::Debug for Destination {
    // Settings hold secrets and addresses: never printed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Destination")
            .field("tenant", &self.tenant)
            .field("id", &self.id)
            .field("channel", &self.channel)
            .finish_non_exhaustive()
    }
}

/// Derived from (event or digest id, destination id), so it is the same after a crash.
///
/// `dlv_evt_01created.backoffice`: neither part can hold a full stop, so the id can be read back
/// without an index. It is unique within its tenant.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DeliveryId(Arc<str>);

impl DeliveryId {
    /// The id of what `event` (or a digest) is to `destination`.
    pub fn derive(event: &str, destination: &str) -> Self {
        Self(["dlv_", event, ".", destination].concat().into())
    }

    /// The event's (or digest's) and the destination's id.
    pub fn parts(&self) -> Option<(&str, &str)> {
        self.0.strip_prefix("dlv_")?.split_once('.')
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

/// What one attempt carries.
#[derive(Clone, Debug)]
pub enum Content {
    /// One event.
    Event(Arc<Event>),
    /// Several events as one message.
    Digest(Arc<Digest>),
}

/// Many deliveries of one destination, sent as one message that accounts for all of them.
#[derive(Debug)]
pub struct Digest {
    /// `dig_…`, derived from the destination and what it holds.
    pub id: Arc<str>,
    /// Unix milliseconds: end of the digest before this one, or the first event's time.
    pub from_ms: i64,
    /// Unix milliseconds: the tick of the schedule that made it.
    pub to_ms: i64,
    /// IANA name of the destination's time zone, for showing times.
    pub timezone: String,
    /// Every event in it, in the order they were received.
    pub events: Vec<Arc<Event>>,
    /// What was received for this destination in the same time and is not listed, by reason.
    pub suppressed: Vec<Tally>,
    /// What was given up in the same time, by reason.
    pub failed: Vec<Tally>,
}

/// So many, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// The reason, as the ledger has it.
    pub reason: String,
    /// How many deliveries.
    pub count: u64,
}

/// One attempt's worth of work, handed to a channel. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The same on every attempt.
    pub id: DeliveryId,
    /// Where to.
    pub destination: Arc<Destination>,
    /// What.
    pub content: Content,
    /// 1 for the first durable attempt.
    pub attempt: u32,
    /// Unix milliseconds of this attempt; what time-stamped signatures use.
    pub at_ms: i64,
}

impl Delivery {
    /// The id of the event or the digest, for headers and message ids.
    pub fn content_id(&self) -> &str {
        match &self.content {
            Content::Event(event) => &event.id,
            Content::Digest(digest) => &digest.id,
        }
    }
}

/// Text of a receiver's answer, cut to [`crate::ANSWER_KEPT`] bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AnswerPart(pub String);

impl AnswerPart {
    /// Keeps the first part of `bytes` as text, with what is not UTF-8 replaced.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let kept = &bytes[..bytes.len().min(crate::ANSWER_KEPT)];
        Self(String::from_utf8_lossy(kept).trim_end().to_owned())
    }
}

/// The receiver took it.
#[derive(Clone, Debug, Default)]
pub struct Receipt {
    /// HTTP status or SMTP code.
    pub status: Option<u16>,
    /// First part of the answer.
    pub answer: AnswerPart,
    /// The receiver's own id of what it took: SMTP queue id, Slack `ts`.
    pub remote_id: Option<String>,
    /// Something a person should know though it worked: "sent as plain text".
    pub remark: Option<String>,
}
