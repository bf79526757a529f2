//! Keys, secrets, names and filters.

use serde_json::json;

use super::beside::Beside;
use crate::scene::event;

const SECRET_TEXT: &str = "operators-secret-of-the-header";

/// Input 10. None of the names is answered: the name server is silent.
pub(super) fn names_without_an_answer(beside: &Beside) {
    let admin = beside.as_("operator");
    let mut ids = Vec::new();
    // One document instead of 600 requests.
    let mut document = admin.get("/v1/tenants/mallory/document").is(200)["data"].clone();
    let destinations = document["destinations"].as_array_mut().expect("destinations");
    for n in 0..600 {
        let id = format!("hole-{n}");
        destinations.push(json!({
            "id": id, "channel": "webhook",
            "settings": {"url": format!("https://hook.hole-{n}.example/")},
        }));
        ids.push(id);
    }
    let routes = document["routes"].as_array_mut().expect("routes");
    routes.push(json!({"id": "holes", "events": ["test.hole"], "to": ids}));
    let put = admin.put("/v1/tenants/mallory/document", &document);
    assert_eq!(put.status, 200, "{}", put.body);
    let id = beside.id("hole");
    let publish =
        beside.as_("publisher").send("POST", "/v1/events", &event(&id, "test.hole", &json!({})));
    assert_eq!(publish.status, 202, "{}", publish.body);
}

/// Input 11.
pub(super) fn ten_thousand_wildcards(beside: &Beside) {
    let a = "a".repeat(60);
    let wildcard = |n: usize| json!({"wildcard": format!("*a{a}b*a{a}b{n}")});
    let values: Vec<_> = (0..9_999).map(wildcard).collect();
    let hooks = json!({"channel": "poll", "settings": {}});
    let put = beside.as_("admin").put("/v1/tenants/mallory/destinations/box", &hooks);
    assert!(matches!(put.status, 200 | 201), "{}", put.body);
    let route = json!({"events": ["test.wild"], "to": ["box"], "when": {"data": {"text": values}}});
    let put = beside.as_("admin").post("/v1/tenants/mallory/routes", &route);
    assert!(matches!(put.status, 200 | 201 | 422), "{}", put.body);
    for _ in 0..20 {
        let id = beside.id("wild");
        let data = json!({"text": "a".repeat(240 * 1_000)});
        let reply =
            beside.as_("publisher").send("POST", "/v1/events", &event(&id, "test.wild", &data));
        assert!(matches!(reply.status, 202 | 429), "{}", reply.body);
    }
}

