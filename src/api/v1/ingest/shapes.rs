//! The bodies and responses of ingest, for the API's description. Events themselves are decoded
//! from their raw bytes.

use utoipa::ToSchema;

use crate::api::v1::words;

/// An event to send. Other fields are allowed: they are stored, delivered, and available to
/// filters.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes a body; events are decoded from their raw bytes")]
pub(super) struct NewEvent {
    /// The event's id, unique within the tenant: 1 to 128 characters of A-Z, a-z, 0-9, _, - and :.
    /// Generated if you omit it.
    #[schema(pattern = "^[A-Za-z0-9_:-]{1,128}$", example = "evt_04flagged")]
    id: Option<String>,
    /// The event's type: words joined by dots.
    #[serde(rename = "type")]
    #[schema(
        pattern = r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$",
        max_length = 128,
        example = "kyc.session.created"
    )]
    kind: String,
    /// When the event happened, in Unix seconds. The default is the time of arrival.
    #[schema(minimum = 0, maximum = 253_402_300_799_i64)]
    created: Option<i64>,
    /// The event's data.
    #[schema(value_type = Object, example = json!({"session_id": "7f6c2a54"}))]
    data: serde_json::Value,
}

/// A batch of events.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes a body")]
pub(super) struct EventBatch {
    /// The events, at most 1,000 (`max_batch` in the section `events` of the server's settings).
    #[schema(min_items = 1, max_items = 1000)]
    events: Vec<NewEvent>,
}

/// One event, or a batch. A JSON array of events is accepted too.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes a body")]
#[schema(rename_all = "lowercase")]
#[serde(untagged)]
pub(super) enum PublishRequest {
    One(NewEvent),
    Several(EventBatch),
}

/// The result for one event, or for each event of a batch.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes an answer")]
#[serde(untagged)]
pub(super) enum PublishResult {
    Several(BatchResult),
    One(PublishedEvent),
}

/// The result for one event.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes an answer")]
pub(super) struct PublishedEvent {
    /// The event's id, if it was accepted.
    #[schema(example = "evt_04flagged")]
    id: Option<String>,
    /// What became of the event.
    #[schema(value_type = words::PublishOutcome, example = "accepted")]
    outcome: String,
    /// Where the event does not match the schema of its type. Only if the type's `check` is `flag`.
    flagged: Option<Vec<String>>,
    /// Why the event was refused.
    #[schema(value_type = Option<Object>)]
    error: Option<serde_json::Value>,
}

/// The results for a batch.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes an answer")]
pub(super) struct BatchResult {
    /// The number of events that were accepted.
    accepted: u64,
    /// The number of events that had been accepted before.
    duplicates: u64,
    /// The number of events that were refused.
    refused: u64,
    /// The result for each event, in the order sent.
    events: Vec<PublishedEvent>,
}
