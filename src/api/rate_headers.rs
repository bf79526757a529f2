//! The headers that describe a rate limit: that of the key, or a quota of the tenant.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue};

use crate::quota::RateDecision;

const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// Adds the headers, unless they are there: a refusal because of a quota describes that quota, and
/// not the key. `X-RateLimit-Reset` is when the limit fully resets, in Unix seconds.
pub(super) fn insert_rate_headers(headers: &mut HeaderMap, rate: RateDecision, now_ms: i64) {
    if headers.contains_key(LIMIT) {
        return;
    }
    let now = u64::try_from(now_ms / 1000).unwrap_or(0);
    headers.insert(LIMIT, HeaderValue::from(rate.limit));
    headers.insert(REMAINING, HeaderValue::from(rate.remaining));
    headers.insert(RESET, HeaderValue::from(now.saturating_add(seconds_up(rate.full_in))));
}

/// Whole seconds, rounded up.
pub(super) fn seconds_up(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}
