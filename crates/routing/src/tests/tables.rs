//! Which destinations a table returns, in which order, and at what cost.

use bytes::Bytes;
use fanfare_contract::Event;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{RouteSpec, Table, Tested, event};

const PLACES: [&str; 4] = ["a", "b", "c", "d"];

fn route(events: &[&str], when: Option<Value>, to: &[&str]) -> RouteSpec {
    RouteSpec {
        id: None,
        name: None,
        events: events.iter().map(ToString::to_string).collect(),
        except: vec![],
        when,
        to: to.iter().map(ToString::to_string).collect(),
        enabled: true,
    }
}

fn matching(routes: &[RouteSpec], event: &Event) -> Vec<u32> {
    let mut out = vec![9, 9, 9];
    let tested = Table::compile(routes, &PLACES).unwrap().matching(event, &mut out);
    assert_eq!(tested, Tested::All);
    out
}

#[test]
fn a_table_can_be_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Table>();
}

#[test]
fn an_exception_applies_to_its_own_route_only() {
    let but = |except: &[&str], route: RouteSpec| RouteSpec {
        except: except.iter().map(ToString::to_string).collect(),
        ..route
    };
    let when = json!({"data": {"x": [1]}});
    let routes = [
        but(&["kyc.a"], route(&["kyc.**"], None, &["a"])),
        but(&["kyc.a", "kyc.b.*"], route(&["**"], Some(when), &["b", "c"])),
        route(&["kyc.a"], None, &["d"]),
        but(&["**"], route(&["kyc.*"], None, &["d"])),
    ];
    let of =
        |kind: &str, x: i64| matching(&routes, &event(&json!({"type": kind, "data": {"x": x}})));
    assert_eq!(of("kyc.a", 1), [3]);
    assert_eq!(of("kyc.c", 1), [0, 1, 2]);
    assert_eq!(of("kyc.c", 2), [0]);
    assert_eq!(of("kyc.b.c", 1), [0]);
    assert_eq!(of("other", 1), [1, 2]);
    let bad = but(&["kyc.sess*"], route(&["**"], None, &["a"]));
    let errors = Table::compile(&[bad], &PLACES).unwrap_err();
    assert!(errors[0].to_string().contains("except[0]"), "{}", errors[0]);
}

#[test]
fn destinations_are_returned_once_in_declared_order() {
    let routes = [
        route(&["kyc.a"], None, &["d", "b", "d"]),
        route(&["kyc.*", "kyc.**", "kyc.a"], None, &["b", "a"]),
        route(&["**"], Some(json!({"data": {"x": [1, 1, 1.0]}})), &["c", "a"]),
    ];
    let out = matching(&routes, &event(&json!({"type": "kyc.a", "data": {"x": [1, 1]}})));
    assert_eq!(out, [0, 1, 2, 3]);
    assert_eq!(matching(&routes, &event(&json!({"type": "kyc.b", "data": {}}))), [0, 1]);
    assert!(matching(&routes, &event(&json!({"type": "kyb"}))).is_empty());
}

#[test]
fn a_disabled_route_matches_nothing_and_is_still_checked() {
    let mut off = route(&["**"], None, &["a"]);
    off.enabled = false;
    assert!(matching(&[off.clone()], &event(&json!({"type": "x"}))).is_empty());
    off.to = vec!["nowhere".into()];
    assert!(Table::compile(&[off], &PLACES).is_err());
}

#[test]
fn an_empty_table_matches_nothing() {
    assert!(matching(&[], &event(&json!({"type": "x"}))).is_empty());
}

/// Whether `event` was parsed before. If it was, a new body does not change its value.
fn was_parsed(mut event: Event) -> bool {
    event.body = Bytes::from_static(b"\"later\"");
    event.json().as_str() != Some("later")
}

#[test]
fn an_event_is_parsed_only_for_a_filter_of_its_type() {
    let routes = [
        route(&["kyc.a"], None, &["a"]),
        route(&["kyc.b"], Some(json!({"x": [1]})), &["b"]),
        // Its destination already gets every event of the type.
        route(&["kyc.a"], Some(json!({"x": [1]})), &["a"]),
    ];
    let a = event(&json!({"type": "kyc.a"}));
    assert_eq!(matching(&routes, &a), [0]);
    assert!(!was_parsed(a));
    let b = event(&json!({"type": "kyc.b"}));
    assert!(matching(&routes, &b).is_empty());
    assert!(was_parsed(b));
}

#[test]
fn filters_with_more_values_than_the_index_holds_still_match() {
    let many = |from: usize| (from..from + 9_000).map(|n| json!(n)).collect::<Vec<_>>();
    let routes: Vec<_> = (0..40)
        .map(|i| route(&["t"], Some(json!({"x": many(i * 10_000)})), &[PLACES[i % 4]]))
        .collect();
    let table = Table::compile(&routes, &PLACES).unwrap();
    let mut out = Vec::new();
    for (value, expected) in [(1_u32, Some(0)), (391_234, Some(3)), (399_500, None)] {
        let tested = table.matching(&event(&json!({"type": "t", "x": value})), &mut out);
        assert_eq!(tested, Tested::All);
        assert_eq!(out.first().copied(), expected);
    }
}

#[test]
fn a_huge_array_in_the_event_does_not_multiply_the_candidates() {
    let routes: Vec<_> = (0..200)
        .map(|i| route(&["t"], Some(json!({"x": [{"numeric": [">=", i]}]})), &["a"]))
        .collect();
    let big: Vec<u32> = (0..20_000).collect();
    assert_eq!(matching(&routes, &event(&json!({"type": "t", "x": big}))), [0]);
}

fn some_route() -> impl Strategy<Value = RouteSpec> {
    let kinds = prop::sample::subsequence(vec!["t", "t.u", "t.*", "**", "*", "t.**"], 1..4);
    let values = prop::collection::vec(0..4_u8, 1..3);
    let when =
        prop::option::of((prop::sample::select(vec!["x", "y"]), values, any::<bool>()).prop_map(
            |(field, values, range)| {
                let list =
                    if range { json!([{"numeric": [">", values[0]]}]) } else { json!(values) };
                json!({"data": {field: list}})
            },
        ));
    let to = prop::sample::subsequence(PLACES.to_vec(), 1..4);
    (kinds, when, to).prop_map(|(kinds, when, to)| route(&kinds, when, &to))
}

proptest! {
    #[test]
    fn routes_together_match_what_each_matches_alone_in_any_order(
        routes in prop::collection::vec(some_route(), 0..8),
        kind in prop::sample::select(vec!["t", "t.u", "t.u.v", "z"]),
        x in prop::collection::vec(0..5_u8, 0..3),
        y in 0..5_u8,
    ) {
        let event = event(&json!({"type": kind, "data": {"x": x, "y": y}}));
        let mut alone: Vec<u32> =
            routes.iter().flat_map(|route| matching(std::slice::from_ref(route), &event)).collect();
        alone.sort_unstable();
        alone.dedup();
        prop_assert_eq!(&matching(&routes, &event), &alone);
        let backwards: Vec<_> = routes.iter().rev().cloned().collect();
        prop_assert_eq!(&matching(&backwards, &event), &alone);
        let table = Table::compile(&routes, &PLACES).unwrap();
        let mut explained: Vec<u32> = table
            .explain(&event)
            .into_iter()
            .filter(|route| route.matched)
            .flat_map(|route| route.to)
            .map(|to| u32::try_from(PLACES.iter().position(|place| *place == to).unwrap()).unwrap())
            .collect();
        explained.sort_unstable();
        explained.dedup();
        prop_assert_eq!(explained, alone);
    }
}
