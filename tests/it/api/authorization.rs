//! Authorization: every documented operation, called without a key or for a foreign tenant. Nothing
//! is revealed and nothing happens. `matrix` calls every operation with every kind of key.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::Api;
use crate::scene::Scene;
use crate::support::{Fanfare, request, until};

/// One operation of the description.
struct Operation {
    method: String,
    path: String,
    /// The roles that may call it.
    roles: Vec<String>,
    has_body: bool,
}

impl Operation {
    /// Its path in a tenant.
    fn of(&self, tenant: &str) -> String {
        let mut path = self.path.replace("{tenant}", tenant);
        let names = [
            ("{destination}", "hooks"),
            ("{route}", "rte_1"),
            ("{event}", "evt_1"),
            ("{delivery}", "dlv_evt_1.hooks"),
            ("{event_type}", "kyc.session.created"),
            ("{part}", "subject"),
            ("{key}", "key_1"),
            ("{suppression}", "hooks"),
            ("{source}", "alertmanager"),
        ];
        for (name, value) in names {
            path = path.replace(name, value);
        }
        assert!(!path.contains('{'), "an unknown parameter in {path}");
        path
    }

    fn call(&self, api: &Api, tenant: &str) -> (u16, String) {
        let query =
            if self.path == "/v1/events" { format!("?tenant={tenant}") } else { String::new() };
        let path = self.of(tenant) + &query;
        let body = json!({});
        let said = api.call(&self.method, &path, &[], self.has_body.then_some(&body));
        (said.answer.status, said.answer.body)
    }

    fn is_of_a_tenant(&self) -> bool {
        self.path.contains("{tenant}") || self.path == "/v1/events"
    }
}

fn operations(cast: &Cast) -> Vec<Operation> {
    let document = cast.api.server.get_with(&cast.keys["reader"], "/openapi.json").json();
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            let roles = operation["x-fanfare-roles"].as_array();
            let roles = roles.unwrap_or_else(|| panic!("{method} {path} names no roles"));
            let roles = roles.iter().map(|role| role.as_str().expect("a role").to_owned());
            operations.push(Operation {
                method: method.to_uppercase(),
                path: path.clone(),
                roles: roles.collect(),
                has_body: operation.get("requestBody").is_some(),
            });
        }
    }
    assert!(operations.len() > 50, "only {} operations", operations.len());
    operations
}

/// A server as for customers, with keys of every role.
struct Cast {
    api: Api,
    keys: BTreeMap<&'static str, String>,
}

impl Cast {
    fn start() -> Self {
        let scene = Scene::embedded();
        let server = scene.launch().for_customers().start();
        let made = scene.json(&["keys", "create", "--role", "operator"]);
        let operator = made["secret"].as_str().expect("a key").to_owned();
        let mut api = Api { server, scene, key: Some(operator.clone()) };
        let known = until(crate::scene::SOON, || {
            (api.get("/v1/tenants").answer.status == 200).then_some(())
        });
        known.expect("the key is taken up");
        for id in ["acme", "globex"] {
            api.post("/v1/tenants", &json!({"id": id})).is(201);
        }
        let settings =
            json!({"url": "https://hooks.acme.example/", "secret": "correct-horse-battery"});
        let hooks = json!({"channel": "webhook", "settings": settings});
        api.put("/v1/tenants/acme/destinations/hooks", &hooks).is(201);
        api.post("/v1/tenants/acme/routes", &json!({"events": ["x"], "to": ["hooks"]})).is(201);
        let mut keys = BTreeMap::from([("operator", operator)]);
        for role in ["admin", "publisher", "reader"] {
            keys.insert(role, api.key("acme", role));
        }
        keys.insert("foreign", api.key("globex", "admin"));
        api.key = None;
        Self { api, keys }
    }

    /// All that could have been changed.
    fn state(&mut self) -> Value {
        let operator = self.keys["operator"].clone();
        self.api.with(&operator, |api| {
            let get = |path: &str| api.get(path).is(200);
            let mut keys = get("/v1/tenants/acme/keys");
            for key in keys["data"].as_array_mut().expect("keys") {
                key["last_used_ms"] = Value::Null;
            }
            json!([
                get("/v1/tenants"),
                get("/v1/tenants/acme/destinations"),
                get("/v1/tenants/acme/routes"),
                get("/v1/event-types"),
                get("/v1/tenants/acme/events"),
                keys,
                get("/v1/tenants/acme/audit"),
                get("/v1/audit"),
            ])
        })
    }
}

fn code(body: &str) -> String {
    let body: Value = serde_json::from_str(body).unwrap_or_else(|_| panic!("not JSON: {body}"));
    assert_eq!(body["status"], "error", "{body}");
    assert_eq!(body.as_object().map(serde_json::Map::len), Some(2), "{body}");
    body["error"]["code"].as_str().expect("a code").to_owned()
}

