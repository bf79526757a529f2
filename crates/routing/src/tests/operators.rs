//! Every operator that EventBridge documents, on values that match and values that do not.

use serde_json::{Value, json};

use super::{check, passes};

/// One of every kind of value.
fn everything() -> Vec<Value> {
    vec![json!("text"), json!(""), json!(7), json!(7.5), json!(true), json!(false), json!(null)]
}

#[track_caller]
fn missing(alternatives: &Value) -> bool {
    passes(&json!({"data": {"x": alternatives}}), &json!({"data": {"y": 1}}))
}

#[test]
fn exact_values_match_themselves_and_nothing_else() {
    for (i, value) in everything().iter().enumerate() {
        let mut others = everything();
        let own = others.remove(i);
        check(&json!([value]), &[own], &others);
        assert!(!missing(&json!([value])));
    }
    check(
        &json!(["a", 1, null]),
        &[json!("a"), json!(1), json!(null)],
        &[json!("1"), json!("null"), json!("A")],
    );
}

#[test]
fn null_the_empty_string_and_a_missing_field_are_different() {
    check(&json!([null]), &[json!(null)], &[json!(""), json!("null"), json!([]), json!({})]);
    check(&json!([""]), &[json!("")], &[json!(null), json!(" ")]);
    assert!(!missing(&json!([null])));
    assert!(!missing(&json!([""])));
    assert!(missing(&json!([{"exists": false}])));
}

#[test]
fn numbers_match_however_they_are_written() {
    let spellings: Vec<Value> = ["300", "300.0", "3.0e2", "3e+2"]
        .iter()
        .map(|t| serde_json::from_str(t).unwrap())
        .collect();
    for pattern in &spellings {
        check(&json!([pattern]), &spellings, &[json!(301), json!("300"), json!(300.5)]);
        check(&json!([{"numeric": ["=", pattern]}]), &spellings, &[json!(301), json!("300")]);
        check(&json!([{"anything-but": [pattern]}]), &[json!(301), json!("300")], &spellings);
    }
    check(
        &json!([9_007_199_254_740_993_u64]),
        &[json!(9_007_199_254_740_993_u64)],
        &[json!(9_007_199_254_740_992_u64)],
    );
    check(
        &json!([123_456_789_012_345_678_u64]),
        &[json!(123_456_789_012_345_678_u64)],
        &[json!(123_456_789_012_345_679_u64)],
    );
}

#[test]
fn numeric_matches_a_range_of_json_numbers() {
    check(
        &json!([{"numeric": [">", 0, "<=", 5]}]),
        &[json!(1), json!(5), json!(0.000_1), json!(5.0)],
        &[json!(0), json!(5.000_1), json!(-1), json!("3"), json!(null), json!(true)],
    );
    check(
        &json!([{"numeric": [">=", 70]}]),
        &[json!(70), json!(1e9), json!(6e9)],
        &[json!(69.999)],
    );
    check(&json!([{"numeric": ["<", 10]}]), &[json!(9), json!(-1e12)], &[json!(10), json!(10.0)]);
    check(&json!([{"numeric": ["<=", -1.5]}]), &[json!(-1.5), json!(-2)], &[json!(-1.4)]);
    check(&json!([{"numeric": ["=", 3.018e2]}]), &[json!(301.8)], &[json!(301.81)]);
    assert!(!missing(&json!([{"numeric": ["<", 10]}])));
}

#[test]
fn prefix_and_suffix_match_text_only() {
    check(
        &json!([{"prefix": "eu-"}]),
        &[json!("eu-west"), json!("eu-")],
        &[json!("EU-west"), json!("eu"), json!("xeu-"), json!(null), json!(7)],
    );
    check(
        &json!([{"suffix": ".png"}]),
        &[json!("a.png"), json!(".png")],
        &[json!("a.PNG"), json!("a.png "), json!(null)],
    );
    check(&json!([{"prefix": "Ō"}]), &[json!("Ōkubo")], &[json!("Okubo")]);
    check(&json!([{"prefix": "7"}]), &[json!("7.5")], &[json!(7), json!(7.5)]);
    check(&json!([{"prefix": ""}]), &[json!(""), json!("a")], &[json!(1), json!(null)]);
    assert!(!missing(&json!([{"prefix": ""}])));
}

