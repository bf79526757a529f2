//! Valid settings, and the errors of invalid ones.

use fanfare_contract::{Channel as _, Content, FieldError};
use fanfare_email::{Config, EmailChannel};
use serde_json::{Value, json};

use fanfare_receivers::SmtpReceiver;

use crate::support::{Fixed, config, delivery_of, event, resolver, send, settings};

fn channel() -> EmailChannel {
    EmailChannel::new(Config::default(), Fixed::hello(), resolver()).unwrap()
}

fn lanes(value: Value) -> Vec<(String, String)> {
    let lanes = channel().prepare(&settings(value)).unwrap_or_else(|errors| panic!("{errors:?}"));
    lanes.into_iter().map(|lane| (lane.suffix.unwrap(), lane.label)).collect()
}

fn errors(value: Value) -> Vec<FieldError> {
    channel().prepare(&settings(value)).err().expect("errors")
}

#[test]
fn every_recipient_is_a_lane_named_after_its_address() {
    let one = lanes(json!({"to": "mlro@acme.example"}));
    let two = lanes(json!({"to": ["Compliance <compliance@acme.example>", "MLRO@acme.example"]}));
    assert_eq!(one.len(), 1);
    assert_eq!(one[0].1, "m***@acme.example");
    assert_eq!(two[0].1, "c***@acme.example");
    // Neither a second recipient nor the case of letters changes a suffix.
    assert_eq!(one[0].0, two[1].0);
    // The first six digits of the SHA-256 of `mlro@acme.example`.
    assert_eq!(one[0].0, "0f8425");
}

#[test]
fn all_errors_are_reported_together_with_their_fields() {
    let errors = errors(json!({
        "to": ["a@b.example", "nobody", 7, "A@B.example"],
        "from": "Evil\r\nBcc: x <x@y.example>",
        "reply_to": 1,
        "repyl_to": "a@b.example",
        "zzzzzzzzzz": true,
    }));
    let found: Vec<_> = errors.iter().map(|error| error.field.as_str()).collect();
    assert_eq!(found, ["repyl_to", "zzzzzzzzzz", "to.1", "to.2", "to.3", "from", "reply_to"]);
    let said = |field: &str| &errors.iter().find(|error| error.field == field).unwrap().message;
    assert!(said("repyl_to").contains("did you mean `reply_to`?"));
    assert!(said("zzzzzzzzzz").contains("the settings are `to`, `from`, `reply_to`"));
    assert!(said("to.3").contains("duplicate"));
    assert!(said("from").contains("control character"));
}

#[test]
fn a_misspelled_field_of_every_destination_gets_a_suggestion() {
    let errors = errors(json!({"to": "a@b.example", "digets": {}}));
    assert!(errors[0].message.contains("did you mean `digest`?"), "{errors:?}");
}

#[test]
fn one_to_a_hundred_recipients_are_accepted() {
    let many = |n: usize| (0..n).map(|i| format!("u{i}@b.example")).collect::<Vec<_>>();
    assert_eq!(lanes(json!({"to": many(100)})).len(), 100);
    for to in [json!(many(101)), json!([]), json!(null), json!(5)] {
        assert_eq!(errors(json!({"to": to}))[0].field, "to");
    }
    assert_eq!(errors(json!({}))[0].field, "to");
}

#[test]
fn email_settings_hold_nothing_to_mask() {
    let settings = settings(json!({"to": "a@b.example", "from": "Acme"}));
    assert_eq!(channel().masked(&settings), settings);
}

#[test]
fn a_sender_is_one_address_of_an_allowed_domain() {
    let config = Config {
        from: "Fanfare <notifications@fanfare.example>".into(),
        allowed_from_domains: vec!["acme.example".into(), "*.eu.example".into()],
        ..Config::default()
    };
    let channel = EmailChannel::new(config, Fixed::hello(), resolver()).unwrap();
    let review = |from: &str| {
        let settings = settings(json!({"to": "a@b.example", "from": from}));
        assert!(channel.prepare(&settings).is_ok(), "what is stored is prepared: {from}");
        let errors = channel.objections(None, &settings);
        errors.into_iter().map(|error| format!("{} {}", error.field, error.message)).next()
    };
    for from in
        ["Acme", "a@acme.example", "Acme <a@kyc.eu.example>", "n <notifications@fanfare.example>"]
    {
        assert_eq!(review(from), None, "{from}");
    }
    for (from, reason) in [
        ("ceo@otherbank.test", "operator does not allow"),
        ("Acme <other@fanfare.example>", "operator does not allow"),
        ("Acme <a@acme.example> <c@acme.example>", "two addresses"),
        ("ceo@otherbank.test <a@acme.example>", "looks like another address"),
        ("Acme \u{202e}knab <a@acme.example>", "U+202E"),
    ] {
        let error = review(from).expect(from);
        assert!(error.starts_with("from ") && error.contains(reason), "{from}: {error}");
    }
}

#[test]
fn names_of_recipients_are_reviewed_one_by_one() {
    let to = json!({"to": ["Ok <a@b.example>", "x\u{2066}y <c@d.example>"], "reply_to": "e <f> <g@h.example>"});
    let errors = channel().objections(None, &settings(to));
    let fields: Vec<_> = errors.iter().map(|error| error.field.as_str()).collect();
    assert_eq!(fields, ["reply_to", "to.1"]);
}

#[tokio::test]
async fn mail_from_a_domain_that_is_not_allowed_is_not_sent() {
    let receiver = SmtpReceiver::ok().await.unwrap();
    let config = Config { allowed_from_domains: Vec::new(), ..config(receiver.addr()) };
    let channel = EmailChannel::new(config, Fixed::hello(), resolver()).unwrap();
    let stored = json!({"to": "a@b.example", "from": "ceo@otherbank.test"});
    let content = Content::Event(event("evt_1", "a.b", &json!({})));
    let error = send(&channel, &delivery_of(&channel, stored, content)).await.unwrap_err();
    assert_eq!(error.code, "sender_not_allowed");
    assert!(error.to_string().contains("otherbank.test"), "{error}");
    assert!(receiver.mails().is_empty());
}
