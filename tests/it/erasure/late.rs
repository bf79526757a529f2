//! What comes late does not bring back what was erased, what a stop interrupted goes on, and files
//! that the store cannot reach are named.

use std::path::Path;
use std::thread;
use std::time::Duration;

use serde_json::json;

use super::killed::{EVENTS, put_up};
use super::{ANN, about, in_files, in_redis};
use crate::api::{Api, webhook};
use crate::crash::Counter;
use crate::scene::{SOON, Scene, has_file};
use crate::support::{PATIENCE, Redis, request, until};

/// The id of a destination that is found nowhere by chance.
const HOOK: &str = "hook-unmistakable-5d21";
/// How long the receiver takes to refuse.
const SLOW: Duration = Duration::from_secs(4);

fn does_not_come_back(api: &Api, is_there: &dyn Fn(&str) -> bool) {
    let slow = Counter::start(|_| {
        use fanfare_receivers::Reply;
        Reply::After(SLOW, Box::new(Reply::Status(500)))
    });
    api.put(&format!("/v1/tenants/acme/destinations/{HOOK}"), &webhook(&slow.url())).is(201);
    let route = json!({"events": ["**"], "to": [HOOK]});
    api.post("/v1/tenants/acme/routes", &route).is(201);
    let event: serde_json::Value = serde_json::from_str(&about("evt_1", ANN, "x")).expect("JSON");
    api.post("/v1/events?tenant=acme", &event).is(202);
    slow.wait_for(1, SOON);
    let done = api.scene.json(&["erase", "--tenant", "acme", "--yes"]);
    assert_eq!(done["erased"]["events"], 1, "{done}");
    assert!(!is_there(ANN) && !is_there(HOOK), "erased while the attempt is in flight");
    // The attempt ends, and its outcome and the failure of its lane are recorded.
    thread::sleep(SLOW + Duration::from_secs(2));
    assert!(!is_there(HOOK), "the name came back");
    assert!(!is_there(ANN), "the event came back");
}

#[test]
fn an_attempt_that_ends_after_an_erasure_brings_nothing_back() {
    let scene = Scene::embedded();
    let store = scene.store().to_owned();
    does_not_come_back(&Api::on(scene), &|text| in_files(Path::new(&store), text));
    let redis = Redis::start();
    does_not_come_back(&Api::on(Scene::on(&redis)), &|text| in_redis(&redis, text));
}

/// An erasure through the API whose server is killed in the middle.
fn goes_on(mut api: Api, is_there: &dyn Fn(&str) -> bool) {
    put_up(&api);
    api.delete("/v1/tenants/acme/destinations/mail-to-ann");
    let address = api.server.address();
    let asking = thread::spawn(move || {
        let body = json!({"subject": ANN}).to_string();
        let headers = [("content-type", "application/json")];
        // The server is killed before it answers.
        let _ = request(address, "POST", "/v1/tenants/acme/erasures", &headers, body.as_bytes());
    });
    let first = || {
        let found = api.get("/v1/tenants/acme/events/evt_ann_0").answer.status;
        (found == 404).then_some(())
    };
    until(PATIENCE, first).expect("it begins");
    api.server.kill9();
    asking.join().expect("the request ends");
    let dry = ["erase", "--tenant", "acme", "--subject", ANN, "--dry-run"];
    let left = api.scene.json(&dry)["erased"]["events"].as_u64().expect("a number");
    assert!(0 < left && left < EVENTS as u64, "{left} were left");

    let server = api.scene.start();
    let done = || {
        let trail = server.get("/v1/tenants/acme/audit?limit=100").json();
        let lines = trail["data"]["data"].as_array().expect("lines").clone();
        let line = lines.into_iter().find(|line| line["action"] == "erase")?;
        (line["outcome"] == "done").then_some(line)
    };
    let line = until(SOON, done).expect("the next server finishes it");
    assert_eq!(line["after"]["erased"]["events"], left, "{line}");
    assert_eq!(api.scene.json(&dry)["erased"]["events"], 0);
    // The trail still has the destination that was deleted before.
    let asked = format!("\"value\":\"{ANN}\"");
    let gone = || (!is_there(&asked)).then_some(());
    until(PATIENCE, gone).expect("what was asked for is gone as well");
}

#[test]
fn an_erasure_that_a_kill_interrupted_goes_on_at_the_next_start() {
    let scene = Scene::embedded();
    let store = scene.store().to_owned();
    goes_on(Api::on(scene), &|text| in_files(Path::new(&store), text));
}

#[test]
fn an_erasure_on_redis_that_a_kill_interrupted_goes_on_at_the_next_start() {
    let redis = Redis::start();
    goes_on(Api::on(Scene::on(&redis)), &|text| in_redis(&redis, text));
}

#[test]
fn an_erasure_names_the_files_that_it_cannot_reach() {
    let scene = Scene::embedded();
    let store = Path::new(scene.store()).to_owned();
    let backup = scene.path("backup.db").display().to_string();
    {
        let api = Api::on(Scene::at(scene.store().to_owned()));
        api.key("acme", "reader");
    }
    scene.run(&["backup", &backup]).ok();
    scene.run(&["restore", "--replace", &backup]).ok();
    // A restore that was killed: its unfinished copy goes at the next start.
    std::fs::write(store.join("fanfare.db.restoring"), ANN).expect("the store's folder");
    std::fs::write(store.join("copy.part"), ANN).expect("the store's folder");
    let server = scene.start();
    assert!(!has_file(&store, ".restoring"));
    drop(server);
    let done = scene.json(&["erase", "--tenant", "acme", "--yes"]);
    let named: Vec<&str> = done["elsewhere"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|path| path.as_str().expect("a path").rsplit('/').next().expect("a name"))
        .collect();
    assert_eq!(named, ["copy.part", "fanfare.db.replaced"]);
    assert_eq!(done["scrubbed"], true);
}
