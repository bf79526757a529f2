//! The rate limit of one key: a token bucket that refills steadily and gives one token to each
//! request.
//!
//! Each replica counts for itself, so N replicas allow N times the rate. A shared count would cost
//! every request a round trip to the store.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// A rate limit on requests.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RateLimit {
    /// Tokens added per second. Above 0.
    pub per_second: f64,
    /// Most tokens that the bucket holds. At least 1.
    pub burst: u32,
}

/// The decision about one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateDecision {
    /// Whether the request may proceed.
    pub allowed: bool,
    /// Tokens in a full bucket.
    pub limit: u32,
    /// Tokens in the bucket now.
    pub remaining: u32,
    /// Time until the bucket is full.
    pub full_in: Duration,
    /// Time until the next request may proceed. Zero if it may now.
    pub next_in: Duration,
}

/// The token bucket of one key.
#[derive(Debug)]
pub(super) struct Bucket(Mutex<Level>);

#[derive(Debug)]
struct Level {
    /// `None` before the first request: the bucket is full.
    tokens: Option<f64>,
    at: Instant,
}

impl Bucket {
    pub(super) fn full() -> Self {
        Self(Mutex::new(Level { tokens: None, at: Instant::now() }))
    }

    /// Takes a token, if there is one.
    pub(super) fn take(&self, limit: RateLimit, now: Instant) -> RateDecision {
        let mut level = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let full = f64::from(limit.burst);
        let added = now.saturating_duration_since(level.at).as_secs_f64() * limit.per_second;
        let tokens = level.tokens.map_or(full, |tokens| (tokens + added).min(full));
        let allowed = tokens >= 1.0;
        let left = if allowed { tokens - 1.0 } else { tokens };
        *level = Level { tokens: Some(left), at: now };
        let until = |wanted: f64| {
            Duration::try_from_secs_f64(((wanted - left) / limit.per_second).max(0.0))
                .unwrap_or(Duration::MAX)
        };
        #[expect(clippy::cast_possible_truncation, reason = "between 0 and the burst, a u32")]
        #[expect(clippy::cast_sign_loss, reason = "never below 0")]
        let remaining = left as u32;
        let (full_in, next_in) = (until(full), until(1.0));
        RateDecision { allowed, limit: limit.burst, remaining, full_in, next_in }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_allowed_and_then_the_rate_holds() {
        let limit = RateLimit { per_second: 10.0, burst: 3 };
        let (bucket, start) = (Bucket::full(), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        let left: Vec<_> = (0..3).map(|_| bucket.take(limit, start).remaining).collect();
        assert_eq!(left, [2, 1, 0]);
        let refused = bucket.take(limit, at(50));
        assert!(!refused.allowed && refused.remaining == 0, "{refused:?}");
        assert!((49..=51).contains(&refused.next_in.as_millis()), "{refused:?}");
        assert!((249..=251).contains(&refused.full_in.as_millis()), "{refused:?}");
        assert!(bucket.take(limit, at(101)).allowed, "a refused request takes no token");
        assert!(!bucket.take(limit, at(102)).allowed);
        let mut allowed = 0;
        for ms in 1_000..11_000 {
            allowed += u32::from(bucket.take(limit, at(ms)).allowed);
        }
        assert!((100..=103).contains(&allowed), "{allowed} in ten seconds");
    }

    #[test]
    fn a_clock_that_stops_or_goes_back_adds_no_tokens() {
        let limit = RateLimit { per_second: 1.0, burst: 1 };
        let (bucket, start) = (Bucket::full(), Instant::now() + Duration::from_secs(10));
        assert!(bucket.take(limit, start).allowed);
        assert!(!bucket.take(limit, start).allowed);
        assert!(!bucket.take(limit, start.checked_sub(Duration::from_secs(5)).unwrap()).allowed);
    }
}
