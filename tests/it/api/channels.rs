//! The tenant's notification channels, exactly as the platform's documentation describes them.

use serde_json::{Value, json};

use super::{Api, fields};
use crate::scene::{SOON, Scene};
use crate::support::{Hook, Peer};

const PATH: &str = "/v1/tenants/acme/notification-channels";

fn config(api: &Api) -> Value {
    api.get(PATH).is(200)["notification_config"].clone()
}

#[test]
fn a_new_tenant_has_no_notification_channels() {
    let api = Api::start();
    let expected = json!({"notification_config": {
        "webhook_url": null, "webhook_secret": null, "notification_emails": [],
        "slack_webhook_url": null, "batch_notifications_enabled": false,
    }});
    assert_eq!(api.get(PATH).is(200), expected);
}

#[test]
fn a_url_without_a_secret_gets_one_that_is_shown_once_and_then_masked() {
    Api::over_both(|api| {
        let set = api.patch(PATH, &json!({"webhook_url": "http://127.0.0.1:9/kyc"})).is(200);
        let set = &set["notification_config"];
        let once = set["webhook_secret_once"].as_str().expect("shown once");
        assert!(once.starts_with("whsec_") && once.len() == 50, "{once}");
        let masked = format!("{}{}", "*".repeat(28), &once[once.len() - 4..]);
        assert_eq!(set["webhook_secret"], masked);
        let now = api.get(PATH);
        assert_eq!(now.is(200)["notification_config"]["webhook_secret"], masked);
        assert_eq!(now.is(200)["notification_config"].get("webhook_secret_once"), None);
        assert!(!now.answer.body.contains(once));

        // Another URL keeps the secret; null has a new one made; one that is given is not repeated.
        let set = api.patch(PATH, &json!({"webhook_url": "http://127.0.0.1:9/other"})).is(200);
        assert_eq!(set["notification_config"]["webhook_secret"], masked);
        assert_eq!(set["notification_config"].get("webhook_secret_once"), None);
        let set = api.patch(PATH, &json!({"webhook_secret": null})).is(200);
        assert_ne!(set["notification_config"]["webhook_secret_once"], once);
        let set = api.patch(PATH, &json!({"webhook_secret": "correct-horse-battery"})).is(200);
        assert_eq!(set["notification_config"]["webhook_secret"], format!("{}tery", "*".repeat(28)));
        assert_eq!(set["notification_config"].get("webhook_secret_once"), None);
    });
}

#[test]
fn omitted_fields_keep_their_values_and_null_clears_a_field() {
    let api = Api::start();
    let all = json!({
        "webhook_url": "http://127.0.0.1:9/kyc", "webhook_secret": "correct-horse-battery",
        "notification_emails": ["mlro@acme.example", "ops@acme.example"],
        "slack_webhook_url": "http://127.0.0.1:9/services/T0/B0/abcdefghijklmnop",
        "batch_notifications_enabled": true,
    });
    api.patch(PATH, &all).is(200);
    let before = config(&api);
    assert_eq!(before["notification_emails"], all["notification_emails"]);
    assert_eq!(before["batch_notifications_enabled"], true);
    let slack = before["slack_webhook_url"].as_str().expect("an address");
    assert!(slack.ends_with(&format!("{}mnop", "*".repeat(28))), "{slack}");

    api.patch(PATH, &json!({})).is(200);
    assert_eq!(config(&api), before);
    // Sent back as it was shown, nothing changes either.
    api.patch(PATH, &before).is(200);
    assert_eq!(config(&api), before);

    api.patch(PATH, &json!({"slack_webhook_url": null})).is(200);
    let now = config(&api);
    assert_eq!(now["slack_webhook_url"], Value::Null);
    assert_eq!(now["webhook_url"], before["webhook_url"]);
    let null = json!({"webhook_url": null, "notification_emails": null, "batch_notifications_enabled": null});
    api.patch(PATH, &null).is(200);
    let empty = config(&api);
    assert_eq!(empty["webhook_secret"], Value::Null);
    assert_eq!(empty["notification_emails"], json!([]));
    assert_eq!(empty["batch_notifications_enabled"], false);
    assert_eq!(api.get("/v1/tenants/acme/destinations").is(200)["data"], json!([]));
    assert_eq!(api.get("/v1/tenants/acme/routes").is(200)["data"], json!([]));
}

