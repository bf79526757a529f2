//! Data protection: erased data is nowhere any more, an export is complete, and only the right keys
//! may do either.

mod killed;
mod late;

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::api::{Api, webhook};
use crate::scene::{SOON, Scene, event, hooks_at, said};
use crate::support::{Redis, until};

/// Found nowhere by chance.
const ANN: &str = "ann.unmistakable-7f3a@example.com";
const BOB: &str = "bob.unmistakable-91c4@example.com";

/// Does any file below a folder hold the text?
fn in_files(dir: &Path, text: &str) -> bool {
    fs::read_dir(dir).expect("a folder").flatten().any(|entry| {
        let path = entry.path();
        if path.is_dir() {
            return in_files(&path, text);
        }
        let bytes = fs::read(&path).unwrap_or_default();
        memchr::memmem::find(&bytes, text.as_bytes()).is_some()
    })
}

/// Does any key of a Redis, by its name or by what it holds?
fn in_redis(redis: &Redis, text: &str) -> bool {
    let keys: Vec<String> = redis.ask(&["KEYS", "*"]);
    keys.iter().any(|key| {
        let kind: String = redis.ask(&["TYPE", key]);
        let held: redis::Value = match &*kind {
            "string" => redis.ask(&["GET", key]),
            "hash" => redis.ask(&["HGETALL", key]),
            "set" => redis.ask(&["SMEMBERS", key]),
            "zset" => redis.ask(&["ZRANGE", key, "0", "-1"]),
            "stream" => redis.ask(&["XRANGE", key, "-", "+"]),
            other => panic!("{key} is a {other}"),
        };
        key.contains(text) || holds(&held, text.as_bytes())
    })
}

fn holds(value: &redis::Value, text: &[u8]) -> bool {
    match value {
        redis::Value::BulkString(bytes) => memchr::memmem::find(bytes, text).is_some(),
        redis::Value::SimpleString(found) => {
            found.as_bytes().windows(text.len()).any(|w| w == text)
        }
        redis::Value::Array(items) | redis::Value::Set(items) => {
            items.iter().any(|item| holds(item, text))
        }
        redis::Value::Map(pairs) => {
            pairs.iter().any(|(name, value)| holds(name, text) || holds(value, text))
        }
        _ => false,
    }
}

fn about(id: &str, who: &str, note: &str) -> String {
    event(id, "kyc.session.created", &json!({"metadata": {"user_email": who}, "note": note}))
}

