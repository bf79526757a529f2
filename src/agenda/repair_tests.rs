//! What a person repairs works at once: in memory, in the store, over a restart, and for attempts
//! that were under way.

use std::time::Duration;

use serde_json::{Value, json};

use crate::agenda::holds;
use crate::testing::{Reply, Scene, Setup, ids};
use fanfare_store::{DeliveryState, LaneKey, StateKind};

const TWO_HOURS: Duration = Duration::from_hours(2);

fn patient() -> Setup {
    let mut setup = Setup::default();
    setup.policy.schedule = vec![Duration::from_hours(1); 5];
    setup.policy.retry_after_cap = Duration::from_hours(24);
    setup
}

async fn delivered(scene: &Scene, ids: &[&str]) {
    for id in ids {
        let delivery = scene.delivery("acme", id, "hook").await;
        assert_eq!(delivery.state, DeliveryState::Delivered, "{id}: {delivery:#?}");
    }
}

fn lane() -> LaneKey {
    LaneKey { tenant: "acme".into(), id: "hook".into() }
}

/// Marks `hook` as repaired, as `enable` and a successful test do.
async fn enable(scene: &Scene) {
    let mut document = scene.document("acme").await;
    document["repaired"] = json!({"hook": scene.now()});
    let document = serde_json::to_vec(&document).unwrap().into();
    scene.store.directory.put("acme", document, None).await.unwrap();
}

