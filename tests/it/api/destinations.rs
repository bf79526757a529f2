//! Destinations and their actions.

use serde_json::{Value, json};

use super::{Api, fields, webhook};
use crate::scene::{SOON, Scene};
use crate::support::{Hook, Mail, Peer, Redis, until};
use crate::verifiers::SECRET;

const ALL: &str = "/v1/tenants/acme/destinations";

#[test]
fn a_destination_is_created_changed_and_deleted_with_its_secret_masked() {
    Api::over_both(|api| {
        let hooks = format!("{ALL}/hooks");
        let made = api.put(&hooks, &webhook("http://127.0.0.1:9/hooks"));
        let data = made.is(201);
        assert_eq!(data["state"], "active");
        let masked = data["settings"]["secret"].as_str().expect("a secret");
        assert_eq!(masked, format!("{}Hh8=", "*".repeat(28)));
        let mut got = api.get(&hooks).is(200);
        let lanes = got.as_object_mut().expect("a destination").remove("lanes");
        assert_eq!(lanes, Some(json!([{"id": "hooks", "to": "127.0.0.1", "waiting": 0}])));
        assert_eq!(got, data);
        assert_eq!(api.get(&hooks).tag(), made.tag());

        // What is sent back masked stays: the answer of a GET can be PUT.
        let body = json!({"channel": "webhook", "settings": data["settings"]});
        assert_eq!(api.put(&hooks, &body).is(200), data);
        let patched = api.patch(&hooks, &json!({"settings": {"rate": "5/s"}}));
        assert_eq!(patched.is(200)["settings"]["rate"], "5/s");
        assert_ne!(patched.tag(), made.tag());
        let patched = api.patch(&hooks, &json!({"settings": {"rate": null}}));
        assert_eq!(patched.tag(), made.tag(), "as it was, so is its tag");

        let stale = [("if-match", "\"00\"")];
        api.call("DELETE", &hooks, &stale, None).refused(412, "precondition_failed");
        let right = made.tag();
        api.call("DELETE", &hooks, &[("if-match", &right)], None).is(204);
        api.get(&hooks).refused(404, "not_found");
        api.delete(&hooks).refused(404, "not_found");
    });
}

#[test]
fn deleting_a_destination_removes_it_from_the_routes() {
    let api = Api::start();
    for id in ["a", "b"] {
        api.put(&format!("{ALL}/{id}"), &webhook("http://127.0.0.1:9/")).is(201);
    }
    let routes = "/v1/tenants/acme/routes";
    api.post(routes, &json!({"events": ["x.*"], "to": ["a", "b"]})).is(201);
    api.post(routes, &json!({"events": ["y.*"], "to": ["a"]})).is(201);
    api.delete(&format!("{ALL}/a")).is(204);
    let left = api.get(routes).is(200);
    assert_eq!(left["data"].as_array().map(Vec::len), Some(1));
    assert_eq!(left["data"][0]["to"], json!(["b"]));
}

#[test]
fn a_test_sends_a_real_request_and_returns_the_receivers_answer() {
    let api = Api::start();
    let receiver = Peer::start("http_receiver.mjs", &["--secret", SECRET]);
    let hooks = format!("{ALL}/hooks");
    api.put(&hooks, &webhook(&receiver.url("/hooks"))).is(201);
    let tested =
        api.post(&format!("{hooks}/test"), &json!({"type": "kyc.session.created"})).is(200);
    assert_eq!(tested["ok"], true, "{tested}");
    assert_eq!(tested["attempts"][0]["attempt"]["code"], "ok");
    let got: Vec<Hook> = receiver.wait_for(1, SOON);
    let body: Value = serde_json::from_str(&got[0].body).expect("an envelope");
    assert_eq!(body["id"], tested["event"]);
    assert_eq!(body["type"], "kyc.session.created");
    assert!(got[0].standard.ok && got[0].hub.ok);

    // Nobody listens there.
    api.patch(&hooks, &json!({"settings": {"url": "http://127.0.0.1:9/"}})).is(200);
    let tested = api.call("POST", &format!("{hooks}/test"), &[], None).is(200);
    assert_eq!(tested["ok"], false);
    assert_ne!(tested["attempts"][0]["attempt"]["code"], "ok");
    assert_eq!(api.get("/v1/tenants/acme/events").is(200)["data"], json!([]));
}

