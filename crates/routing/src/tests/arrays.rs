//! Arrays in the event, and array consistency.

use serde_json::json;

use super::{check, passes};

#[test]
fn an_array_matches_when_any_element_does() {
    check(
        &json!(["vip"]),
        &[json!(["new", "vip"]), json!([["vip"]])],
        &[json!(["new"]), json!([]), json!([{"vip": 1}])],
    );
    check(&json!([{"numeric": [">", 5]}]), &[json!([1, 9])], &[json!([1, 5])]);
    check(
        &json!([{"anything-but": "vip"}]),
        &[json!(["vip", "new"])],
        &[json!(["vip"]), json!([])],
    );
    check(&json!([{"exists": true}]), &[json!([null]), json!([[1]])], &[json!([[]]), json!([{}])]);
}

#[test]
fn a_nested_pattern_looks_into_arrays_of_objects_and_arrays_of_arrays() {
    let when = json!({"data": {"people": {"first": ["Anna"]}}});
    assert!(passes(&when, &json!({"data": {"people": [{"first": "John"}, {"first": "Anna"}]}})));
    assert!(passes(
        &when,
        &json!({"data": {"people": [[{"first": "John"}], [{"first": "Anna"}]]}})
    ));
    assert!(passes(&when, &json!({"data": [{"people": {"first": ["Anna", "Ann"]}}]})));
    assert!(!passes(&when, &json!({"data": {"people": ["Anna"]}})));
}

#[test]
fn one_element_must_match_all_fields_of_an_array() {
    let when = json!({"data": {"people": {"first": ["Anna"], "last": ["Jones"]}}});
    let split = json!({"data": {"people": [{"first": "Anna", "last": "Smith"}, {"first": "Peter", "last": "Jones"}]}});
    assert!(!passes(&when, &split));
    let together =
        json!({"data": {"people": [{"first": "Peter"}, {"first": "Anna", "last": "Jones"}]}});
    assert!(passes(&when, &together));
    let outer = json!({"data": {"teams": {"lead": ["Eve"], "people": {"first": ["Anna"]}}}});
    assert!(!passes(
        &outer,
        &json!({"data": {"teams": [
        {"lead": "Eve", "people": [{"first": "Bob"}]}, {"lead": "Tom", "people": [{"first": "Anna"}]}]}})
    ));
    assert!(passes(
        &outer,
        &json!({"data": {"teams": [
        {"lead": "Tom"}, {"lead": "Eve", "people": [{"first": "Bob"}, {"first": "Anna"}]}]}})
    ));
}

#[test]
fn consistency_holds_across_or() {
    let when = json!({
        "data": {"items": {"c": [1]}},
        "$or": [{"data": {"items": {"a": [1]}}}, {"data": {"items": {"b": [1]}}}, {"other": [1]}],
    });
    assert!(!passes(&when, &json!({"data": {"items": [{"c": 1}, {"a": 1}, {"b": 1}]}})));
    assert!(passes(&when, &json!({"data": {"items": [{"c": 2}, {"b": 1, "c": 1}]}})));
    assert!(passes(&when, &json!({"data": {"items": [{"c": 1}, {"a": 1}]}, "other": 1})));
    let inside = json!({"data": {"items": {"c": [1], "$or": [{"a": [1]}, {"b": [1]}]}}});
    assert!(!passes(&inside, &json!({"data": {"items": [{"c": 1}, {"a": 1}]}})));
    assert!(passes(&inside, &json!({"data": {"items": [{"c": 1, "a": 1}]}})));
}

#[test]
fn two_ors_for_one_array_match_in_the_same_element() {
    let when = json!({"$or": [
        {"items": {"a": [1]}, "$or": [{"items": {"b": [1]}}, {"items": {"c": [1]}}]},
        {"never": [true]},
    ]});
    assert!(!passes(&when, &json!({"items": [{"a": 1}, {"b": 1}, {"c": 1}]})));
    assert!(passes(&when, &json!({"items": [{"a": 1, "c": 1}]})));
}

#[test]
fn a_missing_field_is_checked_in_the_element_that_matches_the_rest() {
    let with_a = json!({"items": {"a": [1], "b": [{"exists": false}]}});
    assert!(passes(&with_a, &json!({"items": [{"a": 1, "b": 2}, {"a": 1}]})));
    assert!(!passes(&with_a, &json!({"items": [{"a": 1, "b": 2}, {"c": 1}]})));
    // The alphabetical order of the names makes no difference.
    let with_z = json!({"items": {"z": [1], "b": [{"exists": false}]}});
    assert!(passes(&with_z, &json!({"items": [{"z": 1, "b": 2}, {"z": 1}]})));
}

#[test]
fn a_missing_field_alone_is_checked_in_all_elements() {
    let when = json!({"items": {"b": [{"exists": false}]}});
    assert!(!passes(&when, &json!({"items": [{"b": 1}, {"c": 2}]})));
    assert!(passes(&when, &json!({"items": [{"a": 1}, {"c": 2}]})));
    assert!(passes(&when, &json!({"items": []})));
    assert!(passes(&when, &json!({"items": [1, 2]})));
    assert!(!passes(&when, &json!({"items": [1, {"b": null}]})));
    let deep = json!({"items": {"sub": {"b": [{"exists": false}]}, "$or": [{"c": [{"exists": false}]}, {"d": [1]}]}});
    assert!(!passes(&deep, &json!({"items": [{"c": 1}, {"sub": [{"b": 1}]}]})));
    assert!(passes(&deep, &json!({"items": [{"c": 1, "d": 1}, {"sub": [{"b": 1}]}]})));
}
