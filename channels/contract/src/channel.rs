//! The trait that a channel implements, and the types in its methods.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Map, Value, json};
use tower::util::BoxCloneSyncService;

use crate::{Delivery, DeliveryError, Policy, Receipt};

/// Runs one attempt of one delivery.
pub type ChannelService = BoxCloneSyncService<Delivery, Receipt, DeliveryError>;

/// A way to notify: webhook, email, Slack or poll.
pub trait Channel: Send + Sync + 'static {
    /// The channel's name, as in a destination's `channel` field.
    fn name(&self) -> &'static str;

    /// The default limits and retry schedule of a destination.
    fn policy(&self) -> Policy;

    /// Generates missing settings, such as a webhook's secret, when a destination is first stored.
    /// The returned values are shown unmasked in that one response.
    fn complete(&self, settings: &mut Map<String, Value>) -> Vec<Revealed> {
        let _ = settings;
        Vec::new()
    }

    /// Checks the settings and prepares what every attempt needs. Returns all errors together.
    fn prepare(&self, settings: &Map<String, Value>) -> Result<Vec<PreparedLane>, Vec<FieldError>>;

    /// What these settings should not be stored with, although stored settings that have it still
    /// work: values that receivers read in different ways. `before` are the stored settings, if any.
    /// A field that did not change is not reported.
    fn objections(
        &self,
        before: Option<&Map<String, Value>>,
        settings: &Map<String, Value>,
    ) -> Vec<FieldError> {
        let _ = (before, settings);
        Vec::new()
    }

    /// The settings that can hold secrets. The router stores them encrypted.
    fn secret_fields(&self) -> &'static [&'static str];

    /// The secrets among them that sign and are never sent. If they are omitted when a destination
    /// gets another receiver, new ones are generated. All other secrets must then be given again.
    fn signing_fields(&self) -> &'static [&'static str] {
        &[]
    }

    /// Where the settings send secrets: scheme, host and port. `None` if that cannot be read from
    /// the settings, or if no setting decides it. Stored secrets stay with one receiver.
    fn receiver(&self, settings: &Map<String, Value>) -> Option<String> {
        let _ = settings;
        None
    }

    /// The settings with all secrets masked, as they can be shown.
    fn masked(&self, settings: &Map<String, Value>) -> Map<String, Value>;

    /// A JSON Schema of the settings: an object with `properties` and `required`, for the API's
    /// description. [`Channel::prepare`] decides what is valid.
    fn settings_schema(&self) -> Value {
        json!({"type": "object", "properties": {}})
    }

    /// The service that runs attempts. Its clones share connections and limits.
    fn service(&self) -> ChannelService;
}

/// A lane as the channel prepares it: a part of a destination that is served independently. Most
/// destinations have one lane. An email destination has one for each recipient.
pub struct PreparedLane {
    /// Follows the destination's id after a `~`. `None` if the destination has one lane only.
    pub suffix: Option<String>,
    /// A name for people, without secrets: a host name, a masked address.
    pub label: String,
    /// The name of a pace that lanes of several destinations share: those with the same name have the
    /// rate together. `None` if the lane has its own pace.
    pub pace: Option<Arc<str>>,
    /// The prepared settings, passed to the channel's service in [`crate::Destination::settings`].
    pub settings: Arc<dyn Any + Send + Sync>,
}

/// A generated value that is shown unmasked once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revealed {
    /// The settings field that holds the value.
    pub field: &'static str,
    /// The value.
    pub value: String,
}

/// An error in one field of a destination's settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// Dotted path of the field within the settings: `url`, `previous_secrets.0.expires`.
    pub field: String,
    /// What is wrong and how to fix it. Reads well after the field's name: `must be a string`.
    pub message: String,
}

impl FieldError {
    /// An error in `field`.
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }
}

/// A small durable key-value store for channels, used for example to remember Slack threads.
#[async_trait]
pub trait Memo: Send + Sync {
    /// The value of `key`. `None` if it is unknown or expired, or if the store is unavailable.
    async fn get(&self, key: &str) -> Option<String>;
    /// Stores `value` for `ttl`. Best effort: a lost value costs a new thread, not a message.
    async fn put(&self, key: &str, value: &str, ttl: Duration);
}
