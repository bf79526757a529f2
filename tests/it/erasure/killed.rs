//! An erasure that is killed in the middle is finished by the same command once more, and the audit trail
//! tells of both; of an erased tenant it tells nothing else.

use std::path::Path;

use serde_json::{Value, json};

use super::{ANN, BOB, about, in_files, in_redis};
use crate::api::{Api, webhook};
use crate::scene::{SOON, Scene};
use crate::support::{PATIENCE, Redis, start_fanfare, until};

/// Events about each of the two: dozens of an erasure's pages.
pub(super) const EVENTS: usize = 1_000;

/// A tenant with two recipients, and many events that wait for one of them.
pub(super) fn put_up(api: &Api) {
    let hooks = "/v1/tenants/acme/destinations/hooks";
    api.put(hooks, &webhook("http://127.0.0.1:9/")).is(201);
    assert!(api.post(&format!("{hooks}/pause"), &json!({})).answer.status < 300);
    let mail = json!({"channel": "email", "settings": {"to": [ANN]}});
    api.put("/v1/tenants/acme/destinations/mail-to-ann", &mail).is(201);
    api.post("/v1/tenants/acme/routes", &json!({"events": ["**"], "to": ["hooks"]})).is(201);
    api.key("acme", "reader");
    for first in (0..EVENTS).step_by(250) {
        let events = (first..first + 250).flat_map(|n| {
            [about(&format!("evt_ann_{n}"), ANN, "x"), about(&format!("evt_bob_{n}"), BOB, "x")]
        });
        let batch = format!("[{}]", events.collect::<Vec<_>>().join(","));
        let batch: Value = serde_json::from_str(&batch).expect("JSON");
        api.post("/v1/events?tenant=acme", &batch).is(202);
    }
    let all = || {
        let audit = api.scene.json(&["audit", "--tenant", "acme"]);
        (audit[0]["found"]["waiting"] == 2 * EVENTS).then_some(())
    };
    until(SOON, all).expect("all of them wait");
}

/// Starts an erasure, and kills it as soon as the first event is gone.
fn killed_in_the_middle(api: &Api, more: &[&str]) {
    let settings = api.scene.path("fanfare.toml").display().to_string();
    let store = ["--store", api.scene.store(), "--config", &settings];
    let asked = ["erase", "--tenant", "acme", "--yes"];
    let mut erasing = start_fanfare(&[&asked[..], more, &store].concat());
    let first = || {
        let found = api.get("/v1/tenants/acme/events/evt_ann_0").answer.status;
        (found == 404).then_some(())
    };
    until(PATIENCE, first).expect("it begins");
    assert!(erasing.exited().is_none(), "it was mid-way");
    erasing.kill9();
}

/// The lines of the trail that tell of erasures, newest first.
fn erasures(api: &Api) -> Vec<Value> {
    let trail = api.get("/v1/tenants/acme/audit?limit=100").is(200)["data"].clone();
    let lines = trail.as_array().expect("lines").iter();
    lines.filter(|line| line["action"] == "erase").cloned().collect()
}

fn finishes_a_subject(api: &Api, is_there: &dyn Fn(&str) -> bool) {
    put_up(api);
    api.delete("/v1/tenants/acme/destinations/mail-to-ann");
    killed_in_the_middle(api, &["--subject", ANN]);
    assert!(is_there(ANN), "some of it was left");
    let begun = erasures(api);
    assert_eq!((begun.len(), &begun[0]["outcome"]), (1, &json!("begun")));

    let again = ["erase", "--tenant", "acme", "--subject", ANN, "--yes"];
    let done = api.scene.json(&again);
    let erased = done["erased"]["events"].as_u64().expect("a number");
    assert!(0 < erased && erased < EVENTS as u64, "{done}");
    assert_eq!(done["scrubbed"], true, "{done}");
    let lines = erasures(api);
    assert_eq!((lines.len(), &lines[0]["outcome"]), (2, &json!("done")));
    assert_eq!(lines[0]["after"]["erased"]["events"], erased);
    assert_eq!(lines[1]["outcome"], "begun", "of the first it is not known how far it came");
    assert!(is_there(BOB));
    let audit = api.scene.json(&["audit", "--tenant", "acme"]);
    assert_eq!(audit[0]["found"]["waiting"], EVENTS);
    let hers = || api.scene.json(&[&again[..4], &[ANN, "--dry-run"]].concat());
    assert_eq!(hers()["erased"]["events"], 0);
}

fn finishes_a_tenant(api: &Api, is_there: &dyn Fn(&str) -> bool) {
    put_up(api);
    assert!(is_there(ANN) && is_there("mail-to-ann"));
    killed_in_the_middle(api, &[]);
    assert!(is_there(ANN) || is_there(BOB), "some of it was left");

    let done = api.scene.json(&["erase", "--tenant", "acme", "--yes"]);
    assert_eq!(done["scrubbed"], true, "{done}");
    for text in [ANN, BOB, "mail-to-ann", "evt_ann_", "evt_bob_"] {
        assert!(!is_there(text), "a trace of {text} is left");
    }
    let trail = api.get("/v1/tenants/acme/audit?limit=100").is(200)["data"].clone();
    let lines = trail.as_array().expect("lines");
    let line = &lines[0];
    assert_eq!((&line["id"], &line["outcome"]), (&done["audit"], &json!("done")));
    assert_eq!((&line["action"], &line["resource"]), (&json!("erase"), &json!("tenant")));
    assert_eq!(line["after"]["erased"], done["erased"]);
    assert_eq!((&lines[1]["action"], &lines[1]["outcome"]), (&json!("erase"), &json!("begun")));
    // Who did what when is left of everything before, and that it was erased.
    assert!(lines.len() >= 6, "{lines:#?}");
    for line in &lines[2..] {
        assert_eq!(line["before"], Value::Null, "{line}");
        assert_eq!(line["after"], json!({"erased_with": done["audit"]}), "{line}");
        assert!(line["at_ms"].as_i64() > Some(0) && line["by"].is_string(), "{line}");
        assert!(!line["resource"].as_str().expect("a text").contains('/'), "{line}");
    }
    // A third time finds nothing, and changes nothing of that.
    let third = api.scene.json(&["erase", "--tenant", "acme", "--yes"]);
    assert_eq!(third["erased"]["events"], 0);
    let later = api.get("/v1/tenants/acme/audit?limit=100").is(200)["data"].clone();
    assert_eq!(later.as_array().expect("lines")[1..], lines[..]);
}

/// What is promised of one store; the second asks whether the store still holds a text anywhere.
type Promise = fn(&Api, &dyn Fn(&str) -> bool);

/// Redis deletes entries of its stream when their neighbours are settled; what was erased in the
/// ledger is gone at once.
fn on_both(test: Promise) {
    let scene = Scene::embedded();
    let store = scene.store().to_owned();
    test(&Api::on(scene), &|text| in_files(Path::new(&store), text));
    let redis = Redis::start();
    test(&Api::on(Scene::on(&redis)), &|text| in_redis(&redis, text));
}

#[test]
fn a_killed_erasure_of_a_subject_is_finished_by_the_next_one() {
    on_both(finishes_a_subject);
}

#[test]
fn a_killed_erasure_of_a_tenant_is_finished_and_its_trail_names_no_person() {
    on_both(finishes_a_tenant);
}
