//! Sending again what ended badly, and ending what waits: chosen by a filter, counted first when that
//! is wanted, a bounded number a request.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::deliveries::StateWord;
use crate::api::ApiState;
use crate::api::answer::{ApiError, success};
use crate::api::body::{Body, Optional};
use crate::api::scope::{Scope, Write};
use crate::audit;
use crate::ops::{self, Changed, Kinds, Selection};
use fanfare_contract::LaneId;
use fanfare_store::{DeliveryRecord, Ms, Reason, StateKind};

/// Most deliveries that one request changes.
const MOST: u32 = 10_000;
/// The longest that one request may take because of its pace, in seconds.
const LONGEST: u32 = 30;

/// Which deliveries.
#[derive(Deserialize, ToSchema, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Filter {
    /// Where they stand: `dead` and `suppressed` when left out.
    pub(super) status: Option<Vec<StateWord>>,
    /// A destination's id, with or without a lane's suffix.
    #[schema(example = "backoffice")]
    pub(super) destination: Option<String>,
    /// Exact event type.
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
    /// Code of the last failure, or reason of the state.
    pub(super) error: Option<String>,
    /// Event received at or after, in Unix milliseconds.
    pub(super) from_ms: Option<i64>,
    /// Event received before, in Unix milliseconds.
    pub(super) to_ms: Option<i64>,
    /// Only those that have not changed since, in Unix milliseconds. When a request is repeated because
    /// something was `left`: the first answer's `at_ms`, so that what was put back and has ended again
    /// is not taken a second time.
    pub(super) changed_before_ms: Option<i64>,
    /// At most so many; 10,000 when left out, and no more than go in 30 seconds at `rate`.
    #[schema(minimum = 1, maximum = 10_000)]
    pub(super) limit: Option<u32>,
    /// So many a second; as fast as it goes when left out.
    #[schema(minimum = 1, maximum = 100_000, example = 1000)]
    pub(super) rate: Option<u32>,
    /// Only count.
    pub(super) dry_run: bool,
}

impl Filter {
    pub(super) fn states(&self) -> Vec<StateKind> {
        let usual = || vec![StateKind::Dead, StateKind::Suppressed];
        let kinds = |states: &Vec<StateWord>| states.iter().map(|word| (*word).into()).collect();
        self.status.as_ref().map_or_else(usual, kinds)
    }

    fn selection(&self, tenant: &str) -> Selection {
        let paced = self.rate.map_or(MOST, |rate| rate.saturating_mul(LONGEST));
        Selection {
            tenant: tenant.to_owned(),
            id: None,
            states: self.states(),
            lane: self.destination.as_deref().map(LaneId::from),
            kind: self.kind.clone(),
            error: self.error.clone(),
            from_ms: self.from_ms,
            to_ms: self.to_ms,
            only_disabled: false,
            changed_before_ms: self.changed_before_ms,
            most: Some(self.limit.unwrap_or(MOST).min(paced).into()),
        }
    }
}

/// What was found and put back.
#[derive(Serialize, ToSchema)]
pub(super) struct ReplayReport {
    /// Deliveries that the filter lets through: those put back and those left.
    found: u64,
    /// How many of them were put back into their queues; none in a dry run.
    replayed: u64,
    /// Found and not put back, because there were more than one request puts back: repeat it. Counted
    /// up to 10,000.
    left: u64,
    /// Those put back, by what they were; of a dry run those found.
    counts: Vec<DeliveryCount>,
    /// When it was done, in Unix milliseconds.
    at_ms: i64,
}

/// What was found and ended.
#[derive(Serialize, ToSchema)]
pub(super) struct CancelReport {
    /// Deliveries that wait and that the filter lets through: those ended and those left.
    found: u64,
    /// How many of them were ended; none in a dry run.
    cancelled: u64,
    /// Found and not ended, because there were more than one request ends: repeat it. Counted up to
    /// 10,000.
    left: u64,
    /// Those ended, by what they were; of a dry run those found.
    counts: Vec<DeliveryCount>,
    /// When it was done, in Unix milliseconds.
    at_ms: i64,
}

/// So many of one kind.
#[derive(Serialize, ToSchema)]
struct DeliveryCount {
    /// The destination's id.
    destination: String,
    /// Where they stood.
    state: &'static str,
    /// Why.
    reason: String,
    /// How many.
    count: u64,
}

fn counts(by: Kinds) -> Vec<DeliveryCount> {
    let count = |((destination, state, reason), count): ((_, StateKind, Option<Reason>), _)| {
        let reason = reason.map(|reason| reason.to_string()).unwrap_or_default();
        DeliveryCount { destination, state: state.as_str(), reason, count }
    };
    by.into_iter().map(count).collect()
}

