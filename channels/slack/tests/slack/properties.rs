//! The output of any template is brought within Slack's limits, and stays as complete as possible.

use fanfare_slack::{cut, preview};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::limits::size;

/// Correctly escaped text, as a template renders it.
fn escaped_text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("word ".to_owned()),
        Just("\n".to_owned()),
        Just("&amp;".to_owned()),
        Just("&lt;&gt;".to_owned()),
        Just("<https://e.example/case?id=7&amp;tab=2|case 7 &amp; more>".to_owned()),
        Just("<!date^1735228800^{date_short}|then>".to_owned()),
        Just("<@U0123ABCD>".to_owned()),
        Just("👩‍👩‍👧‍👦".to_owned()),
        Just("Ōkubo e\u{301} ".to_owned()),
        Just("東京都".to_owned()),
        Just("```".to_owned()),
        "[a-z ]{0,40}",
    ];
    let times = prop_oneof![9 => 1_usize..3, 1 => 3_usize..120];
    (prop::collection::vec(piece, 0..12), times)
        .prop_map(|(pieces, times)| pieces.concat().repeat(times))
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![4 => escaped_text(), 1 => "\\PC{0,300}", 1 => "[<>&|`; a\u{301}]{0,200}"]
}

fn text_object(text: impl Strategy<Value = String>) -> impl Strategy<Value = Value> {
    (prop_oneof![Just("mrkdwn"), Just("plain_text")], text)
        .prop_map(|(kind, text)| json!({"type": kind, "text": text}))
}

fn any_element() -> impl Strategy<Value = Value> {
    let label = text_object(any_text());
    prop_oneof![
        (label, "[a-c]{0,2}", any_text(), any_text()).prop_map(|(text, id, value, url)| {
            json!({"type": "button", "text": text, "action_id": id, "value": value,
                "url": format!("https://e.example/{url}")})
        }),
        (any_text(), any_text()).prop_map(|(alt, path)| {
            json!({"type": "image", "alt_text": alt, "image_url": format!("https://e.example/{path}")})
        }),
        prop::collection::vec(text_object(any_text()), 0..8).prop_map(|texts| {
            let options: Vec<Value> =
                texts.into_iter().map(|text| json!({"text": text, "value": "v"})).collect();
            json!({"type": "overflow", "options": options})
        }),
        text_object(any_text()),
        any_json(),
    ]
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "\\PC{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        let key = prop_oneof![
            Just("type"),
            Just("text"),
            Just("fields"),
            Just("elements"),
            Just("block_id"),
            Just("accessory"),
            Just("options"),
            Just("image_url"),
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map(key.prop_map(str::to_owned), inner, 0..4)
                .prop_map(|map| map.into_iter().collect()),
        ]
    })
}

fn repeated(elements: &[Value], times: usize) -> Vec<Value> {
    std::iter::repeat_n(elements, times).flatten().cloned().collect()
}

fn any_block() -> impl Strategy<Value = Value> {
    prop_oneof![
        (
            text_object(any_text()),
            prop::collection::vec(text_object(any_text()), 0..14),
            any_element()
        )
            .prop_map(|(text, fields, accessory)| {
                json!({"type": "section", "text": text, "fields": fields, "accessory": accessory})
            }),
        text_object(any_text()).prop_map(|text| json!({"type": "header", "text": text})),
        prop::collection::vec(any_element(), 0..4)
            .prop_map(|it| json!({"type": "context", "elements": repeated(&it, 4)})),
        prop::collection::vec(any_element(), 0..4).prop_map(
            |it| json!({"type": "actions", "block_id": "b", "elements": repeated(&it, 9)})
        ),
        any_text().prop_map(|text| json!({"type": "markdown", "text": text})),
        Just(json!({"type": "divider"})),
        any_json(),
    ]
}

fn any_message() -> impl Strategy<Value = Value> {
    (
        any_text(),
        prop::collection::vec(any_block(), 0..5),
        prop_oneof![4 => 1_usize..3, 1 => 12_usize..30],
    )
        .prop_map(|(text, blocks, times)| {
            let blocks: Vec<Value> =
                std::iter::repeat_n(blocks, times).flatten().take(90).collect();
            json!({"text": format!("t{text}"), "blocks": blocks})
        })
}

