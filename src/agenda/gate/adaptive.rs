//! The adaptive limit of one receiver: how many attempts may be in flight.
//!
//! Additive increase, multiplicative decrease, with a slow start like TCP's: the limit doubles in
//! each round trip until the first sign of overload.

use crate::flow::{CONCURRENCY_CUT_EVERY_MS, CONCURRENCY_START};
use fanfare_store::Ms;

/// The limit of one lane's attempts in flight.
#[derive(Clone, Debug)]
pub(super) struct Adaptive {
    limit: f64,
    max: f64,
    slow_start: bool,
    last_cut_ms: Ms,
}

impl Adaptive {
    /// At most `max` in flight, a few to begin with.
    pub(super) fn new(max: u32) -> Self {
        let max = f64::from(max.max(1));
        Self {
            limit: f64::from(CONCURRENCY_START).min(max),
            max,
            slow_start: true,
            last_cut_ms: Ms::MIN / 2,
        }
    }

    /// Attempts allowed in flight now, at least 1.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "1 ..= max, a u32")]
    pub(super) fn limit(&self) -> u32 {
        self.limit as u32
    }

    /// The limit in a few round trips, if nothing fails: in the slow start it soon is the maximum.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "1 ..= max, a u32")]
    pub(super) fn reach(&self) -> u32 {
        if self.slow_start { self.max as u32 } else { self.limit() }
    }

    /// An attempt succeeded while `in_flight` were out. The limit grows only if it is being used.
    pub(super) fn succeeded(&mut self, in_flight: u32) {
        if f64::from(in_flight) * 2.0 >= self.limit {
            let step = if self.slow_start { 1.0 } else { 1.0 / self.limit };
            self.limit = (self.limit + step).min(self.max);
        }
    }

    /// An attempt timed out, or the receiver sent a `Retry-After`.
    pub(super) fn failed(&mut self, now: Ms) {
        if now - self.last_cut_ms >= CONCURRENCY_CUT_EVERY_MS {
            self.last_cut_ms = now;
            self.slow_start = false;
            self.limit = (self.limit / 2.0).max(1.0);
        }
    }

    /// Down to one at a time, then a slow start: a receiver that recovers is not flooded.
    pub(super) fn restart(&mut self) {
        self.limit = 1.0;
        self.slow_start = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_to_its_maximum_while_used_and_only_then() {
        let mut limit = Adaptive::new(64);
        assert_eq!(limit.limit(), 8);
        for _ in 0..100 {
            limit.succeeded(1);
        }
        assert_eq!(limit.limit(), 8, "one at a time does not use the limit");
        for _ in 0..100 {
            limit.succeeded(limit.limit());
        }
        assert_eq!(limit.limit(), 64);
    }

    #[test]
    fn a_burst_of_timeouts_halves_it_once_and_it_stays_above_zero() {
        let mut limit = Adaptive::new(64);
        for _ in 0..50 {
            limit.failed(10_000);
        }
        assert_eq!(limit.limit(), 4);
        for second in 11..40 {
            limit.failed(second * 1_000);
        }
        assert_eq!(limit.limit(), 1);
    }
}
