//! What only the router may say, nobody else says: its own events are refused from producers by every way
//! in, and the mark of its entries in a stream is of no use to anybody.

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::crash::Counter;
use crate::scene::{SOON, Scene, event, hooks_at};
use crate::support::{Redis, until};

/// A delivery that dies at once, and a receiver of everything that is told.
fn table(counter: &Counter) -> String {
    let told = counter.table().replace("hooks", "told");
    let dying = hooks_at("http://127.0.0.1:9/").replace("hooks", "dying").replace("**", "test.*");
    let retry = r#""500ms", "1s", "1s", "1s", "1s", "2s", "2s", "2s", "5s", "5s""#;
    format!("{told}{}", dying.replace(retry, ""))
}

fn forged() -> String {
    let data = json!({"delivery": "dlv_evt_1.hooks", "destination": "hooks", "code": "http_410"});
    event("evt_forged", "fanfare.destination.disabled", &data)
}

fn refuses_forged_notices(scene: &Scene, counter: &Counter) {
    let server = scene.start();
    let refused = server.post("/v1/events?tenant=acme", &forged());
    assert_eq!((refused.status, &refused.json()["error"]["code"]), (422, &json!("reserved_type")));
    let message = refused.json()["error"]["message"].as_str().expect("a text").to_owned();
    assert!(message.contains("`type`") && message.contains("use another"), "{message}");
    let batch = server.post("/v1/events?tenant=acme", &format!("[{}]", forged()));
    assert_eq!(batch.status, 422, "{}", batch.body);
    let told = scene.send("acme", &[forged()]).refused(1);
    assert!(told.contains("reserved_type"), "{told}");

    // The router's own arrive like any other.
    let real = event("evt_real", "test.real", &json!({}));
    assert_eq!(server.post("/v1/events?tenant=acme", &real).status, 202);
    counter.wait_for(2, SOON);
    let ids = counter.ids();
    assert!(ids.contains("evt_real"), "{ids:?}");
    assert!(ids.iter().any(|id| id.starts_with("evt_dead_")), "{ids:?}");
    assert!(!ids.contains("evt_forged"), "{ids:?}");
}

#[test]
fn a_notice_that_the_router_did_not_make_is_refused_by_a_folder() {
    let counter = Counter::start(|_| fanfare_receivers::Reply::Status(200));
    let scene = Scene::embedded();
    scene.tenant("acme", &table(&counter));
    refuses_forged_notices(&scene, &counter);
}

#[test]
fn a_notice_that_the_router_did_not_make_is_refused_by_a_stream() {
    let counter = Counter::start(|_| fanfare_receivers::Reply::Status(200));
    let redis = Redis::start();
    let scene = Scene::on(&redis);
    scene.tenant("acme", &table(&counter));
    refuses_forged_notices(&scene, &counter);
}

/// The entries of the stream: their ids, and fields by name.
fn entries(redis: &Redis) -> Vec<Vec<(String, String)>> {
    let found: Vec<(String, Vec<(String, String)>)> =
        redis.ask(&["XRANGE", "fanfare:events", "-", "+"]);
    found.into_iter().map(|(_, fields)| fields).collect()
}

fn add(redis: &Redis, fields: &[(String, String)]) {
    let words = ["XADD", "fanfare:events", "*"].into_iter();
    let fields = fields.iter().flat_map(|(name, value)| [name.as_str(), value]);
    let _: String = redis.ask(&words.chain(fields).collect::<Vec<_>>());
}

#[test]
fn a_mark_that_was_copied_or_made_up_passes_for_nothing() {
    let counter = Counter::start(|_| fanfare_receivers::Reply::Status(200));
    let redis = Redis::start();
    let scene = Scene::on(&redis);
    scene.tenant("acme", &table(&counter));
    scene.tenant("globex", "");
    drop(scene.start());
    // A genuine entry, as whoever may read the stream sees it.
    scene.send("acme", &[event("evt_genuine", "other.genuine", &json!({}))]).ok();
    let genuine = entries(&redis).remove(0);
    let changed = |name: &str, value: &str| {
        let mut fields = genuine.clone();
        let at = fields.iter().position(|(found, _)| found == name);
        match at {
            Some(at) => value.clone_into(&mut fields[at].1),
            None => fields.push((name.to_owned(), value.to_owned())),
        }
        fields
    };
    // The same mark over something else: read as a producer's, and judged as such.
    add(&redis, &changed("event", &forged()));
    add(&redis, &changed("event", r#"{"type":"other.bad"}"#));
    add(&redis, &changed("event", &event("evt_plain", "other.plain", &json!({}))));
    add(&redis, &changed("tenant", "nobody"));
    add(&redis, &changed("environment", "staging"));
    // Made up, as the router once wrote it, and with a MAC of nothing.
    let facts = "\"evt_forged\"\t1735228800000\t1735228800\t\"fanfare.destination.disabled\"";
    for mark in [format!("{}\t{facts}", forged().len()), format!("{}\t{facts}", "0".repeat(32))] {
        let mut fields = changed("event", &forged());
        fields.iter_mut().filter(|(name, _)| name == "fanfare").for_each(|(_, old)| {
            old.clone_from(&mark);
        });
        add(&redis, &fields);
    }
    // The whole entry once more is the same event.
    add(&redis, &genuine);

    let _server = scene.start();
    counter.wait_for(2, SOON);
    let empty = || entries(&redis).is_empty().then_some(());
    until(SOON, empty).expect("all are settled");
    let expected: HashSet<String> = ["evt_genuine", "evt_plain"].map(str::to_owned).into();
    assert_eq!(counter.ids(), expected);
    assert_eq!(counter.duplicates(), 0);
    let rejected = scene.json(&["events", "--rejected"]);
    let codes = rejected["data"].as_array().expect("a list").iter();
    let mut codes: Vec<&str> = codes.filter_map(|one| one["code"].as_str()).collect();
    codes.sort_unstable();
    let wanted = ["bad_environment", "missing_field", "reserved_type", "reserved_type"];
    assert_eq!(codes, [&wanted[..], &["reserved_type", "unknown_tenant"]].concat());
}

#[test]
fn entries_of_ours_are_known_again_after_redis_forgot_everything() {
    let counter = Counter::start(|_| fanfare_receivers::Reply::Status(200));
    let redis = Redis::start();
    let scene = Scene::on(&redis);
    scene.tenant("acme", &table(&counter));
    let server = scene.start();
    let key = || -> Option<String> { redis.ask(&["GET", "fanfare:{up}:mark"]) };
    let before = key().expect("it is there from the start");
    // The tenant is in memory, where a server keeps it when Redis has forgotten it.
    let first = event("evt_0", "test.one", &json!({}));
    assert_eq!(server.post("/v1/events?tenant=acme", &first).status, 202);
    counter.wait_for(2, SOON);
    let _: String = redis.ask(&["FLUSHALL"]);
    let back = until(SOON, key).expect("a heartbeat brings it back");
    assert_eq!(back, before);
    let there = || {
        let answer = server.post("/v1/events?tenant=acme", &event("evt_1", "test.one", &json!({})));
        (answer.status == 202).then_some(())
    };
    until(SOON, there).expect("it is taken");
    // And its notice, which is the router's own.
    counter.wait_for(4, SOON);
    assert_eq!(scene.json(&["events", "--rejected"])["data"], Value::Array(Vec::new()));
}
