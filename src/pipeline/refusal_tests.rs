//! What the store refuses delays nothing else and is not lost. Nor is what waits for a tenant whose
//! document cannot be used.

use std::time::Duration;

use serde_json::json;

use crate::testing::{Reply, Scene, Setup, ids};
use fanfare_store::{DeliveryState, Reason};

const REFUSED: &str = "store_refused";

fn dead() -> DeliveryState {
    DeliveryState::Dead { reason: Reason::StoreRefused }
}

#[tokio::test(start_paused = true)]
async fn an_event_that_the_store_refuses_becomes_a_dead_letter_alone() {
    let scene = Scene::start(Setup::default(), &[("acme", json!({"hook": {}}))]).await;
    scene.world.faults.refuse("log.admit", "evt_7");
    scene.send("acme", ids(20)).await;
    scene.pass(Duration::from_secs(30)).await;
    assert_eq!(scene.counts("acme").await.delivered, 19);
    let kept = scene.store.ledger.rejected(None, 10).await.unwrap().items;
    assert_eq!((kept.len(), kept[0].code.as_str()), (1, REFUSED));
    assert!(kept[0].raw.contains("evt_7") && kept[0].reason.contains("will not"), "{kept:?}");
    assert_eq!(scene.world.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_outcome_that_the_store_refuses_is_set_aside_as_dead() {
    let scene = Scene::start(Setup::default(), &[("acme", json!({"hook": {}}))]).await;
    scene.world.faults.refuse("log.settle", "evt_7");
    scene.send("acme", ids(20)).await;
    scene.pass(Duration::from_secs(30)).await;
    let counts = scene.counts("acme").await;
    assert_eq!((counts.delivered, counts.dead, counts.pending), (19, 1, 0));
    assert_eq!(scene.delivery("acme", "evt_7", "hook").await.state, dead());
    assert_eq!(scene.world.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_refused_outcome_of_a_waiting_delivery_delays_neither_its_lane_nor_a_stop() {
    let lanes = json!({"order": {"fifo": true}, "slow": {"concurrency": 1}});
    let mut scene = Scene::start(Setup::default(), &[("acme", lanes)]).await;
    scene.receivers.script(|call| match call.destination.as_str() {
        // Longer than its event waits for an attempt.
        "slow" => Reply::Slowly(Duration::from_secs(1)),
        _ => Reply::Take,
    });
    for event in ["evt_0", "evt_7"] {
        scene.world.faults.refuse("agenda.settle", event);
    }
    scene.send("acme", ids(20)).await;
    scene.pass(Duration::from_mins(3)).await;
    for lane in ["order", "slow"] {
        let of = |event| scene.delivery("acme", event, lane);
        assert_eq!(of("evt_7").await.state, dead(), "{lane}");
        assert_eq!(of("evt_0").await.state, dead(), "{lane}");
        assert_eq!(of("evt_19").await.state, DeliveryState::Delivered, "{lane}");
        let calls = scene.receivers.calls_of(lane);
        assert_eq!(calls.len(), 20, "{lane}: each once");
    }
    let counts = scene.counts("acme").await;
    assert_eq!((counts.delivered, counts.dead, counts.waiting), (36, 4, 0));
    tokio::time::timeout(Duration::from_secs(5), scene.stop()).await.expect("it stops");
}

#[tokio::test(start_paused = true)]
async fn deliveries_of_a_tenant_whose_document_cannot_be_used_wait_until_it_can() {
    let destinations = json!({"hook": {}, "order": {"fifo": true}});
    let mut scene = Scene::start(Setup::default(), &[("acme", destinations)]).await;
    scene.receivers.script(|_| Reply::Refuse);
    scene.send("acme", ids(10)).await;
    scene.pass(Duration::from_secs(20)).await;
    scene.stop().await;
    let sent = scene.receivers.calls().len();
    let document = scene.store.directory.get("acme").await.unwrap().expect("the tenant").doc;
    scene.store.directory.put("acme", "{\"of\": \"another time\"}".into(), None).await.unwrap();
    scene.receivers.script(|_| Reply::Take);

    scene.run().await;
    scene.send("acme", ["evt_x".to_owned()]).await;
    scene.pass(Duration::from_mins(30)).await;
    assert_eq!(scene.counts("acme").await.waiting, 20);
    assert_eq!(scene.receivers.calls().len(), sent);
    let kept = scene.store.ledger.rejected(None, 10).await.unwrap().items;
    assert_eq!(
        (kept.len(), kept[0].code.as_str()),
        (1, "unusable_tenant"),
        "a dead letter, not unrouted"
    );

    // The earlier document is put back. A tenant that is removed and created again would get nothing.
    scene.store.directory.put("acme", document, None).await.unwrap();
    scene.pass(Duration::from_mins(1)).await;
    let counts = scene.counts("acme").await;
    assert_eq!((counts.delivered, counts.waiting, counts.suppressed), (20, 0, 0));
}
