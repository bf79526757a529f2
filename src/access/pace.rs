//! How fast one key may go: a bucket that fills steadily and is taken from by requests.
//!
//! Each replica counts for itself: so many replicas, so many times the pace. To count together would
//! cost every request a round trip.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// So many requests a second, after a burst of so many.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    /// How fast the bucket fills; above 0.
    pub per_second: f64,
    /// How much it holds; at least 1.
    pub burst: u32,
}

/// What became of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Whether it may go on.
    pub allowed: bool,
    /// What the bucket holds when it is full.
    pub limit: u32,
    /// What it holds now.
    pub remaining: u32,
    /// When it will be full again.
    pub full_in: Duration,
    /// When the next request may go on; zero when it may now.
    pub next_in: Duration,
}

/// The bucket of one key.
#[derive(Debug)]
pub(super) struct Bucket(Mutex<Level>);

#[derive(Debug)]
struct Level {
    /// None when it is full because nobody has asked yet.
    held: Option<f64>,
    at: Instant,
}

impl Bucket {
    pub(super) fn full() -> Self {
        Self(Mutex::new(Level { held: None, at: Instant::now() }))
    }

    pub(super) fn take(&self, pace: Pace, now: Instant) -> Taken {
        let mut level = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let most = f64::from(pace.burst);
        let came = now.saturating_duration_since(level.at).as_secs_f64() * pace.per_second;
        let held = level.held.map_or(most, |held| (held + came).min(most));
        let allowed = held >= 1.0;
        let left = if allowed { held - 1.0 } else { held };
        *level = Level { held: Some(left), at: now };
        let until = |wanted: f64| {
            Duration::try_from_secs_f64(((wanted - left) / pace.per_second).max(0.0))
                .unwrap_or(Duration::MAX)
        };
        #[expect(clippy::cast_possible_truncation, reason = "between 0 and the burst, a u32")]
        #[expect(clippy::cast_sign_loss, reason = "never below 0")]
        let remaining = left as u32;
        Taken { allowed, limit: pace.burst, remaining, full_in: until(most), next_in: until(1.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_goes_through_and_then_the_pace_holds() {
        let pace = Pace { per_second: 10.0, burst: 3 };
        let (bucket, start) = (Bucket::full(), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        let left: Vec<_> = (0..3).map(|_| bucket.take(pace, start).remaining).collect();
        assert_eq!(left, [2, 1, 0]);
        let refused = bucket.take(pace, at(50));
        assert!(!refused.allowed && refused.remaining == 0, "{refused:?}");
        assert!((49..=51).contains(&refused.next_in.as_millis()), "{refused:?}");
        assert!((249..=251).contains(&refused.full_in.as_millis()), "{refused:?}");
        assert!(bucket.take(pace, at(101)).allowed, "what was refused cost nothing");
        assert!(!bucket.take(pace, at(102)).allowed);
        let mut allowed = 0;
        for ms in 1_000..11_000 {
            allowed += u32::from(bucket.take(pace, at(ms)).allowed);
        }
        assert!((100..=103).contains(&allowed), "{allowed} in ten seconds");
    }

    #[test]
    fn a_clock_that_stands_still_or_goes_back_gives_nothing() {
        let pace = Pace { per_second: 1.0, burst: 1 };
        let (bucket, start) = (Bucket::full(), Instant::now() + Duration::from_secs(10));
        assert!(bucket.take(pace, start).allowed);
        assert!(!bucket.take(pace, start).allowed);
        assert!(!bucket.take(pace, start.checked_sub(Duration::from_secs(5)).unwrap()).allowed);
    }
}
