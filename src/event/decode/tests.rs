//! Which events are accepted, which are refused, and with which messages.

use super::*;

fn take(raw: &str) -> Result<Event, Refusal> {
    take_bytes(raw.as_bytes())
}

fn take_bytes(raw: &[u8]) -> Result<Event, Refusal> {
    let fill = Fill { id: &|| "evt_made".to_owned(), received_ms: 1_735_228_800_123 };
    decode(&"acme".into(), Bytes::copy_from_slice(raw), Limits::default(), &fill)
}

fn code(raw: &str) -> &'static str {
    take(raw).expect_err("must be refused").code
}

#[test]
fn a_complete_envelope_keeps_its_bytes() {
    let raw = r#" {"id": "evt_1", "type":"a.b", "created": 5, "data": {"x": [1, 2.0]}, "extra": {"kept": true}} "#;
    let event = take(raw).unwrap();
    assert_eq!(event.body, raw.as_bytes());
    assert_eq!((&*event.id, &*event.kind, event.created), ("evt_1", "a.b", 5));
    assert_eq!(event.at("extra.kept"), Some(&true.into()));
}

#[test]
fn absent_fields_are_inserted_at_the_beginning() {
    let event = take(r#"{ "type": "a.b", "data": {} }"#).unwrap();
    assert_eq!(
        event.body,
        r#"{"id":"evt_made","created":1735228800, "type": "a.b", "data": {} }"#.as_bytes()
    );
    assert_eq!(event.value()["id"], "evt_made");
    let event = take(r#"{"type":"a","data":{},"created":7}"#).unwrap();
    assert_eq!(event.body, r#"{"id":"evt_made","type":"a","data":{},"created":7}"#.as_bytes());
}

#[test]
fn refusals_have_stable_codes() {
    assert_eq!(code("nonsense"), "not_json");
    assert_eq!(code(""), "not_json");
    assert_eq!(code("[]"), "not_json");
    assert_eq!(code(r#"{"type":"a","data":{}} trailing"#), "not_json");
    assert_eq!(code(r#"{"data":{}}"#), "missing_field");
    assert_eq!(code(r#"{"type":"a"}"#), "missing_field");
    assert_eq!(code(r#"{"type":7,"data":{}}"#), "wrong_type");
    assert_eq!(code(r#"{"type":"a","data":[]}"#), "wrong_type");
    assert_eq!(code(r#"{"type":"a","data":null}"#), "wrong_type");
    assert_eq!(code(r#"{"type":"a","data":{},"created":"now"}"#), "wrong_type");
    assert_eq!(code(r#"{"type":"a","data":{},"created":1.5}"#), "wrong_type");
    assert_eq!(code(r#"{"type":"a","data":{},"created":1735228800123}"#), "bad_created");
    assert_eq!(code(r#"{"id":"a.b","type":"a","data":{}}"#), "bad_id");
    assert_eq!(code(r#"{"id":"a\r\nX: y","type":"a","data":{}}"#), "bad_id");
    assert_eq!(code(r#"{"id":"","type":"a","data":{}}"#), "bad_id");
    assert_eq!(code(r#"{"type":"a..b","data":{}}"#), "bad_type");
    assert_eq!(code(r#"{"type":"a.*","data":{}}"#), "bad_type");
}

#[test]
fn a_duplicate_key_is_refused_at_any_depth() {
    assert_eq!(code(r#"{"type":"a","type":"b","data":{}}"#), "duplicate_key");
    assert_eq!(code(r#"{"type":"a","data":{"x":1,"x":2}}"#), "duplicate_key");
    assert_eq!(code(r#"{"type":"a","data":{"l":[{"x":1,"\u0078":2}]}}"#), "duplicate_key");
    let keys: Vec<_> = (0..40).map(|n| format!("\"k{n}\":1")).collect();
    let many = format!(r#"{{"type":"a","data":{{{},"k3":2}}}}"#, keys.join(","));
    assert_eq!(code(&many), "duplicate_key");
    let many = format!(r#"{{"type":"a","data":{{{}}}}}"#, keys.join(","));
    assert!(take(&many).is_ok());
}

#[test]
fn size_depth_and_encoding_are_bounded() {
    let large = format!(r#"{{"type":"a","data":{{"x":"{}"}}}}"#, "y".repeat(300 * 1024));
    assert_eq!(code(&large), "too_large");
    let nest =
        |n: usize| format!(r#"{{"type":"a","data":{{"x":{}{}}}}}"#, "[".repeat(n), "]".repeat(n));
    assert!(take(&nest(62)).is_ok());
    assert_eq!(code(&nest(63)), "too_deep");
    assert_eq!(code(&nest(10_000)), "too_deep");
    let error = take_bytes(b"{\"type\":\"a\xff\",\"data\":{}}").unwrap_err();
    assert_eq!(error.code, "not_utf8");
    assert!(error.message.contains("byte 10"), "{error}");
}

#[test]
fn a_refusal_says_what_is_wrong_and_where() {
    let error = take(r#"{"type":"a","data":{"x":}}"#).unwrap_err();
    assert!(error.message.contains("line 1 column 25"), "{error}");
    let error = take(r#"{"data":{}}"#).unwrap_err();
    assert_eq!(
        error.message,
        "`type` is missing; add it, for example \"type\": \"kyc.session.created\""
    );
}

/// Case i1.
#[test]
fn broken_json_is_not_json_wherever_it_is() {
    for raw in [
        r#"{"type":"t","data":{"v":[1,}}"#,
        r#"{"type":"t","data":{"v":NaN}}"#,
        r#"{"type":"t","data":{"v":01}}"#,
        r#"{"type":"t","data":{"v":"\x"}}"#,
        r#"{"type":"t","data":tru}"#,
        r#"{"type":tru,"data":{}}"#,
        r#"{"type":"t","data":{},"created":1735228800"#,
        r#"{"type":"t","data":{},"created":+1}"#,
        r#"{"type":"t","data":{"v":1"#,
        r#"{"type":"t"#,
        "{\"type\":\"t\",\"data\":{\"v\":\"\0\"}}",
    ] {
        assert_eq!(code(raw), "not_json", "{raw}");
    }
    // Valid JSON of another type is something else.
    for raw in [r#"{"type":"t","data":[1]}"#, r#"{"type":null,"data":{}}"#] {
        assert_eq!(code(raw), "wrong_type", "{raw}");
    }
}

/// Case i2.
#[test]
fn a_byte_order_mark_is_named() {
    let error = take("\u{feff}{\"type\":\"t\",\"data\":{}}").unwrap_err();
    assert_eq!(error.code, "not_json");
    assert!(error.message.contains("byte order mark"), "{error}");
}

/// Case i4.
#[test]
fn white_space_around_the_first_brace_stays() {
    let event = take(" {  \"type\": \"t\", \"data\": {}}").unwrap();
    let expected = " {\"id\":\"evt_made\",\"created\":1735228800,  \"type\": \"t\", \"data\": {}}";
    assert_eq!(event.body, expected.as_bytes());
}