#[test]
fn both_secrets_sign_until_the_overlap_ends() {
    let api = Api::start();
    let hooks = format!("{ALL}/hooks");
    api.put(&hooks, &webhook("http://127.0.0.1:9/")).is(201);
    let rotated =
        api.post(&format!("{hooks}/rotate-secret"), &json!({"overlap_seconds": 60})).is(200);
    let secret = rotated["shown_once"]["secret"].as_str().expect("a new one");
    let previous = &rotated["settings"]["previous_secrets"];
    assert_eq!(previous.as_array().map(Vec::len), Some(1));
    assert_eq!(previous[0]["secret"], format!("{}Hh8=", "*".repeat(28)));
    let now = api.get(&hooks).is(200);
    assert!(now["settings"]["secret"].as_str().unwrap().ends_with(&secret[secret.len() - 4..]));
    assert_eq!(now["shown_once"], Value::Null);
    let at_once =
        api.post(&format!("{hooks}/rotate-secret"), &json!({"overlap_seconds": 0})).is(200);
    assert_eq!(at_once["settings"]["previous_secrets"], Value::Null);
    api.put(
        &format!("{ALL}/mail"),
        &json!({"channel": "email", "settings": {"to": "a@b.example"}}),
    )
    .is(201);
    api.post(&format!("{ALL}/mail/rotate-secret"), &json!({})).refused(409, "no_secret");
}

#[test]
fn a_paused_destination_queues_events_and_a_recovered_one_gets_what_it_missed() {
    Api::over_both(|api| {
        let receiver = Peer::start("http_receiver.mjs", &["--secret", SECRET]);
        let hooks = format!("{ALL}/hooks");
        api.put(&hooks, &webhook(&receiver.url("/hooks"))).is(201);
        api.post("/v1/tenants/acme/routes", &json!({"events": ["**"], "to": ["hooks"]})).is(201);
        assert_eq!(api.post(&format!("{hooks}/pause"), &json!({})).is(200)["state"], "paused");
        let event = json!({"id": "evt_1", "type": "a.b", "data": {}});
        api.post("/v1/events?tenant=acme", &event).is(202);
        wait_for(api, "evt_1", "waiting");
        assert_eq!(api.post(&format!("{hooks}/resume"), &json!({})).is(200)["state"], "active");
        wait_for(api, "evt_1", "delivered");

        api.patch(&hooks, &json!({"settings": {"enabled": false}})).is(200);
        let event = json!({"id": "evt_2", "type": "a.b", "data": {}});
        api.post("/v1/events?tenant=acme", &event).is(202);
        wait_for(api, "evt_2", "suppressed");
        let counted = json!({"dry_run": true});
        let counted = api.post("/v1/tenants/acme/deliveries/replay", &counted).is(200);
        assert_eq!((&counted["found"], &counted["replayed"]), (&json!(1), &json!(0)));
        let recovered = api.post(&format!("{hooks}/recover"), &json!({})).is(200);
        assert_eq!(recovered["replayed"], 1);
        wait_for(api, "evt_2", "delivered");
        let got: Vec<Hook> = receiver.wait_for(2, SOON);
        let ids = got.iter().map(|hook| hook.headers["webhook-id"].as_str());
        assert_eq!(ids.collect::<Vec<_>>(), ["evt_1", "evt_2"]);
    });
}

fn wait_for(api: &Api, event: &str, state: &str) {
    let path = format!("/v1/tenants/acme/deliveries/dlv_{event}.hooks");
    let reached = until(SOON, || {
        let said = api.get(&path);
        (said.answer.status == 200 && said.is(200)["state"] == state).then_some(())
    });
    assert!(reached.is_some(), "{event} is not {state}: {}", api.get(&path).answer.body);
}

