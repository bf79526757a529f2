//! Routes, the preferences matrix, templates and event types.

use serde_json::{Value, json};

use super::{Api, fields, webhook};

const ROUTES: &str = "/v1/tenants/acme/routes";
const MATRIX: &str = "/v1/tenants/acme/preferences";
const TEMPLATE: &str = "/v1/tenants/acme/templates/kyc.session.created/subject";

fn with_destinations() -> Api {
    let api = Api::start();
    for id in ["a", "b"] {
        let path = format!("/v1/tenants/acme/destinations/{id}");
        api.put(&path, &webhook("http://127.0.0.1:9/")).is(201);
    }
    api
}

#[test]
fn routes_are_created_changed_ordered_and_deleted() {
    let api = with_destinations();
    let one = api.post(ROUTES, &json!({"events": ["x.*"], "to": ["a"]})).is(201);
    let when = json!({"data": {"risk": [{"numeric": [">", 5]}]}});
    let two = json!({"name": "two", "events": ["y.**"], "to": ["b"], "when": when});
    let two = api.post(ROUTES, &two).is(201);
    let (first, second) = (one["id"].as_str().unwrap(), two["id"].as_str().unwrap());
    let path = format!("{ROUTES}/{first}");
    let got = api.get(&path);
    assert_eq!(got.is(200), one);
    let changed = json!({"events": ["x.*"], "to": ["a", "b"], "enabled": false});
    let tag = got.tag();
    let put = api.call("PUT", &path, &[("if-match", &tag)], Some(&changed));
    assert_eq!(put.is(200)["id"], first);
    api.call("PUT", &path, &[("if-match", &tag)], Some(&changed))
        .refused(412, "precondition_failed");

    // Another order, without the first's filter lost, and a new one between.
    let all = api.get(ROUTES).is(200);
    let new = json!({"events": ["z"], "to": ["a"]});
    let turned = json!({"routes": [all["data"][1], new, all["data"][0]]});
    let turned = api.put(ROUTES, &turned).is(200);
    assert_eq!(turned["data"][0]["id"], second);
    assert_eq!(turned["data"][0]["when"], when);
    assert_eq!(turned["data"][2]["id"], first);
    api.delete(&path).is(204);
    api.delete(&path).refused(404, "not_found");
    assert_eq!(api.get(ROUTES).is(200)["data"].as_array().map(Vec::len), Some(2));
}

#[test]
fn an_invalid_route_is_refused_with_every_wrong_field() {
    let api = with_destinations();
    let bad =
        json!({"events": ["a..b"], "to": ["nobody"], "when": {"data": {"x": [{"numerc": [1]}]}}});
    let error = api.post(ROUTES, &bad).refused(422, "invalid_fields");
    assert_eq!(fields(&error).len(), 3, "{error}");
    assert!(error.to_string().contains("numeric"), "{error}");
}

#[test]
fn a_route_from_a_file_has_an_id_derived_from_its_content_and_keeps_it() {
    let api = Api::start();
    api.scene.tenant(
        "filed",
        "[[destination]]\nid = \"m\"\nchannel = \"email\"\nto = [\"a@b.example\"]\n\
         [[route]]\nevents = [\"x.*\"]\nto = [\"m\"]\n",
    );
    let path = "/v1/tenants/filed/routes";
    let seen = crate::support::until(crate::scene::SOON, || {
        let said = api.get(path);
        (said.answer.status == 200).then(|| said.is(200))
    });
    let id = seen.expect("the file is applied")["data"][0]["id"].as_str().unwrap().to_owned();
    let changed = json!({"events": ["y.*"], "to": ["m"]});
    assert_eq!(api.put(&format!("{path}/{id}"), &changed).is(200)["id"], id);
    assert_eq!(api.get(&format!("{path}/{id}")).is(200)["events"], json!(["y.*"]));
}