/// Events about two people: some wait for a receiver that is not there, some died, some went nowhere,
/// and some are no events. A body of many pages is among them.
fn busy(scene: &Scene) {
    let dead = hooks_at("http://127.0.0.1:9/").replace("hooks", "dead");
    let dead = dead.replace(r#""500ms", "1s", "1s", "1s", "1s", "2s", "2s", "2s", "5s", "5s""#, "");
    let waits = hooks_at("http://127.0.0.1:9/").replace("500ms", "1h");
    scene.tenant("acme", &format!("{waits}{dead}"));
    scene.tenant("globex", "");
}

fn send(scene: &Scene) {
    let long = "x".repeat(40_000);
    let mut events = Vec::new();
    for n in 0..40 {
        events.push(about(&format!("evt_ann_{n}"), ANN, if n % 10 == 0 { &long } else { "short" }));
        events.push(about(&format!("evt_bob_{n}"), BOB, "short"));
    }
    scene.send("acme", &events).ok();
}

/// Every event waits for one destination, and waits for the other or has died there.
fn all_known(scene: &Scene, count: usize) {
    let known = until(SOON, || {
        let deliveries = scene.deliveries("acme");
        let own = deliveries.iter().filter(|one| one["type"] == "kyc.session.created");
        let died = deliveries.iter().any(|one| one["state"] == "dead");
        (own.count() == 2 * count && died).then_some(())
    });
    assert!(known.is_some(), "{:#?}", scene.deliveries("acme"));
}

fn erases_a_subject(scene: &Scene, is_there: &dyn Fn(&str) -> bool) {
    busy(scene);
    let server = scene.start();
    send(scene);
    all_known(scene, 80);
    assert!(is_there(ANN) && is_there(BOB));

    let asked = ["erase", "--tenant", "acme", "--subject", ANN];
    let dry = scene.json(&[&asked[..], &["--dry-run"]].concat());
    assert_eq!(dry["erased"]["events"], 40, "{dry}");
    assert_eq!(dry["erased"]["deliveries"], 80, "{dry}");
    // Those of the other died, or wait until the circuit closes.
    assert!((40..=80).contains(&dry["erased"]["waiting"].as_u64().expect("a number")), "{dry}");
    assert!(is_there(ANN), "a dry run changes nothing");
    scene.run(&asked).refused(1);
    assert!(is_there(ANN), "nor does one that nobody has confirmed");

    let done = scene.json(&[&asked[..], &["--yes"]].concat());
    assert_eq!(done["scrubbed"], true, "{done}");
    // The notices of those that died may have come before or after.
    assert!(done["erased"]["events"].as_u64() >= Some(40), "{done}");
    assert!(!is_there(ANN), "a trace of her is left");
    assert!(is_there(BOB), "he was not asked for");
    let again = scene.json(&[&asked[..], &["--yes"]].concat());
    assert_eq!(again["erased"]["events"], 0, "{again}");

    let left = scene.events("acme");
    assert!(left.iter().all(|one| !one["id"].as_str().expect("an id").starts_with("evt_ann")));
    let bobs = left.iter().filter(|one| one["type"] == "kyc.session.created").count();
    assert_eq!(bobs, 40);
    let trail = server.get("/v1/tenants/acme/audit").json()["data"]["data"].clone();
    let line = trail.as_array().expect("lines").iter().find(|line| line["id"] == done["audit"]);
    let line = line.unwrap_or_else(|| panic!("{trail:#}"));
    assert_eq!((&line["action"], &line["outcome"]), (&json!("erase"), &json!("done")));
    assert_eq!(line["by"], "cli");
    assert_eq!(line["after"]["erased"], done["erased"]);
    assert!(line["before"]["subject"]["sha256"].as_str().is_some_and(|hash| hash.len() == 64));
    assert!(!server.stderr().contains(ANN) && !server.stdout().contains(ANN));
    drop(server);
    assert!(!is_there(ANN), "nor does anything come back at the end");
}

#[test]
fn after_an_erasure_no_file_of_the_store_contains_the_subject() {
    let scene = Scene::embedded();
    let store = scene.store().to_owned();
    erases_a_subject(&scene, &|text| in_files(Path::new(&store), text));
}

#[test]
fn after_an_erasure_no_redis_key_contains_the_subject() {
    let redis = Redis::start();
    let scene = Scene::on(&redis);
    erases_a_subject(&scene, &|text| in_redis(&redis, text));
}

#[test]
fn unread_entries_and_rejected_entries_are_erased_too() {
    let redis = Redis::start();
    let scene = Scene::on(&redis);
    busy(&scene);
    let add = |tenant: &str, body: &str| {
        let _: String =
            redis.ask(&["XADD", "fanfare:events", "*", "tenant", tenant, "event", body]);
    };
    let server = scene.start();
    add("acme", &format!("{{\"type\": \"kyc\", \"data\": {{\"user_id\": \"{ANN}\"}}")); // no end
    add("acme", &json!({"type": "no.data", "user": BOB}).to_string());
    add("globex", &format!("not json {ANN}"));
    let rejected = || {
        let found = scene.json(&["events", "--rejected"]);
        (found["data"].as_array().map(Vec::len) == Some(3)).then_some(())
    };
    until(SOON, rejected).expect("three dead letters");
    drop(server);
    for n in 0..120 {
        add("acme", &about(&format!("evt_{n}"), if n % 2 == 0 { ANN } else { BOB }, "unread"));
    }
    let done = scene.json(&["erase", "--tenant", "acme", "--subject", ANN, "--yes"]);
    assert_eq!((&done["erased"]["entries"], &done["erased"]["rejected"]), (&json!(60), &json!(1)));
    let left: Vec<redis::Value> = redis.ask(&["XRANGE", "fanfare:events", "-", "+"]);
    assert_eq!(left.len(), 60);
    scene.run(&["erase", "--tenant", "globex", "--subject", ANN, "--yes"]).ok();
    assert!(!in_redis(&redis, ANN) && in_redis(&redis, BOB));
    // Others go on from there.
    let _server = scene.start();
    all_known(&scene, 60);
    assert!(!in_redis(&redis, ANN));
}

fn put_up(api: &Api) {
    for tenant in ["acme", "globex"] {
        let hooks = webhook("http://127.0.0.1:9/");
        api.put(&format!("/v1/tenants/{tenant}/destinations/hooks"), &hooks).is(201);
        let route = json!({"events": ["**"], "to": ["hooks"]});
        api.post(&format!("/v1/tenants/{tenant}/routes"), &route).is(201);
        let envelope = json!({"id": "evt_1", "type": "x", "data": {"user_id": ANN}});
        api.post(&format!("/v1/events?tenant={tenant}"), &envelope).is(202);
    }
    let known = || (api.get("/v1/tenants/globex/events/evt_1").answer.status == 200).then_some(());
    until(SOON, known).expect("it is known");
    let known = || (api.get("/v1/tenants/acme/events/evt_1").answer.status == 200).then_some(());
    until(SOON, known).expect("it is known");
}

#[test]
fn an_erased_tenant_keeps_its_audit_trail_and_no_other_tenant_changes() {
    Api::over_both(|api| {
        put_up(api);
        let key = api.key("acme", "admin");
        let path = "/v1/tenants/acme/erasures";
        api.post(path, &json!({})).refused(422, "invalid_fields");
        api.post(path, &json!({"subject": ANN, "everything": true})).refused(422, "invalid_fields");
        api.post(path, &json!({"subject": ""})).refused(422, "invalid_fields");
        api.post(path, &json!({"subject": ANN, "paths": ["a..b"]})).refused(422, "invalid_fields");
        let bearer = format!("Bearer {key}");
        let as_admin =
            |body: &Value| api.call("POST", path, &[("authorization", &bearer)], Some(body));
        as_admin(&json!({"everything": true})).refused(403, "forbidden");
        let dry = as_admin(&json!({"subject": ANN, "dry_run": true})).is(200);
        assert_eq!((&dry["erased"]["events"], &dry["audit"]), (&json!(1), &Value::Null));
        let none = as_admin(&json!({"subject": ANN, "paths": ["data.other"]})).is(200);
        assert_eq!(none["erased"]["events"], 0);

        let done = api.post(path, &json!({"everything": true})).is(200);
        assert_eq!((&done["erased"]["keys"], &done["scrubbed"]), (&json!(1), &json!(true)));
        assert!(done["erased"]["events"].as_u64() >= Some(1), "{done}");
        api.get("/v1/tenants/acme").refused(404, "unknown_tenant");
        as_admin(&json!({"subject": ANN})).refused(401, "wrong_key");
        api.get("/v1/tenants/acme/events").refused(404, "unknown_tenant");
        api.post("/v1/events?tenant=acme", &json!({"type": "x", "data": {}}))
            .refused(404, "unknown_tenant");
        let trail = api.get("/v1/tenants/acme/audit").is(200);
        let line = &trail["data"][0];
        assert_eq!((&line["id"], &line["resource"]), (&done["audit"], &json!("tenant")));
        assert_eq!((&line["action"], &line["outcome"]), (&json!("erase"), &json!("done")));
        let again = api.post(path, &json!({"everything": true})).is(200);
        assert_eq!(again["erased"]["events"], 0);

        api.get("/v1/tenants/globex/events/evt_1").is(200);
        // Whoever gets the id next begins with nothing.
        api.post("/v1/tenants", &json!({"id": "acme"})).is(201);
        assert_eq!(api.get("/v1/tenants/acme/events").is(200)["data"], json!([]));
        api.post("/v1/events?tenant=acme", &json!({"id": "evt_1", "type": "x", "data": {}}))
            .is(202);
        let known =
            || (api.get("/v1/tenants/acme/events/evt_1").answer.status == 200).then_some(());
        until(SOON, known).expect("the same id is another event now");
    });
}

#[test]
fn an_export_contains_everything_of_a_tenant_except_secrets() {
    Api::over_both(|api| {
        put_up(api);
        let key = api.key("acme", "reader");
        let text = api.get("/v1/tenants/acme/export").answer;
        assert_eq!(text.status, 200);
        assert_eq!(text.header("content-type"), Some("application/x-ndjson"));
        let lines: Vec<Value> =
            text.body.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let of = |kind: &str| lines.iter().filter(|line| line["kind"] == kind).collect::<Vec<_>>();
        assert_eq!(of("tenant")[0]["id"], "acme");
        assert_eq!(of("destination")[0]["id"], "hooks");
        assert_eq!(of("route")[0]["route"]["events"], json!(["**"]));
        assert_eq!(of("key")[0]["role"], "reader");
        assert_eq!(of("event")[0]["event"]["data"]["user_id"], ANN);
        assert_eq!(of("event")[0]["deliveries"].as_array().map(Vec::len), Some(1));
        assert!(of("change").len() >= 3);
        let end = lines.last().expect("a line");
        assert_eq!((&end["kind"], &end["lines"]["event"]), (&json!("end"), &json!(1)));
        assert!(!text.body.contains(crate::verifiers::SECRET) && !text.body.contains(&key));
        let bearer = format!("Bearer {key}");
        let small = api.call("GET", "/v1/tenants/acme/export", &[("authorization", &bearer)], None);
        small.refused(403, "forbidden");
        api.get("/v1/tenants/none/export").refused(404, "unknown_tenant");

        let file = api.scene.path("acme.ndjson").display().to_string();
        api.scene.run(&["export", "--tenant", "acme", "--out", &file]).ok();
        let written = fs::read_to_string(&file).expect("the file");
        let kinds = |text: &str| {
            let kind =
                |line: &str| serde_json::from_str::<Value>(line).expect("JSON")["kind"].clone();
            text.lines().map(kind).filter(|kind| kind != "entry").collect::<Vec<_>>()
        };
        assert_eq!(kinds(&written), kinds(&text.body));
        api.scene.run(&["export", "--tenant", "acme", "--out", &file]).refused(3);

        // The same asked of the server.
        let (url, admin) = (api.server.url(""), api.key("acme", "admin"));
        let there = |args: &[&str]| {
            said(&[args, &["--tenant", "acme", "--server", &url, "--key", &admin]].concat())
        };
        let exported = there(&["export"]).ok();
        let of_kind = |text: &str, kind: &str| kinds(text).iter().filter(|k| **k == kind).count();
        assert_eq!(of_kind(&exported, "event"), of_kind(&written, "event"));
        assert_eq!(kinds(&exported).last(), Some(&json!("end")));
        let dry = there(&["erase", "--subject", ANN, "--dry-run", "--json"]).ok_json();
        assert_eq!((&dry["dry_run"], &dry["erased"]["events"]), (&json!(true), &json!(1)));
        there(&["erase", "--subject", ANN]).refused(1);
        let done = there(&["erase", "--subject", ANN, "--yes", "--json"]).ok_json();
        assert_eq!((&done["erased"]["events"], &done["scrubbed"]), (&json!(1), &json!(true)));
    });
}
