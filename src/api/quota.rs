//! Refusals because of a quota: 429 for rates and for queues, 422 for sizes and counts.

use axum::http::StatusCode;

use super::answer::{ApiError, Detail};
use super::rate_headers::{insert_rate_headers, seconds_up};
use super::state::ApiState;
use crate::quota::{Exceeded, Quota};
use crate::tenant::{self, TenantSpec};

/// The code of every refusal because of a quota.
const CODE: &str = "quota_exceeded";

/// Events were refused.
pub(super) fn exceeded(state: &ApiState, exceeded: &Exceeded) -> ApiError {
    state.observe.metrics.quota_exceeded(exceeded.quota);
    let mut error = match exceeded.retry_after() {
        Some(wait) => {
            let status = StatusCode::TOO_MANY_REQUESTS;
            let error = ApiError::new(status, "rate_limited", CODE, exceeded.to_string());
            error.retry_after(seconds_up(wait))
        }
        None => ApiError::invalid(CODE, exceeded.to_string()),
    };
    if let Some(rate) = exceeded.rate {
        insert_rate_headers(&mut error.headers, rate, state.clock.now_ms());
    }
    error.details = vec![Detail::new(exceeded.quota.name(), exceeded.detail())];
    error
}

/// Refuses a document that uses more of a quota than it may and than it did before.
pub(super) fn check_document(
    state: &ApiState,
    before: &TenantSpec,
    spec: &TenantSpec,
) -> Result<(), ApiError> {
    let limits = state.quotas.limits(spec.quotas.as_ref());
    let over = tenant::over_quota(&limits, Some(before), spec);
    if over.is_empty() {
        return Ok(());
    }
    let detail = |(quota, problem): (Quota, tenant::Problem)| {
        state.observe.metrics.quota_exceeded(quota);
        Detail::new(problem.field, problem.message)
    };
    let fields = ApiError::fields(over.into_iter().map(detail).collect());
    Err(ApiError { code: CODE, ..fields })
}

/// Refuses one more key of a tenant that has as many as it may.
pub(super) fn check_keys(state: &ApiState, spec: &TenantSpec) -> Result<(), ApiError> {
    let quota = Quota::Keys;
    let used = state.authenticator.keyring.counts().remove(&*spec.id).unwrap_or(0);
    let limit = state.quotas.limits(spec.quotas.as_ref()).get(quota);
    let Some(limit) = limit.filter(|limit| used >= *limit) else { return Ok(()) };
    state.observe.metrics.quota_exceeded(quota);
    let message = format!(
        "would be {}, and the tenant's quota `{quota}` is {limit}; revoke keys that are not in \
         use, or ask an operator for a higher quota",
        used + 1
    );
    Err(ApiError { code: CODE, ..ApiError::field(quota.name(), message) })
}
