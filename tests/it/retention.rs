//! What is past its time goes, its room is given back, and nothing grows: over rounds of events that
//! come, are delivered, and are removed. `cargo xtask chaos retention` does it at length.

use std::path::Path;
use std::time::Duration;

use crate::crash::Counter;
use crate::scene::{SOON, Scene, event};
use crate::support::{Fanfare, Redis, until, usage};

/// Events of one round, some 2 KiB each.
const ROUND: usize = 3_000;
const ROUNDS: usize = 4;

/// KiB of memory that the router has.
fn memory(router: &Fanfare) -> u64 {
    usage::resident_kib(router.id()).expect("it runs")
}

/// Sends a round, and waits until all of it has been delivered and removed.
fn round(scene: &Scene, counter: &Counter, number: usize) {
    let note = "x".repeat(1_800);
    let data = serde_json::json!({ "note": note });
    let events: Vec<String> =
        (0..ROUND).map(|n| event(&format!("evt_{number}_{n}"), "test.round", &data)).collect();
    scene.send("acme", &events).ok();
    counter.wait_for(ROUND * (number + 1), SOON);
    let empty = || scene.events("acme").is_empty().then_some(());
    until(SOON, empty).expect("all of it is removed");
}

fn starts(scene: &Scene, counter: &Counter) -> Fanfare {
    scene.settings("retention = \"1s\"\n");
    scene.tenant("acme", &counter.table());
    scene.start()
}

#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "asks /proc")]
fn rounds_of_events_that_are_removed_grow_neither_the_folder_nor_the_router() {
    let counter = Counter::slow(Duration::ZERO);
    let scene = Scene::embedded();
    let router = starts(&scene, &counter);
    let database = Path::new(scene.store()).join("fanfare.db");
    let size = || database.metadata().expect("it is there").len();
    let (mut sizes, mut memories) = (Vec::new(), Vec::new());
    for number in 0..ROUNDS {
        round(&scene, &counter, number);
        sizes.push(size());
        memories.push(memory(&router));
    }
    // What one round needs is some 10 MiB.
    assert!(sizes[ROUNDS - 1] <= sizes[0] + (4 << 20), "{sizes:?}");
    assert!(memories[ROUNDS - 1] <= memories[1] + (24 << 10), "{memories:?}");
    // And with nothing to do the room is given back.
    let given_back = until(SOON, || (size() < (10 << 20)).then_some(()));
    assert!(given_back.is_some(), "{} of {sizes:?}", size());
    assert_eq!(counter.duplicates(), 0);
}

#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "asks /proc")]
fn rounds_of_events_that_are_removed_grow_neither_redis_nor_the_router() {
    let redis = Redis::start();
    let counter = Counter::slow(Duration::ZERO);
    let scene = Scene::on(&redis);
    let router = starts(&scene, &counter);
    let used = || {
        let info: String = redis.ask(&["INFO", "memory"]);
        let line = info.lines().find_map(|line| line.strip_prefix("used_memory:"));
        line.expect("a line").trim().parse::<u64>().expect("a number")
    };
    let before = used();
    let (mut sizes, mut memories) = (Vec::new(), Vec::new());
    for number in 0..ROUNDS {
        round(&scene, &counter, number);
        sizes.push(used());
        memories.push(memory(&router));
    }
    // What one round needs is some 10 MiB; nothing of it is left.
    assert!(sizes.iter().all(|size| *size < before + (3 << 20)), "{before} {sizes:?}");
    assert!(memories[ROUNDS - 1] <= memories[1] + (24 << 10), "{memories:?}");
    assert_eq!(counter.duplicates(), 0);
}

#[test]
fn what_still_waits_is_kept_beyond_its_time_and_is_delivered() {
    let counter = Counter::slow(Duration::ZERO);
    let redis = Redis::start();
    for scene in [Scene::embedded(), Scene::on(&redis)] {
        let router = starts(&scene, &counter);
        scene.run(&["destinations", "pause", "--tenant", "acme", "hooks"]).ok();
        let paused = || router.stderr().contains("tenants reloaded").then_some(());
        until(SOON, paused).expect("it hears of it");
        let before = counter.duplicates() + counter.distinct();
        let id = format!("evt_kept_{before}");
        scene.send("acme", &[event(&id, "test.kept", &serde_json::json!({}))]).ok();
        // Three times as long as it would be kept.
        std::thread::sleep(Duration::from_secs(3));
        assert_eq!(scene.json(&["audit"])[0]["found"]["waiting"], 1);
        scene.run(&["destinations", "resume", "--tenant", "acme", "hooks"]).ok();
        until(SOON, || counter.ids().contains(&id).then_some(())).expect("it is delivered");
    }
}
