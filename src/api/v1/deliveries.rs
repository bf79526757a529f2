//! Deliveries and their attempts: look them up, replay them, cancel them.

mod shapes;

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::IntoParams;

pub(super) use shapes::{Attempt, Delivery, StateWord};

use super::params::{DeliveryPath, Order, TenantPath};
use super::replay::present_lanes;
use super::stats::types;
use crate::api::answer::{ApiError, success};
use crate::api::body::{PathParams, QueryParams};
use crate::api::edit::check_known;
use crate::api::environments::{EnvironmentFilter, history};
use crate::api::page::{self, Page, check_limit};
use crate::api::scope::{Caller, Read, Scope, Write};
use crate::api::state::ApiState;
use crate::audit;
use crate::ops;
use fanfare_contract::{DeliveryId, LaneId};
use fanfare_store::{DeliveryQuery, DeliveryRecord, StateKind};

/// Which deliveries to list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct DeliveryQueryParams {
    /// The state. Deliveries that failed for good are `dead`.
    state: Option<StateWord>,
    /// The id of a destination, or of one of its recipients.
    destination: Option<String>,
    /// The event types: a comma-separated list of types and patterns.
    #[serde(rename = "type")]
    #[param(example = "kyc.**")]
    kind: Option<String>,
    /// The environment. Without it, a live key gets live events, or the events of the destination
    /// that it names. A test key gets test events.
    environment: Option<EnvironmentFilter>,
    /// The code of the last failure, or the reason for the state.
    error: Option<String>,
    /// Only deliveries of events received at or after this time, in Unix milliseconds.
    from_ms: Option<i64>,
    /// Only deliveries of events received before this time, in Unix milliseconds.
    to_ms: Option<i64>,
    /// Whether the newest deliveries come first, or the oldest. The default is `newest`.
    #[param(inline)]
    order: Option<Order>,
    /// The `next_cursor` of the previous page.
    cursor: Option<String>,
    /// Most items to return. The default is 50.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u16>,
}

/// List deliveries
///
/// Returns the newest deliveries first, or the oldest with `order=oldest`.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/deliveries", operation_id = "list_deliveries", tag = "Deliveries", params(TenantPath, DeliveryQueryParams),
    extensions(("x-fanfare-environment" = json!("own"))),
    security(("key" = ["reader"])), responses((status = 200, description = "Deliveries.", body = Page<Delivery>)))]
pub(super) async fn list(
    scope: Scope<Read>,
    State(state): State<Arc<ApiState>>,
    QueryParams(filter): QueryParams<DeliveryQueryParams>,
) -> Result<Response, ApiError> {
    check_limit(filter.limit)?;
    let names_destination = filter.destination.is_some();
    let environment = history(&scope.principal, filter.environment, names_destination)?;
    let query = DeliveryQuery {
        tenant: scope.tenant.to_string(),
        state: filter.state.map(StateKind::from),
        lane: filter.destination.map(LaneId::from),
        kind: types(filter.kind.as_deref())?,
        environment,
        from_ms: filter.from_ms,
        to_ms: filter.to_ms,
        oldest_first: filter.order == Some(Order::Oldest),
        cursor: filter.cursor,
        limit: page::limit(filter.limit),
    };
    let mut found = state.store.ledger.deliveries(&query).await?;
    if found.items.is_empty() && found.next.is_none() && query.cursor.is_none() {
        check_known(&state, &scope).await?;
    }
    if let Some(error) = &filter.error {
        found.items.retain(|delivery| ops::failed_with(delivery, error));
    }
    Ok(success(StatusCode::OK, Page::of(found, Delivery::of)))
}

/// Get a delivery
#[utoipa::path(get, path = "/v1/tenants/{tenant}/deliveries/{delivery}", operation_id = "get_delivery", tag = "Deliveries", params(DeliveryPath),
    extensions(("x-fanfare-environment" = json!("own"))),
    security(("key" = ["reader"])), responses((status = 200, description = "The delivery with its attempts.", body = Delivery)))]
