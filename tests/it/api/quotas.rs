//! Quotas over HTTP: who reads and who changes them, and what each one refuses.

use serde_json::{Value, json};

use super::{Api, Said, webhook};
use crate::scene::{SOON, Scene};
use crate::support::until;

const EVENTS: &str = "/v1/events?tenant=acme";
const DOCUMENT: &str = "/v1/tenants/acme/document";

fn event(n: usize) -> Value {
    let data = json!({"user_id": "ann", "text": "x".repeat(100)});
    json!({"id": format!("evt_{n}"), "type": "order.paid", "data": data})
}

fn batch(from: usize, count: usize) -> Value {
    json!((from..from + count).map(event).collect::<Vec<_>>())
}

fn set(api: &Api, quotas: &Value) -> Value {
    api.patch("/v1/tenants/acme/quotas", quotas).is(200)["quotas"].clone()
}

fn quota(api: &Api, name: &str) -> Value {
    api.get("/v1/tenants/acme/quotas").is(200)["quotas"][name].clone()
}

/// A refusal because of this quota says which one, its value, and what to do.
#[track_caller]
fn refused_by(said: &Said, status: u16, quota: &str, limit: u64) -> Value {
    let error = said.refused(status, "quota_exceeded");
    let message = error["message"].as_str().expect("a message");
    assert!(message.contains(&format!("`{quota}`")) && message.contains(&limit.to_string()));
    assert!(message.contains("operator") || message.contains("repair"), "{message}");
    assert_eq!(error["details"][0]["field"], quota, "{error}");
    error
}

/// A route with an unreachable destination that holds its deliveries.
fn park_everything(api: &Api) {
    let mut paused = webhook("http://127.0.0.1:9/");
    paused["settings"]["paused"] = json!(true);
    api.put("/v1/tenants/acme/destinations/hooks", &paused).is(201);
    api.post("/v1/tenants/acme/routes", &json!({"events": ["**"], "to": ["hooks"]})).is(201);
}

#[test]
fn an_operator_changes_quotas_and_a_tenant_only_reads_them() {
    Api::over_both(|api| {
        let before = api.get("/v1/tenants/acme").is(200)["quotas"].clone();
        assert_eq!(before["destinations"], json!({"limit": 1000, "used": 0, "source": "default"}));
        assert_eq!(before.as_object().map(serde_json::Map::len), Some(9), "{before}");
        let tag = api.get("/v1/tenants/acme/quotas").tag();

        let after = set(api, &json!({"destinations": 2, "stored_bytes": 0}));
        assert_eq!(after["destinations"], json!({"limit": 2, "used": 0, "source": "tenant"}));
        assert_eq!(after["stored_bytes"]["limit"], Value::Null);
        assert_eq!(after["routes"]["source"], "default");
        assert_eq!(api.get("/v1/tenants/acme").is(200)["quotas"], after);
        let other = api.get("/v1/tenants/globex/quotas").is(200)["quotas"]["destinations"].clone();
        assert_eq!(other["limit"], 1000, "another tenant keeps the default");
        let stale = [("if-match", &*tag)];
        let patch = json!({"keys": 5});
        api.call("PATCH", "/v1/tenants/acme/quotas", &stale, Some(&patch))
            .refused(412, "precondition_failed");
        let trail = api.get("/v1/tenants/acme/audit").is(200);
        assert_eq!(trail["data"][0]["resource"], "quotas", "{trail}");

        let after = set(api, &json!({"destinations": null}));
        assert_eq!(after["destinations"]["limit"], 1000);
        let wrong = json!({"destination": 2, "keys": -1});
        let error = api.patch("/v1/tenants/acme/quotas", &wrong).refused(422, "invalid_fields");
        let mut fields = super::fields(&error);
        fields.sort_unstable();
        assert_eq!(fields, ["destination", "keys"]);
    });
    let mut api = Api::start();
    for (role, reads) in [("admin", 200), ("reader", 200), ("publisher", 403)] {
        let key = api.key("acme", role);
        api.with(&key, |api| {
            let read = api.get("/v1/tenants/acme/quotas").answer.status;
            assert_eq!(read, reads, "{role}");
            let patch = json!({"destinations": 9});
            api.patch("/v1/tenants/acme/quotas", &patch).refused(403, "forbidden");
        });
    }
}

#[test]
fn an_admin_sends_a_document_back_but_cannot_change_the_quotas_in_it() {
    let mut api = Api::start();
    let quotas = json!({"routes": 3});
    api.put(DOCUMENT, &json!({"name": "acme", "quotas": quotas})).is(200);
    assert_eq!(quota(&api, "routes")["limit"], 3);
    let admin = api.key("acme", "admin");
    api.with(&admin, |api| {
        let mut document = api.get(DOCUMENT).is(200);
        assert_eq!(document["quotas"], quotas);
        document["name"] = json!("Acme");
        api.put(DOCUMENT, &document).is(200);
        document["quotas"] = json!({"routes": 4});
        api.put(DOCUMENT, &document).refused(403, "forbidden");
        api.put(&format!("{DOCUMENT}?dry_run=true"), &document).refused(403, "forbidden");
        document.as_object_mut().unwrap().remove("quotas");
        api.put(DOCUMENT, &document).is(200);
    });
    assert_eq!(quota(&api, "routes")["limit"], 3, "a document without quotas changes none");
    let misspelled = json!({"name": "acme", "quotas": {"route": 3}});
    api.put(DOCUMENT, &misspelled).refused(422, "invalid_fields");
}

