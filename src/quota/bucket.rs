//! A token bucket that refills steadily. Each key has one, and each tenant has two.
//!
//! Something that costs more than one token is allowed as soon as there is one token, and leaves the
//! bucket in debt. So a batch of any size passes, and the rate still holds.
//!
//! Each replica counts for itself, so N replicas allow N times the rate. A shared count would cost
//! every request a round trip to the store.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// A rate limit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RateLimit {
    /// Tokens added per second. Above 0.
    pub per_second: f64,
    /// Most tokens that the bucket holds. At least 1.
    pub burst: u64,
}

/// The decision about one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateDecision {
    /// Whether the request may proceed.
    pub allowed: bool,
    /// Tokens in a full bucket.
    pub limit: u64,
    /// Tokens in the bucket now.
    pub remaining: u64,
    /// Time until the bucket is full.
    pub full_in: Duration,
    /// Time until the next request may proceed. Zero if it may now.
    pub next_in: Duration,
}

/// A token bucket.
#[derive(Debug)]
pub(crate) struct Bucket(Mutex<Level>);

#[derive(Debug)]
struct Level {
    /// `None` before the first request: the bucket is full. Negative: in debt.
    tokens: Option<f64>,
    at: Instant,
}

impl Bucket {
    pub(crate) fn full() -> Self {
        Self(Mutex::new(Level { tokens: None, at: Instant::now() }))
    }

    /// Takes `cost` tokens, if there is at least one.
    pub(crate) fn take(&self, limit: RateLimit, cost: u64, now: Instant) -> RateDecision {
        self.change(limit, now, |tokens| if tokens >= 1.0 { tokens - float(cost) } else { tokens })
    }

    /// Takes `cost` tokens in any case. Returns the time until they would have been there.
    pub(crate) fn charge(&self, limit: RateLimit, cost: u64, now: Instant) -> Duration {
        let mut wait = Duration::ZERO;
        self.change(limit, now, |tokens| {
            wait = seconds((1.0 - tokens) / limit.per_second);
            tokens - float(cost)
        });
        wait
    }

    /// Decides by the tokens that there are, and keeps what `change` leaves of them.
    fn change(
        &self,
        limit: RateLimit,
        now: Instant,
        change: impl FnOnce(f64) -> f64,
    ) -> RateDecision {
        let mut level = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let full = float(limit.burst);
        let added = now.saturating_duration_since(level.at).as_secs_f64() * limit.per_second;
        let tokens = level.tokens.map_or(full, |tokens| (tokens + added).min(full));
        let left = change(tokens);
        *level = Level { tokens: Some(left), at: now };
        let until = |wanted: f64| seconds((wanted - left) / limit.per_second);
        #[expect(clippy::cast_possible_truncation, reason = "at most the burst, a u64")]
        #[expect(clippy::cast_sign_loss, reason = "never below 0")]
        let remaining = left.max(0.0) as u64;
        let (full_in, next_in) = (until(full), until(1.0));
        RateDecision { allowed: tokens >= 1.0, limit: limit.burst, remaining, full_in, next_in }
    }
}

#[expect(clippy::cast_precision_loss, reason = "exact below 2^53")]
fn float(number: u64) -> f64 {
    number as f64
}

/// No time for a negative number.
fn seconds(number: f64) -> Duration {
    Duration::try_from_secs_f64(number.max(0.0)).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_allowed_and_then_the_rate_holds() {
        let limit = RateLimit { per_second: 10.0, burst: 3 };
        let (bucket, start) = (Bucket::full(), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        let left: Vec<_> = (0..3).map(|_| bucket.take(limit, 1, start).remaining).collect();
        assert_eq!(left, [2, 1, 0]);
        let refused = bucket.take(limit, 1, at(50));
        assert!(!refused.allowed && refused.remaining == 0, "{refused:?}");
        assert!((49..=51).contains(&refused.next_in.as_millis()), "{refused:?}");
        assert!((249..=251).contains(&refused.full_in.as_millis()), "{refused:?}");
        assert!(bucket.take(limit, 1, at(101)).allowed, "a refused request takes no token");
        assert!(!bucket.take(limit, 1, at(102)).allowed);
        let mut allowed = 0;
        for ms in 1_000..11_000 {
            allowed += u32::from(bucket.take(limit, 1, at(ms)).allowed);
        }
        assert!((100..=103).contains(&allowed), "{allowed} in ten seconds");
    }

    #[test]
    fn a_batch_larger_than_the_bucket_passes_and_the_rate_still_holds() {
        let limit = RateLimit { per_second: 10.0, burst: 20 };
        let (bucket, start) = (Bucket::full(), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        assert!(bucket.take(limit, 100, start).allowed);
        let refused = bucket.take(limit, 1, at(1_000));
        assert!(!refused.allowed && refused.remaining == 0, "{refused:?}");
        assert!((7_099..=7_101).contains(&refused.next_in.as_millis()), "{refused:?}");
        assert!(!bucket.take(limit, 1, at(8_000)).allowed);
        assert!(bucket.take(limit, 1, at(8_200)).allowed);
    }

    #[test]
    fn what_is_charged_in_any_case_waits_its_turn() {
        let limit = RateLimit { per_second: 10.0, burst: 2 };
        let (bucket, now) = (Bucket::full(), Instant::now());
        let waits: Vec<_> = (0..5).map(|_| bucket.charge(limit, 1, now).as_millis()).collect();
        assert_eq!(waits, [0, 0, 100, 200, 300]);
    }

    #[test]
    fn a_clock_that_stops_or_goes_back_adds_no_tokens() {
        let limit = RateLimit { per_second: 1.0, burst: 1 };
        let (bucket, start) = (Bucket::full(), Instant::now() + Duration::from_secs(10));
        assert!(bucket.take(limit, 1, start).allowed);
        assert!(!bucket.take(limit, 1, start).allowed);
        assert!(!bucket.take(limit, 1, start.checked_sub(Duration::from_secs(5)).unwrap()).allowed);
    }
}
