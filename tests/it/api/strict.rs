//! Requests that two readers could understand in two ways, requests from web pages, and answers in
//! caches.

use serde_json::json;

use super::Api;
use crate::occupied::{connect, rest, send};
use crate::scene::{Scene, event};
use crate::support::{Fanfare, request};

/// Sends a request with exactly these headers, and returns the status and the body.
fn raw(server: &Fanfare, start: &str, headers: &[(&str, &str)], body: &str) -> (u16, String) {
    let mut text = format!("{start} HTTP/1.1\r\nconnection: close\r\n");
    for (name, value) in headers {
        text += &[name, ": ", value, "\r\n"].concat();
    }
    text += &["content-length: ", &body.len().to_string(), "\r\n\r\n", body].concat();
    let stream = connect(server.address());
    assert!(send(&stream, text.as_bytes()));
    let answer = rest(&stream);
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    (status.unwrap_or_else(|| panic!("no answer: {answer}")), body.to_owned())
}

#[test]
fn a_key_that_occurs_twice_in_a_body_is_refused_and_changes_nothing() {
    let mut api = Api::start();
    let admin = api.key("acme", "admin");
    let json = [("content-type", "application/json")];
    for (method, path, body, field) in [
        ("POST", "/v1/tenants/acme/keys", r#"{"role":"reader","role":"admin"}"#, "role"),
        ("POST", "/v1/tenants", r#"{"id":"new","id":"other","name":"x"}"#, "id"),
        (
            "PUT",
            "/v1/tenants/acme/destinations/box",
            r#"{"channel":"poll","settings":{"paused":true,"paused":false}}"#,
            "settings.paused",
        ),
        ("PATCH", "/v1/tenants/acme", r#"{"name":"a","n\u0061me":"b"}"#, "name"),
        (
            "POST",
            "/v1/tenants/acme/routes",
            r#"{"events":["a"],"to":[],"when":{"data":[{"x":1},{"y":[1],"y":[2]}]}}"#,
            "when.data.1.y",
        ),
    ] {
        let answer = request(api.server.address(), method, path, &json, body.as_bytes());
        let answer = answer.expect("an answer");
        assert_eq!(answer.status, 422, "{method} {path}: {}", answer.body);
        let error = &answer.json()["error"];
        assert_eq!(error["code"], "duplicate_key", "{error}");
        assert_eq!(error["details"][0]["field"], field, "{error}");
    }
    let keys = api.get("/v1/tenants/acme/keys").is(200);
    assert_eq!(keys["data"].as_array().map(Vec::len), Some(1), "only the one made before");
    api.with(&admin, |api| api.get("/v1/tenants/me/destinations/box").refused(404, "not_found"));
}

#[test]
fn a_tenant_that_is_named_in_two_ways_is_refused_in_the_common_shape() {
    let api = Api::start();
    let body = json!({"type": "a.b", "data": {}});
    let twice = api.post("/v1/events?tenant=acme&tenant=globex", &body);
    let error = twice.refused(422, "invalid_fields");
    assert_eq!(error["details"][0]["field"], "tenant", "{error}");
    let with = |path: &str, tenant: &str| {
        api.call("POST", path, &[("fanfare-tenant", tenant)], Some(&body))
    };
    with("/v1/events?tenant=acme", "globex").refused(422, "conflicting_tenants");
    with("/v1/events?tenant=acme", "acme").is(202);
    with("/v1/events", "acme").is(202);
    let two = [("fanfare-tenant", "acme"), ("fanfare-tenant", "globex")];
    api.call("POST", "/v1/events", &two, Some(&body)).refused(422, "conflicting_tenants");

    let get = |path: &str| api.call("GET", path, &[("fanfare-tenant", "acme")], None);
    get("/v1/events").is(200);
    get("/v1/events?tenant=globex").refused(422, "conflicting_tenants");
    get("/v1/tenants/globex/routes").refused(422, "conflicting_tenants");
    get("/v1/tenants/acme/routes").is(200);
    let events = api.get("/v1/tenants/globex/events").is(200);
    assert_eq!(events["data"], json!([]), "nothing was accepted for the other one");
}

#[test]
fn every_wrong_query_is_refused_in_the_common_shape() {
    let api = Api::start();
    for path in [
        "/v1/events?tenant=acme&limit=1&limit=2",
        "/v1/events?tenant=acme&wait=soon",
        "/v1/events?tenant=acme&nonsense=1",
        "/v1/tenants/acme/events?limit=1&limit=1",
        "/v1/tenants/acme/deliveries?state=lost",
        "/v1/tenants?limit=-1",
    ] {
        api.get(path).refused(422, "invalid_fields");
    }
    api.get("/docs/%FF").refused(404, "not_found");
    api.get("/v1/tenants/%FF/routes").refused(404, "not_found");
}

#[test]
fn no_answer_behind_a_key_may_stay_in_a_cache() {
    let mut api = Api::start();
    let (reader, foreign) = (api.key("acme", "reader"), api.key("globex", "reader"));
    let statuses = |api: &Api| {
        ["/v1/tenants/acme", "/v1/tenants/acme/destinations/none", "/v1/events?limit=0", "/docs/"]
            .map(|path| {
                let answer = api.get(path).answer;
                assert_eq!(answer.header("cache-control"), Some("no-store"), "{path}");
                answer.status
            })
    };
    assert_eq!(api.with(&reader, statuses), [200, 404, 422, 200]);
    assert_eq!(api.with(&foreign, statuses), [404, 404, 422, 200]);
    assert_eq!(api.with("sk_live_wrong", statuses), [401; 4]);
    assert_eq!(api.get("/metrics").answer.header("cache-control"), Some("no-store"));
}

#[test]
fn in_development_no_web_page_can_use_the_api() {
    let scene = Scene::embedded();
    scene.settings("[http]\ndevelopment_hosts = [\"box.test\"]");
    scene.tenant("acme", "");
    let server = scene.start();
    let own = server.address().to_string();
    let body = event("evt_1", "k.x", &json!({}));
    let post = |headers: &[(&str, &str)]| {
        let (status, body) = raw(&server, "POST /v1/events?tenant=acme", headers, &body);
        let body: serde_json::Value = serde_json::from_str(&body).expect("the common shape");
        (status, body["error"]["code"].as_str().unwrap_or_default().to_owned())
    };
    let foreign = |code: &str| (403, code.to_owned());
    let text = ("content-type", "text/plain");
    assert_eq!(post(&[("host", "evil.test"), text]), foreign("foreign_host"));
    assert_eq!(post(&[("host", "evil.test:8400"), text]), foreign("foreign_host"));
    let host = ("host", own.as_str());
    for origin in ["http://evil.test", "null", "http://localhost:3000"] {
        assert_eq!(post(&[host, ("origin", origin)]), foreign("foreign_origin"), "{origin}");
    }
    assert_eq!(post(&[host, ("sec-fetch-site", "cross-site")]), foreign("foreign_origin"));
    let (status, _) = raw(&server, "GET /v1/tenants/acme", &[("host", "evil.test")], "");
    assert_eq!(status, 403, "a name that resolves to 127.0.0.1 reads nothing either");
    let absolute = "GET http://evil.test/v1/tenants/acme";
    assert_eq!(raw(&server, absolute, &[host], "").0, 403);
    assert!(scene.events("acme").is_empty());

    let page = format!("http://{own}");
    assert_eq!(post(&[host, ("origin", &page), ("sec-fetch-site", "same-origin")]).0, 202);
    for host in ["localhost", "LOCALHOST:1", "127.0.0.1", "[::1]:8400", "box.test"] {
        assert_eq!(raw(&server, "GET /healthz", &[("host", host)], "").0, 200, "{host}");
    }
    drop(server);
    let server = scene.launch().for_customers().start();
    let (status, _) = raw(&server, "GET /v1/tenants/acme", &[("host", "api.test")], "");
    assert_eq!(status, 401, "where a key is required, any name is");
}
