//! Looking up events, deliveries, digests and keys, and acting on them.

use serde_json::{Value, json};

use super::{Api, webhook};
use crate::scene::SOON;
use crate::support::{Peer, until};
use crate::verifiers::SECRET;

fn settled(api: &Api, id: &str) -> Value {
    let found = until(SOON, || {
        let said = api.get(&format!("/v1/tenants/acme/events/{id}"));
        let event = (said.answer.status == 200).then(|| said.is(200))?;
        (event["state"] != "pending").then_some(event)
    });
    found.unwrap_or_else(|| panic!("{id} is not settled"))
}

#[test]
fn an_event_is_shown_with_its_routes_deliveries_and_attempts() {
    Api::over_both(|api| {
        let receiver = Peer::start("http_receiver.mjs", &["--secret", SECRET]);
        api.put("/v1/tenants/acme/destinations/hooks", &webhook(&receiver.url("/"))).is(201);
        let routes = "/v1/tenants/acme/routes";
        api.post(routes, &json!({"events": ["a.*"], "to": ["hooks"]})).is(201);
        let when = json!({"data": {"n": [{"numeric": [">", 5]}]}});
        api.post(routes, &json!({"name": "big", "events": ["a.*"], "to": ["hooks"], "when": when}))
            .is(201);
        let events = json!([
            {"id": "evt_1", "type": "a.b", "data": {"n": 1}},
            {"id": "evt_2", "type": "c.d", "data": {}},
        ]);
        api.post("/v1/events?tenant=acme", &events).is(202);
        settled(api, "evt_2");
        until(SOON, || {
            (settled(api, "evt_1")["deliveries"][0]["state"] == "delivered").then_some(())
        });
        let event = settled(api, "evt_1");
        assert_eq!(event["event"]["data"]["n"], 1);
        assert_eq!(event["routes"][0]["matched"], true);
        assert_eq!(event["routes"][1]["matched"], false);
        assert_eq!(event["routes"][1]["reason"]["field"], "data.n");
        assert_eq!(event["deliveries"][0]["attempts"][0]["code"], "ok");
        assert_eq!(settled(api, "evt_2")["state"], "unrouted");

        let listed = api.get("/v1/tenants/acme/events?type=a.b").is(200);
        assert_eq!(listed["data"].as_array().map(Vec::len), Some(1));
        assert_eq!(listed["data"][0]["deliveries"]["delivered"], 1);
        let filter = "/v1/tenants/acme/deliveries?state=delivered&destination=hooks&type=a.b";
        let found = api.get(filter).is(200);
        assert_eq!(found["data"][0]["id"], "dlv_evt_1.hooks");
        assert_eq!(api.get("/v1/tenants/acme/deliveries?state=dead").is(200)["data"], json!([]));
        api.get("/v1/tenants/acme/deliveries/dlv_evt_9.hooks").refused(404, "not_found");
        api.get("/v1/tenants/globex/events/evt_1").refused(404, "not_found");

        let one = "/v1/tenants/acme/deliveries/dlv_evt_1.hooks";
        api.post(&format!("{one}/cancel"), &json!({})).refused(409, "wrong_state");
        api.post(&format!("{one}/replay"), &json!({})).is(200);
        receiver.wait_for::<Value>(2, SOON);
    });
}

#[test]
fn an_upcoming_digest_is_listed_and_can_be_sent_now() {
    let scene = crate::scene::Scene::embedded();
    let mail = Peer::start("smtp_server.py", &[]);
    scene.settings(&format!(
        "[email]\nhost = \"127.0.0.1\"\nport = {}\nsecurity = \"none\"\n",
        mail.port()
    ));
    let api = Api::on(scene);
    let digest = json!({"schedule": "0 0 1 1 *", "timezone": "Europe/Madrid"});
    let settings = json!({"to": ["a@acme.example"], "digest": digest});
    let body = json!({"channel": "email", "settings": settings});
    api.put("/v1/tenants/acme/destinations/daily", &body).is(201);
    api.post("/v1/tenants/acme/routes", &json!({"events": ["**"], "to": ["daily"]})).is(201);
    for n in 0..3 {
        let event = json!({"id": format!("evt_{n}"), "type": "a.b", "data": {}});
        api.post("/v1/events?tenant=acme", &event).is(202);
        settled(&api, &format!("evt_{n}"));
    }
    let upcoming = api.get("/v1/tenants/acme/digests").is(200);
    let one = &upcoming["data"][0];
    assert_eq!((&one["destination"], &one["waiting"]), (&json!("daily"), &json!(3)));
    assert_eq!(one["timezone"], "Europe/Madrid");
    assert!(one["next_ms"].as_i64().is_some_and(|next| next > 1_735_228_800_000));
    assert!(!upcoming.to_string().contains("a@acme.example"));
    let sent = api.post("/v1/tenants/acme/digests/daily/send", &json!({})).is(200);
    assert_eq!(sent["events"], 3);
    let mails: Vec<crate::support::Mail> = mail.wait_for(1, SOON);
    assert_eq!(mails.len(), 1, "all three in one");
}