#[test]
fn case_can_be_ignored_in_prefixes_suffixes_and_whole_text() {
    check(
        &json!([{"prefix": {"equals-ignore-case": "EventB"}}]),
        &[json!("eventbridge"), json!("EVENTB")],
        &[json!("event"), json!(1)],
    );
    check(
        &json!([{"suffix": {"equals-ignore-case": ".PNG"}}]),
        &[json!("a.png"), json!("A.pNg")],
        &[json!("png"), json!(".pngx")],
    );
    check(
        &json!([{"equals-ignore-case": "alice"}]),
        &[json!("ALICE"), json!("Alice")],
        &[json!("alice "), json!("alic"), json!(null)],
    );
    check(&json!([{"equals-ignore-case": "ŌKUBO"}]), &[json!("ōkubo")], &[json!("okubo")]);
}

#[test]
fn a_wildcard_matches_any_text() {
    check(
        &json!([{"wildcard": "dir/*.png"}]),
        &[json!("dir/a.png"), json!("dir/.png"), json!("dir/a/b.png")],
        &[json!("dir/a.jpg"), json!("xdir/a.png")],
    );
    check(&json!([{"wildcard": "*"}]), &[json!(""), json!("a")], &[json!(1), json!(null)]);
    check(
        &json!([{"wildcard": r"2\*3\\*"}]),
        &[json!(r"2*3\"), json!(r"2*3\x")],
        &[json!("2x3x"), json!("2*3")],
    );
    check(&json!([{"wildcard": "plain"}]), &[json!("plain")], &[json!("plainer")]);
}

#[test]
fn cidr_matches_addresses_in_the_network() {
    check(
        &json!([{"cidr": "10.0.0.0/24"}]),
        &[json!("10.0.0.0"), json!("10.0.0.255"), json!("::ffff:10.0.0.7")],
        &[
            json!("10.0.1.0"),
            json!("10.0.0"),
            json!("10.0.0.1/32"),
            json!("host"),
            json!(10),
            json!("::1"),
        ],
    );
    check(&json!([{"cidr": "10.0.0.77/24"}]), &[json!("10.0.0.1")], &[json!("10.0.1.1")]);
    check(
        &json!([{"cidr": "2001:db8::/32"}]),
        &[json!("2001:db8::1"), json!("2001:0DB8:0:0::ff")],
        &[json!("2001:db9::1"), json!("10.0.0.1")],
    );
    check(&json!([{"cidr": "10.0.0.1/32"}]), &[json!("10.0.0.1")], &[json!("10.0.0.2")]);
    check(&json!([{"cidr": "0.0.0.0/0"}]), &[json!("255.255.255.255")], &[json!("::1")]);
    check(&json!([{"cidr": "::ffff:10.0.0.0/104"}]), &[json!("10.1.2.3")], &[json!("11.1.2.3")]);
}

#[test]
fn exists_checks_leaves() {
    check(
        &json!([{"exists": true}]),
        &everything(),
        &[json!({"inner": 1}), json!([]), json!([{"inner": 1}])],
    );
    check(
        &json!([{"exists": false}]),
        &[json!({"inner": 1}), json!([]), json!([{"inner": 1}])],
        &everything(),
    );
    assert!(missing(&json!([{"exists": false}])));
    assert!(!missing(&json!([{"exists": true}])));
    check(&json!([{"exists": false}, "a"]), &[json!("a"), json!([])], &[json!("b")]);
    assert!(missing(&json!(["a", {"exists": false}])));
    assert!(passes(&json!({"gone": {"deep": {"x": [{"exists": false}]}}}), &json!({"data": 1})));
    assert!(passes(
        &json!({"data": {"deep": {"x": [{"exists": false}]}}}),
        &json!({"data": {"deep": 5}})
    ));
    assert!(!passes(&json!({"gone": {"x": [{"exists": false}], "y": [1]}}), &json!({"data": 1})));
}

#[test]
fn anything_but_matches_every_other_present_value() {
    check(
        &json!([{"anything-but": "text"}]),
        &[json!(""), json!(7), json!(true), json!(null), json!("Text")],
        &[json!("text"), json!({}), json!([])],
    );
    check(
        &json!([{"anything-but": ["a", "b"]}]),
        &[json!("c"), json!(1)],
        &[json!("a"), json!("b")],
    );
    check(
        &json!([{"anything-but": 100}]),
        &[json!(101), json!("100")],
        &[json!(100), json!(100.0)],
    );
    check(
        &json!([{"anything-but": [100, 200]}]),
        &[json!(150), json!(null)],
        &[json!(100), json!(2e2)],
    );
    assert!(!missing(&json!([{"anything-but": "text"}])));
}

#[test]
fn anything_but_takes_operators_for_text() {
    let (number, null) = (json!(1), json!(null));
    check(
        &json!([{"anything-but": {"prefix": "init"}}]),
        &[json!("done"), number.clone(), null.clone()],
        &[json!("init"), json!("initial")],
    );
    check(
        &json!([{"anything-but": {"prefix": ["a", "b"]}}]),
        &[json!("c")],
        &[json!("ax"), json!("bx")],
    );
    check(
        &json!([{"anything-but": {"suffix": ".png"}}]),
        &[json!("a.jpg"), number.clone()],
        &[json!("a.png")],
    );
    check(
        &json!([{"anything-but": {"suffix": [".png", ".jpg"]}}]),
        &[json!("a.gif")],
        &[json!("a.png"), json!("a.jpg")],
    );
    check(
        &json!([{"anything-but": {"wildcard": "*/lib/*"}}]),
        &[json!("/bin/x"), null.clone()],
        &[json!("/usr/lib/x")],
    );
    check(
        &json!([{"anything-but": {"wildcard": ["*/lib/*", "*/bin/*"]}}]),
        &[json!("/etc/x")],
        &[json!("/bin/x"), json!("/lib/x")],
    );
    check(
        &json!([{"anything-but": {"equals-ignore-case": "stopped"}}]),
        &[json!("running")],
        &[json!("STOPPED")],
    );
    check(
        &json!([{"anything-but": {"equals-ignore-case": ["stopped", "lost"]}}]),
        &[json!("running"), number],
        &[json!("Stopped"), json!("LOST")],
    );
}

#[test]
fn one_alternative_of_every_field_must_match() {
    check(
        &json!(["a", {"prefix": "b"}, {"numeric": ["<", 3]}, {"exists": false}]),
        &[json!("a"), json!("bx"), json!(2), json!([])],
        &[json!("x"), json!(3), json!(null)],
    );
    let when = json!({"data": {"a": [1], "b": [2]}});
    assert!(passes(&when, &json!({"data": {"a": 1, "b": 2, "c": 3}})));
    assert!(!passes(&when, &json!({"data": {"a": 1, "b": 3}})));
    assert!(!passes(&when, &json!({"data": {"a": 1}})));
}

#[test]
fn any_branch_of_or_can_match_at_any_level() {
    let when = json!({
        "type": ["kyc.test"],
        "$or": [
            {"data": {"a": [1]}},
            {"data": {"b": [2], "$or": [{"c": [3]}, {"d": [{"exists": false}]}]}},
            {"source": [{"prefix": "back"}]},
        ],
    });
    let with = |rest: Value| {
        let mut envelope = json!({"type": "kyc.test"});
        envelope.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        envelope
    };
    assert!(passes(&when, &with(json!({"data": {"a": 1}}))));
    assert!(passes(&when, &with(json!({"data": {"b": 2, "c": 3, "d": 4}}))));
    assert!(passes(&when, &with(json!({"data": {"b": 2}}))));
    assert!(!passes(&when, &with(json!({"data": {"b": 2, "d": 4}}))));
    assert!(passes(&when, &with(json!({"source": "backoffice"}))));
    assert!(!passes(&when, &with(json!({}))));
    assert!(!passes(&when, &json!({"type": "other", "data": {"a": 1}})));
}

#[test]
fn a_filter_applies_to_the_whole_envelope() {
    let envelope = json!({"id": "evt_1", "type": "kyc.test", "created": 1_735_228_800, "data": {}, "region": "eu", "a.b": 1});
    assert!(passes(&json!({"id": [{"prefix": "evt_"}]}), &envelope));
    assert!(passes(&json!({"type": [{"wildcard": "kyc.*"}]}), &envelope));
    assert!(passes(&json!({"created": [{"numeric": [">", 1_700_000_000]}]}), &envelope));
    assert!(passes(&json!({"region": ["eu"]}), &envelope));
    assert!(passes(&json!({"a.b": [1]}), &envelope));
    assert!(!passes(&json!({"a": {"b": [1]}}), &envelope));
}

#[test]
fn an_envelope_that_is_not_an_object_matches_no_filter() {
    for broken in [json!(null), json!([]), json!("x")] {
        assert!(!passes(&json!({"data": {"x": [{"exists": false}]}}), &broken));
    }
}
