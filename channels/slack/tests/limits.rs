//! Whatever a template makes comes out within Slack's limits, and as whole as it can be.

use fanfare_slack::limits::{self, Limit};
use fanfare_slack::{cut, preview};
use proptest::prelude::*;
use serde_json::{Value, json};

/// A message that holds `n` of something, and how much of it is in a message.
type Case = (Limit, fn(usize) -> Value, fn(&Value) -> usize);

fn plain(n: usize) -> Value {
    json!({"type": "plain_text", "text": "a".repeat(n)})
}

fn url(n: usize) -> String {
    format!("https://e.example/{}", "a".repeat(n - 18))
}

fn message(block: &Value) -> Value {
    json!({"text": "t", "blocks": [block]})
}

fn button(key: &str, value: impl Into<Value>) -> Value {
    let mut button = json!({"type": "button", "text": plain(3)});
    button[key] = value.into();
    button
}

fn in_actions(element: impl Into<Value>) -> Value {
    message(&json!({"type": "actions", "elements": [element.into()]}))
}

fn menu(kind: &str, options: Vec<Value>) -> Value {
    in_actions(json!({"type": kind, "options": options}))
}

fn option(key: &str, value: impl Into<Value>) -> Value {
    let mut option = json!({"text": plain(3), "value": "v"});
    option[key] = value.into();
    menu("overflow", vec![option])
}

fn options(kind: &str, n: usize) -> Value {
    menu(kind, (0..n).map(|n| json!({"text": plain(3), "value": n.to_string()})).collect())
}

fn confirm(key: &str, n: usize) -> Value {
    let mut dialog =
        json!({"title": plain(3), "text": plain(3), "confirm": plain(3), "deny": plain(3)});
    dialog[key] = plain(n);
    in_actions(button("confirm", dialog))
}

fn many(n: usize, element: &Value) -> Vec<Value> {
    vec![element.clone(); n]
}

/// The longest string, or the most elements, at a pointer below any block of the message.
fn most(message: &Value, pointer: &str) -> usize {
    let blocks = message["blocks"].as_array().into_iter().flatten();
    let found = blocks.filter_map(|block| block.pointer(pointer));
    found.map(size).max().unwrap_or(0)
}

fn size(value: &Value) -> usize {
    value.as_array().map_or_else(|| value.as_str().map_or(0, cut::length), Vec::len)
}

const CASES: &[Case] = &[
    (
        limits::BLOCKS,
        |n| json!({"text": "t", "blocks": many(n, &json!({"type": "section", "text": plain(3)}))}),
        |m| size(&m["blocks"]),
    ),
    (
        limits::BLOCK_ID,
        |n| message(&json!({"type": "divider", "block_id": "a".repeat(n)})),
        |m| most(m, "/block_id"),
    ),
    (limits::MESSAGE_TEXT, |n| json!({"text": "a".repeat(n)}), |m| size(&m["text"])),
    (
        limits::TEXT,
        |n| message(&json!({"type": "context", "elements": [plain(n)]})),
        |m| most(m, "/elements/0/text"),
    ),
    (
        limits::SECTION_TEXT,
        |n| message(&json!({"type": "section", "text": plain(n)})),
        |m| most(m, "/text/text"),
    ),
    (
        limits::SECTION_FIELDS,
        |n| message(&json!({"type": "section", "fields": many(n, &plain(3))})),
        |m| most(m, "/fields"),
    ),
    (
        limits::FIELD_TEXT,
        |n| message(&json!({"type": "section", "fields": [plain(n)]})),
        |m| most(m, "/fields/0/text"),
    ),
    (
        limits::HEADER_TEXT,
        |n| message(&json!({"type": "header", "text": plain(n)})),
        |m| most(m, "/text/text"),
    ),
    (
        limits::CONTEXT_ELEMENTS,
        |n| message(&json!({"type": "context", "elements": many(n, &plain(3))})),
        |m| most(m, "/elements"),
    ),
    (
        limits::ACTIONS_ELEMENTS,
        |n| message(&json!({"type": "actions", "elements": many(n, &button("value", "v"))})),
        |m| most(m, "/elements"),
    ),
    (
        limits::MARKDOWN_TEXT,
        |n| message(&json!({"type": "markdown", "text": "a".repeat(n)})),
        |m| most(m, "/text"),
    ),
    (
        limits::IMAGE_URL,
        |n| message(&json!({"type": "image", "image_url": url(n), "alt_text": "a"})),
        |m| most(m, "/image_url"),
    ),
    (
        limits::ALT_TEXT,
        |n| message(&json!({"type": "image", "image_url": url(30), "alt_text": "a".repeat(n)})),
        |m| most(m, "/alt_text"),
    ),
    (
        limits::IMAGE_TITLE,
        |n| {
            message(&json!({"type": "image", "image_url": url(30), "title": plain(n),
                "alt_text": "a"}))
        },
        |m| most(m, "/title/text"),
    ),
    (
        limits::ACTION_ID,
        |n| in_actions(button("action_id", "a".repeat(n))),
        |m| most(m, "/elements/0/action_id"),
    ),
    (
        limits::BUTTON_TEXT,
        |n| in_actions(button("text", plain(n))),
        |m| most(m, "/elements/0/text/text"),
    ),
    (limits::BUTTON_URL, |n| in_actions(button("url", url(n))), |m| most(m, "/elements/0/url")),
    (
        limits::BUTTON_VALUE,
        |n| in_actions(button("value", "a".repeat(n))),
        |m| most(m, "/elements/0/value"),
    ),
    (
        limits::ACCESSIBILITY_LABEL,
        |n| in_actions(button("accessibility_label", "a".repeat(n))),
        |m| most(m, "/elements/0/accessibility_label"),
    ),
    (
        limits::PLACEHOLDER,
        |n| in_actions(json!({"type": "datepicker", "placeholder": plain(n)})),
        |m| most(m, "/elements/0/placeholder/text"),
    ),
    (limits::SELECT_OPTIONS, |n| options("static_select", n), |m| most(m, "/elements/0/options")),
    (limits::OVERFLOW_OPTIONS, |n| options("overflow", n), |m| most(m, "/elements/0/options")),
    (limits::CHOICE_OPTIONS, |n| options("checkboxes", n), |m| most(m, "/elements/0/options")),
    (
        limits::OPTION_TEXT,
        |n| option("text", plain(n)),
        |m| most(m, "/elements/0/options/0/text/text"),
    ),
    (
        limits::OPTION_VALUE,
        |n| option("value", "a".repeat(n)),
        |m| most(m, "/elements/0/options/0/value"),
    ),
    (limits::OPTION_URL, |n| option("url", url(n)), |m| most(m, "/elements/0/options/0/url")),
    (limits::CONFIRM_TITLE, |n| confirm("title", n), |m| most(m, "/elements/0/confirm/title/text")),
    (limits::CONFIRM_TEXT, |n| confirm("text", n), |m| most(m, "/elements/0/confirm/text/text")),
    (limits::CONFIRM_BUTTON, |n| confirm("deny", n), |m| most(m, "/elements/0/confirm/deny/text")),
];

