//! All deliveries that are due at a tick are one message, and stay one message.

use std::time::Duration;

use serde_json::json;

use crate::testing::{Reply, Scene, Setup, ids};

async fn every_hour(setup: Setup) -> Scene {
    let digest = json!({"mail": {"digest": {"schedule": "0 * * * *", "timezone": "UTC"}}});
    Scene::start(setup, &[("acme", digest)]).await
}

#[tokio::test(start_paused = true)]
async fn a_failed_digest_is_retried_unchanged() {
    let scene = every_hour(Setup::default()).await;
    scene.receivers.script(|call| if call.attempt < 3 { Reply::Refuse } else { Reply::Take });
    scene.send("acme", ids(300)).await;
    scene.pass(Duration::from_hours(1)).await;
    scene.send_one("acme", "evt_later").await;
    scene.pass(Duration::from_mins(1)).await;
    let calls = scene.receivers.calls();
    assert_eq!(calls.iter().map(|call| call.attempt).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(calls[0].events, ids(300).collect::<Vec<_>>());
    assert!(calls.iter().all(|call| (&call.id, &call.events) == (&calls[0].id, &calls[0].events)));
    assert_eq!(scene.counts("acme").await.delivered, 300);

    scene.pass(Duration::from_hours(1)).await;
    let last = scene.receivers.calls().pop().expect("the next digest");
    assert_eq!(last.events, ["evt_later"]);
    assert_ne!(last.id, calls[0].id);
}

#[tokio::test(start_paused = true)]
async fn a_delivery_that_is_late_for_a_failed_digest_is_a_digest_of_its_own() {
    let scene = every_hour(Setup::default()).await;
    scene.receivers.script(|call| if call.attempt == 1 { Reply::Refuse } else { Reply::Take });
    scene.send("acme", ids(3)).await;
    scene.pass(Duration::from_hours(1) - Duration::from_millis(500)).await;
    // Routed before the tick, written after it.
    scene.world.faults.hang("log.settle");
    scene.send_one("acme", "evt_late").await;
    scene.pass(Duration::from_secs(1)).await;
    scene.world.faults.heal();
    scene.pass(Duration::from_mins(1)).await;
    let calls = scene.receivers.calls();
    let of_first: Vec<_> = calls.iter().filter(|call| call.id == calls[0].id).collect();
    assert_eq!(of_first.len(), 2);
    assert!(of_first.iter().all(|call| call.events == ids(3).collect::<Vec<_>>()));
    assert!(calls.iter().any(|call| call.events == ["evt_late"]));
    assert_eq!(scene.counts("acme").await.delivered, 4);
}

#[tokio::test(start_paused = true)]
async fn a_missed_tick_is_its_own_digest() {
    let mut scene = every_hour(Setup::default()).await;
    scene.send_one("acme", "evt_1").await;
    scene.pass(Duration::from_secs(1)).await;
    scene.world.faults.hang("agenda.claim");
    scene.pass(Duration::from_hours(1)).await;
    scene.send_one("acme", "evt_2").await;
    scene.pass(Duration::from_mins(61)).await;
    assert!(scene.receivers.calls().is_empty());
    scene.world.faults.heal();
    scene.pass(Duration::from_secs(2)).await;
    let events: Vec<_> = scene.receivers.calls().into_iter().map(|call| call.events).collect();
    assert_eq!(events, [["evt_1"], ["evt_2"]]);
    scene.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_tick_follows_the_clock_of_its_time_zone() {
    let setup = Setup { start: "2026-03-28T12:00:00Z", ..Setup::default() };
    let digest =
        json!({"mail": {"digest": {"schedule": "0 8 * * *", "timezone": "Europe/Madrid"}}});
    let scene = Scene::start(setup, &[("acme", digest)]).await;
    scene.send_one("acme", "evt_1").await;
    scene.pass(Duration::from_secs(1)).await;
    scene.skip().await;
    // Since that night, 8:00 is 6:00 UTC.
    let at = chrono::DateTime::parse_from_rfc3339("2026-03-29T06:00:00Z").unwrap();
    let late = scene.receivers.calls()[0].at_ms - at.timestamp_millis();
    assert!((0..1_000).contains(&late), "{late} ms late");
}

#[tokio::test(start_paused = true)]
async fn more_events_than_one_message_holds_become_several_and_none_is_lost() {
    let mut setup = Setup::default();
    setup.options.serve.digest_events = 3;
    let scene = every_hour(setup).await;
    scene.receivers.script(|call| if call.attempt == 1 { Reply::Refuse } else { Reply::Take });
    scene.send("acme", ids(7)).await;
    scene.pass(Duration::from_mins(62)).await;
    let calls = scene.receivers.calls();
    let sizes: Vec<_> = calls.iter().map(|call| (call.attempt, call.events.len())).collect();
    assert_eq!(sizes, [(1, 3), (2, 3), (1, 3), (2, 3), (1, 1), (2, 1)]);
    assert!(
        calls
            .chunks(2)
            .all(|pair| (&pair[0].id, &pair[0].events) == (&pair[1].id, &pair[1].events))
    );
    assert_eq!(scene.counts("acme").await.delivered, 7);
}
