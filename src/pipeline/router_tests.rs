//! From the log to the outcome: bounded, with an orderly stop, whatever the store does.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;

use crate::testing::{Reply, Scene, Setup, ids};

#[tokio::test(start_paused = true)]
async fn every_delivery_of_an_event_is_concluded_once() {
    let destinations = json!({
        "hook": {}, "slow": {"concurrency": 1}, "order": {"fifo": true}, "off": {"enabled": false},
        "later": {"paused": true}, "paced": {"rate": "10/s"},
    });
    let scene = Scene::start(Setup::default(), &[("acme", destinations)]).await;
    scene.receivers.script(|call| match (call.destination.as_str(), call.attempt) {
        ("slow", _) => Reply::Slowly(Duration::from_millis(50)),
        ("hook", 1) if call.id.ends_with('7') => Reply::Refuse,
        _ => Reply::Take,
    });
    scene.send("acme", ids(200)).await;
    scene.pass(Duration::from_mins(2)).await;
    let counts = scene.counts("acme").await;
    assert_eq!((counts.received, counts.pending, counts.unrouted), (200, 0, 0));
    assert_eq!((counts.delivered, counts.suppressed), (800, 200));
    assert_eq!((counts.waiting, counts.dead), (200, 0));
    let mut calls: HashMap<(String, String, u32), u32> = HashMap::new();
    for call in scene.receivers.calls() {
        *calls.entry((call.destination, call.id, call.attempt)).or_default() += 1;
    }
    assert!(calls.values().all(|count| *count == 1), "no attempt was made twice");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_while_events_are_read_loses_and_repeats_nothing() {
    let scene = Scene::start(Setup::default(), &[("acme", json!({"hook": {}}))]).await;
    for call in ["log.read", "log.admit", "log.settle", "log.take_over"] {
        scene.world.faults.fail(call, 6);
        scene.send("acme", (0..50).map(|n| format!("evt_{}_{n}", &call[4..]))).await;
        scene.pass(Duration::from_secs(20)).await;
    }
    assert_eq!(scene.counts("acme").await.delivered, 200);
    assert_eq!(scene.receivers.calls().len(), 200);
}

#[tokio::test(start_paused = true)]
async fn no_more_entries_are_read_than_the_window_holds() {
    let mut setup = Setup::default();
    setup.options.window = 16;
    setup.options.batch = 8;
    let scene = Scene::start(setup, &[("acme", json!({"hook": {}}))]).await;
    scene.world.faults.hang("log.settle");
    scene.send("acme", ids(100)).await;
    scene.pass(Duration::from_mins(1)).await;
    assert_eq!(scene.world.in_flight(), 16);
    scene.world.faults.heal();
    scene.pass(Duration::from_secs(5)).await;
    assert_eq!((scene.world.in_flight(), scene.counts("acme").await.delivered), (0, 100));
}

#[tokio::test(start_paused = true)]
async fn one_batch_is_read_while_another_is_admitted_and_no_more() {
    let mut setup = Setup::default();
    (setup.options.window, setup.options.batch) = (64, 8);
    let scene = Scene::start(setup, &[("acme", json!({"order": {"fifo": true}}))]).await;
    scene.world.faults.hang("log.admit");
    scene.send("acme", ids(100)).await;
    scene.pass(Duration::from_mins(1)).await;
    assert_eq!(scene.world.in_flight(), 16);
    scene.world.faults.heal();
    scene.pass(Duration::from_secs(5)).await;
    assert_eq!((scene.world.in_flight(), scene.counts("acme").await.delivered), (0, 100));
    let sent: Vec<_> = scene.receivers.calls().into_iter().map(|call| call.id).collect();
    assert!(sent.is_sorted_by_key(|id| id[4..].parse::<u32>().unwrap()), "{sent:?}");
}

#[tokio::test(start_paused = true)]
async fn a_window_hardly_larger_than_a_batch_is_enough_for_events_with_many_deliveries() {
    let hooks: serde_json::Map<_, _> = (0..10).map(|n| (format!("hook-{n}"), json!({}))).collect();
    for (window, batch) in [(1, 1), (8, 8), (9, 8), (12, 8), (20, 8), (40, 8)] {
        let mut setup = Setup::default();
        (setup.options.window, setup.options.batch) = (window, batch);
        let scene = Scene::start(setup, &[("acme", json!(hooks))]).await;
        scene.receivers.script(|_| Reply::Slowly(Duration::from_millis(5)));
        scene.send("acme", ids(100)).await;
        scene.pass(Duration::from_mins(1)).await;
        assert_eq!(scene.counts("acme").await.delivered, 1_000, "window {window}, batch {batch}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_router_that_stops_finishes_what_is_in_flight_and_leaves_the_rest_to_the_next() {
    let mut setup = Setup::default();
    (setup.options.window, setup.options.batch) = (4, 4);
    let destinations = json!({"hook": {}, "order": {"fifo": true}});
    let mut scene = Scene::start(setup, &[("acme", destinations)]).await;
    scene.receivers.script(|_| Reply::Slowly(Duration::from_secs(3)));
    scene.send("acme", ids(30)).await;
    scene.pass(Duration::from_secs(1)).await;
    let began = scene.now();
    scene.stop().await;
    let took = scene.now() - began;
    assert!((1_000..6_000).contains(&took), "only what was in flight: {took} ms");
    let sent = scene.receivers.calls().len();
    assert_eq!(scene.counts("acme").await.delivered, sent as u64, "no attempt was cut off");
    assert!(sent < 20);
    scene.pass(Duration::from_mins(1)).await;
    assert_eq!(scene.receivers.calls().len(), sent, "nothing more is sent");

    scene.run().await;
    scene.pass(Duration::from_mins(3)).await;
    assert_eq!((scene.counts("acme").await.delivered, scene.receivers.calls().len()), (60, 60));
}

#[tokio::test(start_paused = true)]
async fn another_process_takes_over_what_a_killed_one_had_read() {
    let mut scene = Scene::start(Setup::default(), &[("acme", json!({"hook": {}}))]).await;
    scene.world.faults.hang("log.admit");
    scene.send("acme", ids(2_000)).await;
    scene.pass(Duration::from_secs(1)).await;
    assert!(scene.world.in_flight() > 0);
    scene.kill();
    scene.world.faults.heal();
    scene.run().await;
    scene.pass(Duration::from_secs(5)).await;
    assert_eq!(scene.counts("acme").await.delivered, 2_000);
}

#[tokio::test(start_paused = true)]
async fn a_backlog_of_any_length_is_not_held_in_memory() {
    const MANY: usize = 100_000;
    let scene = Scene::start(Setup::default(), &[("acme", json!({"hook": {}}))]).await;
    scene.receivers.script(|_| Reply::Hang);
    scene.send("acme", ids(MANY)).await;
    scene.pass(Duration::from_secs(5)).await;
    let held = MANY as u64 - scene.waiting("acme", "hook").await;
    assert!(held <= 16, "{held} are in flight or in line, and all others wait in the store");
    // The store itself holds each event once.
    let held = scene.world.events().iter().filter(|event| Arc::strong_count(event) > 2).count();
    assert!(held < 600, "{held} events are held by the router");
}

#[tokio::test(start_paused = true)]
async fn one_tenants_burst_does_not_delay_the_events_behind_it_in_the_log() {
    let tenants = [("acme", json!({"hook": {}})), ("globex", json!({"hook": {}}))];
    let scene = Scene::start(Setup::default(), &tenants).await;
    // Fast, but the burst takes it ten seconds.
    scene.receivers.script(|_| Reply::Slowly(Duration::from_millis(20)));
    scene.send("acme", ids(16_000)).await;
    scene.send("globex", ids(1)).await;
    scene.pass(Duration::from_secs(2)).await;
    assert_eq!(scene.counts("globex").await.delivered, 1);
    assert!(scene.counts("acme").await.delivered < 10_000, "the burst goes on");
    scene.pass(Duration::from_mins(1)).await;
    assert_eq!(scene.counts("acme").await.delivered, 16_000);
}

#[tokio::test(start_paused = true)]
async fn a_burst_that_waits_for_its_receiver_delays_no_batch_of_another_tenant() {
    let tenants = [("acme", json!({"hook": {}})), ("globex", json!({"hook": {}}))];
    let scene = Scene::start(Setup::default(), &tenants).await;
    // The batches of the burst wait for room, because its receiver is worth waiting for.
    scene.receivers.script(|_| Reply::Slowly(Duration::from_millis(20)));
    scene.send("acme", ids(16_000)).await;
    scene.pass(Duration::from_millis(500)).await;
    for n in 0..40 {
        scene.send_one("globex", &format!("evt_{n}")).await;
        scene.pass(Duration::from_millis(60)).await;
        assert_eq!(scene.counts("globex").await.delivered, n + 1, "event {n}");
    }
    assert!(scene.counts("acme").await.delivered < 14_000, "the burst goes on");
}

/// The largest number of parked deliveries while a receiver with 64 places accepts 8,000: each of
/// the first half in `first` milliseconds, and each of the others in `then`.
async fn most_parked(first: u64, then: u64) -> u64 {
    let mut setup = Setup::default();
    setup.policy.concurrency = 64;
    let scene = Scene::start(setup, &[("acme", json!({"hook": {}}))]).await;
    let taken = AtomicUsize::new(0);
    scene.receivers.script(move |_| {
        let is_first = taken.fetch_add(1, Ordering::Relaxed) < 4_000;
        Reply::Slowly(Duration::from_millis(if is_first { first } else { then }))
    });
    scene.send("acme", ids(8_000)).await;
    let mut most = 0;
    while scene.counts("acme").await.delivered < 8_000 {
        scene.pass(Duration::from_millis(250)).await;
        most = most.max(scene.waiting("acme", "hook").await);
    }
    most
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_keeps_up_needs_no_queue_and_none_when_it_slows_down_by_half() {
    // 3,200 a second, then 1,600.
    assert_eq!(most_parked(20, 20).await, 0);
    assert_eq!(most_parked(20, 40).await, 0);
    // Others do not wait for a receiver that was never faster, nor for one that is much slower now:
    // 640 a second.
    assert!(most_parked(40, 40).await > 1_000);
    assert!(most_parked(20, 100).await > 1_000);
}
