//! What a channel must offer to be plugged into the router.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Map, Value};
use tower::util::BoxCloneSyncService;

use crate::{Delivery, DeliveryError, Policy, Receipt};

/// One attempt of one delivery.
pub type ChannelService = BoxCloneSyncService<Delivery, Receipt, DeliveryError>;

/// A way to notify: webhook, email, Slack.
pub trait Channel: Send + Sync + 'static {
    /// The word in a destination's `channel` field.
    fn name(&self) -> &'static str;

    /// The numbers that a destination has when it does not say otherwise.
    fn policy(&self) -> Policy;

    /// Fills in what is made rather than given (a webhook's secret), once, when a destination is
    /// first stored. What it returns is shown whole this one time.
    fn complete(&self, settings: &mut Map<String, Value>) -> Vec<Revealed> {
        let _ = settings;
        Vec::new()
    }

    /// Checks the settings and prepares what every attempt needs. All errors at once.
    fn prepare(&self, settings: &Map<String, Value>) -> Result<Vec<Lane>, Vec<FieldError>>;

    /// The settings that hold secrets: the router keeps them encrypted. With a doubtful one, say yes.
    fn secret_fields(&self) -> &'static [&'static str];

    /// The settings as they may be shown: secrets masked.
    fn masked(&self, settings: &Map<String, Value>) -> Map<String, Value>;

    /// Runs one attempt. Clones share connections and limits.
    fn service(&self) -> ChannelService;
}

/// One thing that a destination sends to. Most have one; email has one a recipient.
pub struct Lane {
    /// Appended to the destination's id after `~`; `None` when there is one lane only.
    pub suffix: Option<String>,
    /// For people, without secrets: a host name, a masked address.
    pub label: String,
    /// What the channel's service finds in [`crate::Destination::settings`].
    pub settings: Arc<dyn Any + Send + Sync>,
}

/// A value that was made for the user and is shown whole once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revealed {
    /// The settings' field.
    pub field: &'static str,
    /// The value.
    pub value: String,
}

/// One thing wrong with a destination's settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// Dotted path within the settings: `url`, `digest.schedule`.
    pub field: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl FieldError {
    /// An error at `field`.
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }
}

/// A small durable memory for channels: which Slack thread a session has, for example.
#[async_trait]
pub trait Memo: Send + Sync {
    /// The value kept under `key`, unless its time is over or the store is away.
    async fn get(&self, key: &str) -> Option<String>;
    /// Keeps `value` for `ttl`. Best effort: losing it costs a new thread, not a message.
    async fn put(&self, key: &str, value: &str, ttl: Duration);
}
