//! More tenants than stay in memory, and changes that other replicas follow.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;

use crate::crash::Counter;
use crate::scene::{SOON, Scene, event, hooks_at};
use crate::support::{Fanfare, Redis, request, until};
use fanfare_receivers::Reply;

/// Many more than stay in memory.
const TENANTS: usize = 120;

/// A scene whose tenants are in the store and not in a folder of the router.
fn applied(scene: &Scene, counter: &Counter) {
    scene.settings("[router]\ntenants_in_memory = 16\n");
    // In development, a server without a master key says that secrets are stored as they are.
    drop(scene.start());
    for n in 0..TENANTS {
        scene.tenant(&format!("t{n}"), &counter.table());
    }
    let tenants = scene.tenants().display().to_string();
    scene.run(&["apply", &tenants, "--development"]).ok();
    let again = scene.run(&["apply", &tenants, "--development"]).ok();
    assert_eq!(again.matches(": unchanged").count(), TENANTS, "{again}");
    for file in fs::read_dir(scene.tenants()).expect("the folder").flatten() {
        fs::remove_file(file.path()).expect("the scene's own");
    }
}

fn send(router: &Fanfare, round: usize) {
    for n in 0..TENANTS {
        let id = format!("evt_{round}_{n}");
        let path = format!("/v1/events?tenant=t{n}");
        let answer = router.post(&path, &event(&id, "test.many", &json!({})));
        assert_eq!(answer.status, 202, "{}", answer.body);
    }
}

fn tenants_gauge(router: &Fanfare) -> String {
    let metrics = router.get("/metrics").body;
    let line = metrics.lines().find(|line| line.starts_with("fanfare_tenants"));
    line.unwrap_or_default().to_owned()
}

fn check(scene: &Scene) {
    let is_away = Arc::new(AtomicBool::new(true));
    let away = is_away.clone();
    let status = move || if away.load(Ordering::Relaxed) { 503 } else { 200 };
    let counter = Counter::start(move |_| Reply::Status(status()));
    applied(scene, &counter);
    let router = scene.start();
    assert!(tenants_gauge(&router).ends_with(" 120.0"), "{}", tenants_gauge(&router));
    let page = |cursor: &str| {
        let answer = router.get(&format!("/v1/tenants?limit=100{cursor}")).json();
        let count = answer["data"]["data"].as_array().map(Vec::len);
        (count, answer["data"]["next_cursor"].as_str().map(str::to_owned))
    };
    let (count, next) = page("");
    assert_eq!(count, Some(100));
    let next = next.expect("a next page");
    assert_eq!(page(&format!("&cursor={next}")), (Some(20), None));

    // All of them wait for their receiver, and most of them are out of memory meanwhile.
    send(&router, 1);
    let tried = || (counter.distinct() == TENANTS).then_some(());
    until(SOON, tried).expect("each was tried");
    drop(router);
    is_away.store(false, Ordering::Relaxed);
    let router = scene.start();
    send(&router, 2);
    for n in 0..TENANTS {
        scene.settled(&format!("t{n}"), 2);
    }
    assert_eq!(counter.distinct(), 2 * TENANTS);
    assert!(!router.stderr().contains("ERROR"), "{}", router.stderr());
}

#[test]
fn a_folder_with_more_tenants_than_stay_in_memory_serves_all_of_them() {
    check(&Scene::embedded());
}

#[test]
fn a_redis_with_more_tenants_than_stay_in_memory_serves_all_of_them() {
    let redis = Redis::start();
    check(&Scene::on(&redis));
}

#[test]
fn a_change_through_one_replica_is_followed_by_another() {
    let (old, new) = (Counter::slow(Duration::ZERO), Counter::slow(Duration::ZERO));
    let redis = Redis::start();
    let scene = Scene::on(&redis);
    let (one, other) = (scene.start(), scene.start());
    let file =
        scene.file("acme.toml", format!("[tenant]\nid = \"acme\"\n{}", hooks_at(&old.url())));
    scene.run(&["apply", &file, "--development"]).ok();
    let publish = |router: &Fanfare, id: &str| {
        let answer = router.post("/v1/events?tenant=acme", &event(id, "test.follow", &json!({})));
        assert_eq!(answer.status, 202, "{}", answer.body);
    };
    publish(&other, "evt_before");
    publish(&one, "evt_before_too");
    old.wait_for(2, SOON);

    let settings = json!({ "settings": { "url": new.url(), "secret": crate::verifiers::SECRET } });
    let headers = [("content-type", "application/json")];
    let path = "/v1/tenants/acme/destinations/hooks";
    let changed = request(one.address(), "PATCH", path, &headers, settings.to_string().as_bytes());
    assert_eq!(changed.expect("an answer").status, 200);
    let reloaded = || other.stderr().contains("tenants reloaded").then_some(());
    until(SOON, reloaded).expect("it follows");
    for n in 0..20 {
        publish(&other, &format!("evt_{n}"));
    }
    new.wait_for(20, SOON);
    assert_eq!(old.distinct(), 2);

    let gone = request(one.address(), "DELETE", "/v1/tenants/acme", &headers, b"");
    assert_eq!(gone.expect("an answer").status, 204);
    let refused = || {
        let answer =
            other.post("/v1/events?tenant=acme", &event("evt_x", "test.follow", &json!({})));
        (answer.status == 404).then_some(())
    };
    until(SOON, refused).expect("it follows the removal");
}
