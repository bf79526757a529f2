//! Live and test: an event of one never reaches a destination of the other, whichever way it comes.

use redis::Commands as _;
use serde_json::{Value, json};

use crate::scene::{SOON, Scene, event};
use crate::support::{Fanfare, Hook, Peer, Redis, until};
use crate::verifiers::SECRET;

/// A tenant whose one route leads to a live and a test destination.
fn two_worlds(live: &Peer, test: &Peer) -> String {
    let destination = |id: &str, url: String, more: &str| {
        format!(
            "[[destination]]\nid = \"{id}\"\nchannel = \"webhook\"\nurl = \"{url}\"\n\
             secret = \"{SECRET}\"\nretry = [\"200ms\", \"200ms\", \"200ms\"]\n{more}\n"
        )
    };
    destination("real", live.url("/hooks"), "")
        + &destination("trial", test.url("/hooks"), "environment = \"test\"")
        + "[[route]]\nevents = [\"**\"]\nto = [\"real\", \"trial\"]\n"
}

fn receiver() -> Peer {
    Peer::start("http_receiver.mjs", &["--secret", SECRET])
}

fn ids(hook: &Peer) -> Vec<String> {
    let mut ids: Vec<String> = hook
        .received::<Hook>()
        .iter()
        .map(|request| {
            let body: Value = serde_json::from_str(&request.body).expect("an envelope");
            body["id"].as_str().expect("its id").to_owned()
        })
        .collect();
    ids.sort_unstable();
    ids
}

fn arrived(hook: &Peer, expected: &[&str]) {
    until(SOON, || (ids(hook).len() >= expected.len()).then_some(()));
    assert_eq!(ids(hook), expected);
}

fn key(scene: &Scene, environment: &str) -> String {
    let role = ["--role", "publisher", "--tenant", "acme", "--environment", environment];
    let made = scene.json(&[&["keys", "create"], &role[..]].concat());
    let key = made["secret"].as_str().expect("the key").to_owned();
    assert!(key.starts_with(&format!("sk_{environment}_")));
    key
}

fn post(server: &Fanfare, key: &str, id: &str) {
    let body = event(id, "a.b", &json!({}));
    let taken = until(SOON, || {
        let answer = server.post_with(key, "/v1/events", &body);
        (answer.status != 401).then_some(answer.status)
    });
    assert_eq!(taken, Some(202), "{id}");
}

#[test]
fn the_environment_of_a_key_decides_where_its_events_go() {
    let redis = Redis::start();
    for scene in [Scene::embedded(), Scene::on(&redis)] {
        let (live, test) = (receiver(), receiver());
        scene.tenant("acme", &two_worlds(&live, &test));
        let server = scene.start();
        post(&server, &key(&scene, "live"), "evt_1");
        post(&server, &key(&scene, "test"), "evt_2");
        let say = |id: &str, more: &[&str]| {
            let file = scene.file("event.json", event(id, "a.b", &json!({})));
            scene.run(&[&["send", "--tenant", "acme", &file], more].concat()).ok();
        };
        say("evt_3", &[]);
        say("evt_4", &["--environment", "test"]);
        let deliveries = scene.settled("acme", 4);
        arrived(&live, &["evt_1", "evt_3"]);
        arrived(&test, &["evt_2", "evt_4"]);
        assert_eq!(deliveries.len(), 4, "one each: {deliveries:#?}");
        for delivery in &deliveries {
            let expected = if delivery["destination"] == "trial" { "test" } else { "live" };
            assert_eq!(delivery["environment"], expected, "{delivery}");
        }
        let listed = scene.run(&["events", "--tenant", "acme"]).ok();
        assert_eq!(listed.matches("a.b (test)").count(), 2, "{listed}");
        let shown = scene.json(&["events", "--tenant", "acme", "evt_4"]);
        assert_eq!(shown["environment"], "test");
    }
}

#[test]
fn an_entry_of_the_stream_may_say_that_it_is_a_test() {
    let redis = Redis::start();
    let scene = Scene::on(&redis);
    let (live, test) = (receiver(), receiver());
    scene.tenant("acme", &two_worlds(&live, &test));
    let _server = scene.start();
    let mut connection = redis.connection();
    for (id, environment) in
        [("evt_1", None), ("evt_2", Some("test")), ("evt_3", Some("live")), ("evt_4", Some("tset"))]
    {
        let body = event(id, "a.b", &json!({}));
        let mut fields = vec![("tenant", "acme"), ("event", body.as_str())];
        fields.extend(environment.map(|word| ("environment", word)));
        let _: String = connection.xadd("fanfare:events", "*", &fields).expect("an id");
    }
    scene.settled("acme", 3);
    arrived(&live, &["evt_1", "evt_3"]);
    arrived(&test, &["evt_2"]);
    let rejected = until(SOON, || {
        let rejected = scene.json(&["events", "--rejected"]);
        rejected["data"][0]["code"].as_str().map(str::to_owned)
    });
    assert_eq!(rejected.as_deref(), Some("bad_environment"), "a word that is neither is no guess");
}

#[test]
fn what_waits_for_a_test_destination_is_not_sent_when_that_becomes_a_live_one() {
    let redis = Redis::start();
    for scene in [Scene::embedded(), Scene::on(&redis)] {
        let (live, test) = (receiver(), receiver());
        let table = two_worlds(&live, &test);
        scene.tenant("acme", &table.replace("= \"test\"", "= \"test\"\npaused = true"));
        let server = scene.start();
        post(&server, &key(&scene, "test"), "evt_1");
        until(SOON, || {
            scene.deliveries("acme").iter().any(|d| d["state"] == "waiting").then_some(())
        })
        .expect("it waits");
        scene.tenant("acme", &table.replace("environment = \"test\"", ""));
        scene.run(&["apply", "--development", &scene.tenants().display().to_string()]).ok();
        let deliveries = scene.settled("acme", 1);
        assert_eq!(deliveries[0]["state"], "suppressed", "{deliveries:#?}");
        assert_eq!(deliveries[0]["reason"], "other_environment");
        // Nor by hand.
        scene.run(&["replay", "--tenant", "acme", "dlv_evt_1.trial"]).ok();
        let deliveries = scene.settled("acme", 1);
        assert_eq!(deliveries[0]["reason"], "other_environment");
        post(&server, &key(&scene, "live"), "evt_2");
        arrived(&test, &["evt_2"]);
        arrived(&live, &["evt_2"]);
    }
}

#[test]
fn a_route_says_which_destinations_are_of_the_other_environment() {
    let scene = Scene::embedded();
    let (live, test) = (receiver(), receiver());
    scene.tenant("acme", &two_worlds(&live, &test));
    let tenants = scene.tenants().display().to_string();
    let file = scene.file("event.json", event("evt_1", "a.b", &json!({})));
    let route = |more: &[&str]| {
        let args = ["route", "--tenant", "acme", "--tenants", &tenants, "--event", &file];
        scene.run(&[&args, more].concat()).ok()
    };
    let text = route(&[]);
    assert!(text.contains("→ real by webhook"), "{text}");
    assert!(text.contains("× trial is a test destination: live events do not"), "{text}");
    let text = route(&["--environment", "test"]);
    assert!(text.contains("(test)") && text.contains("→ trial by webhook"), "{text}");
    assert!(text.contains("× real is a live destination"), "{text}");
    let json: Value = serde_json::from_str(&route(&["--environment", "test", "--json"])).unwrap();
    assert_eq!(json["other_environment"], json!(["real"]));
    assert_eq!(json["destinations"][0]["id"], "trial");
}
