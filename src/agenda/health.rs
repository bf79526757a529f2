//! The health of a lane, and when it is reported to the store.
//!
//! Whether a destination has had only failures for days must survive restarts and be known to every
//! replica, so the store keeps it. It does not need a report of every attempt: the first failure
//! after a success is reported, then one now and then. The first success after a failure is
//! reported too, then one now and then, because another replica may have reported a failure
//! meanwhile.

use std::sync::{Mutex, PoisonError};

use fanfare_contract::Policy;

use crate::delivery::{Concluded, Judgement};
use crate::flow::HEALTH_REPORT_EVERY;
use fanfare_store::Ms;

/// How a lane is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// It accepted a delivery.
    Well,
    /// It failed, but may recover.
    Failing,
    /// The address was refused.
    Bounced,
}

/// What was last reported of one lane.
#[derive(Debug, Default)]
pub struct FailureStreak {
    reported: Mutex<Reported>,
}

#[derive(Debug, Default)]
struct Reported {
    /// When a success was last reported.
    well_ms: Option<Ms>,
    /// When a failure was last reported.
    failing_ms: Option<Ms>,
    /// The last report was a success.
    is_well: bool,
}

impl FailureStreak {
    /// Learns from one attempt. Returns what is to be reported, if anything.
    pub(super) fn learn(&self, end: &Concluded, policy: &Policy, now: Ms) -> Option<Health> {
        let health = match end.judgement {
            Judgement::Well => Health::Well,
            _ if end.bounced && policy.bounces.is_some() => Health::Bounced,
            Judgement::Unwell { .. } if policy.disable_after.is_some() => Health::Failing,
            _ => return None,
        };
        if policy.disable_after.is_none() && policy.bounces.is_none() {
            return None;
        }
        let longest = HEALTH_REPORT_EVERY;
        let every = policy.disable_after.map_or(longest, |after| (after / 100).min(longest));
        let every = Ms::try_from(every.as_millis()).unwrap_or(Ms::MAX);
        let long_ago = |at: Option<Ms>| at.is_none_or(|at| now - at >= every);
        let mut last = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
        let is_news = match health {
            Health::Well => !last.is_well || long_ago(last.well_ms),
            Health::Failing => long_ago(last.failing_ms),
            Health::Bounced => true,
        };
        if !is_news {
            return None;
        }
        last.is_well = health == Health::Well;
        let at = if last.is_well { &mut last.well_ms } else { &mut last.failing_ms };
        *at = Some(now);
        Some(health)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use fanfare_store::Change;

    const EVERY: Duration = HEALTH_REPORT_EVERY;

    fn policy(disable_after: Option<Duration>, bounces: Option<u32>) -> Policy {
        Policy {
            schedule: Vec::new(),
            jitter: 0.0,
            retry_after_cap: EVERY,
            attempt_timeout: EVERY,
            deadline: EVERY,
            quick_retries: 0,
            concurrency: 1,
            rate: None,
            channel_concurrency: 1,
            endless: false,
            disable_after,
            bounces,
        }
    }

    fn end(judgement: Judgement, bounced: bool) -> Concluded {
        Concluded { attempt: None, change: Change::Delivered, judgement, bounced }
    }

    const BAD: Judgement = Judgement::Unwell { spare: None };

    #[test]
    fn a_change_is_reported_at_once_and_the_same_again_only_now_and_then() {
        let (streak, policy) = (FailureStreak::default(), policy(Some(100 * EVERY), None));
        let hour = Ms::try_from(EVERY.as_millis()).unwrap();
        let learn = |judgement, now| streak.learn(&end(judgement, false), &policy, now);
        assert_eq!(learn(Judgement::Well, 0), Some(Health::Well), "the first report");
        assert_eq!(learn(Judgement::Well, 1), None);
        assert_eq!(learn(BAD, 2), Some(Health::Failing));
        assert_eq!(learn(BAD, 3), None);
        assert_eq!(learn(Judgement::Neutral, 4), None);
        assert_eq!(learn(Judgement::Well, 5), Some(Health::Well), "it ends the failures");
        assert_eq!(learn(BAD, 6), None, "a lane that goes up and down is not reported each time");
        assert_eq!(learn(Judgement::Well, 7), None);
        assert_eq!(learn(BAD, 2 + hour), Some(Health::Failing));
        assert_eq!(learn(Judgement::Well, 3 + hour), Some(Health::Well));
        assert_eq!(learn(Judgement::Well, 3 + 2 * hour), Some(Health::Well), "for other replicas");
    }

    #[test]
    fn every_bounce_is_reported_and_nothing_if_the_policy_does_not_ask() {
        let streak = FailureStreak::default();
        let bounce = end(Judgement::Neutral, true);
        for now in 0..3 {
            let report = streak.learn(&bounce, &policy(None, Some(3)), now);
            assert_eq!(report, Some(Health::Bounced));
        }
        for end in [bounce, end(BAD, false), end(Judgement::Well, false)] {
            assert_eq!(streak.learn(&end, &policy(None, None), 9), None);
        }
    }
}
