//! What a destination missed comes back when asked for: dead letters, what was suppressed while it was
//! disabled, by filter, with a dry run first, at a pace, and in order.

use std::time::{Duration, Instant};

use fanfare_testkit::Reply;
use serde_json::{Value, json};

use crate::crash::Counter;
use crate::scene::{SOON, Scene, event};
use crate::support::{Redis, until};

/// Both stores.
fn scenes(redis: &Redis) -> [Scene; 2] {
    [Scene::embedded(), Scene::on(redis)]
}

fn of(kind: &str, ids: std::ops::Range<usize>) -> Vec<String> {
    ids.map(|n| event(&format!("evt_{n:04}"), kind, &json!({}))).collect()
}

/// A receiver that gives itself up (410), or refuses (500), while a switch is on.
struct Switched {
    counter: Counter,
    bad: std::sync::Arc<std::sync::atomic::AtomicU16>,
}

impl Switched {
    fn with(status: u16) -> Self {
        use std::sync::atomic::{AtomicU16, Ordering};
        let bad = std::sync::Arc::new(AtomicU16::new(status));
        let now = bad.clone();
        let counter = Counter::start(move |_| match now.load(Ordering::Relaxed) {
            0 => Reply::Status(200),
            status => Reply::Status(status),
        });
        Self { counter, bad }
    }

    fn mended(&self) {
        self.bad.store(0, std::sync::atomic::Ordering::Relaxed);
    }
}

/// The one destination, tried once.
fn table(counter: &Counter, more: &str) -> String {
    let table = counter.table();
    let retry = table.lines().find(|line| line.contains("retry =")).expect("a schedule");
    table.replace(retry, &format!("retry = []\n{more}"))
}

#[test]
fn what_arrived_while_a_destination_was_disabled_is_recovered_by_time() {
    let redis = Redis::start();
    for scene in scenes(&redis) {
        let gone = Switched::with(410);
        scene.tenant("acme", &table(&gone.counter, "fifo = true"));
        let _router = scene.start();
        scene.send("acme", &of("test.one", 0..1)).ok();
        let disabled = || {
            let listed = scene.json(&["destinations", "list", "--tenant", "acme"]);
            (listed[0]["state"] == "disabled: http_410").then_some(())
        };
        until(SOON, disabled).expect("it is disabled");
        scene.send("acme", &of("test.one", 1..150)).ok();
        let deliveries = scene.settled("acme", 151);
        let missed = deliveries.iter().filter(|d| d["state"] == "suppressed").count();
        assert_eq!(missed, 151, "with the notice of it");

        gone.mended();
        scene.run(&["destinations", "enable", "--tenant", "acme", "hooks"]).ok();
        let which = ["--tenant", "acme", "--destination", "hooks", "--since", "1h"];
        let dry = scene.json(&[&["replay", "--dry-run"][..], &which].concat());
        assert_eq!(dry["total"], 151, "{dry}");
        assert_eq!(dry["by"][0]["state"], "suppressed");
        assert_eq!(gone.counter.distinct(), 1, "a dry run changes nothing");
        let by_type = [&["replay", "--dry-run", "--type", "test.one"][..], &which].concat();
        assert_eq!(scene.json(&by_type)["total"], 150);

        let replayed = scene.json(&[&["replay"][..], &which].concat());
        assert_eq!(replayed["replayed"], 151);
        gone.counter.wait_for(151, SOON);
        let deliveries = scene.settled("acme", 151);
        assert!(deliveries.iter().all(|delivery| delivery["state"] == "delivered"));
        // Oldest first, as a destination with an order expects.
        let order: Vec<String> =
            gone.counter.order().into_iter().skip(1).filter(|id| id.starts_with("evt_0")).collect();
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert_eq!(order, sorted);
        // All of it is recovered: nothing is missed any more.
        assert_eq!(scene.json(&[&["replay", "--dry-run"][..], &which].concat())["total"], 0);
    }
}