pub(super) async fn get(
    scope: Scope<Read>,
    State(state): State<Arc<ApiState>>,
    PathParams((_, id)): PathParams<(String, String)>,
) -> Result<Response, ApiError> {
    let found = find(&state, &scope, &id).await?;
    Ok(success(StatusCode::OK, Delivery::of(found)))
}

async fn find(state: &ApiState, caller: &Caller, id: &str) -> Result<DeliveryRecord, ApiError> {
    let absent = || ApiError::not_found("delivery", "");
    let parsed = fanfare_contract::DeliveryId::from(id);
    let (event, lane) = parsed.parts().ok_or_else(absent)?;
    let record = state.store.ledger.event(&caller.tenant, event).await?.ok_or_else(absent)?;
    if !caller.principal.sees_environment(record.event.environment) {
        return Err(absent());
    }
    let found = record.deliveries.into_iter().find(|one| one.lane == lane);
    found.ok_or_else(absent)
}

/// Replay a delivery
///
/// Puts the delivery back into its queue, due now, with its retry schedule from the beginning. This
/// also works for a delivery that succeeded. If its recipient was replaced, the event goes to the
/// destination's present recipients.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/deliveries/{delivery}/replay", operation_id = "replay_delivery", tag = "Deliveries", params(DeliveryPath),
    extensions(("x-fanfare-environment" = json!("own"))),
    security(("key" = ["admin"])), responses((status = 200, description = "The delivery, waiting again.", body = Delivery)))]
pub(super) async fn replay(
    scope: Scope<Write>,
    State(state): State<Arc<ApiState>>,
    PathParams((_, id)): PathParams<(String, String)>,
) -> Result<Response, ApiError> {
    change(&scope, &state, &id, "replay").await
}

/// Cancel a delivery
///
/// Suppresses a waiting delivery. You can replay it later.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/deliveries/{delivery}/cancel", operation_id = "cancel_delivery", tag = "Deliveries", params(DeliveryPath),
    extensions(("x-fanfare-environment" = json!("own"))),
    security(("key" = ["admin"])), responses((status = 200, description = "The suppressed delivery.", body = Delivery)))]
pub(super) async fn cancel(
    scope: Scope<Write>,
    State(state): State<Arc<ApiState>>,
    PathParams((_, id)): PathParams<(String, String)>,
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
    let found = find(state, scope, id).await?;
    let waits = found.state.is_waiting();
    let replays = action == "replay";
    if waits == replays {
        let message = if waits {
            "the delivery is already waiting"
        } else {
            "the delivery is not waiting, so it cannot be cancelled"
        };
        return Err(ApiError::conflict("wrong_state", message));
    }
    let now = state.clock.now_ms();
    let mut id = found.id.clone();
    let before = json!({"state": found.state.kind()});
    let line = audit::entry(
        &scope.principal,
        now,
        action,
        format!("deliveries/{id}"),
        before,
        Value::Null,
    );
    audit::around(&state.store, tenant, line, async {
        let store = &state.store;
        let one = ops::Selection {
            tenant: tenant.to_string(),
            id: Some(found.id.to_string()),
            ..Default::default()
        };
        if !replays {
            ops::cancel(store, &one, now, &|_| ()).await?;
            return Ok::<_, ApiError>(());
        }
        let present = present_lanes(state, tenant).await?;
        let done = ops::replay(store, &one, &present, now, u32::MAX, &|_| ()).await?;
        // The recipient may have been replaced since.
        if let Some(lane) = done.lanes.first() {
            id = DeliveryId::derive(&found.event, lane);
        }
        if done.skipped == 0 {
            return Ok(());
        }
        let message = "the delivery's destination or recipient was removed, and no present recipient \
                       is without the event; nothing was replayed";
        Err(ApiError::conflict("recipient_removed", message))
    })
    .await?;
    let found = find(state, scope, id.as_str()).await?;
    Ok(success(StatusCode::OK, Delivery::of(found)))
}