#[test]
fn every_limit_holds_at_below_and_above_it() {
    for limit in limits::ALL {
        let case = CASES.iter().find(|(of, ..)| of == limit);
        let (limit, build, measure) = case.unwrap_or_else(|| panic!("no case for {}", limit.of));
        for allowed in [limit.max - 1, limit.max] {
            let given = build(allowed);
            assert_eq!(measure(&given), allowed, "{}", limit.of);
            let fitted = preview(&given.to_string()).unwrap();
            assert_eq!(fitted, given, "{} of {allowed} is allowed", limit.of);
        }
        for too_much in [limit.max + 1, 2 * limit.max + 7] {
            let given = build(too_much);
            let fitted = preview(&given.to_string()).unwrap();
            assert_ne!(fitted, given);
            assert!(measure(&fitted) <= limit.max, "{} of {too_much}", limit.of);
        }
    }
}

#[test]
fn a_long_section_goes_on_in_a_further_one_and_nothing_is_lost() {
    let lines: Vec<String> = (0..400).map(|n| format!("• session {n} &amp; more")).collect();
    let given = json!({"text": "t", "blocks": [{"type": "section", "block_id": "list",
        "text": {"type": "mrkdwn", "text": lines.join("\n")},
        "fields": many(12, &plain(3)),
        "accessory": button("url", "https://e.example/")}]});
    let fitted = preview(&given.to_string()).unwrap();
    let blocks = fitted["blocks"].as_array().unwrap();
    let texts: Vec<&str> = blocks.iter().filter_map(|it| it["text"]["text"].as_str()).collect();
    assert_eq!(texts.join("\n"), lines.join("\n"));
    assert_eq!(blocks[0]["block_id"], "list");
    assert_eq!(blocks[0]["accessory"]["url"], "https://e.example/");
    assert!(blocks[1..].iter().all(|it| it.get("block_id").is_none()));
    let fields: usize = blocks.iter().map(|it| size(&it["fields"])).sum();
    assert_eq!(fields, 12);
}

#[test]
fn blocks_beyond_the_fiftieth_are_counted_where_people_see_it() {
    let section = json!({"type": "section", "text": plain(3)});
    let mut blocks = many(48, &section);
    blocks.push(json!({"type": "divider"}));
    blocks.extend(many(11, &section));
    let fitted = preview(&json!({"text": "t", "blocks": blocks}).to_string()).unwrap();
    let fitted = fitted["blocks"].as_array().unwrap();
    assert_eq!(fitted.len(), 49, "the divider above the note is left out");
    assert_eq!(fitted[48]["elements"][0]["text"], "… 12 more blocks not shown");
}

