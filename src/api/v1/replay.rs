//! Replaying and cancelling many deliveries: chosen by a filter, optionally only counted, a bounded
//! number per request.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::deliveries::StateWord;
use super::params::TenantPath;
use crate::api::answer::{ApiError, success};
use crate::api::body::{Body, OptionalBody};
use crate::api::edit::{check_known, compiled, load_whole};
use crate::api::environments::{EnvironmentFilter, history};
use crate::api::scope::{Caller, Scope, Write};
use crate::api::state::ApiState;
use crate::audit;
use crate::ops::{self, Changed, Kinds, PresentLanes, Selection};
use fanfare_contract::LaneId;
use fanfare_store::{Ms, Reason, StateKind};

/// Most deliveries that one request changes.
const MAX_CHANGED: u32 = 10_000;
/// Longest time that one request may take because of its rate, in seconds.
const MAX_SECONDS: u32 = 30;

/// Which deliveries to replay.
#[derive(Deserialize, ToSchema, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ReplayRequest {
    /// The states. The default is `dead` and `suppressed`.
    pub(super) state: Option<Vec<StateWord>>,
    /// The id of a destination, or of one of its recipients.
    #[schema(example = "backoffice")]
    pub(super) destination: Option<String>,
    /// The exact event type.
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
    /// The environment. Without it, a live key replays live events, or the events of the destination
    /// that it names. A test key replays test events.
    pub(super) environment: Option<EnvironmentFilter>,
    /// The code of the last failure, or the reason for the state.
    pub(super) error: Option<String>,
    /// Only deliveries of events received at or after this time, in Unix milliseconds.
    pub(super) from_ms: Option<i64>,
    /// Only deliveries of events received before this time, in Unix milliseconds.
    pub(super) to_ms: Option<i64>,
    /// Only deliveries that have not changed since this time, in Unix milliseconds. If you repeat a
    /// request because some deliveries were `left`, send the first response's `at_ms`. Deliveries
    /// that were replayed and failed again are then not replayed a second time.
    pub(super) changed_before_ms: Option<i64>,
    /// Most deliveries to replay. The default is 10,000, and it is never more than `rate` allows in
    /// 30 seconds.
    #[schema(minimum = 1, maximum = 10_000)]
    pub(super) limit: Option<u32>,
    /// Most deliveries per second. By default there is no limit.
    #[schema(minimum = 1, maximum = 100_000, example = 1000)]
    pub(super) rate: Option<u32>,
    /// Only count the deliveries.
    pub(super) dry_run: bool,
}

impl ReplayRequest {
    pub(super) fn states(&self) -> Vec<StateKind> {
        let default = || vec![StateKind::Dead, StateKind::Suppressed];
        let kinds = |states: &Vec<StateWord>| states.iter().map(|word| (*word).into()).collect();
        self.state.as_ref().map_or_else(default, kinds)
    }

    fn selection(&self, caller: &Caller) -> Result<Selection, ApiError> {
        let names_destination = self.destination.is_some();
        let environment = history(&caller.principal, self.environment, names_destination)?;
        let paced = self.rate.map_or(MAX_CHANGED, |rate| rate.saturating_mul(MAX_SECONDS));
        Ok(Selection {
            tenant: caller.tenant.to_string(),
            id: None,
            environment,
            states: self.states(),
            lane: self.destination.as_deref().map(LaneId::from),
            kind: self.kind.clone(),
            error: self.error.clone(),
            from_ms: self.from_ms,
            to_ms: self.to_ms,
            only_disabled: false,
            changed_before_ms: self.changed_before_ms,
            most: Some(self.limit.unwrap_or(MAX_CHANGED).min(paced).into()),
        })
    }
}

/// The result of a replay.
#[derive(Serialize, ToSchema)]
pub(super) struct ReplayReport {
    /// The number of deliveries that match the filter.
    found: u64,
    /// The number of deliveries that were put back into their queues. 0 for a dry run.
    replayed: u64,
    /// The number of matching deliveries that exceeded the limit, counted up to 10,000. Repeat the
    /// request to replay them.
    left: u64,
    /// The number of matching deliveries that cannot be replayed: their destination or recipient
    /// was removed, and its present recipients have the event.
    skipped: u64,
    /// The replayed deliveries by destination, state and reason. For a dry run, the matching
    /// deliveries.
    counts: Vec<DeliveryCount>,
    /// When the request began, in Unix milliseconds.
    at_ms: i64,
}

