//! Requests that wait for an event.

use std::thread;
use std::time::{Duration, Instant};

use super::{connect, head, key, send, start};
use crate::scene::{SOON, Scene};
use crate::support::until;

#[test]
fn waiting_requests_are_limited_for_each_tenant_with_the_name_of_the_limit() {
    let scene = Scene::embedded();
    let server = start(&scene, "max_waiting_per_tenant = 3\nmax_waiting = 5");
    let acme = key(&scene, &server, &["--role", "reader", "--tenant", "acme"]);
    let globex = key(&scene, &server, &["--role", "reader", "--tenant", "globex"]);
    let wait = |key: &str| {
        let stream = connect(server.address());
        assert!(send(&stream, &head(key, "GET", "/v1/events?wait=60", 0)));
        stream
    };
    let mut waiting: Vec<_> = (0..3).map(|_| wait(&acme)).collect();
    let refused = until(SOON, || {
        let answer = server.get_with(&acme, "/v1/events?wait=1");
        // It may have taken the place of one that was on its way.
        waiting.push(wait(&acme));
        (answer.status == 429).then_some(answer)
    });
    let refused = refused.expect("three requests wait");
    let error = &refused.json()["error"];
    assert_eq!(error["code"], "too_many_waiting");
    assert!(error["message"].as_str().expect("a text").contains("max_waiting_per_tenant"));
    assert_eq!(refused.header("retry-after"), Some("5"));
    assert_eq!(server.get_with(&acme, "/v1/events").status, 200, "it may still ask");
    let began = Instant::now();
    assert_eq!(server.get_with(&globex, "/v1/events?wait=1").status, 200);
    assert!(began.elapsed() >= Duration::from_secs(1), "another tenant really waits");

    let mut others: Vec<_> = (0..2).map(|_| wait(&globex)).collect();
    let full = until(SOON, || {
        let answer = server.get_with(&globex, "/v1/events?wait=1");
        others.push(wait(&globex));
        (answer.status == 503).then_some(answer)
    });
    let full = full.expect("five requests wait");
    assert_eq!(full.json()["error"]["code"], "too_many_waiting");
    drop((waiting, others));
    let free = || (server.get_with(&acme, "/v1/events?wait=1").status == 200).then_some(());
    until(SOON, free).expect("a client that goes away frees its place");
}

#[test]
fn a_waiting_request_ends_when_its_key_is_revoked() {
    let scene = Scene::embedded();
    let server = start(&scene, "");
    let operator = key(&scene, &server, &["--role", "operator"]);
    let made = scene.json(&["keys", "create", "--role", "reader", "--tenant", "acme"]);
    let text = |field: &str| made[field].as_str().expect("a text").to_owned();
    let (id, reader) = (text("id"), text("secret"));
    let known = || (server.get_with(&reader, "/v1/events").status == 200).then_some(());
    until(SOON, known).expect("the key is taken up");
    let began = Instant::now();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| server.get_with(&reader, "/v1/events?wait=25"));
        thread::sleep(Duration::from_millis(500));
        let bearer = format!("Bearer {operator}");
        let path = format!("/v1/tenants/acme/keys/{id}");
        let headers = [("authorization", bearer.as_str())];
        let revoked = crate::support::request(server.address(), "DELETE", &path, &headers, b"");
        assert_eq!(revoked.expect("an answer").status, 204);
        let answer = waiting.join().expect("an answer");
        assert_eq!((answer.status, &answer.json()["error"]["code"]), (401, &"wrong_key".into()));
    });
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}
