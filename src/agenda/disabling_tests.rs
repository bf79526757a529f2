//! A destination that fails for days is disabled, and the tenant is informed.

use std::time::Duration;

use serde_json::{Value, json};

use crate::ops;
use crate::tenant;
use crate::testing::{Reply, Scene, Setup, ids};
use fanfare_store::{DeliveryState, Reason, StateKind};

const DAY: Duration = Duration::from_hours(24);

/// Attempts an hour apart, for weeks.
fn patient() -> Setup {
    let mut setup = Setup::default();
    setup.policy.schedule = vec![Duration::from_hours(1); 500];
    setup.policy.disable_after = Some(5 * DAY);
    setup
}

/// Enables a destination and all its recipients, as the API does.
async fn enable(scene: &Scene, id: &str, destination: &str) {
    let (before, revision) = tenant::stored(&scene.store, id).await.unwrap().expect("a tenant");
    let mut spec = before.clone();
    spec.disabled.retain(|lane, _| lane.destination() != destination);
    assert_ne!(spec, before, "it was disabled");
    let document = tenant::document(&spec);
    scene.store.directory.put(id, document, Some(revision)).await.unwrap();
    ops::reset_failures(&scene.store, &before, &spec).await.unwrap();
}

fn suppressed(reason: &str) -> DeliveryState {
    DeliveryState::Suppressed { reason: Reason::parse(StateKind::Suppressed, reason) }
}

#[tokio::test(start_paused = true)]
async fn five_days_of_only_failures_disable_a_destination_across_restarts_and_are_reported() {
    let tenants = [("acme", json!({"hook": {}, "well": {}}))];
    let mut scene = Scene::start(patient(), &tenants).await;
    scene.receivers.script(|call| match call.destination.as_str() {
        "hook" => Reply::Refuse,
        _ => Reply::Take,
    });
    scene.send_one("acme", "evt_0").await;
    // One router is stopped, one is killed: the time goes on.
    scene.leap(48).await;
    scene.stop().await;
    scene.run().await;
    scene.leap(48).await;
    scene.kill();
    scene.run().await;
    scene.leap(20).await;
    assert_eq!(scene.delivery("acme", "evt_0", "hook").await.state.kind(), StateKind::Waiting);
    assert_eq!(scene.document("acme").await.get("disabled"), None);

    scene.leap(8).await;
    assert_eq!(scene.document("acme").await["disabled"]["hook"]["reason"], "only_failures");
    let state = scene.delivery("acme", "evt_0", "hook").await.state;
    assert_eq!(state, suppressed("disabled: only_failures"));
    let calls = scene.receivers.calls().len();
    scene.send_one("acme", "evt_1").await;
    scene.leap(24).await;
    let state = scene.delivery("acme", "evt_1", "hook").await.state;
    assert_eq!(state, suppressed("disabled: only_failures"));
    assert_eq!(scene.receivers.calls().len(), calls + 1, "only the other destination receives it");

    let reports = scene.events_of("acme", "fanfare.destination.disabled").await;
    assert_eq!(reports.len(), 1, "{reports:?}");
    assert_eq!(reports[0]["data"]["destination"], "hook");
    assert_eq!(reports[0]["data"]["code"], "only_failures");
}

#[tokio::test(start_paused = true)]
async fn one_success_in_five_days_starts_the_time_again() {
    let scene = Scene::start(patient(), &[("acme", json!({"hook": {}}))]).await;
    scene.receivers.script(|call| match call.id.as_str() {
        "evt_1" => Reply::Take,
        _ => Reply::Refuse,
    });
    scene.send_one("acme", "evt_0").await;
    scene.leap(96).await;
    scene.send_one("acme", "evt_1").await;
    scene.leap(96).await;
    assert_eq!(scene.delivery("acme", "evt_1", "hook").await.state, DeliveryState::Delivered);
    assert_eq!(scene.delivery("acme", "evt_0", "hook").await.state.kind(), StateKind::Waiting);
    scene.leap(48).await;
    let state = scene.delivery("acme", "evt_0", "hook").await.state;
    assert_eq!(state, suppressed("disabled: only_failures"), "five days after it");
}

