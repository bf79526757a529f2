//! Deliveries and their attempts: looked up, replayed, cancelled.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

use super::check_limit;
use super::keys::EnvironmentWord;
use super::replay;
use crate::api::ApiState;
use crate::api::answer::{ApiError, success};
use crate::api::body::{Ids, Params};
use crate::api::page::{self, Page};
use crate::api::scope::{Read, Scope, Write};
use crate::audit;
use fanfare_contract::LaneId;
use fanfare_store::{DeliveryQuery, DeliveryRecord, StateKind};

/// One event on its way to one destination.
#[derive(Serialize, ToSchema)]
pub(super) struct Delivery {
    /// Made of the event's and the destination's id.
    #[schema(example = "dlv_evt_04flagged.backoffice")]
    pub(super) id: String,
    /// The event's id.
    #[schema(example = "evt_04flagged")]
    event: String,
    /// The event's type.
    #[serde(rename = "type")]
    #[schema(example = "kyc.session.processed")]
    kind: String,
    /// The destination's id; with `~` and a suffix for one of several recipients.
    #[schema(example = "backoffice")]
    destination: String,
    /// `webhook`, `email`, `slack` or `poll`.
    #[schema(example = "webhook")]
    channel: String,
    /// `delivered`, `waiting`, `suppressed` or `dead`.
    #[schema(example = "waiting")]
    state: &'static str,
    /// Why, unless it is delivered.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "retry")]
    reason: Option<String>,
    /// When it is due, in Unix milliseconds, if it waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    due_ms: Option<i64>,
    /// All of them, first to last.
    attempts: Vec<Attempt>,
    /// `live` or `test`.
    #[schema(example = "live")]
    environment: &'static str,
    /// When its event was received, in Unix milliseconds.
    received_ms: i64,
    /// Last change, in Unix milliseconds.
    updated_ms: i64,
}

/// One try at a delivery, with what the receiver answered.
#[derive(Serialize, ToSchema)]
pub(super) struct Attempt {
    /// 1-based.
    number: u32,
    /// When it began, in Unix milliseconds.
    at_ms: i64,
    /// How long it took, in milliseconds.
    took_ms: u32,
    /// `ok`, or the failure's code.
    #[schema(example = "http_500")]
    code: String,
    /// HTTP status or SMTP code, when there was an answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    /// What happened.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schema(required = false)]
    message: String,
    /// The answer's first part.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schema(required = false)]
    answer: String,
    /// The receiver's id of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    remote_id: Option<String>,
    /// The digest that it was part of.
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
}

impl Attempt {
    pub(super) fn of(attempt: fanfare_store::Attempt) -> Self {
        let fanfare_store::Attempt {
            number, at_ms, took_ms, code, status, message, answer, ..
        } = attempt;
        let fanfare_store::Attempt { remote_id, digest, .. } = attempt;
        Self { number, at_ms, took_ms, code, status, message, answer, remote_id, digest }
    }

    /// Nothing was sent: the channel had no room.
    pub(super) fn none(at_ms: i64) -> Self {
        Self::of(fanfare_store::Attempt {
            number: 1,
            at_ms,
            took_ms: 0,
            code: "busy".to_owned(),
            status: None,
            message: "nothing was sent: the channel has no room now; try again".to_owned(),
            answer: String::new(),
            remote_id: None,
            digest: None,
        })
    }

    pub(super) fn is_ok(&self) -> bool {
        self.code == "ok"
    }
}

impl Delivery {
    pub(super) fn of(record: DeliveryRecord) -> Self {
        let due_ms = record.state.times().map(|(due_ms, _)| due_ms);
        Self {
            id: record.id.to_string(),
            event: record.event,
            kind: record.kind,
            destination: record.lane.to_string(),
            channel: record.channel,
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

/// Where a delivery stands.
#[derive(Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum StateWord {
    /// The receiver took it.
    Delivered,
    /// In its queue.
    Waiting,
    /// Deliberately not sent.
    Suppressed,
    /// Given up.
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

/// Which deliveries to list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct DeliveryFilter {
    /// Where they stand.
    status: Option<StateWord>,
    /// A destination's id, with or without a lane's suffix.
    destination: Option<String>,
    /// Exact event type.
    #[serde(rename = "type")]
    kind: Option<String>,
    /// Of this environment.
    environment: Option<EnvironmentWord>,
    /// Code of the last failure, or reason of the state.
    error: Option<String>,
    /// Event received at or after, in Unix milliseconds.
    from_ms: Option<i64>,
    /// Event received before, in Unix milliseconds.
    to_ms: Option<i64>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// At most so many.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u16>,
}

/// List deliveries
///
/// Newest first.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/deliveries", tag = "Deliveries", params(super::TenantPath, DeliveryFilter),
    security(("key" = ["reader"])), responses((status = 200, description = "Deliveries.", body = Page<Delivery>)))]
