//! What is sent and answered, as the description has it: events themselves are decoded from their very
//! bytes.

use utoipa::ToSchema;

/// One event as it is sent; further fields are kept, sent on and matchable.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes a body; events are decoded from their very bytes")]
pub(super) struct NewEvent {
    /// 1 to 128 of `A-Z a-z 0-9 _ - :`; unique within the tenant. Made when left out.
    #[schema(pattern = "^[A-Za-z0-9_:-]{1,128}$", example = "evt_04flagged")]
    id: Option<String>,
    /// Words joined by full stops.
    #[serde(rename = "type")]
    #[schema(
        pattern = r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$",
        max_length = 128,
        example = "kyc.session.created"
    )]
    kind: String,
    /// Unix seconds; the time of arrival when left out.
    #[schema(minimum = 0, maximum = 253_402_300_799_i64)]
    created: Option<i64>,
    /// What happened.
    #[schema(value_type = Object, example = json!({"session_id": "7f6c2a54"}))]
    data: serde_json::Value,
}

/// Several events.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes a body")]
pub(super) struct NewEvents {
    /// At most 1,000 (`events.max_batch`).
    #[schema(min_items = 1, max_items = 1000)]
    events: Vec<NewEvent>,
}

/// What is sent: one event, or several.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes a body")]
#[schema(rename_all = "lowercase")]
#[serde(untagged)]
pub(super) enum Sent {
    One(NewEvent),
    Several(NewEvents),
    List(Vec<NewEvent>),
}

/// What became of one event, or of each of several.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes an answer")]
#[serde(untagged)]
pub(super) enum Taken {
    Several(TakenEvents),
    One(TakenEvent),
}

/// What became of one event.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes an answer")]
pub(super) struct TakenEvent {
    /// Its id, if it was taken.
    #[schema(example = "evt_04flagged")]
    id: Option<String>,
    /// `accepted`, `duplicate` or `refused`.
    #[schema(example = "accepted")]
    outcome: String,
    /// Where it does not fit the schema of its type, which is set to `flag`.
    flagged: Option<Vec<String>>,
    /// Why it was refused.
    #[schema(value_type = Option<Object>)]
    error: Option<serde_json::Value>,
}

/// What became of several events.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes an answer")]
pub(super) struct TakenEvents {
    /// Durable now.
    accepted: u64,
    /// There already.
    duplicates: u64,
    /// Not taken.
    refused: u64,
    /// Each, in the order sent.
    events: Vec<TakenEvent>,
}
