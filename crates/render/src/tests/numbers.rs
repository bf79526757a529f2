//! Numbers in messages: as the producer wrote them, and still numbers for helpers.

use std::sync::Arc;

use fanfare_contract::{Delivery, Part};

use super::{BODY, SLACK, SUBJECT, one, samples, with};

const DATA: &str = r#"{
    "big": 12345678901234567890123, "more": 18446744073709551616, "close": 300.00000000000001,
    "tiny": 1e-400, "price": 1500.50, "zero": 0.00, "power": 1E5, "plain": 42, "half": 0.5,
    "text": "15", "list": [1.50, 2], "nested": {"deep": 2.10}, "duration_ms": 1e3
}"#;

fn delivery() -> Delivery {
    let event = format!(
        r#"{{"id": "evt_1", "type": "kyc.session.created", "created": 1735228800, "data": {DATA}}}"#
    );
    samples::delivery(Arc::new(samples::parse("acme", &event).expect("it is an envelope")))
}

/// What a subject with this template is. The template must also fit the samples.
#[track_caller]
fn rendered(template: &str) -> String {
    let source = format!("{{{{#if (has (opt data.big))}}}}{template}{{{{else}}}}none{{{{/if}}}}");
    let engine = with(&[(SUBJECT, &source)]).unwrap_or_else(|errors| panic!("{errors:?}"));
    one(&engine, &delivery(), Part::Subject).unwrap()
}

#[test]
fn a_number_is_shown_as_the_producer_wrote_it() {
    assert_eq!(
        rendered(
            "{{data.big}} {{data.more}} {{data.close}} {{data.tiny}} {{data.price}} {{data.power}} {{data.plain}}"
        ),
        "12345678901234567890123 18446744073709551616 300.00000000000001 1e-400 1500.50 1E5 42"
    );
    assert_eq!(rendered("{{text data.list}} {{data.nested.deep}}"), "1.50, 2 2.10");
    assert_eq!(rendered("{{event.created}}"), "1735228800");
    assert_eq!(
        rendered("{{#each (facts data)}}{{value}};{{/each}}"),
        "12345678901234567890123;18446744073709551616;300.00000000000001;1e-400;1500.50;0.00;1E5;42;\
         0.5;15;1.50, 2;2.10;1 s;"
    );
    let slack = r#"{"text": "x", "blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": "{{default (opt data.close) "none"}}"}}]}"#;
    let engine = with(&[(SLACK, slack)]).unwrap();
    let slack = one(&engine, &delivery(), Part::Slack).unwrap();
    assert!(slack.contains("300.00000000000001"), "{slack}");
    let body = "<mjml><mj-body><mj-text>{{default (opt data.price) 1}}</mj-text></mj-body></mjml>";
    let engine = with(&[(BODY, body)]).unwrap();
    assert!(one(&engine, &delivery(), Part::Html).unwrap().contains("1500.50"));
}

#[test]
fn helpers_and_conditions_read_it_as_a_number() {
    assert_eq!(rendered("{{number data.price}}"), "1\u{202f}500.5");
    assert_eq!(
        rendered("{{number data.big}}"),
        "12\u{202f}345\u{202f}678\u{202f}901\u{202f}234\u{202f}567\u{202f}890\u{202f}123"
    );
    assert_eq!(rendered("{{number data.text}} {{number data.power}}"), "15 100\u{202f}000");
    assert_eq!(rendered("{{percent data.half}} {{duration_ms data.duration_ms}}"), "50% 1 s");
    assert_eq!(rendered(r#"{{plural data.price "unit"}}"#), "1\u{202f}500.5 units");
    for (condition, expected) in [
        ("(gt data.price 1500)", "yes"),
        ("(lt data.price 1500.6)", "yes"),
        ("(eq data.price 1500.5)", "yes"),
        ("(ne data.price 1500.5)", "no"),
        ("(eq data.plain 42)", "yes"),
        ("(eq data.text 15)", "no"),
        ("data.zero", "no"),
        ("data.price", "yes"),
    ] {
        assert_eq!(
            rendered(&format!("{{{{#if {condition}}}}}yes{{{{else}}}}no{{{{/if}}}}")),
            expected,
            "{condition}"
        );
    }
}
