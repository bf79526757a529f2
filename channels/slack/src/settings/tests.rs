//! Valid settings, and the errors of invalid ones.

use serde_json::json;

use super::*;

fn check(settings: Value, development: bool) -> Result<PreparedLane, Vec<(String, String)>> {
    let Value::Object(settings) = settings else { unreachable!() };
    prepare(&settings, development)
        .map(|mut lanes| lanes.remove(0))
        .map_err(|errors| errors.into_iter().map(|it| (it.field, it.message)).collect())
}

fn errors(settings: Value) -> Vec<(String, String)> {
    check(settings, false).err().expect("errors")
}

const WEBHOOK: &str = "https://hooks.slack.com/services/T0001/B0002/abcdefghijklmnop";

#[test]
fn a_webhook_is_one_lane_labeled_with_its_host() {
    let lane = check(json!({"url": WEBHOOK, "group_by": "data.session_id"}), false).unwrap();
    assert_eq!((lane.label.as_str(), lane.suffix), ("hooks.slack.com", None));
    let gov = "https://hooks.slack-gov.com/services/T0001/B0002/abc";
    assert_eq!(check(json!({"url": gov}), false).unwrap().label, "hooks.slack-gov.com");
}

#[test]
fn a_bot_is_one_lane_labeled_with_its_channel() {
    for channel in ["#kyc-alerts", "C0123ABCD", "#größe_1"] {
        let settings = json!({"token": "xoxb-1-2-abc", "slack_channel": channel,
            "group_by": "data.session_id", "updates": "edit"});
        assert_eq!(check(settings, false).unwrap().label, channel);
    }
}

#[test]
fn only_slacks_hosts_are_allowed_outside_development() {
    for url in [
        "http://hooks.slack.com/services/T/B/x",
        "https://hooks.slack.com.evil.example/services/T/B/x",
        "https://example.com/services/T/B/x",
        "https://127.0.0.1/services/T/B/x",
        "https://hooks.slack.com:8443/services/T/B/x",
        "https://me@hooks.slack.com/services/T/B/x",
        "https://hooks.slack.com",
        "ftp://hooks.slack.com/services/T/B/x",
        "hooks.slack.com/services",
    ] {
        let errors = errors(json!({"url": url}));
        assert_eq!(errors.len(), 1, "{url}");
        assert_eq!(errors[0].0, "url");
    }
    let local = json!({"url": "http://127.0.0.1:9100/services/T000/B000/XXXX"});
    assert_eq!(check(local, true).unwrap().label, "127.0.0.1:9100");
    assert!(check(json!({"url": "ftp://127.0.0.1/x"}), true).is_err());
}

#[test]
fn all_errors_are_reported_together_with_their_fields() {
    let errors = errors(json!({
        "token": "xoxp-user", "slack_channel": "kyc", "group_by": "data..id",
        "updates": "edti", "webhok": 1,
    }));
    let fields: Vec<&str> = errors.iter().map(|(field, _)| field.as_str()).collect();
    assert_eq!(fields, ["webhok", "token", "slack_channel", "group_by", "updates"]);
    assert!(errors[4].1.contains("did you mean `edit`?"), "{errors:?}");
}

#[test]
fn a_misspelled_field_gets_a_suggestion() {
    for (given, meant) in [
        ("slack_chanel", "slack_channel"),
        ("slackchannel", "slack_channel"),
        ("groupby", "group_by"),
        ("Token", "token"),
        ("webhook_url", "url"),
        ("update", "updates"),
    ] {
        let errors = errors(json!({"url": WEBHOOK, (given): "x"}));
        assert_eq!(
            errors[0].1,
            format!("is not a setting of a Slack destination; did you mean `{meant}`?"),
            "{given}"
        );
    }
    let errors = errors(json!({"url": WEBHOOK, "icon_emoji": ":x:"}));
    assert!(errors[0].1.contains("`url`, `token`, `slack_channel`"), "{errors:?}");
}

#[test]
fn contradicting_settings_are_refused() {
    let cases = [
        (json!({}), "url"),
        (json!({"slack_channel": "#a"}), "token"),
        (json!({"url": WEBHOOK, "token": "xoxb-1"}), "url"),
        (json!({"url": WEBHOOK, "slack_channel": "#a"}), "slack_channel"),
        (json!({"url": WEBHOOK, "updates": "edit", "group_by": "id"}), "updates"),
        (json!({"token": "xoxb-1"}), "slack_channel"),
        (json!({"token": "xoxb-1", "slack_channel": "#a", "updates": "edit"}), "updates"),
        (json!({"token": "xoxb-1\n", "slack_channel": "#a", "updates": 1}), "updates"),
        (json!({"token": {"env": "X"}, "slack_channel": "#a"}), "token"),
        (json!({"url": ""}), "url"),
    ];
    for (settings, field) in cases {
        let errors = errors(settings.clone());
        assert_eq!(errors.len(), 1, "{settings}: {errors:?}");
        assert_eq!(errors[0].0, field, "{settings}");
    }
}

#[test]
fn secrets_are_masked_in_settings_and_in_debug_output() {
    let Value::Object(settings) = json!({"url": WEBHOOK, "group_by": "id"}) else { panic!() };
    let stars = "*".repeat(28);
    let shown = masked(&settings);
    assert_eq!(shown["url"], format!("https://hooks.slack.com/{stars}mnop"));
    assert_eq!(shown["group_by"], "id");
    let bot = json!({"token": "xoxb-123456-abcdwxyz", "slack_channel": "#a"});
    let Value::Object(settings) = bot else { panic!() };
    assert_eq!(masked(&settings)["token"], format!("{stars}wxyz"));
    let lane = prepare(&settings, false).unwrap().remove(0);
    let prepared = lane.settings.downcast_ref::<Prepared>().unwrap();
    assert!(!format!("{prepared:?}").contains("wxyz"));
    for odd in ["https://hooks.slack.com", "nonsense", "", "https://x/ab"] {
        let settings = Map::from_iter([("url".to_owned(), odd.into())]);
        let shown = masked(&settings)["url"].as_str().unwrap().to_owned();
        assert!(shown.ends_with(&stars), "{shown}");
    }
}
