//! A bad receiver delays no other one, and is not flooded when it recovers.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::testing::{Reply, Scene, Setup, ids};
use fanfare_store::{DeliveryState, Reason};

#[tokio::test(start_paused = true)]
async fn a_hung_destination_delays_no_other() {
    let direct = json!({"hung": {}, "well": {}});
    let mixed = json!({"hung_too": {}, "well_too": {}, "order": {"fifo": true}});
    let tenants = [("acme", direct), ("globex", mixed)];
    let scene = Scene::start(Setup::default(), &tenants).await;
    scene.receivers.script(|call| match call.destination.as_str() {
        "hung" | "hung_too" => Reply::Hang,
        _ => Reply::Take,
    });
    scene.send("acme", ids(2_000)).await;
    scene.send("globex", ids(2_000)).await;
    scene.pass(Duration::from_secs(3)).await;
    for well in ["well", "well_too", "order"] {
        assert_eq!(scene.receivers.calls_of(well).len(), 2_000, "{well}");
    }
    for hung in ["hung", "hung_too"] {
        assert!(scene.receivers.calls_of(hung).len() <= 8, "a handful of sockets");
    }
}

#[tokio::test(start_paused = true)]
async fn one_hung_attempt_does_not_idle_its_lane() {
    let destinations = json!({"hook": {"concurrency": 8}});
    let scene = Scene::start(Setup::default(), &[("acme", destinations)]).await;
    scene.receivers.script(|call| match call.id.as_str() {
        "evt_300" => Reply::Hang,
        _ => Reply::Slowly(Duration::from_millis(100)),
    });
    let began = scene.now();
    scene.send("acme", ids(1_200)).await;
    scene.pass(Duration::from_secs(14)).await;
    let calls = scene.receivers.calls();
    for second in 0..14 {
        let within = |at: i64| (at - began) / 1_000 == second;
        let count = calls.iter().filter(|call| within(call.at_ms)).count();
        assert!(count >= 20, "{count} calls in second {second}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_tenant_whose_receivers_all_hang_delays_no_other_tenant() {
    let mut setup = Setup::default();
    setup.options.serve.lanes = 16;
    let many: Map<String, Value> =
        (0..60).map(|n| (format!("d{n}"), json!({"fifo": true}))).collect();
    let tenants = [("loud", many.into()), ("quiet", json!({"hook": {"fifo": true}}))];
    let scene = Scene::start(setup, &tenants).await;
    scene.receivers.script(|call| match call.destination.as_str() {
        "hook" => Reply::Take,
        _ => Reply::Hang,
    });
    scene.send("loud", ids(20)).await;
    scene.pass(Duration::from_secs(1)).await;
    for n in 0..5 {
        scene.send_one("quiet", &format!("evt_{n}")).await;
        scene.pass(Duration::from_millis(500)).await;
        assert_eq!(scene.counts("quiet").await.delivered, n + 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_broken_receiver_is_probed_one_at_a_time_and_then_drained_with_a_slow_start() {
    let scene = Scene::start(Setup::default(), &[("acme", json!({"hook": {}}))]).await;
    let well_from = scene.now() + 60_000;
    let clock = scene.clock;
    scene.receivers.script(move |_| match clock.now_ms() {
        now if now < well_from => Reply::Refuse,
        _ => Reply::Slowly(Duration::from_millis(100)),
    });
    scene.send("acme", ids(400)).await;
    scene.pass(Duration::from_mins(1)).await;
    let down = scene.receivers.calls();
    assert!(down.len() < 60, "{} calls at a receiver that is down", down.len());
    let probes: Vec<_> = down.iter().filter(|call| call.at_ms > well_from - 50_000).collect();
    assert!(!probes.is_empty(), "it is looked at");
    assert!(probes.iter().all(|call| call.in_flight == 1), "one at a time");

    scene.pass(Duration::from_mins(2)).await;
    assert_eq!(scene.counts("acme").await.delivered, 400);
    let up: Vec<_> = scene.receivers.calls().split_off(down.len());
    assert_eq!(up.len(), 400, "each of them once");
    let began = up[0].at_ms;
    let most = |from: i64, to: i64| {
        let within = up.iter().filter(|call| (from..to).contains(&(call.at_ms - began)));
        within.map(|call| call.in_flight).max().unwrap_or(0)
    };
    assert_eq!(most(0, 100), 1, "the probe");
    assert!(most(100, 200) <= 3, "then a few: {}", most(100, 200));
    assert!(most(0, 10_000) > 8, "and more and more: {}", most(0, 10_000));
}

#[tokio::test(start_paused = true)]
async fn a_lane_with_a_rate_keeps_it_from_the_queue_too_and_loses_nothing() {
    let scene = Scene::start(Setup::default(), &[("acme", json!({"hook": {"rate": "1/s"}}))]).await;
    scene.receivers.script(|call| match call.id.as_str() {
        // One slow answer must not make those behind it leave in a burst.
        "evt_3" => Reply::Slowly(Duration::from_secs(4)),
        _ => Reply::Take,
    });
    scene.send("acme", ids(20)).await;
    scene.pass(Duration::from_secs(24)).await;
    assert_eq!(scene.counts("acme").await.delivered, 20);
    let calls = scene.receivers.calls();
    assert_eq!(calls.len(), 20);
    for pair in calls.windows(2) {
        let gap = pair[1].at_ms - pair[0].at_ms;
        assert!((1_000..1_200).contains(&gap), "{gap} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn a_paused_lane_sends_nothing_and_continues_when_it_is_resumed() {
    let modes = json!({"hook": {"paused": true}, "order": {"paused": true, "fifo": true}});
    let mut scene = Scene::start(Setup::default(), &[("acme", modes)]).await;
    scene.send("acme", ids(30)).await;
    scene.pass(Duration::from_hours(2)).await;
    assert!(scene.receivers.calls().is_empty());
    assert_eq!(scene.counts("acme").await.waiting, 60);
    scene.put("acme", &json!({"hook": {}, "order": {"paused": true, "fifo": true}})).await;
    scene.pass(Duration::from_secs(2)).await;
    assert_eq!(scene.receivers.calls_of("hook").len(), 30, "at once");

    // No process runs that could be notified. The change is found all the same.
    scene.stop().await;
    scene.put("acme", &json!({"hook": {}, "order": {"fifo": true}})).await;
    scene.run().await;
    scene.pass(Duration::from_mins(6)).await;
    let order: Vec<_> = scene.receivers.calls_of("order").into_iter().map(|call| call.id).collect();
    assert_eq!(order, ids(30).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn pausing_takes_effect_in_the_middle_of_a_backlog() {
    let destinations = json!({"hook": {"concurrency": 1}});
    let scene = Scene::start(Setup::default(), &[("acme", destinations)]).await;
    scene.receivers.script(|_| Reply::Slowly(Duration::from_millis(400)));
    scene.send("acme", ids(50)).await;
    scene.pass(Duration::from_secs(3)).await;
    scene.put("acme", &json!({"hook": {"concurrency": 1, "paused": true}})).await;
    scene.pass(Duration::from_secs(1)).await;
    let sent = scene.receivers.calls().len();
    scene.pass(Duration::from_mins(1)).await;
    assert_eq!(scene.receivers.calls().len(), sent);
    scene.put("acme", &json!({"hook": {"concurrency": 1}})).await;
    scene.pass(Duration::from_mins(1)).await;
    assert_eq!((scene.counts("acme").await.delivered, scene.receivers.calls().len()), (50, 50));
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_a_removed_destination_is_suppressed_and_kept() {
    let destinations = json!({"hook": {"paused": true}});
    let scene = Scene::start(Setup::default(), &[("acme", destinations)]).await;
    scene.send("acme", ids(300)).await;
    scene.pass(Duration::from_secs(1)).await;
    scene.put("acme", &json!({})).await;
    scene.pass(Duration::from_mins(6)).await;
    let state = scene.delivery("acme", "evt_7", "hook").await.state;
    assert_eq!(state, DeliveryState::Suppressed { reason: Reason::DestinationRemoved });
    assert_eq!(scene.counts("acme").await.suppressed, 300);
    assert_eq!(scene.waiting("acme", "hook").await, 0);
    assert!(scene.receivers.calls().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_destination_that_is_gone_is_disabled_and_nothing_more_is_sent() {
    let destinations = json!({"order": {"fifo": true}, "hook": {"concurrency": 1}});
    let scene = Scene::start(Setup::default(), &[("acme", destinations)]).await;
    scene.receivers.script(|_| Reply::Gone);
    scene.send("acme", ids(40)).await;
    scene.pass(Duration::from_secs(5)).await;
    assert_eq!(scene.receivers.calls_of("order").len(), 1);
    assert_eq!(scene.receivers.calls_of("hook").len(), 1);
    let first = scene.delivery("acme", "evt_0", "order").await.state;
    assert_eq!(first, DeliveryState::Suppressed { reason: Reason::Disabled("http_410".into()) });
    assert_eq!(scene.counts("acme").await.suppressed, 80);
    let doc = scene.document("acme").await;
    assert_eq!(doc["disabled"]["hook"]["reason"], "http_410");
}

#[tokio::test(start_paused = true)]
async fn a_destination_that_only_fails_is_reported_once_and_again_when_it_recovers() {
    for (disable_after, silent_h, warned_h) in [(240, 23, 29), (20, 13, 18)] {
        let mut setup = Setup::default();
        setup.policy.schedule = vec![Duration::from_hours(1); 200];
        setup.policy.disable_after = Some(Duration::from_hours(disable_after));
        let scene = Scene::start(setup, &[("acme", json!({"hook": {}}))]).await;
        scene.receivers.script(|_| Reply::Refuse);
        scene.send_one("acme", "evt_1").await;
        scene.pass(Duration::from_secs(1)).await;
        scene.leap(silent_h).await;
        let failing = || scene.events_of("acme", "fanfare.destination.failing");
        assert!(failing().await.is_empty(), "after {silent_h} h of {disable_after}");
        scene.leap(warned_h - silent_h).await;
        let reported = failing().await;
        assert_eq!(reported.len(), 1, "after {warned_h} h of {disable_after}: {reported:?}");
        assert_eq!(reported[0]["data"]["destination"], "hook");
        scene.receivers.script(|_| Reply::Take);
        scene.leap(3).await;
        assert_eq!(failing().await.len(), 1, "once");
        assert_eq!(scene.events_of("acme", "fanfare.destination.recovered").await.len(), 1);
    }
}