/// Input 14.
pub(super) fn a_test_key_and_live_things(beside: &Beside) {
    let operator = beside.as_("operator");
    let hooks = json!({"channel": "webhook", "settings": {"url": "https://live.example/"}});
    let put = operator.put("/v1/tenants/mallory/destinations/live", &hooks);
    assert!(matches!(put.status, 200 | 201), "{}", put.body);
    let key = json!({"role": "admin", "label": "live", "environment": "live"});
    let live = operator.post("/v1/tenants/mallory/keys", &key).is(201)["data"]["id"].clone();
    let live = live.as_str().expect("an id");
    let test = beside.as_("test-admin");
    for (method, path) in [
        ("GET", "/v1/tenants/mallory/destinations/live".to_owned()),
        ("POST", "/v1/tenants/mallory/destinations/live/pause".to_owned()),
        ("PATCH", "/v1/tenants/mallory/destinations/live".to_owned()),
        ("DELETE", format!("/v1/tenants/mallory/keys/{live}")),
    ] {
        let body =
            if method == "PATCH" { r#"{"settings":{"url":"https://evil.example/"}}"# } else { "" };
        let reply = test.send(method, &path, body);
        assert_eq!(reply.status, 404, "{method} {path}: {}", reply.body);
    }
}

/// Input 15.
pub(super) fn a_header_secret_does_not_follow_a_changed_url(beside: &Beside) {
    let settings = json!({"url": "https://first.example/", "headers": {"X-Api-Key": SECRET_TEXT}});
    let hooks = json!({"channel": "webhook", "settings": settings});
    let put = beside.as_("operator").put("/v1/tenants/mallory/destinations/header", &hooks);
    assert!(matches!(put.status, 200 | 201), "{}", put.body);
    for url in ["https://evil.example/", "https://first.example:8443/"] {
        let patch = json!({"settings": {"url": url}});
        let reply = beside.as_("admin").patch("/v1/tenants/mallory/destinations/header", &patch);
        assert_eq!(reply.status, 422, "{url}: {}", reply.body);
    }
}

/// Input 16.
pub(super) fn secrets_in_urls_are_masked(beside: &Beside) {
    let secrets = ["t0ken-of-the-query-string", "sk_live_of-the-user-info"];
    let urls = [
        format!("https://h.example/x?token={}", secrets[0]),
        format!("https://{}@h.example/", secrets[1]),
    ];
    for (n, url) in urls.iter().enumerate() {
        let path = format!("/v1/tenants/mallory/destinations/url-{n}");
        let hooks = json!({"channel": "webhook", "settings": {"url": url}});
        let put = beside.as_("admin").put(&path, &hooks);
        assert!(matches!(put.status, 200 | 201), "{}", put.body);
        for path in [
            &*path,
            "/v1/tenants/mallory/document",
            "/v1/tenants/mallory/audit",
            "/v1/tenants/mallory/export",
        ] {
            let shown = beside.as_("admin").get(path).body.to_string();
            assert!(secrets.iter().all(|secret| !shown.contains(secret)), "{path}: {shown}");
        }
        let listed = beside.scene.run(&["destinations", "list", "--tenant", "mallory"]).out;
        assert!(secrets.iter().all(|secret| !listed.contains(secret)), "{listed}");
    }
    for file in std::fs::read_dir(beside.scene.store()).expect("the store's folder").flatten() {
        let bytes = std::fs::read(file.path()).unwrap_or_default();
        for secret in secrets {
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{secret} is in {}", file.path().display());
        }
    }
}

/// Input 17.
pub(super) fn escape_sequences_are_shown(beside: &Beside) {
    let name = "evil\u{1b}]0;title\u{7}\u{9b}31m\u{202e}txt";
    let id = beside.id("escape");
    let data = json!({"name": name, name: 1});
    let reply =
        beside.as_("publisher").send("POST", "/v1/events", &event(&id, "test.escape", &data));
    assert!(matches!(reply.status, 202 | 429), "{}", reply.body);
    for args in [
        &["events", "--tenant", "mallory"][..],
        &["events", "--tenant", "mallory", &id],
        &["deliveries", "--tenant", "mallory"],
        &["destinations", "list", "--tenant", "mallory"],
    ] {
        let shown = beside.scene.run(args);
        for raw in ['\u{1b}', '\u{7}', '\u{9b}', '\u{202e}'] {
            assert!(!shown.out.contains(raw) && !shown.err.contains(raw), "{args:?}: {shown:?}");
        }
    }
    let named = json!({"name": name, "events": ["x"], "to": ["box"]});
    let reply = beside.as_("admin").post("/v1/tenants/mallory/routes", &named);
    assert_eq!(reply.status, 422, "{}", reply.body);
}

/// Input 19.
pub(super) fn a_sender_of_another_bank(beside: &Beside) {
    let settings = json!({"to": ["mlro@mallory.example"], "from": "ceo@otherbank.test"});
    let mail = json!({"channel": "email", "settings": settings});
    let reply = beside.as_("admin").put("/v1/tenants/mallory/destinations/mail", &mail);
    assert_eq!(reply.status, 422, "{}", reply.body);
}

/// Input 22.
pub(super) fn duplicate_keys_in_a_body(beside: &Beside) {
    let body = r#"{"role":"reader","role":"admin"}"#;
    let reply = beside.as_("admin").send("POST", "/v1/tenants/mallory/keys", body);
    assert_eq!(reply.status, 422, "{}", reply.body);
}

/// Input 23.
pub(super) fn two_names_of_one_tenant(beside: &Beside) {
    let body = event("evt_two", "test.two", &json!({}));
    let operator = beside.as_("operator");
    let twice = operator.send("POST", "/v1/events?tenant=mallory&tenant=healthy", &body);
    assert_eq!(twice.refusal().0, 422, "{}", twice.body);
    assert_ne!(twice.refusal().1, "no code", "the one shape of errors: {}", twice.body);
    let headers = [("fanfare-tenant", "healthy")];
    let both = operator.send_with("POST", "/v1/events?tenant=mallory", &headers, &body);
    assert_eq!(both.status, 422, "{}", both.body);
}

/// Input 24.
pub(super) fn a_reader_commits_nothing(beside: &Beside) {
    let hooks = json!({"channel": "poll", "settings": {}});
    let put = beside.as_("admin").put("/v1/tenants/mallory/destinations/box", &hooks);
    assert!(matches!(put.status, 200 | 201), "{}", put.body);
    let commit = json!({"consumer": "billing", "cursor": "0"});
    let path = "/v1/tenants/mallory/destinations/box/commit";
    assert_eq!(beside.as_("reader").post(path, &commit).status, 403);
}

/// Input 25.
pub(super) fn hosts_that_are_none(beside: &Beside) {
    for host in ["127.0.0.1..", "*", ".", "...", "127.0.0.1;example.com"] {
        let hooks = json!({"channel": "webhook", "settings": {"url": format!("https://{host}/")}});
        let reply = beside.as_("admin").put("/v1/tenants/mallory/destinations/host", &hooks);
        assert_eq!(reply.status, 422, "{host}: {}", reply.body);
    }
}
