//! How a lane has fared lately, and when that is worth telling the store.
//!
//! Whether a destination has had nothing but failures for days must survive restarts and be known to
//! every replica, so the store keeps it. But it need not hear of every attempt: the first failure
//! after a success, then one now and then; the first success after a failure, then one now and then,
//! for another replica may have told of a failure meanwhile.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use fanfare_contract::Policy;

use crate::delivery::{Concluded, Judgement};
use fanfare_store::Ms;

/// Longest time between two tellings of the same.
const EVERY: Duration = Duration::from_hours(1);

/// What is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fares {
    /// Something was taken.
    Well,
    /// It failed, in a way that may pass.
    Failing,
    /// The address was refused.
    Bounced,
}

/// What was last told of one lane.
#[derive(Debug, Default)]
pub struct Spell {
    told: Mutex<Told>,
}

#[derive(Debug, Default)]
struct Told {
    /// Nothing since this process knows the lane, or a success.
    well_ms: Option<Ms>,
    failing_ms: Option<Ms>,
    /// The last that was told is a success.
    is_well: bool,
}

impl Spell {
    /// Learns from one attempt; answers what is to be told, if anything.
    pub(super) fn learn(&self, end: &Concluded, policy: &Policy, now: Ms) -> Option<Fares> {
        let fares = match end.judgement {
            Judgement::Well => Fares::Well,
            _ if end.bounced && policy.bounces.is_some() => Fares::Bounced,
            Judgement::Unwell { .. } if policy.disable_after.is_some() => Fares::Failing,
            _ => return None,
        };
        if policy.disable_after.is_none() && policy.bounces.is_none() {
            return None;
        }
        let every = policy.disable_after.map_or(EVERY, |after| (after / 100).min(EVERY));
        let every = Ms::try_from(every.as_millis()).unwrap_or(Ms::MAX);
        let long_ago = |at: Option<Ms>| at.is_none_or(|at| now - at >= every);
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let is_news = match fares {
            Fares::Well => !told.is_well || long_ago(told.well_ms),
            Fares::Failing => long_ago(told.failing_ms),
            Fares::Bounced => true,
        };
        if !is_news {
            return None;
        }
        told.is_well = fares == Fares::Well;
        let at = if told.is_well { &mut told.well_ms } else { &mut told.failing_ms };
        *at = Some(now);
        Some(fares)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fanfare_store::Change;

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
    fn a_change_is_told_at_once_and_the_same_again_only_now_and_then() {
        let (spell, policy) = (Spell::default(), policy(Some(100 * EVERY), None));
        let hour = Ms::try_from(EVERY.as_millis()).unwrap();
        let learn = |judgement, now| spell.learn(&end(judgement, false), &policy, now);
        assert_eq!(learn(Judgement::Well, 0), Some(Fares::Well), "nobody knows yet");
        assert_eq!(learn(Judgement::Well, 1), None);
        assert_eq!(learn(BAD, 2), Some(Fares::Failing));
        assert_eq!(learn(BAD, 3), None);
        assert_eq!(learn(Judgement::Neutral, 4), None);
        assert_eq!(learn(Judgement::Well, 5), Some(Fares::Well), "it ends the failures");
        assert_eq!(learn(BAD, 6), None, "one that goes up and down is not told of each time");
        assert_eq!(learn(Judgement::Well, 7), None);
        assert_eq!(learn(BAD, 2 + hour), Some(Fares::Failing));
        assert_eq!(learn(Judgement::Well, 3 + hour), Some(Fares::Well));
        assert_eq!(learn(Judgement::Well, 3 + 2 * hour), Some(Fares::Well), "for other replicas");
    }

    #[test]
    fn every_bounce_is_told_and_nothing_where_nobody_asks() {
        let spell = Spell::default();
        let bounce = end(Judgement::Neutral, true);
        for now in 0..3 {
            let told = spell.learn(&bounce, &policy(None, Some(3)), now);
            assert_eq!(told, Some(Fares::Bounced));
        }
        for end in [bounce, end(BAD, false), end(Judgement::Well, false)] {
            assert_eq!(spell.learn(&end, &policy(None, None), 9), None);
        }
    }
}
