//! URLs of webhooks: their secret parts are masked wherever they are shown, and only URLs that can
//! be reached are stored. Also what else is refused when a destination is written.

use fanfare_store::embedded::{self, Options, Role};
use serde_json::{Value, json};

use super::{Api, fields, webhook};
use crate::scene::Scene;
use crate::verifiers::SECRET;

const ALL: &str = "/v1/tenants/acme/destinations";
const DOCUMENT: &str = "/v1/tenants/acme/document";
const CHANNELS: &str = "/v1/tenants/acme/notification-channels";
const CLEAR: &str = "http://sk_live_user:pass@127.0.0.1:9/hooks?token=query-secret";
const MASKED: &str = "http://********@127.0.0.1:9/hooks?********";

#[test]
fn user_and_query_of_a_url_are_masked_in_every_answer_and_kept_when_they_are_sent_back() {
    Api::over_both(|api| {
        let hooks = format!("{ALL}/hooks");
        let made = api.put(&hooks, &webhook(CLEAR));
        assert_eq!(made.is(201)["settings"]["url"], MASKED);
        let shown = api.get(&hooks);
        let settings = shown.is(200)["settings"].clone();
        let document = api.get(DOCUMENT).is(200);

        // Whatever is sent back as it was shown keeps the stored URL.
        let tag = made.tag();
        let body = json!({"channel": "webhook", "settings": settings});
        assert_eq!(api.put(&hooks, &body).tag(), tag);
        assert_eq!(api.patch(&hooks, &json!({"settings": {"url": MASKED}})).tag(), tag);
        assert_eq!(api.put(DOCUMENT, &document).is(200)["outcome"], "unchanged");
        assert_eq!(api.get(&hooks).tag(), tag);

        // A masked part with another rest is not a URL that can be stored.
        for url in [
            "http://********@127.0.0.1:9/other?********",
            "http://127.0.0.1:9/hooks?********",
            "http://********@127.0.0.1:10/hooks",
        ] {
            let refused = api.patch(&hooks, &json!({"settings": {"url": url}}));
            assert_eq!(refused.answer.status, 422, "{url}: {}", refused.answer.body);
        }
        assert_eq!(api.get(&hooks).tag(), tag);

        api.patch(CHANNELS, &json!({"webhook_url": CLEAR})).is(200);
        let config = api.get(CHANNELS).is(200)["notification_config"].clone();
        assert_eq!(config["webhook_url"], MASKED);
        api.patch(CHANNELS, &json!({"webhook_url": MASKED})).is(200);

        for path in
            [ALL, &hooks, DOCUMENT, CHANNELS, "/v1/tenants/acme/audit", "/v1/tenants/acme/export"]
        {
            let body = api.get(path).answer.body;
            assert!(body.contains("********@127.0.0.1:9"), "{path}: {body}");
            for secret in ["sk_live_user", "query-secret", "pass@"] {
                assert!(!body.contains(secret), "{secret} in {path}: {body}");
            }
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn audit_entries_of_an_earlier_version_are_masked_when_they_are_read_and_by_a_rotation() {
    const ID: &str = "acme/aud_0000000000000000";
    let api = Api::start();
    let old = json!({
        "id": "aud_0000000000000000", "at_ms": 1_900_000_000_000_i64, "by": "key_1",
        "action": "update", "resource": "destinations/hooks", "before": null, "outcome": "done",
        "after": {"id": "hooks", "channel": "webhook", "settings": {"url": CLEAR, "rate": "5/s"}},
    });
    let options = Options { role: Role::Tool, readers: 1 };
    let store = embedded::open(api.scene.store().as_ref(), options).expect("the server's store");
    store.records.put("audit", ID, old.to_string().into(), Some(0), None).await.expect("written");

    let trail = api.get("/v1/tenants/acme/audit").is(200);
    let shown = &trail["data"][0]["after"]["settings"];
    assert_eq!(shown, &json!({"url": MASKED, "rate": "5/s"}), "{trail}");

    let rotated = api.scene.run(&["secrets", "rotate"]);
    assert!(rotated.err.contains("1 entries of the audit trail masked"), "{rotated:?}");
    let kept = store.records.get("audit", ID).await.expect("the store").expect("it is kept").doc;
    let mut expected = old;
    expected["after"]["settings"]["url"] = MASKED.into();
    assert_eq!(serde_json::from_slice::<Value>(&kept).expect("JSON"), expected);
    assert!(!api.scene.run(&["secrets", "rotate"]).err.contains("masked"), "once is enough");
}

#[test]
fn a_url_whose_host_is_no_host_is_refused() {
    let api = Api::start();
    for host in ["127.0.0.1..", "*", ".", "...", "127.0.0.1;example.com", "a..b", "-a.example.com"]
    {
        let body = webhook(&format!("https://{host}/hook"));
        let error = api.put(&format!("{ALL}/hooks"), &body).refused(422, "invalid_fields");
        assert_eq!(fields(&error), ["settings.url"], "{host}: {error}");
    }
}

#[test]
fn a_header_that_differs_only_in_case_is_refused() {
    let api = Api::start();
    let headers = json!({"X-Api-Key": "a", "x-api-key": "b"});
    let settings = json!({"url": "http://127.0.0.1:9/", "secret": SECRET, "headers": headers});
    let body = json!({"channel": "webhook", "settings": settings});
    let error = api.put(&format!("{ALL}/hooks"), &body).refused(422, "invalid_fields");
    assert_eq!(fields(&error), ["settings.headers.x-api-key"], "{error}");
}

#[test]
fn names_with_invisible_characters_are_refused() {
    let api = Api::start();
    let evil = "Acme\u{1b}]0;x\u{7}";
    let named = |settings: Value| json!({"channel": "poll", "settings": settings});
    api.put(&format!("{ALL}/ok"), &named(json!({"name": "Ōkubo & Söhne"}))).is(201);
    let (path, hooks) = (|rest: &str| format!("/v1/tenants/acme{rest}"), format!("{ALL}/hooks"));
    for name in [evil, "a\u{9b}31m", "\u{202e}knab", "two\nlines", "x\u{2066}y"] {
        for (said, field) in [
            (api.post("/v1/tenants", &json!({"id": "new", "name": name})), "name"),
            (api.patch(&path(""), &json!({"name": name})), "name"),
            (api.put(&hooks, &named(json!({"name": name}))), "settings.name"),
            (
                api.post(&path("/routes"), &json!({"name": name, "events": ["a.b"], "to": ["ok"]})),
                "name",
            ),
            (api.post(&path("/keys"), &json!({"role": "reader", "label": name})), "label"),
        ] {
            let error = said.refused(422, "invalid_fields");
            let found = fields(&error);
            assert!(found.len() == 1 && found[0].ends_with(field), "{name:?}: {error}");
            assert!(error.to_string().contains("U+"), "{error}");
        }
    }
    let description = json!({"description": "two\nlines are fine"});
    api.put("/v1/event-types/a.b", &description).is(201);
    let error = api.put("/v1/event-types/a.b", &json!({"description": evil}));
    assert_eq!(fields(&error.refused(422, "invalid_fields")), ["description"]);
}

#[test]
fn mail_comes_from_a_domain_that_the_operator_allows() {
    let scene = Scene::embedded();
    scene.settings(
        "[email]\nfrom = \"n@fanfare.example\"\nallowed_from_domains = [\"acme.example\"]",
    );
    let api = Api::on(scene);
    let mail = |from: &str| {
        let body = json!({"channel": "email", "settings": {"to": "a@b.example", "from": from}});
        api.put(&format!("{ALL}/mail"), &body)
    };
    mail("Acme KYC <kyc@acme.example>").is(201);
    mail("Acme KYC").is(200);
    for from in [
        "ceo@otherbank.test",
        "Acme <a@acme.example> <c@acme.example>",
        "a\u{202e}b <kyc@acme.example>",
    ] {
        let error = mail(from).refused(422, "invalid_fields");
        assert_eq!(fields(&error), ["settings.from"], "{from}: {error}");
    }
    let file = api.scene.file(
        "acme2.toml",
        "[tenant]\nid = \"acme2\"\n[[destination]]\nid = \"mail\"\nchannel = \"email\"\n\
         to = \"a@b.example\"\nfrom = \"ceo@otherbank.test\"\n",
    );
    for args in [&["check", &file][..], &["apply", "--dry-run", &file]] {
        let config = api.scene.path("fanfare.toml").display().to_string();
        let refused = crate::scene::said(&[args, &["--config", &config]].concat()).refused(1);
        assert!(refused.contains("otherbank.test"), "{args:?}: {refused}");
    }
}