#[test]
fn no_operation_answers_or_acts_without_a_key() {
    let mut cast = Cast::start();
    let before = cast.state();
    let operations = operations(&cast);
    for operation in &operations {
        let what = format!("{} {}", operation.method, operation.path);
        let (status, body) = operation.call(&cast.api, "acme");
        assert_eq!((status, &*code(&body)), (401, "no_key"), "{what}");
        let (status, body) = cast.api.with("sk_live_nobodys", |api| operation.call(api, "acme"));
        assert_eq!((status, &*code(&body)), (401, "wrong_key"), "{what}");
    }
    assert_eq!(cast.state(), before, "something was done all the same");
}

/// An error without the id of its request, which is different every time.
fn without_request_id(body: &str) -> String {
    let mut body: Value = serde_json::from_str(body).expect("an error is JSON");
    body["error"].as_object_mut().map(|error| error.remove("request_id"));
    body.to_string()
}

#[test]
fn a_foreign_tenant_is_answered_like_one_that_does_not_exist() {
    let mut cast = Cast::start();
    let before = cast.state();
    let key = cast.keys["foreign"].clone();
    let operations = operations(&cast);
    let (mut called, mut slower) = (0, Vec::new());
    for operation in
        operations.iter().filter(|one| one.is_of_a_tenant() && one.roles != ["operator"])
    {
        let what = format!("{} {}", operation.method, operation.path);
        called += 1;
        // As short as it can be: what others do on this machine only adds.
        let (mut there, mut nowhere) = (Duration::MAX, Duration::MAX);
        for _ in 0..8 {
            let timed = |api: &Api, tenant: &str| {
                let began = Instant::now();
                let answer = operation.call(api, tenant);
                (answer, began.elapsed())
            };
            let ((a, took_a), (b, took_b)) =
                cast.api.with(&key, |api| (timed(api, "acme"), timed(api, "none")));
            assert_eq!((a.0, &*code(&a.1)), (404, "unknown_tenant"), "{what}");
            let plain = |body: &str| without_request_id(body).replace("acme", "none");
            assert_eq!((a.0, plain(&a.1)), (b.0, plain(&b.1)), "{what}");
            (there, nowhere) = (there.min(took_a), nowhere.min(took_b));
        }
        if there.abs_diff(nowhere) > Duration::from_millis(2) {
            slower.push(format!("{what}: {there:?}, {nowhere:?}"));
        }
    }
    assert!(called > 35, "only {called} operations");
    assert!(slower.is_empty(), "the time tells whether there is such a tenant: {slower:#?}");
    assert_eq!(cast.state(), before, "something was done all the same");
}

#[test]
fn every_path_except_health_requires_a_key() {
    let cast = Cast::start();
    let (server, reader) = (&cast.api.server, &cast.keys["reader"]);
    for path in ["/healthz", "/readyz"] {
        assert_eq!(server.get(path).status, 200, "{path}");
    }
    assert_eq!(server.get("/metrics").status, 401);
    for path in ["/openapi.json", "/docs", "/docs/", "/docs/swagger-ui.css", "/docs/nowhere"] {
        let closed = server.get(path);
        assert_eq!((closed.status, &*code(&closed.body)), (401, "no_key"), "{path}");
        let head = closed.head.to_lowercase();
        assert!(
            head.contains("www-authenticate: basic realm=") && head.contains("bearer"),
            "{head}"
        );
        assert_eq!(server.get_with("sk_live_nobodys", path).status, 401, "{path}");
        assert_ne!(server.get_with(reader, path).status, 401, "{path}");
    }
}

#[test]
fn a_browser_opens_only_the_documentation_with_a_key_as_its_password() {
    let cast = Cast::start();
    let server = &cast.api.server;
    let get = |user: &str, key: &str, path: &str| {
        let basic = format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{key}")));
        let headers = [("authorization", &*basic)];
        request(server.address(), "GET", path, &headers, b"").expect("fanfare answers").status
    };
    let (reader, operator) = (&cast.keys["reader"], &cast.keys["operator"]);
    for path in ["/docs/", "/openapi.json", "/docs/swagger-initializer.js"] {
        assert_eq!(get("ann", reader, path), 200, "{path}");
        assert_eq!(get("", operator, path), 200, "{path}");
        assert_eq!(get(reader, "", path), 401, "{path}");
        assert_eq!(get("ann", "sk_live_nobodys", path), 401, "{path}");
    }
    // Any page could make a browser send these along.
    assert_eq!(get("ann", operator, "/v1/tenants"), 401);
    assert_eq!(get("ann", operator, "/metrics"), 401);
}

#[test]
fn the_documentation_is_public_in_development_and_if_the_settings_say_so() {
    let scene = Scene::embedded();
    let open = |server: &Fanfare| [server.get("/openapi.json").status, server.get("/docs/").status];
    assert_eq!(open(&scene.start()), [200, 200]);
    scene.settings("[http]\nopen_docs = true");
    let server = scene.launch().for_customers().start();
    assert_eq!(open(&server), [200, 200]);
    assert_eq!(server.get("/v1/tenants").status, 401);
    drop(server);
    scene.settings("[http]\nbehind_proxy = true");
    assert_eq!(open(&scene.start()), [401, 401], "a proxy may let anybody through");
}
