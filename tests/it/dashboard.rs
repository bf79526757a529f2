//! The dashboard in a real browser, and what it answers to requests that no page of it sends.

use std::time::Duration;

use fanfare_receivers::Reply;
use serde_json::json;

use crate::crash::Counter;
use crate::scene::{SOON, Scene, event};
use crate::support::{Fanfare, Redis, bin, request, run_peer, until};

/// A receiver of `acme` accepts, another one answers 500 until its deliveries are dead.
fn tenant(scene: &Scene, accepts: &str, fails: &str) {
    scene.tenant(
        "acme",
        &format!(
            r#"
            name = "Acme Bank"

            [[destination]]
            id = "up"
            channel = "webhook"
            url = "{accepts}"
            secret = "{SECRET}"

            [[destination]]
            id = "down"
            channel = "webhook"
            url = "{fails}"
            secret = "{SECRET}"
            retry = []

            [[route]]
            name = "everything"
            events = ["kyc.session.processed"]
            to = ["up", "down"]

            [[route]]
            name = "risky"
            events = ["kyc.**"]
            when = {{ data = {{ risk = ["high"] }} }}
            to = ["up"]
            "#,
            SECRET = crate::verifiers::SECRET
        ),
    );
}

fn story(scene: &Scene) {
    let (accepts, fails) = (Counter::slow(Duration::ZERO), Counter::start(|_| Reply::Status(500)));
    tenant(scene, &accepts.url(), &fails.url());
    let server = start(scene);
    let made = scene.json(&["keys", "create", "--role", "admin", "--tenant", "acme"]);
    let key = made["secret"].as_str().expect("a key");
    // As the producer writes it: a number beyond 64 bits, and text that looks like a page.
    let body = event("evt_dead", "kyc.session.processed", &json!({"risk": "low", "n": 0}))
        .replace("\"n\":0", r#""n":12345678901234567890123,"name":"<script>alert(1)</script>""#);
    scene.send("acme", &[body]).ok();
    let dead = until(SOON, || {
        let deliveries = scene.deliveries("acme");
        deliveries.iter().any(|one| one["state"] == "dead").then_some(())
    });
    dead.expect("one delivery is given up");
    let browser = bin("chromium").display().to_string();
    let seen = run_peer("dashboard.mjs", &[&server.url(""), key, &browser]);
    assert_eq!(seen["ok"], true);
}

/// A router for development that asks for a key, as one for customers does.
fn start(scene: &Scene) -> Fanfare {
    scene.launch().arg("--ingest-key").arg("a-key-that-closes-the-rest").start()
}

#[test]
fn a_tenant_finds_out_what_happened_and_sends_it_again_in_a_browser() {
    story(&Scene::embedded());
}

#[test]
fn the_same_pages_work_on_redis() {
    let redis = Redis::start();
    story(&Scene::on(&redis));
}

fn post(server: &Fanfare, path: &str, headers: &[(&str, &str)], body: &str) -> u16 {
    let form = ("content-type", "application/x-www-form-urlencoded");
    let headers = [&[form], headers].concat();
    request(server.address(), "POST", path, &headers, body.as_bytes()).expect("an answer").status
}

#[test]
fn a_form_of_another_site_or_without_its_token_changes_nothing() {
    let scene = Scene::embedded();
    tenant(&scene, "http://127.0.0.1:9/", "http://127.0.0.1:9/");
    let server = start(&scene);
    let made = scene.json(&["keys", "create", "--role", "admin", "--tenant", "acme"]);
    let key = made["secret"].as_str().expect("a key");
    let signed_in = until(SOON, || {
        let body = format!("key={key}");
        let form = [("content-type", "application/x-www-form-urlencoded")];
        let answer = request(server.address(), "POST", "/ui/sign-in", &form, body.as_bytes());
        answer.ok().filter(|answer| answer.status == 303)
    });
    let signed_in = signed_in.expect("the key is taken up");
    let cookie = signed_in.header("set-cookie").expect("a session").split(';').next().unwrap();
    let pause = "/ui/t/acme/destinations/up/pause";
    let with_cookie = [("cookie", cookie)];
    assert_eq!(post(&server, pause, &with_cookie, ""), 403, "no token");
    assert_eq!(post(&server, pause, &with_cookie, "token=00"), 403, "a wrong token");
    let foreign = [("cookie", cookie), ("sec-fetch-site", "cross-site")];
    assert_eq!(post(&server, pause, &foreign, ""), 403, "another site");
    assert_eq!(post(&server, pause, &[], ""), 303, "without a session it asks for a key");
    let state = scene.json(&["destinations", "list", "--tenant", "acme"]);
    assert!(!state.to_string().contains("paused"), "{state}");
}
