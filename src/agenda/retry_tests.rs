//! When a failed delivery is tried again, and how often.

use std::time::Duration;

use serde_json::json;

use crate::testing::{Reply, Scene, Setup, ids};
use fanfare_store::{DeliveryState, Reason};

const HOUR: u64 = 3_600;
/// The webhook channel's schedule.
const WEBHOOK: [u64; 10] =
    [5, 30, 300, 1_800, 2 * HOUR, 5 * HOUR, 10 * HOUR, 14 * HOUR, 20 * HOUR, 24 * HOUR];

fn scheduled(seconds: &[u64]) -> Setup {
    let mut setup = Setup::default();
    setup.policy.schedule = seconds.iter().copied().map(Duration::from_secs).collect();
    setup
}

#[tokio::test(start_paused = true)]
async fn retries_follow_the_schedule_to_its_end_and_then_the_delivery_is_dead() {
    let scene = Scene::start(scheduled(&WEBHOOK), &[("acme", json!({"hook": {}}))]).await;
    scene.receivers.script(|_| Reply::Refuse);
    scene.send_one("acme", "evt_1").await;
    for _ in 0..WEBHOOK.len() + 3 {
        scene.skip().await;
    }
    let calls = scene.receivers.calls();
    let numbers: Vec<u32> = calls.iter().map(|call| call.attempt).collect();
    assert_eq!(numbers, (1..=11).collect::<Vec<_>>());
    for (pair, wait) in calls.windows(2).zip(WEBHOOK) {
        let gap = (pair[1].at_ms - pair[0].at_ms).unsigned_abs();
        let (least, most) = (wait * 800, wait * 1_200 + 1_100);
        assert!((least..=most).contains(&gap), "{gap} ms instead of {wait} s");
    }
    let delivery = scene.delivery("acme", "evt_1", "hook").await;
    assert_eq!(delivery.state, DeliveryState::Dead { reason: Reason::Failed("http_500".into()) });
    assert_eq!(delivery.attempts.len(), 11);
    assert_eq!(scene.store.agenda.next_time().await.unwrap(), None, "nothing is left to serve");
}

