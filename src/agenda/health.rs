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
    Healthy,
    /// It failed, but may recover.
    Failing,
    /// It refused the address.
    Bouncing,
}

/// What was last reported of one lane.
#[derive(Debug, Default)]
pub struct FailureStreak {
    reported: Mutex<Reported>,
}

#[derive(Debug, Default)]
struct Reported {
    /// When a success was last reported.
    healthy_ms: Option<Ms>,
    /// When a failure was last reported.
    failing_ms: Option<Ms>,
    /// The last report was a success.
    was_healthy: bool,
}

impl FailureStreak {
    /// Learns from one attempt. Returns what is to be reported, if anything.
    pub(super) fn learn(&self, end: &Concluded, policy: &Policy, now: Ms) -> Option<Health> {
        let health = match end.judgement {
            Judgement::Healthy => Health::Healthy,
            _ if end.bounced && policy.bounces.is_some() => Health::Bouncing,
            Judgement::Unhealthy { .. } | Judgement::Refused if policy.disable_after.is_some() => {
                Health::Failing
            }
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
            Health::Healthy => !last.was_healthy || long_ago(last.healthy_ms),
            Health::Failing => long_ago(last.failing_ms),
            Health::Bouncing => true,
        };
        if !is_news {
            return None;
        }
        last.was_healthy = health == Health::Healthy;
        let at = if last.was_healthy { &mut last.healthy_ms } else { &mut last.failing_ms };
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
            quick_retry: false,
            concurrency: 1,
            rate: None,
            channel_concurrency: 1,
            endless: false,
            disable_after,
            bounces,
        }
    }

    fn end(judgement: Judgement, bounced: bool) -> Concluded {
        Concluded {
            resent: Vec::new(),
            attempt: None,
            change: Change::Delivered,
            judgement,
            bounced,
        }
    }

    const BAD: Judgement = Judgement::Unhealthy { retry_after: None };

    #[test]
    fn a_change_is_reported_at_once_and_the_same_again_only_now_and_then() {
        let (streak, policy) = (FailureStreak::default(), policy(Some(100 * EVERY), None));
        let hour = Ms::try_from(EVERY.as_millis()).unwrap();
        let learn = |judgement, now| streak.learn(&end(judgement, false), &policy, now);
        assert_eq!(learn(Judgement::Healthy, 0), Some(Health::Healthy), "the first report");
        assert_eq!(learn(Judgement::Healthy, 1), None);
        assert_eq!(learn(BAD, 2), Some(Health::Failing));
        assert_eq!(learn(BAD, 3), None);
        assert_eq!(learn(Judgement::Neutral, 4), None);
        assert_eq!(learn(Judgement::Healthy, 5), Some(Health::Healthy), "it ends the failures");
        assert_eq!(learn(BAD, 6), None, "a lane that goes up and down is not reported each time");
        assert_eq!(learn(Judgement::Healthy, 7), None);
        assert_eq!(learn(BAD, 2 + hour), Some(Health::Failing));
        assert_eq!(learn(Judgement::Healthy, 3 + hour), Some(Health::Healthy));
        assert_eq!(
            learn(Judgement::Healthy, 3 + 2 * hour),
            Some(Health::Healthy),
            "for other replicas"
        );
    }

    #[test]
    fn every_bounce_is_reported_and_nothing_if_the_policy_does_not_ask() {
        let streak = FailureStreak::default();
        let bounce = end(Judgement::Neutral, true);
        for now in 0..3 {
            let report = streak.learn(&bounce, &policy(None, Some(3)), now);
            assert_eq!(report, Some(Health::Bouncing));
        }
        for end in [bounce, end(BAD, false), end(Judgement::Healthy, false)] {
            assert_eq!(streak.learn(&end, &policy(None, None), 9), None);
        }
    }
}