#[test]
fn events_and_bytes_per_second_hold_over_all_keys_of_a_tenant() {
    let mut api = Api::start();
    set(&api, &json!({"events_per_second": 20}));
    let keys = [api.key("acme", "publisher"), api.key("acme", "publisher")];
    let mut taken = 0;
    let refused = (0..100).find_map(|n| {
        let said = api.with(&keys[n % 2], |api| api.post("/v1/events", &batch(n * 50, 50)));
        taken += 50 * usize::from(said.answer.status == 202);
        (said.answer.status != 202).then_some(said)
    });
    let said = refused.expect("the burst of five seconds is used up");
    assert!((100..=1_000).contains(&taken), "{taken} events at once");
    refused_by(&said, 429, "events_per_second", 20);
    let number = |name: &str| said.answer.header(name).and_then(|text| text.parse::<u64>().ok());
    assert!(number("retry-after").is_some_and(|seconds| seconds >= 1), "{}", said.answer.head);
    assert_eq!(number("x-ratelimit-limit"), Some(100), "of the quota, not of the key");
    assert_eq!(number("x-ratelimit-remaining"), Some(0));
    assert!(number("x-ratelimit-reset").is_some());
    api.post("/v1/events?tenant=globex", &batch(0, 50)).is(202);
    set(&api, &json!({"events_per_second": 0}));
    api.post(EVENTS, &event(0)).is(202);

    set(&api, &json!({"bytes_per_second": 1_000}));
    let refused = (0..100).find_map(|n| {
        let said = api.post(EVENTS, &batch(n * 50, 50));
        (said.answer.status != 202).then_some(said)
    });
    refused_by(&refused.expect("too many bytes"), 429, "bytes_per_second", 1_000);
    set(&api, &json!({"bytes_per_second": null}));
    api.post(EVENTS, &event(0)).is(202);
}

#[test]
fn stored_bytes_are_refused_at_the_quota_and_accepted_again_after_an_erasure() {
    Api::over_both(|api| {
        set(api, &json!({"stored_bytes": 20_000}));
        let mut sent = 0;
        let refused = until(SOON, || {
            let said = api.post(EVENTS, &batch(sent, 20));
            sent += 20;
            (said.answer.status != 202).then_some(said)
        });
        let said = refused.expect("it fills up");
        refused_by(&said, 422, "stored_bytes", 20_000);
        assert_eq!(said.answer.header("retry-after"), None);
        assert!(quota(api, "stored_bytes")["used"].as_u64() >= Some(20_000));
        api.post("/v1/events?tenant=globex", &event(0)).is(202);

        api.post("/v1/tenants/acme/erasures", &json!({"subject": "ann"})).is(200);
        let used = until(SOON, || (quota(api, "stored_bytes")["used"] == 0).then_some(()));
        used.expect("nothing is stored any more");
        let accepted =
            until(SOON, || (api.post(EVENTS, &event(0)).answer.status == 202).then_some(()));
        accepted.expect("there is room again");
    });
}

#[test]
fn at_the_quota_of_waiting_deliveries_new_events_are_refused_and_no_accepted_one_is_lost() {
    Api::over_both(|api| {
        park_everything(api);
        set(api, &json!({"waiting_deliveries": 100}));
        let mut accepted = 0;
        let refused = until(SOON, || {
            let said = api.post(EVENTS, &batch(accepted, 10));
            if said.answer.status == 202 {
                accepted += 10;
                return None;
            }
            Some(said)
        });
        let said = refused.expect("the queue fills up");
        refused_by(&said, 429, "waiting_deliveries", 100);
        assert!(said.answer.header("retry-after").is_some());
        api.post("/v1/events?tenant=globex", &event(0)).is(202);
        let all_wait = until(SOON, || {
            (quota(api, "waiting_deliveries")["used"] == json!(accepted)).then_some(())
        });
        all_wait.expect("each accepted event waits");

        // When they are delivered or given up, there is room again.
        let all = json!({"destination": "hooks"});
        api.post("/v1/tenants/acme/deliveries/cancel", &all).is(200);
        let room = until(SOON, || (quota(api, "waiting_deliveries")["used"] == 0).then_some(()));
        room.expect("nothing waits any more");
        let again =
            until(SOON, || (api.post(EVENTS, &event(0)).answer.status == 202).then_some(()));
        again.expect("events are accepted again");
    });
}

