//! How many attempts may be in flight to one receiver: grows while it keeps up, shrinks when not.
//!
//! Additive increase, multiplicative decrease, with a slow start like TCP's: doubling a round trip
//! until the first sign of trouble. A receiver that hangs from the first moment costs a handful of
//! sockets, not its whole limit.

use fanfare_store::Ms;

/// The limit of one lane.
#[derive(Clone, Debug)]
pub struct Adaptive {
    limit: f64,
    max: f64,
    slow_start: bool,
    last_cut_ms: Ms,
}

impl Adaptive {
    const START: f64 = 8.0;
    /// A burst of timeouts is one sign of trouble, not fifty.
    const CUT_AT_MOST_EVERY_MS: Ms = 1_000;

    /// At most `max` in flight, a few to begin with.
    pub fn new(max: u32) -> Self {
        let max = f64::from(max.max(1));
        Self { limit: Self::START.min(max), max, slow_start: true, last_cut_ms: Ms::MIN / 2 }
    }

    /// In-flight attempts allowed now; at least 1.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "1 ..= max, a u32")]
    pub fn limit(&self) -> u32 {
        self.limit as u32
    }

    /// Where the limit will be in a few round trips: until the first sign of trouble it doubles in each.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "1 ..= max, a u32")]
    pub fn reach(&self) -> u32 {
        if self.slow_start { self.max as u32 } else { self.limit() }
    }

    /// It took one while `in_flight` were out. Grows only if the limit was what held it back.
    pub fn well(&mut self, in_flight: u32) {
        if f64::from(in_flight) * 2.0 >= self.limit {
            let step = if self.slow_start { 1.0 } else { 1.0 / self.limit };
            self.limit = (self.limit + step).min(self.max);
        }
    }

    /// It timed out, or asked to be spared.
    pub fn unwell(&mut self, now: Ms) {
        if now - self.last_cut_ms >= Self::CUT_AT_MOST_EVERY_MS {
            self.last_cut_ms = now;
            self.slow_start = false;
            self.limit = (self.limit / 2.0).max(1.0);
        }
    }

    /// Down to one at a time, then a slow start: a receiver that comes back is not flooded.
    pub fn restart(&mut self) {
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
            limit.well(1);
        }
        assert_eq!(limit.limit(), 8, "one at a time is no reason for more");
        for _ in 0..100 {
            limit.well(limit.limit());
        }
        assert_eq!(limit.limit(), 64);
    }

    #[test]
    fn a_burst_of_timeouts_halves_it_once_and_it_never_ends_at_none() {
        let mut limit = Adaptive::new(64);
        for _ in 0..50 {
            limit.unwell(10_000);
        }
        assert_eq!(limit.limit(), 4);
        for second in 11..40 {
            limit.unwell(second * 1_000);
        }
        assert_eq!(limit.limit(), 1);
    }
}