#[test]
fn lifting_the_suppression_of_one_address_affects_no_other() {
    let refuses = ["--refuse", "ann@acme.example", "550", "--refuse", "cid@acme.example", "550"];
    let redis = Redis::start();
    for scene in [Scene::embedded(), Scene::on(&redis)] {
        let mail = Peer::start("smtp_server.py", &refuses);
        let port = mail.port();
        let server = format!("host = \"127.0.0.1\"\nport = {port}\nsecurity = \"none\"\n");
        scene.settings(&format!("[email]\n{server}"));
        let api = Api::on(scene);
        let to = ["ann", "bob", "cid"].map(|name| format!("{name}@acme.example"));
        let body = json!({"channel": "email", "settings": {"to": to}});
        api.put(&format!("{ALL}/desk"), &body).is(201);
        api.post("/v1/tenants/acme/routes", &json!({"events": ["a.b"], "to": ["desk"]})).is(201);

        // Three bounces in a row disable an address, a moment later.
        let mut sent = 0;
        let mut send = || {
            let event = json!({"id": format!("evt_{sent}"), "type": "a.b", "data": {}});
            api.post("/v1/events?tenant=acme", &event).is(202);
            sent += 1;
            ended(&api, &event["id"])
        };
        let kept = until(SOON, || {
            let deliveries = send();
            let word = |delivery: &&Value| delivery["state"] == "suppressed";
            (deliveries.iter().filter(word).count() == 2).then_some(deliveries)
        });
        let kept = kept.expect("both are disabled");
        let all = "/v1/tenants/acme/suppressions";
        let found = api.get(all).is(200)["data"].clone();
        let of = |who: &str| {
            let one = found.as_array().and_then(|all| all.iter().find(|one| one["to"] == who));
            one.unwrap_or_else(|| panic!("no {who} in {found}")).clone()
        };
        let (ann, cid) = (of("a***@acme.example"), of("c***@acme.example"));
        assert_eq!(found.as_array().map(Vec::len), Some(2), "{found}");
        assert_eq!((&ann["reason"], &ann["destination"]), (&json!("bounces"), &json!("desk")));
        assert!(ann["kept"].as_u64() >= Some(1) && ann["since_ms"].is_i64(), "{ann}");

        let id = ann["id"].as_str().expect("a lane");
        let lift = format!("{all}/{id}/lift");
        let lifted = api.post(&lift, &json!({"replay": true})).is(200);
        assert_eq!((&lifted["id"], &lifted["replay"]["replayed"]), (&ann["id"], &ann["kept"]));
        assert_eq!(api.get(all).is(200)["data"], json!([cid]), "nobody else is lifted");
        api.post(&lift, &json!({})).refused(404, "not_found");
        // It is really sent again, and refused again: the mailbox is not mended.
        let mine = kept.iter().find(|delivery| delivery["destination"] == id).expect("it is there");
        let path = format!("/v1/tenants/acme/deliveries/{}", mine["id"].as_str().expect("an id"));
        let tried = || (api.get(&path).is(200)["state"] == "dead").then_some(());
        until(SOON, tried).unwrap_or_else(|| panic!("{}", api.get(&path).answer.body));
        let mails: Vec<Mail> = mail.wait_for(sent, SOON);
        assert!(mails.iter().all(|mail| mail.recipients == ["bob@acme.example"]));
        assert_eq!(mails.len(), sent, "the neighbour has each of them once");
    }
}

/// An event's deliveries, once all of them have ended.
fn ended(api: &Api, event: &Value) -> Vec<Value> {
    let id = event.as_str().expect("an id");
    let path = format!("/v1/tenants/acme/events/{id}");
    let ended = until(SOON, || {
        let said = api.get(&path);
        let record = (said.answer.status == 200).then(|| said.is(200))?;
        let deliveries = record["deliveries"].as_array().filter(|all| !all.is_empty())?.clone();
        deliveries.iter().all(|delivery| delivery["state"] != "waiting").then_some(deliveries)
    });
    ended.unwrap_or_else(|| panic!("{}", api.get(&path).answer.body))
}