/// The result of a cancellation.
#[derive(Serialize, ToSchema)]
pub(super) struct CancelReport {
    /// The number of waiting deliveries that match the filter.
    found: u64,
    /// The number of deliveries that were cancelled. 0 for a dry run.
    cancelled: u64,
    /// The number of matching deliveries that exceeded the limit, counted up to 10,000. Repeat the
    /// request to cancel them.
    left: u64,
    /// The cancelled deliveries by destination, state and reason. For a dry run, the matching
    /// deliveries.
    counts: Vec<DeliveryCount>,
    /// When the request began, in Unix milliseconds.
    at_ms: i64,
}

/// A number of deliveries with the same destination, state and reason.
#[derive(Serialize, ToSchema)]
struct DeliveryCount {
    /// The destination's id.
    destination: String,
    /// The state before the change.
    #[schema(value_type = StateWord, example = "dead")]
    state: &'static str,
    /// The reason for the state.
    reason: String,
    /// The number of deliveries.
    count: u64,
}

fn counts(by: Kinds) -> Vec<DeliveryCount> {
    let count = |((destination, state, reason), count): ((_, StateKind, Option<Reason>), _)| {
        let reason = reason.map(|reason| reason.to_string()).unwrap_or_default();
        DeliveryCount { destination, state: state.as_str(), reason, count }
    };
    by.into_iter().map(count).collect()
}

impl ReplayReport {
    fn of(changed: Changed, at_ms: Ms) -> Self {
        let Changed { count, skipped, by, left, .. } = changed;
        let found = count + skipped + left;
        Self { found, replayed: count, left, skipped, counts: counts(by), at_ms }
    }
}

/// The lanes of a tenant's destinations, as its document has them now.
pub(super) async fn present_lanes(
    state: &ApiState,
    tenant: &str,
) -> Result<PresentLanes, ApiError> {
    let (spec, _) = load_whole(state, tenant).await?;
    // If the document does not compile, the previous table stays in effect.
    let current = state.registry.find(tenant).await?.usable();
    let compiled = compiled(state, &spec).ok();
    let table = compiled.as_ref().or(current.as_deref()).ok_or_else(|| {
        let message = "the tenant's settings are invalid, so nothing can be replayed; correct them";
        ApiError::conflict("invalid_settings", message)
    })?;
    Ok(PresentLanes::of(table))
}

/// Replays the deliveries that match the filter.
pub(super) async fn run(
    state: &ApiState,
    caller: &Caller,
    filter: ReplayRequest,
) -> Result<ReplayReport, ApiError> {
    let selection = filter.selection(caller)?;
    let at_ms = state.clock.now_ms();
    if filter.dry_run {
        let found = ops::count(&state.store, &selection).await?;
        let counts = counts(found.by);
        let found = found.total;
        return Ok(ReplayReport { found, replayed: 0, left: 0, skipped: 0, counts, at_ms });
    }
    let rate = filter.rate.unwrap_or(u32::MAX);
    let present = present_lanes(state, &caller.tenant).await?;
    let changed = ops::replay(&state.store, &selection, &present, at_ms, rate, &|_| ()).await?;
    Ok(ReplayReport::of(changed, at_ms))
}

/// Replays the matching deliveries that were suppressed because their destination was disabled.
pub(super) async fn run_kept(
    state: &ApiState,
    caller: &Caller,
    filter: ReplayRequest,
) -> Result<ReplayReport, ApiError> {
    let selection = Selection { only_disabled: true, ..filter.selection(caller)? };
    let at_ms = state.clock.now_ms();
    let present = present_lanes(state, &caller.tenant).await?;
    let rate = u32::MAX;
    let changed = ops::replay(&state.store, &selection, &present, at_ms, rate, &|_| ()).await?;
    Ok(ReplayReport::of(changed, at_ms))
}

/// Replay deliveries
///
/// Puts all matching deliveries back into their queues, oldest first, with their retry schedules
/// from the beginning. If the recipient of a delivery was replaced, the event goes to the
/// destination's present recipients. With `dry_run` it only counts them.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/deliveries/replay", operation_id = "replay_deliveries", tag = "Deliveries", params(TenantPath),
    request_body = ReplayRequest,
    extensions(("x-fanfare-environment" = json!("own"))),
    security(("key" = ["admin"])),
    responses((status = 200, description = "The result of the replay.", body = ReplayReport)))]
