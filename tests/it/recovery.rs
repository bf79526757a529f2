//! What a destination missed comes back when asked for: dead letters, what was suppressed while it was
//! disabled, by filter, with a dry run first, at a pace, and in order.

use std::time::{Duration, Instant};

use fanfare_receivers::Reply;
use serde_json::{Value, json};

use crate::crash::Counter;
use crate::scene::{SOON, Scene, event, numbered};
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
            (listed["data"][0]["state"] == "disabled").then_some(())
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
        assert_eq!(dry["found"], 151, "{dry}");
        assert_eq!(dry["counts"][0]["state"], "suppressed");
        assert_eq!(gone.counter.distinct(), 1, "a dry run changes nothing");
        let by_type = [&["replay", "--dry-run", "--type", "test.one"][..], &which].concat();
        assert_eq!(scene.json(&by_type)["found"], 150);

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
        assert_eq!(scene.json(&[&["replay", "--dry-run"][..], &which].concat())["found"], 0);
    }
}

#[test]
fn what_a_suppression_kept_back_is_counted_and_sent_once_it_is_lifted() {
    let redis = Redis::start();
    for scene in scenes(&redis) {
        let gone = Switched::with(410);
        scene.tenant("acme", &table(&gone.counter, ""));
        let _router = scene.start();
        let list = || scene.json(&["suppressions", "list", "--tenant", "acme"])["data"].clone();
        assert_eq!(list(), json!([]));
        scene.send("acme", &of("test.one", 0..1)).ok();
        until(SOON, || (list()[0]["id"] == "hooks").then_some(())).expect("it is disabled");
        scene.send("acme", &of("test.one", 1..30)).ok();
        scene.settled("acme", 31);
        let found = list();
        assert_eq!(found[0]["reason"], "gone", "{found}");
        assert_eq!(found[0]["kept"], 31, "with the notice of it: {found}");
        assert!(found[0]["since_ms"].as_i64().is_some_and(|since| since > 1_735_228_800_000));
        assert!(found[0]["to"].as_str().is_some_and(|to| to.contains("127.0.0.1")), "{found}");
        let one = scene.json(&["suppressions", "get", "--tenant", "acme", "hooks"]);
        assert_eq!(one, found[0]);
        // What was ended by hand was not kept back by it.
        scene.run(&["destinations", "pause", "--tenant", "acme", "hooks"]).ok();

        gone.mended();
        let told =
            scene.run(&["suppressions", "lift", "--tenant", "acme", "hooks", "--replay"]).ok();
        assert_eq!(told, "hooks: lifted\n31 replayed\n");
        assert_eq!(list(), json!([]));
        scene.run(&["destinations", "resume", "--tenant", "acme", "hooks"]).ok();
        gone.counter.wait_for(31, SOON);
        let deliveries = scene.settled("acme", 31);
        assert!(deliveries.iter().all(|delivery| delivery["state"] == "delivered"));
        let again = scene.run(&["suppressions", "lift", "--tenant", "acme", "hooks"]).refused(1);
        assert!(again.contains("there is no suppression `hooks`"), "{again}");
        let trail = scene.json(&["changes", "--tenant", "acme"])["data"].clone();
        let told: Vec<_> = trail
            .as_array()
            .unwrap()
            .iter()
            .take(4)
            .map(|line| (line["by"].clone(), line["action"].clone(), line["resource"].clone()))
            .collect();
        assert!(
            told.iter()
                .any(|line| *line == (json!("cli"), json!("replay"), json!("suppressions/hooks"))),
            "{trail}"
        );
    }
}

