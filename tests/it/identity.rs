//! Identity: what belonged to a tenant or destination that was deleted never reaches another one with
//! the same id, and two Fanfares on one Redis do not mix.

use std::thread;
use std::time::Duration;

use fanfare_receivers::Reply;
use serde_json::{Value, json};

use crate::crash::Counter;
use crate::scene::{SOON, Scene, event, hooks_at};
use crate::support::{Fanfare, Redis, request, until};
use crate::verifiers::SECRET;

/// Settings of a destination at `url`, as the API takes them.
fn settings(url: &str) -> Value {
    json!({ "url": url, "secret": SECRET, "retry": ["2s", "2s", "2s", "2s"] })
}

/// A destination `hooks` at `url`.
fn destination(url: &str) -> String {
    json!({ "id": "hooks", "channel": "webhook", "settings": settings(url) }).to_string()
}

fn sends(router: &Fanfare, id: &str) {
    let event = event(id, "test.numbered", &json!({}));
    let answer = router.post("/v1/events?tenant=acme", &event);
    assert_eq!(answer.status, 202, "{}", answer.body);
}

fn created(router: &Fanfare, path: &str, body: &str) {
    let answer = router.post(path, body);
    assert_eq!(answer.status, 201, "{}", answer.body);
}

fn changed(router: &Fanfare, method: &str, path: &str, body: &str) {
    let headers = [("content-type", "application/json")];
    let answer = request(router.address(), method, path, &headers, body.as_bytes());
    let answer = answer.expect("fanfare answers");
    assert!([200, 204].contains(&answer.status), "{} {}", answer.status, answer.body);
}

fn deleted(router: &Fanfare, path: &str) {
    changed(router, "DELETE", path, "");
}

const ROUTE: &str = r#"{"events": ["**"], "to": ["hooks"]}"#;

/// Creates the route, and returns its path.
fn routed(router: &Fanfare) -> String {
    let answer = router.post("/v1/tenants/acme/routes", ROUTE);
    assert_eq!(answer.status, 201, "{}", answer.body);
    let made = answer.json();
    format!("/v1/tenants/acme/routes/{}", made["data"]["id"].as_str().expect("an id"))
}

/// The old owner's receiver is down; then the destination, and later the
/// tenant, is deleted and created again with another receiver.
fn a_new_owner_gets_nothing_old(scene: &Scene) {
    let old = Counter::start(|_| Reply::Status(503));
    let new = Counter::slow(Duration::ZERO);
    let router = scene.start();
    created(&router, "/v1/tenants", r#"{"id": "acme"}"#);
    let destinations = "/v1/tenants/acme/destinations";
    created(&router, destinations, &destination(&old.url()));
    let route = routed(&router);
    sends(&router, "evt_old");
    old.wait_for(1, SOON);

    deleted(&router, &route);
    deleted(&router, "/v1/tenants/acme/destinations/hooks");
    created(&router, destinations, &destination(&new.url()));
    routed(&router);
    sends(&router, "evt_new");
    new.wait_for(1, SOON);

    // And the whole tenant. Its waiting delivery is due at the new one soon.
    let third = Counter::slow(Duration::ZERO);
    let back = json!({ "settings": { "url": old.url() } }).to_string();
    changed(&router, "PATCH", "/v1/tenants/acme/destinations/hooks", &back);
    sends(&router, "evt_older");
    old.wait_for(2, SOON);
    deleted(&router, "/v1/tenants/acme");
    created(&router, "/v1/tenants", r#"{"id": "acme"}"#);
    created(&router, destinations, &destination(&third.url()));
    routed(&router);
    sends(&router, "evt_newest");
    third.wait_for(1, SOON);

    // Longer than the retries of what was suppressed would have taken.
    thread::sleep(Duration::from_secs(5));
    assert_eq!(new.order(), ["evt_new"]);
    assert_eq!(third.order(), ["evt_newest"]);
    let reasons = || {
        let deliveries = scene.deliveries("acme");
        let suppressed: Vec<_> =
            deliveries.iter().filter(|one| one["state"] == "suppressed").collect();
        (suppressed.len() == 2
            && suppressed.iter().all(|one| one["reason"] == "destination_removed"))
        .then_some(())
    };
    until(SOON, reasons).unwrap_or_else(|| panic!("{:#?}", scene.deliveries("acme")));
}

#[test]
fn a_new_owner_of_an_id_gets_nothing_of_the_old_one_in_a_folder() {
    a_new_owner_gets_nothing_old(&Scene::embedded());
}

#[test]
fn a_new_owner_of_an_id_gets_nothing_of_the_old_one_in_redis() {
    let redis = Redis::start();
    a_new_owner_gets_nothing_old(&Scene::on(&redis));
}

#[test]
fn two_fanfares_that_differ_in_their_prefix_alone_do_not_share_a_stream() {
    let redis = Redis::start();
    let counter = Counter::slow(Duration::ZERO);
    let (first, second) = (Scene::on(&redis), Scene::on(&redis));
    first.tenant("acme", &hooks_at(&counter.url()));
    second.settings("[redis]\nprefix = \"other\"\n");
    let router = first.start();
    let error = second.run(&["serve", "--listen", "127.0.0.1:0", "--development"]).refused(3);
    assert!(error.contains("stream") && error.contains("prefix"), "{error}");

    second.settings("[redis]\nprefix = \"other\"\nstream = \"other:events\"\n");
    let beside = second.start();
    sends(&router, "evt_1");
    counter.wait_for(1, SOON);
    drop(beside);
}