#[test]
fn notification_channels_are_a_view_of_destinations_and_routes() {
    Api::over_both(|api| {
        let receiver = Peer::start("http_receiver.mjs", &["--secret", crate::verifiers::SECRET]);
        let url = receiver.url("/kyc");
        let set = json!({
            "webhook_url": url, "webhook_secret": crate::verifiers::SECRET,
            "notification_emails": ["mlro@acme.example"], "batch_notifications_enabled": true,
        });
        api.patch(PATH, &set).is(200);
        let there = api.get("/v1/tenants/acme/destinations").is(200);
        let ids: Vec<_> = there["data"].as_array().unwrap().iter().map(|one| &one["id"]).collect();
        assert_eq!(ids, ["notify-email", "notify-webhook"]);
        assert_eq!(there["data"][0]["settings"]["digest"]["schedule"], "0 8 * * *");
        let routes = api.get("/v1/tenants/acme/routes").is(200);
        assert_eq!(routes["data"][0]["events"], json!(["**"]));
        assert_eq!(routes["data"][0]["to"], json!(["notify-webhook", "notify-email"]));

        // What is set there appears here.
        let mail = "/v1/tenants/acme/destinations/notify-email";
        api.patch(mail, &json!({"settings": {"digest": null, "to": ["new@acme.example"]}})).is(200);
        assert_eq!(config(api)["notification_emails"], json!(["new@acme.example"]));
        assert_eq!(config(api)["batch_notifications_enabled"], false);

        let event = json!({"id": "evt_1", "type": "kyc.session.created", "data": {}});
        api.post("/v1/events?tenant=acme", &event).is(202);
        let got: Vec<Hook> = receiver.wait_for(1, SOON);
        assert!(got[0].standard.ok && got[0].hub.ok);
    });
}

#[test]
fn errors_use_the_field_names_of_this_resource() {
    let api = Api::start();
    let bad = json!({
        "webhook_url": "ftp://x", "notification_emails": ["not an address"],
        "slack_webhook_url": "nowhere",
    });
    let error = api.patch(PATH, &bad).refused(422, "invalid_fields");
    let mut names = fields(&error);
    names.sort_unstable();
    assert_eq!(names.len(), 3, "{error}");
    assert!(names[0].starts_with("notification_emails"), "{error}");
    assert_eq!(names[1..], ["slack_webhook_url", "webhook_url"]);
    let error = api.patch(PATH, &json!({"webhook_secret": "correct-horse-battery"}));
    assert_eq!(fields(&error.refused(422, "invalid_fields")), ["webhook_secret"]);
    let error = api.patch(PATH, &json!({"webhok_url": "x", "notification_emails": "x"}));
    let error = error.refused(422, "invalid_fields");
    assert!(error.to_string().contains("did you mean `webhook_url`"), "{error}");
    assert_eq!(api.get(PATH).is(200)["notification_config"]["webhook_url"], Value::Null);
}

#[test]
fn the_configured_alias_serves_only_the_keys_own_tenant() {
    let scene = Scene::embedded();
    scene.settings("[http]\nalias = \"/kyc\"\n");
    let mut api = Api::on(scene);
    let (admin, reader) = (api.key("acme", "admin"), api.key("acme", "reader"));
    api.with(&admin, |api| {
        let kyc = "/kyc/tenants/me/notification-channels";
        api.patch(kyc, &json!({"notification_emails": ["a@acme.example"]})).is(200);
        assert_eq!(api.get(kyc).is(200), api.get(PATH).is(200));
        assert_eq!(api.get(kyc).is(200), api.get("/v1/tenants/me/notification-channels").is(200));
        let foreign = api.get("/kyc/tenants/globex/notification-channels");
        foreign.refused(404, "unknown_tenant");
    });
    api.with(&reader, |api| {
        api.get("/kyc/tenants/me/notification-channels").is(200);
        api.patch("/kyc/tenants/me/notification-channels", &json!({})).refused(403, "forbidden");
    });
}