#[test]
fn dead_letters_are_listed_shown_and_replayed_by_filter_one_or_all() {
    let redis = Redis::start();
    for scene in scenes(&redis) {
        let broken = Switched::with(500);
        // So few that no circuit opens. Notices of them are routed there, too: they die, and make no
        // others.
        scene.tenant("acme", &table(&broken.counter, ""));
        let _router = scene.start();
        scene.send("acme", &[of("test.one", 0..2), of("test.two", 2..3)].concat()).ok();
        let dead = |kind: &str| -> Vec<Value> {
            let args = ["deliveries", "--tenant", "acme", "--state", "dead", "--type", kind];
            scene.json(&args)["data"].as_array().cloned().unwrap_or_default()
        };
        let count =
            || ["test.one", "test.two", "fanfare.delivery.dead"].map(|kind| dead(kind).len());
        let becomes = |what: &str, counts: [usize; 3]| {
            let there = until(SOON, || (count() == counts).then_some(()));
            assert!(there.is_some(), "{what}: {:?}", count());
        };
        becomes("all of them die, and so do their notices", [2, 1, 3]);
        let id = dead("test.one")[0]["id"].as_str().expect("an id").to_owned();
        let shown = scene.run(&["deliveries", "--tenant", "acme", &id]).ok();
        assert!(shown.contains("http_500") && shown.contains("dead"), "{shown}");

        broken.mended();
        let replay = |more: &[&str]| {
            scene.json(&[&["replay", "--tenant", "acme"][..], more].concat())["replayed"].clone()
        };
        assert_eq!(replay(&[&id]), 1);
        becomes("one by its id", [1, 1, 3]);
        assert_eq!(replay(&["--type", "test.two", "--error", "timeout"]), 0);
        assert_eq!(replay(&["--type", "test.two", "--error", "http_500"]), 1);
        becomes("by type and error", [1, 0, 3]);
        assert_eq!(replay(&["--until", "1h"]), 0);
        assert_eq!(replay(&["--since", "1h", "--destination", "hooks"]), 4);
        becomes("the rest by time", [0, 0, 0]);
        scene.run(&["audit"]).ok();
    }
}

#[test]
fn a_replay_goes_at_the_pace_that_is_asked_for_and_what_waits_can_be_cancelled() {
    let redis = Redis::start();
    for scene in scenes(&redis) {
        let counter = Counter::slow(Duration::ZERO);
        scene.tenant("acme", &table(&counter, "enabled = false"));
        let router = scene.start();
        scene.send("acme", &of("test.one", 0..350)).ok();
        let chosen = |command: &str, more: &[&str]| {
            let args = [command, "--tenant", "acme", "--type", "test.one"];
            scene.json(&[&args[..], more].concat())
        };
        let missed = || chosen("replay", &["--dry-run"])["found"] == 350;
        until(SOON, || missed().then_some(())).expect("all of them are suppressed");

        // Enabled, but held back, so that what is put back waits.
        scene.tenant("acme", &table(&counter, "paused = true"));
        let reloaded = || router.stderr().contains("tenants reloaded").then_some(());
        until(SOON, reloaded).expect("it hears of it");
        let began = Instant::now();
        assert_eq!(chosen("replay", &["--rate", "150"])["replayed"], 350);
        let took = began.elapsed();
        assert!(took >= Duration::from_millis(1_900), "300 of them at 150 a second in {took:?}");
        assert_eq!(chosen("cancel", &["--dry-run"])["found"], 350);

        assert_eq!(chosen("cancel", &[])["cancelled"], 350);
        assert_eq!(chosen("cancel", &["--dry-run"])["found"], 0);
        let kept = chosen("replay", &["--dry-run"]);
        assert_eq!(
            (&kept["found"], &kept["counts"][0]["reason"]),
            (&json!(350), &json!("cancelled"))
        );
        assert_eq!(counter.distinct(), 0);
    }
}

#[test]
fn a_lane_that_was_resumed_while_no_server_ran_is_served_at_the_start() {
    let counter = Counter::slow(Duration::ZERO);
    let redis = Redis::start_durable();
    for scene in scenes(&redis) {
        let before = counter.distinct();
        let table = counter.table();
        scene.tenant("acme", &table.replace("retry =", "paused = true\nretry ="));
        let mut router = scene.start();
        let event = numbered(before + 1).remove(before);
        scene.send("acme", &[event]).ok();
        let waits = || (scene.deliveries("acme").len() == 1).then_some(());
        until(SOON, waits).expect("it waits");
        router.sigterm();
        assert!(router.wait_exit(SOON).success());
        scene.tenant("acme", &table);
        let _router = scene.start();
        counter.wait_for(before + 1, SOON);
    }
}