#[test]
fn a_document_grows_up_to_its_quotas_and_keeps_what_it_had_beyond_a_new_one() {
    let api = Api::start();
    let hook = |n: usize| format!("/v1/tenants/acme/destinations/d{n}");
    for n in 0..3 {
        api.put(&hook(n), &webhook("http://127.0.0.1:9/")).is(201);
    }
    let filtered = |values: &[&str]| {
        let when = json!({"data": {"kind": values}});
        json!({"events": ["a"], "to": ["d0"], "when": when})
    };
    let route = api.post("/v1/tenants/acme/routes", &filtered(&["x", "y"])).is(201)["id"].clone();
    let template = "/v1/tenants/acme/templates/order.paid/subject";
    let size = |name: &str| quota(&api, name)["used"].clone();
    let sizes = ["destinations", "routes", "filter_values"].map(size);
    assert_eq!(sizes, [3, 1, 2].map(Value::from));

    // Two destinations are fewer than there are. Everything else still works.
    set(&api, &json!({"destinations": 2, "routes": 1, "filter_values": 2, "template_bytes": 100}));
    let other = webhook("http://127.0.0.1:9/other");
    api.put(&hook(1), &other).is(200);
    refused_by(&api.put(&hook(3), &other), 422, "destinations", 2);
    let another = json!({"events": ["b"], "to": ["d0"]});
    refused_by(&api.post("/v1/tenants/acme/routes", &another), 422, "routes", 1);
    let route = format!("/v1/tenants/acme/routes/{}", route.as_str().expect("an id"));
    refused_by(&api.put(&route, &filtered(&["x", "y", "z"])), 422, "filter_values", 2);
    api.put(&route, &filtered(&["x", "z"])).is(200);
    let short = api.put(template, &json!({"source": "Paid"})).answer.status;
    assert_eq!(short, 201);
    let long = api.put(template, &json!({"source": "x".repeat(200)}));
    refused_by(&long, 422, "template_bytes", 100);
    let document = api.get(DOCUMENT).is(200);
    api.put(DOCUMENT, &document).is(200);
    for n in 1..3 {
        api.delete(&hook(n)).is(204);
    }
    api.put(&hook(3), &other).is(201);
    refused_by(&api.put(&hook(4), &other), 422, "destinations", 2);
}

#[test]
fn keys_are_counted_until_they_are_revoked() {
    let api = Api::start();
    let keys = "/v1/tenants/acme/keys";
    let body = json!({"role": "reader"});
    let first = api.post(keys, &body).is(201)["id"].clone();
    set(&api, &json!({"keys": 2}));
    api.post(keys, &body).is(201);
    refused_by(&api.post(keys, &body), 422, "keys", 2);
    assert_eq!(quota(&api, "keys")["used"], 2);
    api.post("/v1/tenants/globex/keys", &body).is(201);
    api.delete(&format!("{keys}/{}", first.as_str().expect("an id"))).is(204);
    api.post(keys, &body).is(201);
}

#[test]
fn quotas_survive_a_restart_and_are_shown_in_metrics() {
    let scene = Scene::embedded();
    scene.settings("[metrics]\nper_tenant = true\n[quotas]\nroutes = 7");
    let mut api = Api::on(scene);
    set(&api, &json!({"destinations": 1}));
    park_everything(&api);
    let two = api.put("/v1/tenants/acme/destinations/two", &webhook("http://127.0.0.1:9/"));
    refused_by(&two, 422, "destinations", 1);
    api.post(EVENTS, &batch(0, 5)).is(202);
    let waits = until(SOON, || (quota(&api, "waiting_deliveries")["used"] == 5).then_some(()));
    waits.expect("five wait");
    let stored = quota(&api, "stored_bytes")["used"].clone();
    let refusals = r#"fanfare_quota_exceeded_total{quota="destinations"} 1"#;
    assert!(api.server.get("/metrics").body.contains(refusals));

    api.server.kill9();
    api.server = api.scene.start();
    assert_eq!(quota(&api, "destinations")["limit"], 1);
    assert_eq!(quota(&api, "routes"), json!({"limit": 7, "used": 1, "source": "default"}));
    assert_eq!(quota(&api, "stored_bytes")["used"], stored);
    assert_eq!(quota(&api, "waiting_deliveries")["used"], 5);
    let expected = [
        r#"fanfare_tenant_quota_limit{tenant="acme",quota="destinations"} 1"#.to_owned(),
        r#"fanfare_tenant_quota_used{tenant="acme",quota="waiting_deliveries"} 5"#.to_owned(),
        format!(r#"fanfare_tenant_quota_used{{tenant="acme",quota="stored_bytes"}} {stored}"#),
    ];
    let shown = until(SOON, || {
        let text = api.server.get("/metrics").body;
        expected.iter().all(|line| text.contains(line)).then_some(())
    });
    shown.unwrap_or_else(|| panic!("{expected:#?} in\n{}", api.server.get("/metrics").body));
}