#[tokio::test(start_paused = true)]
async fn two_failures_with_a_long_silence_between_them_are_not_days_of_failures() {
    let mut setup = patient();
    setup.policy.schedule = Vec::new();
    let scene = Scene::start(setup, &[("acme", json!({"hook": {}}))]).await;
    scene.receivers.script(|_| Reply::Refuse);
    for id in ids(3) {
        scene.send_one("acme", &id).await;
        scene.leap(6 * 24).await;
    }
    assert_eq!(scene.counts("acme").await.dead, 3);
    assert_eq!(scene.document("acme").await.get("disabled"), None);
}

#[tokio::test(start_paused = true)]
async fn a_destination_has_its_own_time_or_none_and_enabling_starts_it_again() {
    let tenants =
        [("acme", json!({"soon": {"disable_after": "12h"}, "never": {"disable_after": false}}))];
    let scene = Scene::start(patient(), &tenants).await;
    scene.receivers.script(|_| Reply::Refuse);
    scene.send_one("acme", "evt_0").await;
    scene.leap(24).await;
    assert_eq!(scene.document("acme").await["disabled"]["soon"]["reason"], "only_failures");
    scene.leap(9 * 24).await;
    assert_eq!(scene.delivery("acme", "evt_0", "never").await.state.kind(), StateKind::Waiting);

    enable(&scene, "acme", "soon").await;
    scene.pass(Duration::from_secs(2)).await;
    scene.send_one("acme", "evt_1").await;
    scene.leap(10).await;
    assert_eq!(scene.delivery("acme", "evt_1", "soon").await.state.kind(), StateKind::Waiting);
    scene.leap(8).await;
    let state = scene.delivery("acme", "evt_1", "soon").await.state;
    assert_eq!(state, suppressed("disabled: only_failures"));
}

#[tokio::test(start_paused = true)]
async fn an_address_that_keeps_bouncing_is_disabled_and_the_others_go_on() {
    let mut setup = Setup::default();
    setup.policy.bounces = Some(3);
    let tenants = [("acme", json!({"mail": {"recipients": ["ann", "bob"]}}))];
    let mut scene = Scene::start(setup, &tenants).await;
    scene.receivers.script(|call| match (call.destination.as_str(), call.id.as_str()) {
        ("mail~bob", "evt_2") => Reply::Take,
        ("mail~bob", _) => Reply::Bounce,
        _ => Reply::Take,
    });
    for id in ids(5) {
        scene.send_one("acme", &id).await;
        scene.pass(Duration::from_secs(2)).await;
        // The count is not only in one process's memory.
        scene.stop().await;
        scene.run().await;
    }
    assert_eq!(scene.document("acme").await.get("disabled"), None, "two, one taken, two");
    scene.send("acme", ["evt_5".to_owned()]).await;
    scene.pass(Duration::from_secs(2)).await;
    let disabled = scene.document("acme").await["disabled"].clone();
    assert_eq!(disabled["mail~bob"]["reason"], "bounces", "{disabled}");

    scene.send_one("acme", "evt_6").await;
    scene.pass(Duration::from_secs(2)).await;
    assert_eq!(scene.delivery("acme", "evt_6", "mail~ann").await.state, DeliveryState::Delivered);
    let state = scene.delivery("acme", "evt_6", "mail~bob").await.state;
    assert_eq!(state, suppressed("disabled: bounces"));
    assert_eq!(scene.receivers.calls_of("mail~bob").len(), 6);
    let reports = scene.events_of("acme", "fanfare.destination.disabled").await;
    let lanes: Vec<&Value> = reports.iter().map(|event| &event["data"]["lane"]).collect();
    assert_eq!(lanes, ["mail~bob"]);

    enable(&scene, "acme", "mail").await;
    scene.pass(Duration::from_secs(2)).await;
    scene.send_one("acme", "evt_7").await;
    scene.pass(Duration::from_secs(2)).await;
    assert_eq!(scene.receivers.calls_of("mail~bob").len(), 7);
}