#[test]
fn the_preferences_matrix_is_written_whole_or_refused_with_reasons() {
    let api = with_destinations();
    for kind in ["k.one", "k.two"] {
        api.put(&format!("/v1/event-types/{kind}"), &json!({"description": kind})).is(201);
    }
    api.post(ROUTES, &json!({"events": ["k.one", "k.two"], "to": ["a", "b"]})).is(201);
    let when = json!({"data": {"x": [1]}});
    api.post(ROUTES, &json!({"events": ["k.three"], "to": ["a"], "when": when})).is(201);
    let got = api.get(MATRIX);
    let matrix = got.is(200);
    assert_eq!(matrix["event_types"], json!(["k.one", "k.three", "k.two"]));
    assert_eq!(matrix["preferences"]["k.three"], json!({"a": "filtered", "b": false}));

    let mut wanted = matrix["preferences"].clone();
    wanted["k.one"]["a"] = json!(false);
    wanted["k.three"]["b"] = json!(true);
    let tag = got.tag();
    let put = json!({"preferences": wanted});
    let now = api.call("PATCH", MATRIX, &[("if-match", &tag)], Some(&put)).is(200);
    assert_eq!(now["preferences"], wanted);
    assert_eq!(api.get(MATRIX).is(200), now);
    api.call("PATCH", MATRIX, &[("if-match", &tag)], Some(&put))
        .refused(412, "precondition_failed");

    api.post(ROUTES, &json!({"name": "all", "events": ["k.**"], "to": ["b"]})).is(201);
    let off = json!({"preferences": {"k.two": {"b": false, "c": true}}});
    let error = api.patch(MATRIX, &off).refused(422, "invalid_fields");
    assert_eq!(fields(&error), ["preferences.k.two.c"]);
    assert_eq!(api.get(MATRIX).is(200)["preferences"]["k.two"]["b"], true, "all or nothing");
}

#[test]
fn a_cell_matched_by_a_pattern_is_turned_off_and_on_for_its_destination_only() {
    let api = Api::start();
    for id in ["a", "b"] {
        let path = format!("/v1/tenants/acme/destinations/{id}");
        api.put(&path, &webhook("http://127.0.0.1:9/")).is(201);
    }
    for kind in ["k.one", "k.two"] {
        api.put(&format!("/v1/event-types/{kind}"), &json!({})).is(201);
    }
    let when = json!({"data": {"n": [1]}});
    api.post(ROUTES, &json!({"events": ["k.**"], "to": ["a", "b"]})).is(201);
    api.post(ROUTES, &json!({"events": ["k.*"], "to": ["a"], "when": when})).is(201);
    let patch = |cells: Value| api.patch(MATRIX, &json!({"preferences": cells}));
    let now = patch(json!({"k.one": {"a": false}})).is(200);
    let expected = json!({"k.one": {"a": false, "b": true}, "k.two": {"a": true, "b": true}});
    assert_eq!(now["preferences"], expected);

    let routes = api.get(ROUTES).is(200)["data"].clone();
    let said: Vec<_> =
        routes.as_array().expect("routes").iter().map(|one| (&one["to"], &one["except"])).collect();
    let k_one = json!(["k.one"]);
    let (a, b, none) = (json!(["a"]), json!(["b"]), Value::Null);
    assert_eq!(said, [(&b, &none), (&a, &k_one), (&a, &k_one)], "{routes}");

    let event = json!({"id": "evt_1", "type": "k.one", "data": {"n": 1}});
    api.post("/v1/events?tenant=acme", &event).is(202);
    let path = crate::support::until(crate::scene::SOON, || {
        let found = api.get("/v1/tenants/acme/events/evt_1");
        let event = (found.answer.status == 200).then(|| found.is(200))?;
        (event["state"] == "routed").then_some(event)
    });
    let path = path.expect("it is routed");
    let to: Vec<_> =
        path["deliveries"].as_array().unwrap().iter().map(|one| &one["destination"]).collect();
    assert_eq!(to, [&json!("b")]);
    assert_eq!(path["routes"][1]["reason"]["field"], "type", "{path}");
    assert!(path["routes"][1]["reason"]["expected"].as_str().unwrap().contains("k.one"), "{path}");

    let now = patch(json!({"k.one": {"a": true}})).is(200);
    assert_eq!(now["preferences"]["k.one"], json!({"a": true, "b": true}));
    // Off and on again and again leaves no heap of routes.
    for on in [false, true, false, true] {
        patch(json!({"k.one": {"a": on, "b": on}})).is(200);
    }
    assert_eq!(api.get(ROUTES).is(200)["data"].as_array().map(Vec::len), Some(3));
    let bad = json!({"events": ["**"], "except": ["k.*x"], "to": ["a"]});
    assert_eq!(fields(&api.post(ROUTES, &bad).refused(422, "invalid_fields")), ["except[0]"]);
}