#[test]
fn lifting_a_suppression_enables_a_destination_disabled_by_its_settings() {
    Api::over_both(|api| {
        let settings = json!({"to": ["ann@acme.example", "bob@acme.example"], "enabled": false});
        let body = json!({"channel": "email", "settings": settings});
        api.put(&format!("{ALL}/desk"), &body).is(201);
        api.post("/v1/tenants/acme/routes", &json!({"events": ["**"], "to": ["desk"]})).is(201);
        let event = json!({"id": "evt_1", "type": "a.b", "data": {}});
        api.post("/v1/events?tenant=acme", &event).is(202);
        let all = "/v1/tenants/acme/suppressions";
        let found = crate::support::until(crate::scene::SOON, || {
            let found = api.get(all).is(200);
            (found["data"][0]["kept"] == 2).then_some(found)
        });
        let found = found.expect("both are kept back");
        let one = &found["data"][0];
        assert_eq!((&one["id"], &one["reason"]), (&json!("desk"), &json!("settings")));
        assert_eq!((&one["to"], &one["since_ms"]), (&Value::Null, &Value::Null), "{found}");
        assert!(!found.to_string().contains("ann@acme"), "{found}");

        api.get(&format!("{all}/nobody")).refused(404, "not_found");
        api.post(&format!("{all}/nobody/lift"), &json!({})).refused(404, "not_found");
        let lifted = api.post(&format!("{all}/desk/lift"), &json!({"replay": false})).is(200);
        assert_eq!(lifted, json!({"id": "desk"}));
        assert_eq!(api.get(all).is(200)["data"], json!([]));
        assert_eq!(api.get(&format!("{ALL}/desk")).is(200)["state"], "active");
    });
}

#[test]
fn replacing_a_document_lists_its_changes_and_is_idempotent() {
    Api::over_both(|api| {
        let path = "/v1/tenants/initech/document";
        let document = json!({
            "name": "Initech",
            "destinations": [
                {"id": "hooks", "channel": "webhook", "settings": {"url": "http://127.0.0.1:9/a"}},
            ],
            "routes": [{"events": ["k.**"], "except": ["k.not"], "to": ["hooks"]}],
            "templates": {"email/k.one/subject.txt.hbs": "It is {{type}}"},
        });
        let dry = api.put(&format!("{path}?dry_run=true"), &document).is(200);
        let changes = json!([
            "~ name: Initech",
            "+ destination hooks (webhook)",
            "+ route k.** except k.not → hooks",
            "~ templates",
        ]);
        assert_eq!((&dry["outcome"], &dry["changes"]), (&json!("created"), &changes));
        assert_eq!(dry["shown_once"], json!([]));
        api.get("/v1/tenants/initech").refused(404, "unknown_tenant");
        let made = api.put(path, &document).is(201);
        let secret = made["shown_once"][0]["value"].as_str().expect("a secret was made").to_owned();
        assert!(secret.starts_with("whsec_"), "{made}");

        let got = api.get(path);
        assert!(!got.answer.body.contains(&secret));
        for same in [&document, &got.is(200)] {
            let again = api.put(path, same).is(200);
            assert_eq!((&again["outcome"], &again["changes"]), (&json!("unchanged"), &json!([])));
            assert_eq!(again["shown_once"], json!([]), "the secret stays");
        }
        let mut other = got.is(200);
        other["destinations"][0]["settings"]["url"] = json!("http://127.0.0.1:9/b");
        other["routes"] = json!([]);
        let dry = api.put(&format!("{path}?dry_run=true"), &other);
        let changes = json!(["~ destination hooks: url", "- route k.** except k.not → hooks"]);
        assert_eq!(dry.is(200)["changes"], changes);
        assert_eq!(dry.tag(), got.tag(), "nothing is written");
        api.call("PUT", path, &[("if-match", &got.tag())], Some(&other)).is(200);
        api.call("PUT", path, &[("if-match", &got.tag())], Some(&document))
            .refused(412, "precondition_failed");
        let bad = json!({"destinations": [{"id": "x", "channel": "webhook", "settings": {}}], "routes": [{"events": ["a"], "to": ["y"]}]});
        let error = api.put(path, &bad).refused(422, "invalid_fields");
        assert_eq!(fields(&error).len(), 2, "{error}");
        let trail = api.get("/v1/tenants/initech/audit").answer.body;
        assert!(trail.contains("document") && !trail.contains(&secret), "{trail}");
    });
    // Whoever is no operator makes no tenants, but applies its own document.
    let mut api = Api::start();
    let admin = api.key("acme", "admin");
    api.with(&admin, |api| {
        api.put("/v1/tenants/initech/document", &json!({})).refused(404, "unknown_tenant");
        assert_eq!(
            api.put("/v1/tenants/me/document", &json!({"name": "A"})).is(200)["outcome"],
            "changed"
        );
    });
}
