//! A FIFO lane always keeps its order.

use std::time::Duration;

use serde_json::json;

use crate::testing::{Reply, Scene, Setup, ids};
use fanfare_store::{Change, DeliveryState, DeliveryUpdate, Outcome, Payload, Reason, Settlement};

#[tokio::test(start_paused = true)]
async fn order_holds_across_failures_and_arrivals_do_not_bring_the_retry_forward() {
    let scene = Scene::start(Setup::default(), &[("acme", json!({"hook": {"fifo": true}}))]).await;
    scene.receivers.script(|call| match (call.id.as_str(), call.attempt) {
        ("evt_0" | "evt_5", 1..=2) | ("evt_6", 1) => Reply::Refuse,
        _ => Reply::Take,
    });
    for id in ids(20) {
        scene.send_one("acme", &id).await;
        scene.pass(Duration::from_millis(700)).await;
    }
    scene.pass(Duration::from_mins(1)).await;
    let calls = scene.receivers.calls();
    let mut order: Vec<_> = calls.iter().map(|call| call.id.clone()).collect();
    order.dedup();
    assert_eq!(order, ids(20).collect::<Vec<_>>());
    assert!(calls.iter().all(|call| call.in_flight == 1));
    for pair in calls.windows(2).filter(|pair| pair[0].id == pair[1].id) {
        let gap = pair[1].at_ms - pair[0].at_ms;
        assert!((4_000..7_100).contains(&gap), "retried after {gap} ms");
    }
    assert_eq!(scene.counts("acme").await.delivered, 20);
}

#[tokio::test(start_paused = true)]
async fn the_head_blocks_until_it_is_dead() {
    let mut setup = Setup::default();
    setup.policy.schedule = vec![Duration::from_secs(5); 2];
    let scene = Scene::start(setup, &[("acme", json!({"hook": {"fifo": true}}))]).await;
    scene.receivers.script(|call| match call.id.as_str() {
        "evt_0" => Reply::Refuse,
        _ => Reply::Take,
    });
    scene.send("acme", ids(3)).await;
    scene.pass(Duration::from_secs(7)).await;
    assert!(scene.receivers.calls().iter().all(|call| call.id == "evt_0"));
    scene.pass(Duration::from_secs(20)).await;
    let order: Vec<_> = scene.receivers.calls().into_iter().map(|call| call.id).collect();
    assert_eq!(order, ["evt_0", "evt_0", "evt_0", "evt_1", "evt_2"]);
    let state = scene.delivery("acme", "evt_0", "hook").await.state;
    assert_eq!(state, DeliveryState::Dead { reason: Reason::Failed("http_500".into()) });
}

#[tokio::test(start_paused = true)]
async fn a_strict_head_blocks_beyond_its_schedule_for_as_long_as_it_takes() {
    let mut setup = Setup::default();
    setup.policy.schedule = vec![Duration::from_secs(1), Duration::from_mins(1)];
    let strict = json!({"hook": {"fifo": "strict"}});
    let scene = Scene::start(setup, &[("acme", strict)]).await;
    scene.receivers.script(|call| match (call.id.as_str(), call.attempt) {
        ("evt_0", 1..=20) => Reply::Refuse,
        _ => Reply::Take,
    });
    scene.send("acme", ids(3)).await;
    scene.pass(Duration::from_mins(10)).await;
    let calls = scene.receivers.calls();
    assert!(calls.len() > 5 && calls.iter().all(|call| call.id == "evt_0"));
    scene.pass(Duration::from_mins(20)).await;
    let mut order: Vec<_> = scene.receivers.calls().into_iter().map(|call| call.id).collect();
    assert_eq!(order.len(), 23);
    order.dedup();
    assert_eq!(order, ["evt_0", "evt_1", "evt_2"]);
    assert_eq!(scene.counts("acme").await.delivered, 3, "and none was set aside");
}

#[tokio::test(start_paused = true)]
async fn a_slow_receiver_of_the_same_events_does_not_change_the_order() {
    let destinations = json!({"hook": {}, "order": {"fifo": true}});
    let scene = Scene::start(Setup::default(), &[("acme", destinations)]).await;
    scene.receivers.script(|call| match (call.destination.as_str(), call.id.as_str()) {
        ("hook", "evt_0" | "evt_3") => Reply::Slowly(Duration::from_secs(9)),
        _ => Reply::Take,
    });
    for id in ids(8) {
        scene.send_one("acme", &id).await;
        scene.pass(Duration::from_millis(300)).await;
    }
    let order: Vec<_> = scene.receivers.calls_of("order").into_iter().map(|call| call.id).collect();
    assert_eq!(
        order,
        ids(8).collect::<Vec<_>>(),
        "in order, without waiting for the slow receiver"
    );
}

#[tokio::test(start_paused = true)]
async fn an_event_that_another_router_is_slow_to_queue_is_not_overtaken() {
    let destinations = json!({"order": {"fifo": true}, "hook": {}});
    let mut scene = Scene::start(Setup::default(), &[("acme", destinations)]).await;
    scene.stop().await;
    let other = scene.world.open();
    scene.send_one("acme", "evt_0").await;
    let entry = other.log.read(1, Duration::ZERO).await.unwrap().remove(0);
    let Payload::Event(event) = entry.payload else { panic!("it was appended as one") };
    scene.run().await;
    scene.send("acme", ids(3).skip(1)).await;
    scene.pass(Duration::from_secs(20)).await;
    assert!(scene.receivers.calls_of("order").is_empty(), "the first event is not queued yet");
    assert_eq!(scene.receivers.calls_of("hook").len(), 2, "other lanes do not wait for it");

    let now = scene.now();
    let update = DeliveryUpdate {
        id: fanfare_contract::DeliveryId::derive("evt_0", "order"),
        lane: "order".into(),
        channel: "fake".into(),
        change: Change::Queued { due_ms: event.received_ms, serve_ms: now, reason: Reason::Fifo },
        attempts: Vec::new(),
        at_ms: now,
    };
    let outcome = Outcome::Routed(event, vec![update]);
    other.log.settle(vec![Settlement { entry: entry.id, outcome }]).await.unwrap();
    scene.pass(Duration::from_secs(1)).await;
    let order: Vec<_> = scene.receivers.calls_of("order").into_iter().map(|call| call.id).collect();
    assert_eq!(order, ids(3).collect::<Vec<_>>(), "within half a second");
}