/// Checks a message against Slack's documentation, independently of the code under test.
fn assert_within_limits(message: &Value) {
    let text = message["text"].as_str().expect("there is always a fallback text");
    assert!(!text.trim().is_empty() && cut::length(text) <= 4_000);
    let Some(blocks) = message.get("blocks") else { return };
    let blocks = blocks.as_array().expect("blocks are a list");
    assert!((1..=50).contains(&blocks.len()));
    let mut markdown = 0;
    for block in blocks {
        match block["type"].as_str().expect("every block has a type") {
            "section" => {
                let fields = block["fields"].as_array();
                assert!(block.get("text").is_some() || fields.is_some_and(|it| !it.is_empty()));
                block.get("text").into_iter().for_each(|it| assert_text(it, 3_000));
                assert!(fields.is_none_or(|it| (1..=10).contains(&it.len())));
                fields.into_iter().flatten().for_each(|it| assert_text(it, 2_000));
                block.get("accessory").into_iter().for_each(assert_element);
            }
            "header" => assert_text(&block["text"], 150),
            "context" => {
                let elements = block["elements"].as_array().unwrap();
                assert!((1..=10).contains(&elements.len()));
                for element in elements {
                    if element["type"] == "image" {
                        assert_element(element);
                    } else {
                        assert_text(element, 3_000);
                    }
                }
            }
            "actions" => {
                let elements = block["elements"].as_array().unwrap();
                assert!((1..=25).contains(&elements.len()));
                elements.iter().for_each(assert_element);
                let ids: Vec<&str> =
                    elements.iter().filter_map(|it| it["action_id"].as_str()).collect();
                let mut unique = ids.clone();
                unique.sort_unstable();
                unique.dedup();
                assert_eq!(unique.len(), ids.len());
            }
            "markdown" => markdown += size(&block["text"]),
            _ => {}
        }
    }
    assert!(markdown <= 12_000);
}

fn assert_text(object: &Value, max: usize) {
    let text = object["text"].as_str().unwrap_or_else(|| panic!("{object} is no text object"));
    assert!(!text.trim().is_empty(), "Slack refuses an empty text");
    assert!(cut::length(text) <= max, "{} of {max}", cut::length(text));
}

fn assert_element(element: &Value) {
    match element["type"].as_str().expect("every element has a type") {
        "button" => {
            assert_text(&element["text"], 75);
            assert_eq!(element["text"]["type"], "plain_text");
            assert!(size(&element["value"]) <= 2_000);
            assert!(size(&element["url"]) <= 3_000);
        }
        "image" => {
            assert!(size(&element["alt_text"]) <= 2_000 && size(&element["image_url"]) <= 3_000);
        }
        "overflow" => {
            let options = element["options"].as_array().unwrap();
            assert!((1..=5).contains(&options.len()));
            for option in options {
                assert_text(&option["text"], 75);
            }
        }
        _ => {}
    }
}

/// Checks that every `&` starts an entity and every `<` starts a complete link.
fn assert_whole(text: &str) {
    let mut rest = text;
    while let Some(at) = rest.find(['&', '<', '>']) {
        rest = &rest[at..];
        let end = match rest.as_bytes()[0] {
            b'&' => {
                ["&amp;", "&lt;", "&gt;"].into_iter().find(|it| rest.starts_with(it)).map(str::len)
            }
            b'<' => rest[1..]
                .find(['<', '>'])
                .filter(|at| rest.as_bytes()[at + 1] == b'>')
                .map(|at| at + 2),
            _ => None,
        };
        rest = &rest[end.unwrap_or_else(|| panic!("torn at {rest:.20}"))..];
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn any_message_is_brought_within_all_limits(message in any_message()) {
        let fitted = preview(&message.to_string()).unwrap();
        assert_within_limits(&fitted);
    }

    #[test]
    fn a_fitted_message_is_not_changed_again(message in any_message()) {
        let fitted = preview(&message.to_string()).unwrap();
        prop_assert_eq!(&preview(&fitted.to_string()).unwrap(), &fitted);
    }

    #[test]
    fn cutting_breaks_no_entity_link_or_character(text in escaped_text(), max in 30_usize..400) {
        for part in cut::split(&text, max, cut::Markup::Mrkdwn) {
            prop_assert!(cut::length(&part) <= max);
            assert_whole(&part);
        }
        let short = cut::shorten(&text, max, cut::Markup::Mrkdwn).into_owned();
        prop_assert!(cut::length(&short) <= max);
        assert_whole(&short);
        let family = "👩‍👩‍👧‍👦";
        let torn = short.replace(family, "").contains(['👩', '👧', '👦', '\u{200d}']);
        prop_assert!(!torn, "a family was torn");
    }

    #[test]
    fn splitting_loses_nothing_but_whitespace(text in "[a-z&; \n]{0,3000}", max in 30_usize..400) {
        let letters = |text: &str| text.split_whitespace().collect::<String>();
        let parts = cut::split(&text, max, cut::Markup::Plain);
        prop_assert_eq!(letters(&parts.concat()), letters(&text));
    }
}