#[test]
fn keys_are_shown_once_listed_and_revoked_at_once() {
    Api::over_both(|api| {
        let keys = "/v1/tenants/acme/keys";
        let body = json!({"role": "reader", "label": "desk", "expires_in_seconds": 3600});
        let made = api.post(keys, &body).is(201);
        let secret = made["key"].as_str().expect("shown once");
        assert_eq!(api.server.get_with(secret, "/v1/tenants/me").status, 200);
        let listed = api.get(keys);
        assert!(!listed.answer.body.contains(secret));
        assert_eq!(listed.is(200)["data"][0]["label"], "desk");
        let id = made["id"].as_str().unwrap();
        api.delete(&format!("/v1/tenants/globex/keys/{id}")).refused(404, "not_found");
        api.delete(&format!("{keys}/{id}")).is(204);
        assert_eq!(api.server.get_with(secret, "/v1/tenants/me").status, 401);
        api.delete(&format!("{keys}/{id}")).refused(404, "not_found");
        api.post(keys, &json!({"role": "operator"})).refused(422, "invalid_fields");
        let operator = api.post("/v1/keys", &json!({"role": "operator"})).is(201);
        let operator = operator["key"].as_str().unwrap().to_owned();
        assert_eq!(api.server.get_with(&operator, "/v1/tenants/acme").status, 200);
        let trail = api.get("/v1/tenants/acme/audit").answer.body;
        assert!(!trail.contains(secret));
    });
}

#[test]
fn an_admin_cannot_create_a_more_powerful_key() {
    let mut api = Api::start();
    let admin = api.key("acme", "admin");
    api.with(&admin, |api| {
        api.post("/v1/tenants/me/keys", &json!({"role": "publisher"})).is(201);
        api.post("/v1/tenants/me/keys", &json!({"role": "operator"})).refused(403, "forbidden");
        api.post("/v1/keys", &json!({"role": "operator"})).refused(403, "forbidden");
        api.get("/v1/tenants").refused(403, "forbidden");
    });
}

#[test]
fn a_replay_in_parts_replays_no_delivery_twice() {
    Api::over_both(|api| {
        // Nothing listens there: what is put back dies at once.
        let settings = json!({"url": "http://127.0.0.1:9/", "secret": SECRET, "retry": []});
        let body = json!({"channel": "webhook", "settings": settings});
        api.put("/v1/tenants/acme/destinations/hooks", &body).is(201);
        let routes = "/v1/tenants/acme/routes";
        api.post(routes, &json!({"events": ["a.*"], "to": ["hooks"]})).is(201);
        let events: Vec<Value> =
            (0..7).map(|n| json!({"id": format!("evt_{n}"), "type": "a.b", "data": {}})).collect();
        api.post("/v1/events?tenant=acme", &json!(events)).is(202);
        let replay = "/v1/tenants/acme/deliveries/replay";
        let all_dead = || {
            let found = api.post(replay, &json!({"dry_run": true})).is(200);
            (found["found"] == 7).then_some(())
        };
        until(SOON, all_dead).expect("all die");

        let first = api.post(replay, &json!({"limit": 3})).is(200);
        assert_eq!(
            (&first["replayed"], &first["left"], &first["found"]),
            (&json!(3), &json!(4), &json!(7))
        );
        assert_eq!(first["counts"][0]["count"], 3, "{first}");
        until(SOON, all_dead).expect("they die again");
        let mut body = json!({"limit": 3, "changed_before_ms": first["at_ms"], "rate": 1000});
        let parts: Vec<Value> = (0..3).map(|_| api.post(replay, &body).is(200)).collect();
        let replayed: Vec<_> = parts.iter().map(|part| part["replayed"].clone()).collect();
        assert_eq!(replayed, [3, 1, 0]);
        assert_eq!(parts[1]["left"], 0);
        body["rate"] = json!(0);
        api.post(replay, &body).refused(422, "invalid_fields");
    });
}
