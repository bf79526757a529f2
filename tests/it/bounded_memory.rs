//! The memory of a process is bounded whatever waits: with events of the largest size, what is read
//! from queues, digests, and what a producer adds to a stream stays within `router.memory`.

use std::fmt::Write as _;
use std::time::Duration;

use fanfare_receivers::{HttpReceiver, Reply, SmtpReceiver};
use serde_json::json;
use tokio::runtime::Runtime;

use crate::scene::{Scene, event};
use crate::support::{Fanfare, Redis, until, usage};
use crate::verifiers::SECRET;

/// The default of `router.memory`.
const BUDGET_KIB: u64 = 256 << 10;
/// The size of a body: nearly the largest.
const LARGE: usize = 250_000;
/// Destinations that are resumed at once, and what waits in each. All of it is 600 MB.
const DESTINATIONS: usize = 60;
const WAITING: usize = 40;
/// Hundreds of megabytes go through a test build.
const PATIENCE: Duration = Duration::from_mins(4);

fn runtime() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(1).enable_all().build().expect("a runtime")
}

/// A receiver that takes a while and keeps nothing.
struct Slow {
    receiver: HttpReceiver,
    _runtime: Runtime,
}

impl Slow {
    fn start() -> Self {
        let runtime = runtime();
        let reply =
            |_: &_, _| Reply::After(Duration::from_millis(150), Box::new(Reply::Status(200)));
        let receiver = runtime.block_on(HttpReceiver::scripted(reply)).expect("a receiver");
        Self { receiver, _runtime: runtime }
    }
}

fn large(id: &str) -> String {
    event(id, "test.large", &json!({"text": "x".repeat(LARGE)}))
}

/// Destinations of one tenant that all get every event.
fn table(url: &str) -> String {
    let mut toml = String::new();
    let ids: Vec<String> = (0..DESTINATIONS).map(|n| format!("hook-{n}")).collect();
    for id in &ids {
        let _ = write!(
            toml,
            "[[destination]]\nid = \"{id}\"\nchannel = \"webhook\"\nurl = \"{url}\"\n\
             secret = \"{SECRET}\"\npaused = true\n\n"
        );
    }
    let ids = serde_json::to_string(&ids).expect("texts");
    toml + &format!("[[route]]\nevents = [\"**\"]\nto = {ids}\n")
}

fn assert_within_budget(router: &Fanfare) {
    let peak = usage::peak_kib(router.id()).expect("it runs");
    eprintln!("peak {} MiB", peak >> 10);
    assert!(peak < BUDGET_KIB, "{} MiB", peak >> 10);
}

fn a_backlog_that_is_resumed_at_once(scene: &Scene) {
    let slow = Slow::start();
    let url = slow.receiver.url("/");
    scene.tenant("acme", &table(&url));
    let router = scene.start();
    for n in 0..WAITING {
        let sent = || {
            let answer = router.post("/v1/events?tenant=acme", &large(&format!("evt_{n}")));
            assert!([202, 429, 503].contains(&answer.status), "{}", answer.body);
            (answer.status == 202).then_some(())
        };
        until(PATIENCE, sent).expect("it is taken");
    }
    let waiting = || {
        let found = scene.json(&["audit", "--tenant", "acme"])[0]["found"]["waiting"].clone();
        (found == DESTINATIONS * WAITING).then_some(())
    };
    until(PATIENCE, waiting).expect("all of it waits");
    assert_within_budget(&router);
    scene.tenant("acme", &table(&url).replace("paused = true\n", ""));
    let came = || (slow.receiver.count() >= DESTINATIONS * WAITING).then_some(());
    until(PATIENCE, came).unwrap_or_else(|| panic!("{} came", slow.receiver.count()));
    assert_within_budget(&router);
}

#[test]
fn a_backlog_of_large_events_that_is_resumed_stays_within_the_memory_of_the_settings() {
    a_backlog_that_is_resumed_at_once(&Scene::embedded());
}

#[test]
fn a_backlog_of_large_events_on_redis_stays_within_the_memory_of_the_settings() {
    let redis = Redis::start();
    a_backlog_that_is_resumed_at_once(&Scene::on(&redis));
}

#[test]
fn a_stream_of_entries_that_are_far_too_large_stays_within_the_memory_of_the_settings() {
    let redis = Redis::start();
    let scene = Scene::on(&redis);
    scene.tenant("acme", "");
    let router = scene.start();
    drop(router);
    let body = large("evt_huge").replace("xxxx", &"y".repeat(128));
    assert!(body.len() > 7_900_000, "{}", body.len());
    for _ in 0..60 {
        let _: String =
            redis.ask(&["XADD", "fanfare:events", "*", "tenant", "acme", "event", &body]);
    }
    let router = scene.start();
    let settled = || (redis.ask::<u64>(&["XLEN", "fanfare:events"]) == 0).then_some(());
    until(PATIENCE, settled).expect("each of them is rejected");
    assert_within_budget(&router);
}

#[test]
fn a_digest_of_large_events_becomes_several_mails_within_the_memory_of_the_settings() {
    const EVENTS: usize = 300;
    let runtime = runtime();
    let smtp = runtime.block_on(SmtpReceiver::counting()).expect("a mail server");
    let scene = Scene::embedded();
    scene.settings(&format!(
        "[email]\nhost = \"127.0.0.1\"\nport = {}\nsecurity = \"none\"\nfrom = \"f@example.com\"\n",
        smtp.addr().port()
    ));
    scene.tenant(
        "acme",
        "[[destination]]\nid = \"mail\"\nchannel = \"email\"\nto = [\"ann@example.com\"]\n\
         digest = { schedule = \"0 * * * * *\", timezone = \"UTC\" }\n\n\
         [[route]]\nevents = [\"**\"]\nto = [\"mail\"]\n",
    );
    let router = scene.start();
    for n in 0..EVENTS {
        let body = json!({"text": "x".repeat(200_000), "n": n});
        let body = event(&format!("evt_{n}"), "test.large", &body);
        assert_eq!(router.post("/v1/events?tenant=acme", &body).status, 202);
    }
    let all = || {
        let found = scene.json(&["audit", "--tenant", "acme"])[0]["found"].clone();
        (found["delivered"] == EVENTS).then_some(())
    };
    until(PATIENCE, all).expect("every event is in a digest");
    // 4 MiB have room for 20 of them.
    assert!(smtp.count() >= EVENTS / 21, "{} mails", smtp.count());
    assert_within_budget(&router);
}
