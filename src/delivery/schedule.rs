//! When the next attempt at a failed delivery is made.

use std::time::Duration;

use fanfare_contract::Policy;

/// The wait before the next attempt, after attempt number `made` failed.
///
/// `None` when the schedule is used up and not endless. The receiver's `Retry-After` extends the
/// wait up to the policy's cap and never shortens it. `random` in `[0, 1)` places the wait within
/// the jitter.
pub fn next_wait(
    policy: &Policy,
    made: u32,
    not_before: Option<Duration>,
    random: f64,
) -> Option<Duration> {
    let step = usize::try_from(made.checked_sub(1)?).ok()?;
    let last = || policy.schedule.last().filter(|_| policy.endless);
    let wait = policy.schedule.get(step).or_else(last)?;
    let wait = spread(*wait, policy.jitter, random);
    let asked = not_before.unwrap_or_default().min(policy.retry_after_cap);
    Some(wait.max(asked))
}

/// Shortens or extends `wait` by up to the share `jitter` of it.
pub fn spread(wait: Duration, jitter: f64, random: f64) -> Duration {
    let jitter = jitter.clamp(0.0, 1.0);
    wait.mul_f64((1.0 - jitter) + 2.0 * jitter * random.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn policy() -> Policy {
        Policy {
            schedule: [5, 30, 300].map(Duration::from_secs).to_vec(),
            jitter: 0.2,
            retry_after_cap: Duration::from_hours(1),
            attempt_timeout: Duration::from_secs(10),
            deadline: Duration::from_secs(25),
            quick_retry: true,
            concurrency: 4,
            rate: None,
            channel_concurrency: 16,
            endless: false,
            disable_after: None,
            bounces: None,
        }
    }

    #[test]
    fn the_schedule_is_followed_to_its_end() {
        let waits: Vec<_> = (1..=4).map(|made| next_wait(&policy(), made, None, 0.5)).collect();
        let expected = [Some(5), Some(30), Some(300), None].map(|s| s.map(Duration::from_secs));
        assert_eq!(waits, expected);
    }

    #[test]
    fn a_receiver_can_extend_the_wait_up_to_the_cap_and_not_shorten_it() {
        let wait = |asked| next_wait(&policy(), 2, Some(Duration::from_secs(asked)), 0.5).unwrap();
        assert_eq!(wait(1), Duration::from_secs(30));
        assert_eq!(wait(90), Duration::from_secs(90));
        assert_eq!(wait(1_000_000), Duration::from_hours(1));
    }

    proptest! {
        #[test]
        fn jitter_stays_within_its_share(random in 0.0..1.0f64, made in 1u32..=3) {
            let base = policy().schedule[made as usize - 1].as_secs_f64();
            let wait = next_wait(&policy(), made, None, random).unwrap().as_secs_f64();
            prop_assert!(wait >= base * 0.799 && wait <= base * 1.201, "{wait} of {base}");
        }
    }
}