pub(super) async fn replay(
    scope: Scope<Write>,
    State(state): State<Arc<ApiState>>,
    Body(filter): Body<ReplayRequest>,
) -> Result<Response, ApiError> {
    check_known(&state, &scope).await?;
    if filter.dry_run {
        return Ok(success(StatusCode::OK, run(&state, &scope, filter).await?));
    }
    let now = state.clock.now_ms();
    let what = json!({
        "destination": filter.destination, "type": filter.kind, "error": filter.error,
        "from_ms": filter.from_ms, "to_ms": filter.to_ms, "state": filter.states(),
    });
    let line = audit::entry(&scope.principal, now, "replay", "deliveries", Value::Null, what);
    let work = run(&state, &scope, filter);
    let replayed = audit::around(&state.store, &scope.tenant, line, work).await?;
    Ok(success(StatusCode::OK, replayed))
}

/// Which waiting deliveries to cancel.
#[derive(Deserialize, ToSchema, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct CancelRequest {
    /// The id of a destination, or of one of its recipients.
    #[schema(example = "backoffice")]
    destination: Option<String>,
    /// The exact event type.
    #[serde(rename = "type")]
    kind: Option<String>,
    /// The environment. Without it, a live key cancels live events, or the events of the
    /// destination that it names. A test key cancels test events.
    environment: Option<EnvironmentFilter>,
    /// The code of the last failure, or the reason for the state.
    error: Option<String>,
    /// Only deliveries of events received at or after this time, in Unix milliseconds.
    from_ms: Option<i64>,
    /// Only deliveries of events received before this time, in Unix milliseconds.
    to_ms: Option<i64>,
    /// Most deliveries to cancel. The default is 10,000.
    #[schema(minimum = 1, maximum = 10_000)]
    limit: Option<u32>,
    /// Only count the deliveries.
    dry_run: bool,
}

/// Cancel deliveries
///
/// Suppresses all matching deliveries that wait, oldest first, with the reason `cancelled`. Without
/// a filter it cancels everything that waits. You can replay the deliveries later. With `dry_run`
/// it only counts them.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/deliveries/cancel", operation_id = "cancel_deliveries", tag = "Deliveries", params(TenantPath),
    request_body(content = Option<CancelRequest>),
    extensions(("x-fanfare-environment" = json!("own"))),
    security(("key" = ["admin"])),
    responses((status = 200, description = "The result of the cancellation.", body = CancelReport)))]
pub(super) async fn cancel(
    scope: Scope<Write>,
    State(state): State<Arc<ApiState>>,
    OptionalBody(filter): OptionalBody<CancelRequest>,
) -> Result<Response, ApiError> {
    check_known(&state, &scope).await?;
    let CancelRequest { destination, kind, error, from_ms, to_ms, limit, dry_run, .. } = filter;
    let environment = history(&scope.principal, filter.environment, destination.is_some())?;
    let what = json!({
        "destination": destination, "type": kind, "error": error, "from_ms": from_ms,
        "to_ms": to_ms,
    });
    let selection = Selection {
        tenant: scope.tenant.to_string(),
        environment,
        states: vec![StateKind::Waiting],
        most: Some(limit.unwrap_or(MAX_CHANGED).into()),
        lane: destination.map(LaneId::from),
        kind,
        error,
        from_ms,
        to_ms,
        ..Selection::default()
    };
    let at_ms = state.clock.now_ms();
    if dry_run {
        let found = ops::count(&state.store, &selection).await?;
        let (found, counts) = (found.total, counts(found.by));
        let report = CancelReport { found, cancelled: 0, left: 0, counts, at_ms };
        return Ok(success(StatusCode::OK, report));
    }
    let line = audit::entry(&scope.principal, at_ms, "cancel", "deliveries", Value::Null, what);
    let work = async {
        let done = ops::cancel(&state.store, &selection, at_ms, &|_| ()).await;
        Ok::<_, ApiError>(done?)
    };
    let Changed { count, by, left, .. } =
        audit::around(&state.store, &scope.tenant, line, work).await?;
    let counts = counts(by);
    let report = CancelReport { found: count + left, cancelled: count, left, counts, at_ms };
    Ok(success(StatusCode::OK, report))
}