#[test]
fn templates_are_created_previewed_and_deleted() {
    let api = Api::start();
    let builtin = api.get(TEMPLATE).is(200);
    assert_eq!(builtin["origin"], "builtin");
    let own = json!({"source": "Begun: {{data.session_id}}"});
    let put = api.put(TEMPLATE, &own);
    assert_eq!(put.is(201)["origin"], "tenant");
    let preview = json!({"type": "kyc.session.created", "parts": ["subject"]});
    let rendered = api.post("/v1/tenants/acme/templates/preview", &preview).is(200);
    assert!(rendered["subject"].as_str().unwrap().starts_with("Begun: "), "{rendered}");
    assert_eq!(rendered.get("html"), None);
    let event = json!({
        "event": {"type": "kyc.session.created", "data": {"session_id": "s-77"}},
        "parts": ["subject"], "templates": {"subject": "Draft {{data.session_id}}"},
    });
    let rendered = api.post("/v1/tenants/acme/templates/preview", &event).is(200);
    assert_eq!(rendered["subject"], "Draft s-77");

    let bad = api.put(TEMPLATE, &json!({"source": "{{data.nowhere}}"}));
    let error = bad.refused(422, "invalid_fields");
    assert_eq!(fields(&error), ["source"], "{error}");
    let listed = api.get("/v1/tenants/acme/templates?limit=1000").is(200);
    let own = |line: &&Value| line["origin"] == "tenant";
    assert_eq!(listed["data"].as_array().unwrap().iter().filter(own).count(), 1);
    api.call("DELETE", TEMPLATE, &[("if-match", &put.tag())], None).is(204);
    assert_eq!(api.get(TEMPLATE).is(200), builtin);
    api.delete(TEMPLATE).refused(404, "not_found");
}

#[test]
fn an_event_that_does_not_match_its_schema_is_refused_or_flagged() {
    Api::over_both(|api| {
        let path = "/v1/event-types/k.one";
        let schema =
            json!({"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}});
        let put = |check: &str| json!({"description": "one", "example": {"n": 1}, "schema": schema, "check": check});
        api.put(path, &put("reject")).is(201);
        let send = |data: Value| {
            api.post("/v1/events?tenant=acme", &json!({"type": "k.one", "data": data}))
        };
        let error = send(json!({"n": "secret-value"})).refused(422, "schema_mismatch");
        assert!(error["message"].as_str().unwrap().contains("data/n"), "{error}");
        assert!(!error.to_string().contains("secret-value"), "{error}");
        send(json!({"n": 1})).is(202);
        api.put(path, &put("flag")).is(200);
        let taken = send(json!({})).is(202);
        assert_eq!(taken["flagged"].as_array().map(Vec::len), Some(1), "{taken}");
        api.put(path, &put("off")).is(200);
        assert_eq!(send(json!({})).is(202).get("flagged"), None);

        let bad = json!({"schema": {"type": "nonsense"}});
        assert_eq!(fields(&api.put(path, &bad).refused(422, "invalid_fields")), ["schema"]);
        let bad = json!({"schema": {"$ref": "https://example.org/schema.json"}});
        assert_eq!(fields(&api.put(path, &bad).refused(422, "invalid_fields")), ["schema"]);
        let bad = json!({"schema": {"type": "object", "required": ["x"]}, "example": {}});
        assert_eq!(fields(&api.put(path, &bad).refused(422, "invalid_fields")), ["example"]);
        api.delete(path).is(204);
        api.get(path).refused(404, "not_found");
    });
}

#[test]
fn a_stream_entry_that_does_not_match_its_schema_is_rejected() {
    let redis = crate::support::Redis::start();
    let api = Api::on(crate::scene::Scene::on(&redis));
    let schema = json!({"type": "object", "required": ["n"]});
    api.put("/v1/event-types/k.one", &json!({"schema": schema, "check": "reject"})).is(201);
    let event = json!({"type": "k.one", "data": {}}).to_string();
    let file = api.scene.file("one.ndjson", &event);
    let url = redis.url();
    crate::support::run_peer("add_events.py", &["--url", &url, "--tenant", "acme", &file]);
    let rejected = crate::support::until(crate::scene::SOON, || {
        let page = api.get("/v1/rejected").is(200);
        page["data"].as_array().is_some_and(|all| !all.is_empty()).then_some(page)
    });
    let rejected = rejected.expect("it is refused");
    assert_eq!(rejected["data"][0]["code"], "schema_mismatch");
    assert_eq!(rejected["data"][0]["tenant"], "acme");
}
