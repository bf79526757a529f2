//! Sending again what ended badly, chosen by a filter; counted first, when that is wanted.

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
use crate::api::body::Body;
use crate::api::scope::{Scope, Write};
use crate::audit;
use crate::ops::{self, Selection};
use crate::store::DeliveryRecord;

/// Most deliveries that one request puts back.
const MOST: u64 = 10_000;

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
    /// Only count.
    pub(super) dry_run: bool,
}

impl Filter {
    pub(super) fn states(&self) -> Vec<String> {
        let word = |state: &StateWord| state.word().to_owned();
        let usual = || vec!["dead".to_owned(), "suppressed".to_owned()];
        self.status.as_ref().map_or_else(usual, |states| states.iter().map(word).collect())
    }
}

/// What was found and put back.
#[derive(Serialize, ToSchema)]
pub(super) struct ReplayReport {
    /// Deliveries that the filter lets through.
    found: u64,
    /// How many of them were put back into their queues; none in a dry run.
    replayed: u64,
    /// Found and not put back, because a request puts back 10,000 at most: repeat it.
    left: u64,
    /// What was found.
    counts: Vec<ReplayCount>,
}

/// So many of one kind.
#[derive(Serialize, ToSchema)]
struct ReplayCount {
    /// The destination's id.
    destination: String,
    /// Where they stand.
    state: &'static str,
    /// Why.
    reason: String,
    /// How many.
    count: u64,
}

/// Did it fail for this reason?
pub(super) fn is_error(delivery: &DeliveryRecord, wanted: &str) -> bool {
    let last = delivery.attempts.last().map(|attempt| attempt.code.as_str());
    last == Some(wanted) || delivery.state.reason() == Some(wanted)
}

/// Puts back what the filter lets through.
pub(super) async fn run(
    state: &ApiState,
    tenant: &str,
    filter: Filter,
) -> Result<ReplayReport, ApiError> {
    let dry_run = filter.dry_run;
    let selection =
        Selection { tenant: tenant.to_owned(), most: Some(MOST), ..Selection::from(filter) };
    let counted = ops::count(&state.store, &selection).await?;
    let counts = counted.by.into_iter();
    let counts = counts.map(|((destination, state, reason), count)| ReplayCount {
        destination,
        state,
        reason,
        count,
    });
    let (counts, found) = (counts.collect(), counted.total);
    if dry_run {
        return Ok(ReplayReport { found, replayed: 0, left: 0, counts });
    }
    let now = state.clock.now_ms();
    let replayed = ops::replay(&state.store, &selection, now, u32::MAX, &|_| ()).await?;
    Ok(ReplayReport { found, replayed, left: found.saturating_sub(MOST), counts })
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
