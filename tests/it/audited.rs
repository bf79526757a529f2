//! The audit of a store in use: events arrive, fail, are retried and removed during the audit. It
//! reports no false exception, and still finds real ones.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use fanfare_receivers::Reply;
use serde_json::json;

use crate::crash::Counter;
use crate::scene::{SOON, Scene, event};
use crate::support::{Redis, until};

/// Audits that are taken while everything moves.
const AUDITS: usize = 12;

fn reports_no_false_exception(scene: &Scene) {
    let counter = Counter::fickle(4);
    scene.settings("retention = \"1s\"\n");
    scene.tenant("acme", &counter.table());
    let server = scene.start();
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        let producer = scope.spawn(|| {
            let mut sent = 0;
            while !ended.load(Ordering::Relaxed) {
                let batch: Vec<_> = (sent..sent + 25)
                    .map(|n| event(&format!("evt_{n}"), "test.moving", &json!({"n": n})))
                    .collect();
                let body = format!("[{}]", batch.join(","));
                assert_eq!(server.post("/v1/events?tenant=acme", &body).status, 202);
                sent += batch.len();
                thread::sleep(Duration::from_millis(20));
            }
            sent
        });
        counter.wait_for(1, SOON);
        let mut told = Vec::new();
        let mut received = 0;
        for _ in 0..AUDITS {
            let said = scene.run(&["audit", "--json"]);
            let account = serde_json::from_str::<serde_json::Value>(&said.out).expect("JSON");
            received = received.max(account[0]["found"]["received"].as_u64().unwrap_or(0));
            if said.code != Some(0) || account[0]["found"] != account[0]["counts"] {
                told.push(account);
            }
        }
        ended.store(true, Ordering::Relaxed);
        let sent = producer.join().expect("no panic");
        assert!(told.is_empty(), "{} of {AUDITS} audits: {told:#?}", told.len());
        assert!(received > 0 && sent > 100, "{received} of {sent} were looked at");
        counter.wait_for(sent, SOON);
    });
    let gone = || scene.events("acme").is_empty().then_some(());
    until(SOON, gone).expect("they were removed all the while");
}

#[test]
fn an_audit_of_an_embedded_store_in_use_reports_no_false_exception() {
    reports_no_false_exception(&Scene::embedded());
}

#[test]
fn an_audit_of_a_redis_in_use_reports_no_false_exception() {
    let redis = Redis::start();
    reports_no_false_exception(&Scene::on(&redis));
}

#[test]
fn an_audit_still_finds_what_is_wrong() {
    let redis = Redis::start();
    let scene = Scene::on(&redis);
    let counter = Counter::start(|_| Reply::Status(500));
    scene.tenant("acme", &counter.table().replace("500ms", "1h"));
    let server = scene.start();
    for n in 0..3 {
        let one = event(&format!("evt_{n}"), "test.one", &json!({}));
        assert_eq!(server.post("/v1/events?tenant=acme", &one).status, 202);
    }
    let waits = || {
        let found = scene.json(&["audit"])[0]["found"]["waiting"] == 3;
        found.then_some(())
    };
    until(SOON, waits).expect("they wait");
    drop(server);
    let key = |pattern: &str| redis.ask::<Vec<String>>(&["KEYS", pattern]).remove(0);
    // A queue that lost one, and an event that the index has lost.
    let queue = key("fanfare:*:q:acme:hooks");
    let _: u64 = redis.ask(&["ZREMRANGEBYRANK", &queue, "0", "0"]);
    let told = scene.run(&["audit"]).refused(1);
    assert!(told.contains("the ledger has 3 waiting deliveries, but the queue has 2"), "{told}");
    let _: u64 = redis.ask(&["HDEL", &key("fanfare:*:e:acme"), "evt_1"]);
    let told = scene.run(&["audit"]).refused(1);
    assert!(told.contains("disagree"), "{told}");
}
