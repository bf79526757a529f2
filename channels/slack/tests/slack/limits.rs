//! Every limit: messages at, below and above it.

use fanfare_slack::limits::{self, Limit};
use fanfare_slack::{cut, preview};
use serde_json::{Value, json};

/// A limit, a message that holds `n` of what it limits, and how much a message holds.
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

fn menu(kind: &str, options: &[Value]) -> Value {
    in_actions(json!({"type": kind, "options": options}))
}

fn option(key: &str, value: impl Into<Value>) -> Value {
    let mut option = json!({"text": plain(3), "value": "v"});
    option[key] = value.into();
    menu("overflow", &[option])
}

fn options(kind: &str, n: usize) -> Value {
    let option = |n: usize| json!({"text": plain(3), "value": n.to_string()});
    menu(kind, &(0..n).map(option).collect::<Vec<Value>>())
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

/// The length of the longest string or list at a pointer below any block of the message.
fn most(message: &Value, pointer: &str) -> usize {
    let blocks = message["blocks"].as_array().into_iter().flatten();
    let found = blocks.filter_map(|block| block.pointer(pointer));
    found.map(size).max().unwrap_or(0)
}

pub(crate) fn size(value: &Value) -> usize {
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
fn every_limit_holds_below_at_and_above_it() {
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
fn a_long_section_continues_in_further_ones_without_loss() {
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
fn a_last_block_counts_the_blocks_beyond_the_limit() {
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
fn empty_blocks_are_dropped() {
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
    assert_eq!(fitted["blocks"], kept, "the button of an empty section is kept");
}

#[test]
fn a_duplicate_id_is_left_out() {
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
fn headers_and_labels_become_plain_text() {
    let given = message(&json!({"type": "header",
        "text": {"type": "mrkdwn", "text": "Review", "verbatim": true}}));
    let fitted = preview(&given.to_string()).unwrap();
    assert_eq!(fitted["blocks"][0]["text"], json!({"type": "plain_text", "text": "Review"}));
}