/// Case w2.
#[tokio::test(start_paused = true)]
async fn a_changed_destination_gets_what_waits_within_a_second() {
    for fields in [json!({"url": "b"}), json!({"retry": ["2h"]}), json!({"rate": "100/s"})] {
        let scene = Scene::start(patient(), &[("acme", json!({"hook": {}}))]).await;
        scene.receivers.script(|_| Reply::Spare(TWO_HOURS));
        scene.send("acme", ["evt_1", "evt_2"].map(str::to_owned)).await;
        scene.pass(Duration::from_secs(30)).await;
        scene.receivers.script(|_| Reply::Take);
        scene.put("acme", &json!({ "hook": fields })).await;
        scene.send_one("acme", "evt_3").await;
        scene.pass(Duration::from_millis(1_500)).await;
        delivered(&scene, &["evt_1", "evt_2", "evt_3"]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_repaired_destination_has_a_closed_circuit() {
    let scene = Scene::start(patient(), &[("acme", json!({"hook": {}}))]).await;
    scene.receivers.script(|_| Reply::Refuse);
    scene.send("acme", ids(30)).await;
    scene.pass(Duration::from_mins(10)).await;
    scene.receivers.script(|_| Reply::Take);
    enable(&scene).await;
    scene.pass(Duration::from_millis(1_500)).await;
    assert_eq!(scene.counts("acme").await.delivered, 30);
    assert_eq!(scene.waiting("acme", "hook").await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_repair_of_a_lane_in_order_keeps_the_order() {
    let scene = Scene::start(patient(), &[("acme", json!({"hook": {"fifo": true}}))]).await;
    scene.receivers.script(|_| Reply::Refuse);
    scene.send("acme", ids(5)).await;
    scene.pass(Duration::from_mins(1)).await;
    scene.receivers.script(|_| Reply::Take);
    enable(&scene).await;
    scene.pass(Duration::from_millis(1_500)).await;
    let calls = scene.receivers.calls();
    let order: Vec<&str> = calls.iter().skip(1).map(|call| &*call.id).collect();
    assert_eq!(order, ["evt_0", "evt_1", "evt_2", "evt_3", "evt_4"]);
}

/// Case t4.
#[tokio::test(start_paused = true)]
async fn a_changed_schedule_applies_to_what_already_waits() {
    let digest = |schedule: &str| json!({"hook": {"digest": {"schedule": schedule}}});
    let scene = Scene::start(patient(), &[("acme", digest("0 8 1 1 *"))]).await;
    scene.send("acme", ids(3)).await;
    scene.pass(Duration::from_secs(5)).await;
    assert!(scene.receivers.calls().is_empty());
    scene.put("acme", &digest("*/3 * * * * *")).await;
    scene.pass(Duration::from_secs(5)).await;
    let calls = scene.receivers.calls();
    assert_eq!(calls.len(), 1, "{calls:?}");
    assert_eq!(calls[0].events, ["evt_0", "evt_1", "evt_2"]);

    // And a destination that is no digest any more sends at once.
    scene.put("acme", &digest("0 8 1 1 *")).await;
    scene.pass(Duration::from_secs(1)).await;
    scene.send_one("acme", "evt_last").await;
    scene.pass(Duration::from_secs(1)).await;
    scene.put("acme", &json!({"hook": {}})).await;
    scene.pass(Duration::from_millis(1_500)).await;
    delivered(&scene, &["evt_last"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_repair_while_no_server_ran_works_at_the_start() {
    let mut scene = Scene::start(patient(), &[("acme", json!({"hook": {}}))]).await;
    scene.receivers.script(|_| Reply::Spare(TWO_HOURS));
    scene.send("acme", ids(3)).await;
    scene.pass(Duration::from_secs(5)).await;
    scene.stop().await;
    scene.receivers.script(|_| Reply::Take);
    scene.put("acme", &json!({"hook": {"url": "b"}})).await;
    scene.pass(Duration::from_secs(1)).await;
    scene.run().await;
    scene.pass(Duration::from_secs(2)).await;
    delivered(&scene, &["evt_0", "evt_1", "evt_2"]).await;

    // What failed after the repair waits as its schedule says, over any number of starts.
    scene.receivers.script(|_| Reply::Refuse);
    scene.send_one("acme", "evt_late").await;
    scene.pass(Duration::from_secs(5)).await;
    scene.stop().await;
    scene.run().await;
    scene.pass(Duration::from_secs(5)).await;
    assert_eq!(scene.delivery("acme", "evt_late", "hook").await.attempts.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_was_under_way_is_made_again_under_the_new_settings() {
    for fifo in [false, true] {
        let scene = Scene::start(patient(), &[("acme", json!({"hook": {"fifo": fifo}}))]).await;
        scene.receivers.script(|_| Reply::Hang);
        scene.send_one("acme", "evt_1").await;
        scene.pass(Duration::from_secs(3)).await;
        scene.receivers.script(|_| Reply::Take);
        scene.put("acme", &json!({"hook": {"fifo": fifo, "url": "b"}})).await;
        // The attempt ends after 10 s.
        scene.pass(Duration::from_secs(9)).await;
        delivered(&scene, &["evt_1"]).await;
        let calls = scene.receivers.calls();
        assert_eq!(calls.len(), 2, "fifo {fifo}: it was sent once more and not twice: {calls:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_renamed_destination_keeps_its_holds_and_a_paused_one_its_deliveries() {
    let scene = Scene::start(patient(), &[("acme", json!({"hook": {}}))]).await;
    scene.receivers.script(|_| Reply::Spare(TWO_HOURS));
    scene.send_one("acme", "evt_1").await;
    scene.pass(Duration::from_secs(5)).await;
    scene.receivers.script(|_| Reply::Take);
    scene.put("acme", &json!({"hook": {"name": "The hook"}})).await;
    scene.pass(Duration::from_secs(5)).await;
    assert_eq!(scene.receivers.calls().len(), 1);
    scene.put("acme", &json!({"hook": {"name": "The hook", "paused": true}})).await;
    scene.pass(Duration::from_secs(5)).await;
    assert_eq!(scene.receivers.calls().len(), 1);
    scene.put("acme", &json!({"hook": {"name": "The hook"}})).await;
    scene.pass(Duration::from_millis(1_500)).await;
    delivered(&scene, &["evt_1"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_lane_that_is_held_is_noted_and_its_tenant_notified_once() {
    let scene = Scene::start(patient(), &[("acme", json!({"hook": {}}))]).await;
    scene.receivers.script(|_| Reply::Spare(TWO_HOURS));
    scene.send_one("acme", "evt_1").await;
    scene.pass(Duration::from_secs(2)).await;
    let note = holds::find(&*scene.store.records, &lane()).await.unwrap().expect("it is noted");
    assert_eq!((&*note.reason, &*note.code), ("retry_after", "http_429"));
    assert!((7_190_000..7_201_000).contains(&(note.until_ms - note.since_ms)), "{note:?}");
    let held = scene.events_of("acme", "fanfare.destination.held").await;
    assert_eq!(held.len(), 1, "{held:?}");
    assert_eq!(held[0]["data"]["destination"], "hook");
    assert_eq!(held[0]["data"]["held_until"], Value::from(note.until_ms / 1000));

    // It asks for more time, and then accepts.
    scene.leap(2).await;
    scene.pass(Duration::from_mins(2)).await;
    assert_eq!(scene.events_of("acme", "fanfare.destination.held").await.len(), 1, "once");
    scene.receivers.script(|_| Reply::Take);
    scene.leap(3).await;
    let ended = scene.delivery("acme", "evt_1", "hook").await.state.kind();
    assert_eq!(ended, StateKind::Delivered);
    assert_eq!(holds::find(&*scene.store.records, &lane()).await.unwrap(), None);
    assert_eq!(scene.events_of("acme", "fanfare.destination.recovered").await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_short_hold_notifies_no_tenant_and_a_lane_in_order_is_held_by_its_first_delivery() {
    let scene = Scene::start(patient(), &[("acme", json!({"hook": {}}))]).await;
    scene.receivers.script(|_| Reply::Spare(Duration::from_secs(10)));
    scene.send_one("acme", "evt_1").await;
    scene.pass(Duration::from_secs(2)).await;
    assert!(holds::find(&*scene.store.records, &lane()).await.unwrap().is_some());
    assert!(scene.events_of("acme", "fanfare.destination.held").await.is_empty());

    let scene = Scene::start(patient(), &[("acme", json!({"hook": {"fifo": true}}))]).await;
    scene.receivers.script(|_| Reply::RefuseMessage);
    scene.send("acme", ids(2)).await;
    scene.pass(Duration::from_secs(2)).await;
    let note = holds::find(&*scene.store.records, &lane()).await.unwrap().expect("it is noted");
    assert_eq!((&*note.reason, &*note.code), ("retry", "http_422"));
    assert_eq!(scene.events_of("acme", "fanfare.destination.held").await.len(), 1);
    enable(&scene).await;
    scene.receivers.script(|_| Reply::Take);
    scene.pass(Duration::from_millis(1_500)).await;
    delivered(&scene, &["evt_0", "evt_1"]).await;
    assert_eq!(holds::find(&*scene.store.records, &lane()).await.unwrap(), None);
}
