//! Deliveries and attempts as responses show them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::v1::words;
use fanfare_store::{DeliveryRecord, StateKind};

/// A delivery: one event on its way to one destination.
#[derive(Serialize, ToSchema)]
pub(in crate::api::v1) struct Delivery {
    /// The delivery's id, derived from the ids of the event and the destination.
    #[schema(example = "dlv_evt_04flagged.backoffice")]
    pub(in crate::api::v1) id: String,
    /// The event's id.
    #[schema(example = "evt_04flagged")]
    event: String,
    /// The event's type.
    #[serde(rename = "type")]
    #[schema(example = "kyc.session.processed")]
    kind: String,
    /// The destination's id, followed by `~` and a suffix if the destination has several
    /// recipients.
    #[schema(example = "backoffice")]
    destination: String,
    /// The channel. Null if it is not known, because the destination was deleted before the first
    /// attempt was planned.
    #[schema(value_type = Option<words::Channel>, example = "webhook")]
    channel: Option<String>,
    /// The state.
    #[schema(value_type = StateWord, example = "waiting")]
    state: &'static str,
    /// The reason for the state, unless it is `delivered`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "retry")]
    reason: Option<String>,
    /// When the next attempt is due, in Unix milliseconds. Only if the delivery waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    due_ms: Option<i64>,
    /// All attempts, from first to last.
    attempts: Vec<Attempt>,
    /// The environment of the event.
    #[schema(value_type = words::Environment, example = "live")]
    environment: &'static str,
    /// When the event was received, in Unix milliseconds.
    received_ms: i64,
    /// When the delivery last changed, in Unix milliseconds.
    updated_ms: i64,
}

/// One attempt to send a delivery, and the receiver's answer.
#[derive(Serialize, ToSchema)]
pub(in crate::api::v1) struct Attempt {
    /// The number of the attempt, from 1.
    number: u32,
    /// When the attempt began, in Unix milliseconds.
    at_ms: i64,
    /// How long the attempt took, in milliseconds.
    took_ms: u32,
    /// `ok`, or the code of the failure.
    #[schema(example = "http_500")]
    code: String,
    /// The HTTP status or SMTP code, if the receiver answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    /// What happened.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schema(required = false)]
    message: String,
    /// The beginning of the receiver's answer.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schema(required = false)]
    answer: String,
    /// The receiver's id for the message.
    #[serde(skip_serializing_if = "Option::is_none")]
    remote_id: Option<String>,
    /// The id of the digest that the delivery was part of.
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
    /// True if the request failed on a connection that was kept open and turned out to be dead. It
    /// was sent again at once, as the next attempt of the same number.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    resent: bool,
}

impl Attempt {
    pub(in crate::api::v1) fn of(attempt: fanfare_store::Attempt) -> Self {
        let fanfare_store::Attempt {
            number, at_ms, took_ms, code, status, message, answer, ..
        } = attempt;
        let fanfare_store::Attempt { remote_id, digest, resent, .. } = attempt;
        Self { number, at_ms, took_ms, code, status, message, answer, remote_id, digest, resent }
    }

    /// An attempt that sent nothing, because the channel was busy.
    pub(in crate::api::v1) fn none(at_ms: i64) -> Self {
        Self::of(fanfare_store::Attempt {
            number: 1,
            at_ms,
            took_ms: 0,
            code: "busy".to_owned(),
            status: None,
            message: "nothing was sent because the channel is busy; try again".to_owned(),
            answer: String::new(),
            remote_id: None,
            digest: None,
            resent: false,
        })
    }

    pub(in crate::api::v1) fn is_ok(&self) -> bool {
        self.code == "ok"
    }
}

impl Delivery {
    pub(in crate::api::v1) fn of(record: DeliveryRecord) -> Self {
        let due_ms = record.state.times().map(|(due_ms, _)| due_ms);
        Self {
            id: record.id.to_string(),
            event: record.event,
            kind: record.kind,
            destination: record.lane.to_string(),
            channel: Some(record.channel).filter(|channel| !channel.is_empty()),
            state: record.state.kind().as_str(),
            reason: record.state.reason().map(ToString::to_string),
            due_ms,
            attempts: record.attempts.into_iter().map(Attempt::of).collect(),
            environment: record.environment.word(),
            received_ms: record.received_ms,
            updated_ms: record.updated_ms,
        }
    }
}

/// The state of a delivery.
#[derive(Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = DeliveryState)]
pub(in crate::api::v1) enum StateWord {
    /// The receiver accepted it.
    Delivered,
    /// It waits in its queue.
    Waiting,
    /// It was deliberately not sent.
    Suppressed,
    /// It failed for good.
    Dead,
}

impl From<StateWord> for StateKind {
    fn from(word: StateWord) -> Self {
        match word {
            StateWord::Delivered => Self::Delivered,
            StateWord::Waiting => Self::Waiting,
            StateWord::Suppressed => Self::Suppressed,
            StateWord::Dead => Self::Dead,
        }
    }
}