#[tokio::test(start_paused = true)]
async fn a_receiver_may_ask_for_more_time_up_to_the_cap() {
    let scene = Scene::start(scheduled(&[5, 5, 5]), &[("acme", json!({"hook": {}}))]).await;
    scene.receivers.script(|call| match call.attempt {
        1 => Reply::Spare(Duration::from_secs(30)),
        2 => Reply::Spare(Duration::from_secs(1_000_000)),
        _ => Reply::Take,
    });
    scene.send_one("acme", "evt_1").await;
    scene.pass(Duration::from_mins(2)).await;
    let calls = scene.receivers.calls();
    let gaps: Vec<i64> = calls.windows(2).map(|pair| pair[1].at_ms - pair[0].at_ms).collect();
    assert!((30_000..31_500).contains(&gaps[0]), "{gaps:?}");
    assert!((60_000..61_500).contains(&gaps[1]), "capped at a minute: {gaps:?}");
    assert_eq!(gaps.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_holds_new_deliveries_too() {
    let scene = Scene::start(scheduled(&[5; 9]), &[("acme", json!({"hook": {}}))]).await;
    let begin = scene.now();
    let clock = scene.clock;
    scene.receivers.script(move |_| match clock.now_ms() - begin {
        ..30_000 => Reply::Spare(Duration::from_secs(30)),
        _ => Reply::Take,
    });
    scene.send_one("acme", "evt_first").await;
    scene.pass(Duration::from_secs(2)).await;
    scene.send("acme", ids(50)).await;
    scene.pass(Duration::from_secs(26)).await;
    assert_eq!(scene.receivers.calls().len(), 1, "no call before that time");
    scene.pass(Duration::from_secs(10)).await;
    assert_eq!(scene.counts("acme").await.delivered, 51);
    assert_eq!(scene.receivers.calls().len(), 52, "and then each once");
}

#[tokio::test(start_paused = true)]
async fn a_full_channel_makes_no_attempt_and_is_not_held_against_the_receiver() {
    let destinations = json!({"hook": {}, "order": {"fifo": true}});
    let scene = Scene::start(scheduled(&[5]), &[("acme", destinations)]).await;
    let busy_until = scene.now() + 4_500;
    let clock = scene.clock;
    scene.receivers.script(move |_| match clock.now_ms() {
        now if now < busy_until => Reply::Busy,
        _ => Reply::Take,
    });
    scene.send_one("acme", "evt_1").await;
    scene.pass(Duration::from_secs(8)).await;
    for to in ["hook", "order"] {
        let calls = scene.receivers.calls_of(to);
        assert!(calls.len() > 3, "more than its schedule has: {}", calls.len());
        assert!(calls.iter().all(|call| call.attempt == 1));
        let delivery = scene.delivery("acme", "evt_1", to).await;
        assert_eq!((delivery.state, delivery.attempts.len()), (DeliveryState::Delivered, 1));
        assert_eq!(delivery.attempts[0].number, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_channel_that_panics_costs_one_attempt() {
    let destinations = json!({"hook": {}, "order": {"fifo": true}});
    let scene = Scene::start(Setup::default(), &[("acme", destinations)]).await;
    scene.receivers.script(|call| if call.attempt == 1 { Reply::Panic } else { Reply::Take });
    scene.send("acme", ids(5)).await;
    scene.pass(Duration::from_mins(1)).await;
    assert_eq!(scene.counts("acme").await.delivered, 10);
    for to in ["hook", "order"] {
        let attempts = scene.delivery("acme", "evt_3", to).await.attempts;
        let codes: Vec<&str> = attempts.iter().map(|attempt| attempt.code.as_str()).collect();
        assert_eq!(codes, ["internal", "ok"]);
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_timed_out_is_retried_by_the_same_schedule() {
    let scene = Scene::start(scheduled(&[5, 5]), &[("acme", json!({"hook": {}}))]).await;
    scene.receivers.script(|call| if call.attempt == 1 { Reply::Hang } else { Reply::Take });
    scene.send_one("acme", "evt_1").await;
    scene.pass(Duration::from_secs(30)).await;
    let calls = scene.receivers.calls();
    assert_eq!(calls.len(), 2);
    // 10 s without an answer, then 5 s of wait, ±20 %.
    let gap = calls[1].at_ms - calls[0].at_ms;
    assert!((14_000..17_000).contains(&gap), "{gap} ms");
}

/// Case w1: the receiver refuses some events and takes the others.
#[tokio::test(start_paused = true)]
async fn a_refused_event_delays_no_other() {
    for destination in [json!({}), json!({"concurrency": 1})] {
        let destinations = json!({"hook": destination});
        let scene = Scene::start(scheduled(&WEBHOOK), &[("acme", destinations)]).await;
        scene.receivers.script(|call| {
            let is_bad = call.id.starts_with("evt_bad");
            if is_bad { Reply::RefuseMessage } else { Reply::Take }
        });
        for round in 0..5 {
            scene.send("acme", (0..20).map(|n| format!("evt_bad_{round}_{n}"))).await;
            scene.pass(Duration::from_secs(8)).await;
            let began = scene.now();
            scene.send_one("acme", &format!("evt_good_{round}")).await;
            scene.pass(Duration::from_secs(2)).await;
            let good = format!("evt_good_{round}");
            let call = scene.receivers.calls().into_iter().find(|call| call.id == good);
            let waited = call.expect("it was sent").at_ms - began;
            assert!(waited < 1_000, "round {round}: {waited} ms");
        }
        let bad = scene.delivery("acme", "evt_bad_0_0", "hook").await;
        assert!(bad.attempts.len() >= 3, "they follow their schedule: {bad:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_shows_that_a_receiver_is_back() {
    let scene = Scene::start(scheduled(&[3_600]), &[("acme", json!({"hook": {}}))]).await;
    scene.receivers.script(|_| Reply::Refuse);
    scene.send("acme", ids(20)).await;
    scene.pass(Duration::from_secs(2)).await;
    scene.receivers.script(|_| Reply::RefuseMessage);
    scene.send("acme", (0..9).map(|n| format!("evt_later_{n}"))).await;
    scene.pass(Duration::from_secs(15)).await;
    scene.receivers.script(|_| Reply::Take);
    scene.send_one("acme", "evt_last").await;
    scene.pass(Duration::from_secs(1)).await;
    let last = scene.delivery("acme", "evt_last", "hook").await;
    assert_eq!(last.state, DeliveryState::Delivered, "the circuit is closed");
}
