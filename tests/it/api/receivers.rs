//! Stored secrets stay with the receiver that they were given for, and secrets and headers that
//! receivers would read in different ways are refused.

use serde_json::{Value, json};

use super::{Api, fields};
use crate::scene::{Scene, said};

const HOOKS: &str = "/v1/tenants/acme/destinations/hooks";
const SECRET: &str = crate::verifiers::SECRET;
/// Another scheme, another host, another port.
const ELSEWHERE: [&str; 3] =
    ["https://127.0.0.1:9/a", "http://127.0.0.2:9/a", "http://127.0.0.1:10/a"];

/// A webhook with a secret header, which the operator set.
fn start() -> Api {
    let api = Api::start();
    let settings = json!({
        "url": "http://127.0.0.1:9/a", "secret": SECRET, "headers": {"X-Api-Key": "S3cr3t"},
        "previous_secrets": [{"secret": "an-older-secret-of-mine", "expires": 4_102_444_800_i64}],
    });
    api.put(HOOKS, &json!({"channel": "webhook", "settings": settings})).is(201);
    api
}

fn mask(end: &str) -> String {
    format!("{}{end}", "*".repeat(28))
}

#[test]
fn a_patch_with_a_new_receiver_must_give_the_headers_again() {
    let api = start();
    for url in ELSEWHERE {
        let refused = api.patch(HOOKS, &json!({"settings": {"url": url}}));
        let error = refused.refused(422, "invalid_fields");
        assert_eq!(fields(&error), ["settings.headers.X-Api-Key"], "{url}");
        assert!(error["message"].as_str().unwrap().contains("must be given again"), "{error}");
        assert!(!error.to_string().contains("S3cr3t"), "{error}");
    }
    // Another path is the same receiver.
    let path = api.patch(HOOKS, &json!({"settings": {"url": "http://127.0.0.1:9/b"}})).is(200);
    assert_eq!(path["settings"]["headers"]["X-Api-Key"], mask("****"));
    assert_eq!(path["shown_once"], Value::Null);
    // Given again, or removed.
    let given = json!({"url": ELSEWHERE[1], "headers": {"X-Api-Key": "S3cr3t"}, "secret": SECRET});
    let moved = api.patch(HOOKS, &json!({ "settings": given })).is(200);
    assert_eq!(moved["settings"]["secret"], mask("Hh8="), "the secret that was given");
    assert_eq!(moved["shown_once"], Value::Null);
    let removed = json!({"url": ELSEWHERE[2], "headers": null});
    api.patch(HOOKS, &json!({ "settings": removed })).is(200);
}

#[test]
fn a_new_receiver_gets_a_new_signing_secret_unless_one_is_given() {
    let api = start();
    let settings = json!({"url": ELSEWHERE[1], "headers": null});
    let moved = api.patch(HOOKS, &json!({ "settings": settings })).is(200);
    let made = moved["shown_once"]["secret"].as_str().expect("a new secret");
    assert!(made.starts_with("whsec_") && made != SECRET);
    assert_eq!(moved["settings"]["previous_secrets"], Value::Null, "the old receiver knows them");
}

#[test]
fn a_masked_value_counts_only_for_the_receiver_it_was_shown_for() {
    let api = start();
    let shown = api.get(HOOKS).is(200)["settings"].clone();
    let body = json!({"channel": "webhook", "settings": shown});
    api.put(HOOKS, &body).is(200);
    for url in ELSEWHERE {
        let mut moved = body.clone();
        moved["settings"]["url"] = url.into();
        let error = api.put(HOOKS, &moved).refused(422, "invalid_fields");
        let all =
            ["settings.secret", "settings.headers.X-Api-Key", "settings.previous_secrets.0.secret"];
        let mut found = fields(&error);
        found.sort_unstable();
        let mut all = all.to_vec();
        all.sort_unstable();
        assert_eq!(found, all, "{url}");
    }
    // Nor does a mask of another destination, of another secret or in a new destination.
    for (method, path) in
        [("PUT", format!("{HOOKS}-2")), ("POST", HOOKS[..HOOKS.len() - 6].to_owned())]
    {
        let error = api.call(method, &path, &[], Some(&body)).refused(422, "invalid_fields");
        assert!(fields(&error).contains(&"settings.secret"), "{error}");
    }
    for (field, value) in [
        ("secret", json!(mask("abcd"))),
        ("headers", json!({"X-Other": mask("****")})),
        ("url", json!("http://user:********@127.0.0.1:9/a")),
    ] {
        let error = api.patch(HOOKS, &json!({"settings": {field: value}}));
        let error = error.refused(422, "invalid_fields");
        assert!(fields(&error)[0].starts_with(&format!("settings.{field}")), "{error}");
    }
    assert_eq!(api.get(HOOKS).is(200)["settings"], body["settings"], "nothing was changed");
}

#[test]
fn a_document_carries_no_secret_to_a_new_receiver() {
    let api = start();
    let path = "/v1/tenants/acme/document";
    let mut document = api.get(path).is(200);
    for query in ["?dry_run=true", ""] {
        document["destinations"][0]["settings"]["url"] = ELSEWHERE[1].into();
        let error = api.put(&format!("{path}{query}"), &document).refused(422, "invalid_fields");
        assert!(error.to_string().contains("headers.X-Api-Key"), "{error}");
    }
    // With the headers given and no secret, a new one is generated.
    let settings = json!({"url": ELSEWHERE[1], "headers": {"X-Api-Key": "new"}});
    document["destinations"][0]["settings"] = settings;
    let applied = api.put(path, &document).is(200);
    assert_eq!(applied["shown_once"][0]["field"], "secret", "{applied}");
    let same = api.put(path, &document).is(200);
    assert_eq!(same["outcome"], "unchanged", "the same receiver keeps its secret");
}

