//! What must hold for every conclusion.

use proptest::prelude::*;

use fanfare_store::StateKind;

use super::*;

const NOW: Ms = 1_900_000_000_000;

fn policies() -> impl Strategy<Value = Policy> {
    let schedule = prop::collection::vec(0_u64..200_000, 0..12);
    (schedule, 0.0..1.0_f64, 0_u64..100_000).prop_map(|(schedule, jitter, cap)| Policy {
        schedule: schedule.into_iter().map(Duration::from_secs).collect(),
        jitter,
        retry_after_cap: Duration::from_secs(cap),
        attempt_timeout: Duration::from_secs(10),
        deadline: Duration::from_secs(25),
        quick_retry: true,
        concurrency: 4,
        rate: None,
        channel_concurrency: 16,
        endless: false,
        disable_after: None,
        bounces: None,
    })
}

fn results() -> impl Strategy<Value = (Verdict, &'static str)> {
    let wait = prop::option::of((0_u64..u64::MAX / 4).prop_map(Duration::from_millis));
    let verdict = prop_oneof![
        4 => wait.prop_map(|not_before| Verdict::Retry { not_before }),
        1 => Just(Verdict::Permanent),
        1 => Just(Verdict::Disable),
    ];
    (verdict, prop::sample::select(vec!["timeout", "http_500", BUSY]))
}

proptest! {
    #[test]
    fn a_failure_waits_within_the_policy_or_ends(
        policy in policies(),
        (verdict, code) in results(),
        number in 1_u32..20,
        random in 0.0..1.0_f64,
    ) {
        let tried = Tried { number, at_ms: NOW - 5, took: Duration::from_millis(5), now_ms: NOW };
        let result = Err(DeliveryError::new(verdict, code, "it failed"));
        let end = conclude(&policy, tried, &result, random);
        let steps = u32::try_from(policy.schedule.len()).unwrap();

        if code == BUSY {
            prop_assert!(end.attempt.is_none(), "nothing was sent");
            prop_assert_eq!(end.judgement, Judgement::Neutral);
            prop_assert_eq!(end.change.target_kind(), StateKind::Waiting);
            return Ok(());
        }
        prop_assert_eq!(end.attempt.map(|attempt| attempt.number), Some(number));
        match (verdict, &end.change) {
            (Verdict::Retry { not_before }, Change::Retried { due_ms, serve_ms }) => {
                prop_assert!(number <= steps, "attempt {number} of {steps} retries");
                prop_assert_eq!(due_ms, serve_ms);
                let step = policy.schedule[number as usize - 1];
                let asked = not_before.unwrap_or_default().min(policy.retry_after_cap);
                let longest = step.mul_f64(1.0 + policy.jitter).max(asked).as_millis() + 1;
                let wait = u128::from((due_ms - NOW).unsigned_abs());
                prop_assert!(*due_ms >= NOW && wait <= longest, "{wait} of {longest} ms");
                prop_assert!(wait >= asked.as_millis(), "at least what the receiver asked for");
            }
            (Verdict::Retry { .. }, Change::GivenUp(reason)) => {
                prop_assert!(number > steps, "given up after {number} of {steps} retries");
                prop_assert_eq!(&**reason, code);
            }
            (Verdict::Permanent, Change::GivenUp(_)) => {
                prop_assert_eq!(end.judgement, Judgement::Neutral);
            }
            (Verdict::Disable, Change::ReceiverGone(_)) => {
                prop_assert_eq!(end.judgement, Judgement::Gone);
            }
            (_, change) => prop_assert!(false, "{verdict:?} led to {change:?}"),
        }
    }

    #[test]
    fn a_pause_that_the_receiver_asks_for_is_capped(
        policy in policies(),
        asked in 0_u64..u64::MAX / 4,
        number in 1_u32..20,
    ) {
        let tried = Tried { number, at_ms: NOW, took: Duration::ZERO, now_ms: NOW };
        let not_before = Some(Duration::from_millis(asked));
        let result = Err(DeliveryError::new(Verdict::Retry { not_before }, "http_429", ""));
        let Judgement::Unhealthy { retry_after: Some(pause) } =
            conclude(&policy, tried, &result, 0.5).judgement
        else {
            return Err(TestCaseError::fail("it asked for a pause"));
        };
        prop_assert!(pause <= policy.retry_after_cap);
    }

    #[test]
    fn an_accepted_delivery_is_delivered_at_any_attempt(policy in policies(), number in 1_u32..99) {
        let tried = Tried { number, at_ms: NOW, took: Duration::ZERO, now_ms: NOW };
        let end = conclude(&policy, tried, &Ok(Receipt::default()), 0.5);
        prop_assert_eq!(end.change, Change::Delivered);
        prop_assert_eq!(end.judgement, Judgement::Healthy);
        prop_assert_eq!(end.attempt.map(|attempt| attempt.code), Some("ok".to_owned()));
    }
}