#[test]
fn dead_letters_are_listed_shown_and_replayed_by_filter_one_or_all() {
    let redis = Redis::start();
    for scene in scenes(&redis) {
        let broken = Switched::with(500);
        // Those of its own notices are routed to it, too: they die, and make no others.
        scene.tenant("acme", &table(&broken.counter, ""));
        let _router = scene.start();
        let events = [of("test.one", 0..30), of("test.two", 30..50)].concat();
        scene.send("acme", &events).ok();
        let dead = |kind: &str| -> Vec<Value> {
            let args = ["deliveries", "--tenant", "acme", "--state", "dead", "--type", kind];
            let args = [&args[..], &["--limit", "100"]].concat();
            scene.json(&args)["items"].as_array().cloned().unwrap_or_default()
        };
        let all_dead =
            || (dead("test.one").len() == 30 && dead("test.two").len() == 20).then_some(());
        until(SOON, all_dead).expect("all of them die");
        let notices = || (dead("fanfare.delivery.dead").len() == 50).then_some(());
        until(SOON, notices).expect("each is told, and its notice makes no other");
        let id = dead("test.one")[0]["id"].as_str().expect("an id").to_owned();
        let shown = scene.run(&["deliveries", "--tenant", "acme", &id]).ok();
        assert!(shown.contains("http_500") && shown.contains("dead"), "{shown}");

        broken.mended();
        let replay = |more: &[&str]| {
            scene.json(&[&["replay", "--tenant", "acme"][..], more].concat())["replayed"].clone()
        };
        assert_eq!(replay(&[&id]), 1);
        until(SOON, || (dead("test.one").len() == 29).then_some(())).expect("one");
        assert_eq!(replay(&["--type", "test.two", "--error", "timeout"]), 0);
        assert_eq!(replay(&["--type", "test.two", "--error", "http_500"]), 20);
        until(SOON, || dead("test.two").is_empty().then_some(())).expect("by type and error");
        assert_eq!(replay(&["--until", "1h"]), 0);
        let rest = replay(&["--since", "1h", "--destination", "hooks"]);
        assert_eq!(rest, 29 + 50);
        until(SOON, || dead("test.one").is_empty().then_some(())).expect("all by time");
        scene.run(&["audit"]).ok();
    }
}

#[test]
fn a_replay_goes_at_the_pace_that_is_asked_for_and_what_waits_can_be_cancelled() {
    let redis = Redis::start();
    for scene in scenes(&redis) {
        let broken = Switched::with(500);
        scene.tenant("acme", &table(&broken.counter, ""));
        let _router = scene.start();
        scene.send("acme", &of("test.one", 0..350)).ok();
        let of_state = |state: &str| {
            let args = ["cancel", "--dry-run", "--tenant", "acme", "--type", "test.one"];
            match state {
                "waiting" => scene.json(&args)["total"].clone(),
                _ => {
                    let args = ["replay", "--dry-run", "--tenant", "acme", "--type", "test.one"];
                    scene.json(&[&args[..], &["--state", state]].concat())["total"].clone()
                }
            }
        };
        until(SOON, || (of_state("dead") == 350).then_some(())).expect("all of them die");
        scene.run(&["destinations", "pause", "--tenant", "acme", "hooks"]).ok();
        let began = Instant::now();
        let replay = ["replay", "--tenant", "acme", "--type", "test.one", "--rate", "150"];
        assert_eq!(scene.json(&replay)["replayed"], 350);
        let took = began.elapsed();
        assert!(took >= Duration::from_millis(1_900), "300 of them at 150 a second in {took:?}");
        assert_eq!(of_state("waiting"), 350);

        let cancel = ["cancel", "--tenant", "acme", "--type", "test.one"];
        assert_eq!(scene.json(&cancel)["cancelled"], 350);
        assert_eq!((of_state("waiting"), of_state("suppressed")), (json!(0), json!(350)));
        let shown = scene.json(&["replay", "--dry-run", "--tenant", "acme", "--type", "test.one"]);
        assert_eq!(shown["by"][0]["reason"], "cancelled", "kept, with its reason: {shown}");
    }
}
