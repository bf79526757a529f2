//! Conventions of all resources: errors, idempotency, paging, request ids, the audit trail.

use serde_json::json;

use super::{Api, fields, webhook};

const ONE: &str = "/v1/tenants/acme/destinations";

#[test]
fn every_answer_has_a_request_id_which_the_caller_may_choose() {
    let api = Api::start();
    let own = api.call("GET", "/v1/tenants", &[("x-request-id", "mine-1")], None);
    assert_eq!(own.answer.header("x-request-id"), Some("mine-1"));
    for path in ["/v1/tenants", "/nowhere", "/healthz"] {
        let made = api.get(path).answer.header("x-request-id").map(str::to_owned);
        assert!(made.is_some_and(|id| id.starts_with("req_")), "{path}");
    }
    let bad = api.call("GET", "/healthz", &[("x-request-id", "two words")], None);
    assert!(bad.answer.header("x-request-id").is_some_and(|id| id.starts_with("req_")));
}

#[test]
fn all_errors_of_a_body_are_reported_at_once_with_suggestions() {
    let api = Api::start();
    let body = json!({"id": "Not An Id", "chanel": "webhook", "settings": [1]});
    let error = api.post(ONE, &body).refused(422, "invalid_fields");
    let mut names = fields(&error);
    names.sort_unstable();
    assert_eq!(names, ["chanel", "channel", "id", "settings"], "{error}");
    assert!(error.to_string().contains("did you mean `channel`"), "{error}");

    let settings = json!({"url": "ftp://x", "sekret": "x", "rate": "fast", "timeout": "1h"});
    let body = json!({"id": "hooks", "channel": "webhook", "settings": settings});
    let error = api.post(ONE, &body).refused(422, "invalid_fields");
    let mut names = fields(&error);
    names.sort_unstable();
    let expected = ["settings.rate", "settings.sekret", "settings.timeout", "settings.url"];
    assert_eq!(names, expected, "{error}");
    assert_eq!(api.get(ONE).is(200)["data"], json!([]));
}

#[test]
fn a_body_that_is_not_json_is_refused_in_the_common_shape() {
    let api = Api::start();
    let text = [("content-type", "text/plain")];
    api.call("POST", ONE, &text, Some(&json!({}))).refused(415, "unsupported_media_type");
    api.call("POST", ONE, &[], None).refused(415, "unsupported_media_type");
    api.call("POST", "/v1/nowhere", &[], None).refused(404, "no_such_path");
    let wrong = api.call("DELETE", ONE, &[], None);
    wrong.refused(405, "wrong_method");
    assert!(wrong.answer.header("allow").is_some_and(|allow| allow.contains("POST")));
    api.get(&format!("{ONE}?limit=0")).refused(422, "invalid_fields");
    api.get(&format!("{ONE}?limit=x")).refused(422, "invalid_fields");
    api.get(&format!("{ONE}?lmit=1")).refused(422, "invalid_fields");
    let error = api.get("/v1/tenants/acme/events?cursor=nonsense").refused(422, "invalid_fields");
    assert_eq!(fields(&error), ["cursor"]);
}

#[test]
fn a_repeated_post_with_the_same_key_is_executed_once() {
    Api::over_both(|api| {
        let body = webhook("http://127.0.0.1:9/hooks");
        let key = [("idempotency-key", "k-1")];
        let first = api.call("POST", ONE, &key, Some(&body));
        let again = api.call("POST", ONE, &key, Some(&body));
        assert_eq!(first.is(201), again.is(201));
        assert_eq!(again.answer.header("idempotency-replayed"), Some("true"));
        assert_eq!(first.tag(), again.tag());
        assert_eq!(api.get(ONE).is(200)["data"].as_array().map(Vec::len), Some(1));

        let other = webhook("http://127.0.0.1:9/other");
        api.call("POST", ONE, &key, Some(&other)).refused(422, "key_reused");
        // A refusal is an answer as well.
        let key = [("idempotency-key", "k-2")];
        let bad = json!({"channel": "pigeon", "settings": {}});
        api.call("POST", ONE, &key, Some(&bad)).refused(422, "invalid_fields");
        let again = api.call("POST", ONE, &key, Some(&bad));
        again.refused(422, "invalid_fields");
        assert_eq!(again.answer.header("idempotency-replayed"), Some("true"));
        let odd = [("idempotency-key", "two words")];
        api.call("POST", ONE, &odd, Some(&body)).refused(422, "bad_key");
    });
}