/// Did it fail for this reason?
pub(super) fn is_error(delivery: &DeliveryRecord, wanted: &str) -> bool {
    let last = delivery.attempts.last().map(|attempt| attempt.code.as_str());
    last == Some(wanted) || delivery.state.reason().is_some_and(|reason| reason.as_text() == wanted)
}

impl ReplayReport {
    fn of(changed: Changed, at_ms: Ms) -> Self {
        let Changed { count, by, left, .. } = changed;
        Self { found: count + left, replayed: count, left, counts: counts(by), at_ms }
    }
}

/// Puts back what the filter lets through.
pub(super) async fn run(
    state: &ApiState,
    tenant: &str,
    filter: Filter,
) -> Result<ReplayReport, ApiError> {
    let selection = filter.selection(tenant);
    let at_ms = state.clock.now_ms();
    if filter.dry_run {
        let found = ops::count(&state.store, &selection).await?;
        let counts = counts(found.by);
        return Ok(ReplayReport { found: found.total, replayed: 0, left: 0, counts, at_ms });
    }
    let rate = filter.rate.unwrap_or(u32::MAX);
    let changed = ops::replay(&state.store, &selection, at_ms, rate, &|_| ()).await?;
    Ok(ReplayReport::of(changed, at_ms))
}

/// Puts back what the filter lets through of what was kept back because a destination was disabled.
pub(super) async fn run_kept(
    state: &ApiState,
    tenant: &str,
    filter: Filter,
) -> Result<ReplayReport, ApiError> {
    let selection = Selection { only_disabled: true, ..filter.selection(tenant) };
    let at_ms = state.clock.now_ms();
    let changed = ops::replay(&state.store, &selection, at_ms, u32::MAX, &|_| ()).await?;
    Ok(ReplayReport::of(changed, at_ms))
}

/// Send dead letters again
///
/// Puts everything that the filter lets through back into its queue, oldest first, each schedule from
/// the beginning. `dry_run` only counts.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/dead-letters/replay", tag = "Dead letters", params(super::TenantPath),
    request_body = Filter, security(("key" = ["admin"])),
    responses((status = 200, description = "What was found and put back.", body = ReplayReport)))]
pub(super) async fn replay(
    scope: Scope<Write>,
    State(state): State<Arc<ApiState>>,
    Body(filter): Body<Filter>,
) -> Result<Response, ApiError> {
    if filter.dry_run {
        return Ok(success(StatusCode::OK, run(&state, &scope.tenant, filter).await?));
    }
    let now = state.clock.now_ms();
    let what = json!({
        "destination": filter.destination, "type": filter.kind, "error": filter.error,
        "from_ms": filter.from_ms, "to_ms": filter.to_ms, "status": filter.states(),
    });
    let line = audit::line(&scope.principal, now, "replay", "dead-letters", Value::Null, what);
    let work = run(&state, &scope.tenant, filter);
    let replayed = audit::around(&state.store, &scope.tenant, line, work).await?;
    Ok(success(StatusCode::OK, replayed))
}

/// Which of the deliveries that wait.
#[derive(Deserialize, ToSchema, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct WaitingFilter {
    /// A destination's id, with or without a lane's suffix.
    #[schema(example = "backoffice")]
    destination: Option<String>,
    /// Exact event type.
    #[serde(rename = "type")]
    kind: Option<String>,
    /// Code of the last failure, or reason of the state.
    error: Option<String>,
    /// Event received at or after, in Unix milliseconds.
    from_ms: Option<i64>,
    /// Event received before, in Unix milliseconds.
    to_ms: Option<i64>,
    /// At most so many; 10,000 when left out.
    #[schema(minimum = 1, maximum = 10_000)]
    limit: Option<u32>,
    /// Only count.
    dry_run: bool,
}

/// Cancel deliveries
///
/// Ends everything that waits and that the filter lets through, oldest first; all that waits without
/// one. It is kept as suppressed (`cancelled`) and can be replayed. `dry_run` only counts.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/deliveries/cancel", tag = "Deliveries", params(super::TenantPath),
    request_body(content = Option<WaitingFilter>), security(("key" = ["admin"])),
    responses((status = 200, description = "What was found and ended.", body = CancelReport)))]
pub(super) async fn cancel(
    scope: Scope<Write>,
    State(state): State<Arc<ApiState>>,
    Optional(filter): Optional<WaitingFilter>,
) -> Result<Response, ApiError> {
    let WaitingFilter { destination, kind, error, from_ms, to_ms, limit, dry_run } = filter;
    let what = json!({
        "destination": destination, "type": kind, "error": error, "from_ms": from_ms,
        "to_ms": to_ms,
    });
    let selection = Selection {
        tenant: scope.tenant.to_string(),
        states: vec![StateKind::Waiting],
        most: Some(limit.unwrap_or(MOST).into()),
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
    let line = audit::line(&scope.principal, at_ms, "cancel", "deliveries", Value::Null, what);
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
