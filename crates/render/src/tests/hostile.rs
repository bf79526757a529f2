//! Messages are well formed for every event, and no value of an event becomes markup.

use proptest::prelude::*;

use super::*;

/// Replaces every text in the data.
fn with_texts(value: &Value, text: &str) -> Value {
    match value {
        Value::String(_) => text.into(),
        Value::Array(items) => items.iter().map(|item| with_texts(item, text)).collect(),
        Value::Object(fields) => {
            fields.iter().map(|(key, value)| (key.clone(), with_texts(value, text))).collect()
        }
        other => other.clone(),
    }
}

/// The number of `<`, `>`, and `"`.
fn markup(html: &str) -> [usize; 3] {
    ['<', '>', '"'].map(|c| html.matches(c).count())
}

const HOSTILE: &[&str] = &[
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "' onmouseover='x",
    "{{data.session_id}} {{{x}}} {{#if}}",
    "FanfareExpression0Z",
    "<!channel> <@U123> <https://evil.example|Acme>",
    "*bold* _it_ `code` & co",
    "\\\",\"blocks\":[]}",
    "line one\r\nline two\nBcc: x@evil.example",
    "大久保 ジェーン 👩‍💻 émigré",
    "مرحبا \u{202e}gnp.exe\u{202c} שלום",
    "\u{0}\u{1b}[31m\u{7f}\u{2028}x",
    "-->]]><![endif]",
];

#[test]
fn no_value_of_an_event_becomes_markup() {
    let long = "<b>\"long\" ".repeat(10_000);
    for sample in samples::all() {
        let calm = event("acme", &sample.kind, &with_texts(sample.data(), "calm"));
        let expected = markup(&one(&ENGINE, &calm, Part::Html).unwrap());
        for text in HOSTILE.iter().copied().chain([long.as_str()]) {
            let delivery = event("acme", &sample.kind, &with_texts(sample.data(), text));
            let [subject, html, text_part, slack] = parts(&ENGINE, &delivery);
            assert_eq!(markup(&html), expected, "{}: {text:.40}", sample.kind);
            assert!(!subject.contains(['\n', '\r']) && subject.chars().count() <= 200);
            assert!(!text_part.contains(['\u{1b}', '\u{202e}', '\r', '\0']));
            let slack: Value = serde_json::from_str(&slack).unwrap();
            let shown = slack.to_string();
            assert!(
                !shown.contains("<!channel") && !shown.contains("<@") && !shown.contains("<http")
            );
            assert!(html.len() < 120_000 && shown.len() < 40_000 && text_part.len() < 40_000);
        }
    }
}

#[test]
fn a_subject_stays_on_one_line() {
    let data =
        json!({ "watchlist_id": "w", "watchlist_name": "High\r\nBcc: all@acme.example\n\nRisk" });
    let delivery = event("acme", "kyc.watchlist.match_found", &data);
    let subject = one(&ENGINE, &delivery, Part::Subject).unwrap();
    assert_eq!(subject, "Acme Bank: watchlist match, High Bcc: all@acme.example Risk");
}

#[test]
fn subjects_have_no_names_of_people() {
    for sample in samples::all() {
        let subject = one(&ENGINE, &samples::delivery(Arc::new(sample)), Part::Subject).unwrap();
        assert!(!subject.contains("Jane") && !subject.contains('@'), "{subject}");
    }
}

#[test]
fn data_that_is_not_an_object_is_shown() {
    for data in [json!(null), json!([]), json!([1, "a"]), json!("text"), json!(7), json!({})] {
        let [subject, html, text, slack] = parts(&ENGINE, &event("acme", "x.y", &data));
        assert_eq!(subject, "Acme Bank: X y");
        assert!(html.contains("X y") && text.contains("X y") && slack.contains("X y"));
    }
}

#[test]
fn an_empty_list_in_place_of_an_object_is_not_an_error() {
    let data = json!({ "session_id": "s", "metadata": [], "checks": [], "flags": {} });
    let [_, _, text, _] = parts(&ENGINE, &event("acme", "kyc.session.processed", &data));
    assert!(text.contains("Session"));
}

#[test]
fn an_event_type_cannot_select_a_special_template() {
    let [subject, ..] = parts(&ENGINE, &event("acme", "_digest", &json!({ "a": 1 })));
    assert_eq!(subject, "Acme Bank: Digest");
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "[<>&\"'\\\\`{}*_~|!@#\n\r\t ]{0,20}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((".{0,12}", inner), 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

/// Whether every `<` starts a tag that this crate or mrml writes.
fn only_known_tags(html: &str) -> bool {
    let known = [
        "!doctype",
        "!--",
        "![endif]--",
        "html",
        "head",
        "title",
        "meta",
        "style",
        "noscript",
        "xml",
        "o:",
        "body",
        "div",
        "table",
        "tbody",
        "tr",
        "td",
        "th",
        "h1",
        "h2",
        "span",
        "strong",
        "bdi",
        "br",
        "a",
        "p",
    ];
    html.split('<').skip(1).all(|tag| {
        let tag = tag.trim_start_matches('/');
        known.iter().any(|name| {
            tag.strip_prefix(name).is_some_and(|rest| {
                name.ends_with([':', '-']) || rest.starts_with([' ', '>', '/', '\n'])
            })
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_data_of_an_unknown_type_gives_valid_json_and_clean_html(data in any_json()) {
        let [subject, html, _, slack] = parts(&ENGINE, &event("acme", "any.thing", &data));
        prop_assert!(serde_json::from_str::<Value>(&slack).is_ok());
        prop_assert!(only_known_tags(&html), "{}", html);
        prop_assert!(!subject.contains('\n'));
    }

    #[test]
    fn any_value_in_any_field_gives_valid_output_or_a_named_error(
        value in any_json(), which in any::<prop::sample::Index>(), field in any::<prop::sample::Index>(),
    ) {
        let samples = samples::all();
        let sample = which.get(&samples);
        let Value::Object(mut fields) = data_of(sample) else { unreachable!() };
        let keys: Vec<String> = fields.keys().cloned().collect();
        fields.insert(field.get(&keys).clone(), value);
        let delivery = event("acme", &sample.kind, &Value::Object(fields));
        for part in PARTS {
            match one(&ENGINE, &delivery, part) {
                Ok(out) if part == Part::Slack => prop_assert!(serde_json::from_str::<Value>(&out).is_ok()),
                Ok(out) if part == Part::Html => prop_assert!(only_known_tags(&out), "{}", out),
                Ok(out) => prop_assert!(!out.trim().is_empty()),
                Err(error) => prop_assert!(error.line.is_some() && error.field.is_some(), "{error}"),
            }
        }
    }
}
