//! How fast a receiver answers, from the time that attempts take.

use std::time::Duration;

use tokio::time::Instant;

use crate::flow::{MEAN_WEIGHT, PROGRESS_WITHIN, WARM_UP_ATTEMPT, WARM_UP_ATTEMPTS};

/// The speed of one receiver.
#[derive(Default)]
pub(super) struct Speed {
    /// Exponentially weighted mean time of an attempt in seconds; none during the warm-up.
    mean_s: Option<f64>,
    /// Attempts that ended, until they saturate.
    ended: u8,
    /// When an attempt last ended, successful or not.
    last_end: Option<Instant>,
}

impl Speed {
    /// An attempt ended.
    pub(super) fn attempt_took(&mut self, took: Duration) {
        self.last_end = Some(Instant::now());
        self.ended = self.ended.saturating_add(1);
        let is_warm_up = self.ended < WARM_UP_ATTEMPTS && took < WARM_UP_ATTEMPT;
        if is_warm_up && self.mean_s.is_none() {
            return;
        }
        let mean = self.mean_s.unwrap_or(took.as_secs_f64());
        self.mean_s = Some(mean * (1.0 - MEAN_WEIGHT) + took.as_secs_f64() * MEAN_WEIGHT);
    }

    /// An attempt has taken `so_far` and goes on. If no other attempt ended since it began, the
    /// receiver is at least as slow as that. True if so.
    pub(super) fn attempt_takes(&mut self, so_far: Duration) -> bool {
        if self.has_ended_within(so_far) {
            return false;
        }
        self.mean_s = Some(self.mean_s.unwrap_or_default().max(so_far.as_secs_f64()));
        true
    }

    /// The mean time of an attempt in seconds, or none if it is not known yet.
    pub(super) fn mean_s(&self) -> Option<f64> {
        self.mean_s
    }

    pub(super) fn has_answered(&self) -> bool {
        self.ended > 0
    }

    /// It answered a moment ago.
    pub(super) fn is_making_progress(&self) -> bool {
        self.has_ended_within(PROGRESS_WITHIN)
    }

    fn has_ended_within(&self, time: Duration) -> bool {
        self.last_end.is_some_and(|ended| ended.elapsed() < time)
    }
}