#[test]
fn what_slack_would_refuse_for_saying_nothing_is_dropped() {
    let blocks = json!([
        {"type": "section", "text": {"type": "mrkdwn", "text": "  "}},
        {"type": "section", "fields": []},
        {"type": "header", "text": {"type": "plain_text", "text": ""}},
        {"type": "context", "elements": [{"type": "mrkdwn", "text": ""}]},
        {"type": "actions", "elements": []},
        {"type": "actions", "elements": [button("url", "not a url")]},
        {"type": "image", "image_url": "", "alt_text": "x"},
        {"type": "markdown", "text": "\n"},
        {"text": "no type"},
        "not a block",
        null,
        {"type": "section", "accessory": button("url", "https://e.example/")},
    ]);
    let fitted = preview(&json!({"text": "t", "blocks": blocks}).to_string()).unwrap();
    let kept = json!([{"type": "actions", "elements": [button("url", "https://e.example/")]}]);
    assert_eq!(fitted["blocks"], kept, "a button whose section is empty stands alone");
}

#[test]
fn ids_used_twice_are_left_out_the_second_time() {
    let with_id = |id: &str| button("action_id", id);
    let given = json!({"text": "t", "blocks": [
        {"type": "divider", "block_id": "a"},
        {"type": "actions", "block_id": "a", "elements": [with_id("x"), with_id("y"), with_id("x")]},
        {"type": "actions", "elements": [with_id("x")]},
    ]});
    let fitted = preview(&given.to_string()).unwrap();
    assert_eq!(fitted["blocks"][1].get("block_id"), None);
    assert_eq!(fitted["blocks"][1]["elements"][2].get("action_id"), None);
    assert_eq!(fitted["blocks"][2], given["blocks"][2]);
}

#[test]
fn headers_and_labels_are_plain_text_because_slack_takes_no_other() {
    let given = message(&json!({"type": "header",
        "text": {"type": "mrkdwn", "text": "Review", "verbatim": true}}));
    let fitted = preview(&given.to_string()).unwrap();
    assert_eq!(fitted["blocks"][0]["text"], json!({"type": "plain_text", "text": "Review"}));
}

/// Pieces of text as a template makes them, escaped as they should be.
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
    (prop::collection::vec(piece, 0..40), 1_usize..60)
        .prop_map(|(pieces, times)| pieces.concat().repeat(times))
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![4 => escaped_text(), 1 => "\\PC{0,300}", 1 => "[<>&|`; a\u{301}]{0,4000}"]
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
        prop::collection::vec(any_element(), 0..30)
            .prop_map(|it| json!({"type": "context", "elements": it})),
        prop::collection::vec(any_element(), 0..30)
            .prop_map(|it| json!({"type": "actions", "block_id": "b", "elements": it})),
        any_text().prop_map(|text| json!({"type": "markdown", "text": text})),
        Just(json!({"type": "divider"})),
        any_json(),
    ]
}

fn any_message() -> impl Strategy<Value = Value> {
    (any_text(), prop::collection::vec(any_block(), 0..8), 1_usize..12).prop_map(
        |(text, blocks, times)| {
            let blocks: Vec<Value> =
                std::iter::repeat_n(blocks, times).flatten().take(90).collect();
            json!({"text": format!("t{text}"), "blocks": blocks})
        },
    )
}

/// Checks a message against Slack's documentation, apart from the code under test.
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
            assert!(size(&element["alt_text"]) <= 2_000 && size(&element["image_url"]) <= 3_000)
        }
        "overflow" => {
            let options = element["options"].as_array().unwrap();
            assert!((1..=5).contains(&options.len()));
            options.iter().for_each(|it| assert_text(&it["text"], 75));
        }
        _ => {}
    }
}

/// Every `&` begins an entity, and every `<` a link that ends.
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
        rest = &rest[end.unwrap_or_else(|| panic!("torn at {:.20}", rest))..];
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn any_message_comes_out_within_all_limits(message in any_message()) {
        let fitted = preview(&message.to_string()).unwrap();
        assert_within_limits(&fitted);
    }

    #[test]
    fn what_came_out_goes_through_unchanged(message in any_message()) {
        let fitted = preview(&message.to_string()).unwrap();
        prop_assert_eq!(&preview(&fitted.to_string()).unwrap(), &fitted);
    }

    #[test]
    fn cutting_tears_no_entity_link_or_character(text in escaped_text(), max in 30_usize..400) {
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
    fn splitting_loses_no_letter(text in "[a-z&; \n]{0,3000}", max in 30_usize..400) {
        let letters = |text: &str| text.split_whitespace().collect::<String>();
        let parts = cut::split(&text, max, cut::Markup::Plain);
        prop_assert_eq!(letters(&parts.concat()), letters(&text));
    }
}