#[test]
fn the_notification_channels_carry_no_secret_to_a_new_receiver() {
    let api = Api::start();
    let path = "/v1/tenants/acme/notification-channels";
    let first = api.patch(path, &json!({"webhook_url": "http://127.0.0.1:9/a"})).is(200);
    let config = |said: &Value| said["notification_config"].clone();
    let secret = config(&first)["webhook_secret"].clone();
    let moved = api.patch(path, &json!({"webhook_url": ELSEWHERE[1]})).is(200);
    assert!(config(&moved)["webhook_secret_once"].is_string(), "{moved}");
    assert_ne!(config(&moved)["webhook_secret"], secret);
    let masked = config(&moved)["webhook_secret"].clone();
    let back = json!({"webhook_url": "http://127.0.0.1:9/a", "webhook_secret": masked});
    let error = api.patch(path, &back).refused(422, "invalid_fields");
    assert_eq!(fields(&error), ["webhook_secret"]);
    let same = json!({"webhook_url": ELSEWHERE[1], "webhook_secret": masked});
    api.patch(path, &same).is(200);

    let headers = json!({"settings": {"headers": {"X-Api-Key": "S"}}});
    api.patch("/v1/tenants/acme/destinations/notify-webhook", &headers).is(200);
    let error = api.patch(path, &json!({"webhook_url": "http://127.0.0.1:9/a"}));
    let error = error.refused(422, "invalid_fields");
    assert_eq!(fields(&error), ["webhook_url"]);
    assert!(error.to_string().contains("headers.X-Api-Key"), "{error}");
}

#[test]
fn commands_and_files_carry_no_secret_to_a_new_receiver() {
    let api = start();
    let scene = &api.scene;
    let update = ["destinations", "update", "hooks", "--tenant", "acme", "--development"];
    let refused = scene.run(&[&update[..], &["url=http://127.0.0.2:9/"]].concat()).refused(1);
    assert!(refused.contains("settings.headers.X-Api-Key must be given again"), "{refused}");
    // A file without the secret: the new receiver gets a new one, which is shown once.
    let file = |port: u16| {
        let text = format!(
            "[tenant]\nid = \"filed\"\n[[destination]]\nid = \"hooks\"\nchannel = \"webhook\"\n\
             url = \"http://127.0.0.1:{port}/\"\n"
        );
        scene.file("filed.toml", text)
    };
    let apply = |path: &str| scene.run(&["apply", path, "--development"]).ok();
    assert!(apply(&file(9)).contains("secret = whsec_"));
    assert!(!apply(&file(9)).contains("secret ="));
    assert!(apply(&file(10)).contains("secret = whsec_"));
}

/// Settings that were accepted once, and what is refused now.
fn refused_settings() -> Vec<(&'static str, Value, &'static str)> {
    let bare = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    vec![
        ("secret", json!(bare), "whsec_"),
        ("previous_secrets", json!([{"secret": bare, "expires": 5}]), "whsec_"),
        ("headers", json!({"X-Team": "a", "x-team": "b"}), "same header as `X-Team`"),
        ("headers", json!({"X-Team": "é"}), "not ASCII"),
        ("url", json!("http://a..b/"), "neither a domain name"),
    ]
}

#[test]
fn secrets_and_headers_that_receivers_read_differently_are_refused() {
    let api = start();
    for (field, value, why) in refused_settings() {
        let mut settings = json!({"url": "http://127.0.0.1:9/a", "secret": SECRET});
        settings[field] = value;
        let body = json!({"channel": "webhook", "settings": settings});
        let error = api.put(&format!("{HOOKS}-{field}"), &body).refused(422, "invalid_fields");
        assert!(error["message"].as_str().unwrap().contains(why), "{error}");
    }
    let bare = json!({"secret": "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"});
    let error = api.post(&format!("{HOOKS}/rotate-secret"), &bare).refused(422, "invalid_fields");
    assert!(error["message"].as_str().unwrap().contains("whsec_"), "{error}");
    // The official vector, without padding and with unused bits.
    let vector = json!({"settings": {"secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwBr"}});
    assert_eq!(api.patch(HOOKS, &vector).is(200)["settings"]["secret"], mask("SwBr"));
}

#[test]
fn tenant_files_with_them_are_refused_by_check_apply_and_serve() {
    let scene = Scene::embedded();
    let toml = "[[destination]]\nid = \"hooks\"\nchannel = \"webhook\"\n\
                url = \"http://127.0.0.1:9/\"\nsecret = \"MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"\n\
                headers = { X-Team = \"a\", x-team = \"b\", X-Name = \"é\" }\n";
    let path = scene.tenant("acme", toml).display().to_string();
    let check = said(&["check", &path, "--development"]);
    let check = format!("{}{}", check.out, check.err);
    let apply = scene.run(&["apply", &path, "--development"]).refused(1);
    for answer in [check, apply] {
        for why in ["write `whsec_` before it", "the same header as `X-Team`", "not ASCII"] {
            assert!(answer.contains(why), "{answer}");
        }
    }
}
