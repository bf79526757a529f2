//! Whether the steps of the path that no client waits for go on: reading entries, settling them, and
//! serving the agenda. A step that stops shows nowhere else before deliveries are late.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use fanfare_store::Call;

/// A step that has only failed, or has not come back, for this long does not go on. Longer than a
/// failover of Redis takes.
const STUCK_AFTER: Duration = Duration::from_secs(20);

/// One of the steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Entries are read from the log.
    Reading,
    /// Outcomes of entries are written, and the entries are acknowledged.
    Settling,
    /// Lanes that are due are claimed.
    Serving,
}

impl Step {
    /// All of them, in the order of the path.
    pub const ALL: [Self; 3] = [Self::Reading, Self::Settling, Self::Serving];

    /// The word in `/readyz` and in the log.
    pub fn code(self) -> &'static str {
        match self {
            Self::Reading => "not_reading",
            Self::Settling => "not_settling",
            Self::Serving => "not_serving",
        }
    }

    /// What does not go on.
    pub fn stopped(self) -> &'static str {
        match self {
            Self::Reading => "no entry could be read from the log",
            Self::Settling => "no outcome could be written",
            Self::Serving => "no lane of the agenda could be claimed",
        }
    }

    fn of(call: Call) -> Option<Self> {
        match call {
            Call::Read => Some(Self::Reading),
            Call::Settle => Some(Self::Settling),
            Call::Claim => Some(Self::Serving),
            _ => None,
        }
    }
}

/// The state of each step.
#[derive(Default)]
pub struct Steps([Mutex<State>; Step::ALL.len()]);

#[derive(Default)]
struct State {
    /// The first failure since the last success.
    failing: Option<Instant>,
    /// When the call began that has not come back.
    running: Option<Instant>,
}

impl Steps {
    fn state(&self, step: Step) -> MutexGuard<'_, State> {
        self.0[step as usize].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A call of the store began.
    pub(super) fn began(&self, call: Call) {
        // A read waits for entries by design, and may be given up at any time.
        if let Some(step) = Step::of(call).filter(|step| *step != Step::Reading) {
            self.state(step).running = Some(Instant::now());
        }
    }

    /// A call of the store ended.
    pub(super) fn ended(&self, call: Call, failed: bool) {
        let Some(step) = Step::of(call) else { return };
        let mut state = self.state(step);
        state.running = None;
        if failed {
            state.failing.get_or_insert_with(Instant::now);
        } else {
            state.failing = None;
        }
    }

    /// Whether a step goes on.
    pub fn goes_on(&self, step: Step) -> bool {
        let state = self.state(step);
        let since = state.failing.into_iter().chain(state.running).min();
        since.is_none_or(|since| since.elapsed() < STUCK_AFTER)
    }

    /// The first step that does not go on.
    pub fn stopped(&self) -> Option<Step> {
        Step::ALL.into_iter().find(|step| !self.goes_on(*step))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_step_that_only_fails_or_does_not_come_back_has_stopped() {
        let steps = Steps::default();
        assert_eq!(steps.stopped(), None, "nothing has begun");
        steps.ended(Call::Settle, true);
        tokio::time::advance(STUCK_AFTER / 2).await;
        steps.ended(Call::Settle, true);
        assert_eq!(steps.stopped(), None, "an outage may be short");
        tokio::time::advance(STUCK_AFTER / 2).await;
        assert_eq!(steps.stopped(), Some(Step::Settling));
        steps.ended(Call::Settle, false);
        assert_eq!(steps.stopped(), None);

        steps.began(Call::Claim);
        steps.began(Call::Read);
        tokio::time::advance(STUCK_AFTER).await;
        assert_eq!(steps.stopped(), Some(Step::Serving), "a read may wait");
        steps.ended(Call::Claim, false);
        assert!(Step::ALL.into_iter().all(|step| steps.goes_on(step)));
    }
}