pub(super) async fn list(
    scope: Scope<Read>,
    State(state): State<Arc<ApiState>>,
    Params(filter): Params<DeliveryFilter>,
) -> Result<Response, ApiError> {
    check_limit(filter.limit)?;
    let query = DeliveryQuery {
        tenant: scope.tenant.to_string(),
        state: filter.status.map(StateKind::from),
        lane: filter.destination.map(LaneId::from),
        kind: filter.kind,
        environment: filter.environment.map(EnvironmentWord::environment),
        from_ms: filter.from_ms,
        to_ms: filter.to_ms,
        oldest_first: false,
        cursor: filter.cursor,
        limit: page::limit(filter.limit),
    };
    let mut found = state.store.ledger.deliveries(&query).await?;
    if let Some(error) = &filter.error {
        found.items.retain(|delivery| replay::is_error(delivery, error));
    }
    Ok(success(StatusCode::OK, Page::of(found, Delivery::of)))
}

/// Get a delivery
#[utoipa::path(get, path = "/v1/tenants/{tenant}/deliveries/{delivery}", tag = "Deliveries", params(super::DeliveryPath),
    security(("key" = ["reader"])), responses((status = 200, description = "The delivery with its attempts.", body = Delivery)))]
pub(super) async fn get(
    scope: Scope<Read>,
    State(state): State<Arc<ApiState>>,
    Ids((_, id)): Ids<(String, String)>,
) -> Result<Response, ApiError> {
    let found = find(&state, &scope.tenant, &id).await?;
    Ok(success(StatusCode::OK, Delivery::of(found)))
}

async fn find(state: &ApiState, tenant: &str, id: &str) -> Result<DeliveryRecord, ApiError> {
    let absent = || ApiError::not_found("delivery", "");
    let parsed = fanfare_contract::DeliveryId::from(id);
    let (event, lane) = parsed.parts().ok_or_else(absent)?;
    let record = state.store.ledger.event(tenant, event).await?.ok_or_else(absent)?;
    let found = record.deliveries.into_iter().find(|one| one.lane == lane);
    found.ok_or_else(absent)
}

/// Send a delivery again
///
/// Puts it back into its queue, due now, its schedule from the beginning; also when it was delivered.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/deliveries/{delivery}/replay", tag = "Deliveries", params(super::DeliveryPath),
    security(("key" = ["admin"])), responses((status = 200, description = "It waits.", body = Delivery)))]
pub(super) async fn replay(
    scope: Scope<Write>,
    State(state): State<Arc<ApiState>>,
    Ids((_, id)): Ids<(String, String)>,
) -> Result<Response, ApiError> {
    change(&scope, &state, &id, "replay").await
}

/// Cancel a delivery
///
/// One that waits is ended; it can be replayed.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/deliveries/{delivery}/cancel", tag = "Deliveries", params(super::DeliveryPath),
    security(("key" = ["admin"])), responses((status = 200, description = "It is suppressed.", body = Delivery)))]
pub(super) async fn cancel(
    scope: Scope<Write>,
    State(state): State<Arc<ApiState>>,
    Ids((_, id)): Ids<(String, String)>,
) -> Result<Response, ApiError> {
    change(&scope, &state, &id, "cancel").await
}

async fn change(
    scope: &Scope<Write>,
    state: &ApiState,
    id: &str,
    action: &str,
) -> Result<Response, ApiError> {
    let tenant = &scope.tenant;
    let found = find(state, tenant, id).await?;
    let waits = found.state.is_waiting();
    let replays = action == "replay";
    if waits == replays {
        let message =
            if waits { "it waits already" } else { "it does not wait, so it cannot be ended" };
        return Err(ApiError::conflict("wrong_state", message));
    }
    let now = state.clock.now_ms();
    let before = json!({"state": found.state.kind()});
    let line =
        audit::line(&scope.principal, now, action, format!("deliveries/{id}"), before, Value::Null);
    audit::around(&state.store, tenant, line, async {
        let store = &state.store;
        let one = crate::ops::Selection {
            tenant: tenant.to_string(),
            id: Some(found.id.to_string()),
            ..Default::default()
        };
        let done = if replays {
            crate::ops::replay(store, &one, now, u32::MAX, &|_| ()).await
        } else {
            crate::ops::cancel(store, &one, now, &|_| ()).await
        };
        Ok::<_, ApiError>(done?)
    })
    .await?;
    let found = find(state, tenant, id).await?;
    Ok(success(StatusCode::OK, Delivery::of(found)))
}

/// List what ended badly
///
/// Deliveries that are dead, newest first; with `status=suppressed` those that were deliberately not
/// sent.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/dead-letters", tag = "Dead letters", params(super::TenantPath, DeliveryFilter),
    security(("key" = ["reader"])), responses((status = 200, description = "Deliveries.", body = Page<Delivery>)))]
pub(super) async fn dead_letters(
    scope: Scope<Read>,
    state: State<Arc<ApiState>>,
    Params(mut filter): Params<DeliveryFilter>,
) -> Result<Response, ApiError> {
    match filter.status {
        None => filter.status = Some(StateWord::Dead),
        Some(StateWord::Dead | StateWord::Suppressed) => {}
        Some(_) => {
            let message = "is dead or suppressed here; /deliveries has the others";
            let detail = crate::api::answer::Detail::new("status", message);
            return Err(ApiError::fields(vec![detail]));
        }
    }
    list(scope, state, Params(filter)).await
}
