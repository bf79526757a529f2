//! The cases of `docs/compatibility.md`: what Fanfare decides where matchers disagree.

use serde_json::{Value, json};

use super::{Table, check, filtered, passes, text_passes};

/// Whether a list of alternatives matches a value, both as JSON text.
#[track_caller]
fn value(alternatives: &str, value: &str) -> bool {
    text_passes(
        &format!(r#"{{"data":{{"x":{alternatives}}}}}"#),
        &format!(r#"{{"data":{{"x":{value}}}}}"#),
    )
}

#[test]
fn numbers_are_equal_by_value_and_differ_by_any_digit() {
    for (pattern, same, different) in [
        ("72153723311011100", "72153723311011100.0", "72153723311011101"),
        ("300", "3.0e2", "300.00000000000001"),
        ("0", "-0.0e5", "1e-400"),
        ("20000000000000000000", "2e19", "20000000000000000001"),
        ("300.00000000000001", "3.0000000000000001E2", "300"),
        ("1e-400", "10e-401", "0"),
    ] {
        for operator in [
            format!("[{pattern}]"),
            format!(r#"[{{"numeric":["=",{pattern}]}}]"#),
            format!(r#"[{{"exactly":{pattern}}}]"#),
        ] {
            assert!(value(&operator, same), "{operator} on {same}");
            assert!(!value(&operator, different), "{operator} on {different}");
        }
        for operator in [
            format!(r#"[{{"anything-but":{pattern}}}]"#),
            format!(r#"[{{"anything-but":[7,{pattern}]}}]"#),
        ] {
            assert!(!value(&operator, same), "{operator} on {same}");
            assert!(value(&operator, different), "{operator} on {different}");
        }
    }
    assert!(value(r#"[{"numeric":[">",300,"<",300.1]}]"#, "300.00000000000001"));
    assert!(!value(r#"[{"numeric":["<=",20000000000000000000]}]"#, "20000000000000000001"));
    assert!(value(r#"[{"numeric":[">",0,"<",1e-399]}]"#, "1e-400"));
}

#[test]
fn a_number_that_toml_cannot_hold_is_written_as_text() {
    let when = json!({"data": {"x": [{"$number": "20000000000000000001"}, {"numeric": ["<", {"$number": "-1e400"}]}]}});
    let compile = |when: &Value| Table::compile(&[filtered(when)], &["there"]);
    assert!(compile(&when).is_ok());
    assert!(value(r#"[{"$number":"20000000000000000001"}]"#, "20000000000000000001"));
    assert!(!value(r#"[{"$number":"20000000000000000001"}]"#, "20000000000000000000"));
    for wrong in [json!("1.2.3"), json!(""), json!(" 1"), json!("one"), json!(1), json!(["1"])] {
        let errors = compile(&json!({"data": {"x": [{"$number": wrong}]}})).unwrap_err();
        assert!(errors[0].message.contains("write the number as text"), "{}", errors[0]);
    }
}

#[test]
fn case_is_ignored_by_simple_folding_of_whole_characters() {
    check(
        &json!([{"equals-ignore-case": "admin"}]),
        &[json!("ADMIN"), json!("Admin")],
        &[json!("admın"), json!("ADMİN")],
    );
    check(
        &json!([{"equals-ignore-case": "straße"}]),
        &[json!("STRAẞE"), json!("Straße")],
        &[json!("STRASSE")],
    );
    check(&json!([{"prefix": {"equals-ignore-case": "s"}}]), &[json!("Sx")], &[json!("ßx")]);
    check(&json!([{"suffix": {"equals-ignore-case": "s"}}]), &[json!("xS")], &[json!("xß")]);
}

#[test]
fn a_missing_field_is_checked_in_the_element_that_has_the_rest() {
    let when = json!({"a": {"b": ["x"], "a": [{"exists": false}]}});
    assert!(passes(&when, &json!({"a": [{"b": "x"}, {"a": 1}]})));
    assert!(!passes(&when, &json!({"a": [{"b": "x", "a": 2}, {"a": 1}]})));
}

#[test]
fn a_field_and_an_or_about_it_must_both_match() {
    let when = json!({"n": ["a"], "$or": [{"n": ["b"]}, {"m": [1]}]});
    assert!(!passes(&when, &json!({"n": "b"})));
    assert!(passes(&when, &json!({"n": "a", "m": 1})));
    assert!(passes(&when, &json!({"n": ["a", "b"]})));
}

#[test]
fn a_mapped_address_is_an_ipv4_address_in_patterns_and_in_events() {
    check(
        &json!([{"cidr": "10.0.0.0/8"}]),
        &[json!("10.0.0.1"), json!("::ffff:10.0.0.1"), json!("::FFFF:0a00:1")],
        &[json!("::10.0.0.1"), json!("::ffff:11.0.0.1")],
    );
    check(
        &json!([{"cidr": "::ffff:10.0.0.0/104"}]),
        &[json!("10.0.0.1"), json!("::ffff:10.0.0.1")],
        &[json!("::1"), json!("11.0.0.1")],
    );
    check(
        &json!([{"cidr": "::/0"}]),
        &[json!("::1"), json!("2001:db8::1")],
        &[json!("::ffff:10.0.0.1"), json!("10.0.0.1")],
    );
}

#[test]
fn exactly_is_another_way_to_write_a_value() {
    check(
        &json!([{"exactly": "a"}, {"exactly": true}, {"exactly": null}, {"exactly": 1}]),
        &[json!("a"), json!(true), json!(null), json!(1.0)],
        &[json!("A"), json!(false), json!("1")],
    );
    let errors = Table::compile(&[filtered(&json!({"x": [{"exactly": ["a"]}]}))], &["there"]);
    let message = errors.unwrap_err()[0].to_string();
    assert!(
        message.ends_with(r#"must be one value, such as { exactly = "approved" }"#),
        "{message}"
    );
}