#[test]
fn a_repeated_post_does_not_show_a_secret_again() {
    let api = Api::start();
    let body = json!({"channel": "webhook", "settings": {"url": "http://127.0.0.1:9/"}});
    let key = [("idempotency-key", "k-1")];
    let first = api.call("POST", ONE, &key, Some(&body)).is(201);
    let secret = first["shown_once"]["secret"].as_str().expect("a secret was made").to_owned();
    assert!(secret.starts_with("whsec_"));
    let again = api.call("POST", ONE, &key, Some(&body));
    again.is(201);
    assert!(!again.answer.body.contains(&secret));
    assert!(!api.get(ONE).answer.body.contains(&secret));
    assert!(!api.get("/v1/tenants/acme/audit").answer.body.contains(&secret));
}

#[test]
fn lists_are_paged_and_no_item_occurs_twice() {
    let api = Api::start();
    for n in 0..7 {
        api.put(&format!("{ONE}/d{n}"), &webhook("http://127.0.0.1:9/")).is(201);
    }
    let (mut cursor, mut seen) = (String::new(), Vec::new());
    loop {
        let page = api.get(&format!("{ONE}?limit=3{cursor}")).is(200);
        let items = page["data"].as_array().expect("a list");
        assert!(items.len() <= 3);
        seen.extend(items.iter().map(|one| one["id"].as_str().expect("an id").to_owned()));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen, ["d0", "d1", "d2", "d3", "d4", "d5", "d6"]);
}

#[test]
fn every_change_is_in_the_audit_trail_with_secrets_masked() {
    Api::over_both(|api| {
        api.put(&format!("{ONE}/hooks"), &webhook("http://127.0.0.1:9/a")).is(201);
        let change = json!({"settings": {"url": "http://127.0.0.1:9/b"}});
        api.patch(&format!("{ONE}/hooks"), &change).is(200);
        api.post(&format!("{ONE}/hooks/pause"), &json!({})).is(200);
        api.delete(&format!("{ONE}/hooks")).is(204);
        let said = api.get("/v1/tenants/acme/audit");
        let lines = said.is(200);
        let lines = lines["data"].as_array().expect("lines");
        let told: Vec<_> = lines
            .iter()
            .map(|line| (line["action"].as_str().unwrap(), line["resource"].as_str().unwrap()))
            .collect();
        let hooks = "destinations/hooks";
        assert_eq!(
            told,
            [
                ("delete", hooks),
                ("pause", hooks),
                ("update", hooks),
                ("create", hooks),
                ("create", "tenant")
            ]
        );
        assert_eq!(lines[2]["before"]["settings"]["url"], "http://127.0.0.1:9/a");
        assert_eq!(lines[2]["after"]["settings"]["url"], "http://127.0.0.1:9/b");
        assert!(lines.iter().all(|line| line["outcome"] == "done" && line["by"] == "development"));
        assert!(!said.answer.body.contains(crate::verifiers::SECRET));
        let page = api.get("/v1/tenants/acme/audit?limit=2").is(200);
        let next = page["next_cursor"].as_str().expect("more");
        let rest = api.get(&format!("/v1/tenants/acme/audit?cursor={next}")).is(200);
        assert_eq!(rest["data"][0], lines[2]);
    });
}

#[test]
fn events_sent_again_with_the_same_key_get_the_first_answer() {
    Api::over_both(|api| {
        let events = "/v1/events?tenant=acme";
        let post = |path: &str, key: &str, body: &serde_json::Value| {
            api.call("POST", path, &[("idempotency-key", key)], Some(body))
        };
        let body = json!({"type": "a.b", "data": {"n": 1}});
        let first = post(events, "k-1", &body);
        assert_eq!(first.is(202)["outcome"], "accepted");
        assert_eq!(first.answer.header("idempotency-replayed"), None);
        let again = post(events, "k-1", &body);
        assert_eq!(again.is(202), first.is(202), "not a duplicate: the same answer");
        assert_eq!(again.answer.header("idempotency-replayed"), Some("true"));
        let other = json!({"type": "a.b", "data": {"n": 2}});
        post(events, "k-1", &other).refused(422, "key_reused");

        // Another tenant's is another request.
        let theirs = post("/v1/events?tenant=globex", "k-1", &other).is(202);
        assert_ne!(theirs["id"], first.is(202)["id"]);
        let batch = json!([body, {"type": "not a type", "data": {}}]);
        let taken = post(events, "k-2", &batch).is(202);
        assert_eq!((&taken["accepted"], &taken["refused"]), (&json!(1), &json!(1)));
        assert_eq!(post(events, "k-2", &batch).is(202), taken);
        // What was refused may be sent again once it is mended, with the same key.
        let bad = json!({"type": "a.b"});
        post(events, "k-3", &bad).refused(422, "missing_field");
        let refused = post(events, "k-3", &bad);
        refused.refused(422, "missing_field");
        assert_eq!(refused.answer.header("idempotency-replayed"), None);
        post(events, "k-3", &body).is(202);
        post(events, "two words", &body).refused(422, "bad_key");
    });
}
