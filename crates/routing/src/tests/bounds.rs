//! A tenant's filters and events cannot take more than a bounded amount of work and memory. Work is
//! counted in steps, because time depends on the machine.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{RouteSpec, Table, Tested, event, filtered};

/// Far more than any of these tables needs, even on a busy machine without optimization.
const PATIENCE: Duration = Duration::from_secs(20);

fn compile(routes: &[RouteSpec]) -> Table {
    let ids: Vec<String> = (0..routes.len()).map(|n| format!("to{n}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let routes: Vec<RouteSpec> = routes
        .iter()
        .zip(&ids)
        .map(|(route, id)| RouteSpec { to: vec![(*id).into()], ..route.clone() })
        .collect();
    Table::compile(&routes, &ids).unwrap()
}

/// What the routes with these filters match, if all could be tested.
#[track_caller]
fn matching(whens: &[Value], envelope: &Value) -> Option<Vec<u32>> {
    let routes: Vec<RouteSpec> = whens.iter().map(filtered).collect();
    let (table, event) = (compile(&routes), event(envelope));
    let mut out = Vec::new();
    let begin = Instant::now();
    let tested = table.matching(&event, &mut out);
    assert!(begin.elapsed() < PATIENCE, "{:?}", begin.elapsed());
    (tested == Tested::All).then_some(out)
}

/// Makes one of many alternatives.
type Alternative<'a> = Box<dyn Fn(usize) -> Value + 'a>;

fn leaf(alternatives: &[Value]) -> Value {
    json!({"data": {"x": alternatives}})
}

#[test]
fn ten_thousand_alternatives_of_any_kind_are_tested_on_a_long_text() {
    let long = "a".repeat(240_000);
    let same = "a".repeat(60);
    let network = |i: usize| format!("10.{}.{}.0/24", i / 250, i % 250);
    let kinds: Vec<(&str, Alternative<'_>)> = vec![
        ("wildcard", Box::new(|i| json!({"wildcard": format!("*{same}b*{same}b{i}")}))),
        (
            "nested wildcard",
            Box::new(|i| json!({"wildcard": format!("*{}*b{i}", "a".repeat(i % 150 + 1))})),
        ),
        ("prefix", Box::new(|i| json!({"prefix": format!("{same}{i}")}))),
        ("suffix", Box::new(|i| json!({"suffix": format!("{i}{same}")}))),
        ("any case", Box::new(|i| json!({"equals-ignore-case": format!("{same}{i}")}))),
        (
            "prefix in any case",
            Box::new(|i| json!({"prefix": {"equals-ignore-case": format!("{same}{i}")}})),
        ),
        (
            "suffix in any case",
            Box::new(|i| json!({"suffix": {"equals-ignore-case": format!("{i}{same}")}})),
        ),
        ("numeric", Box::new(|i| json!({"numeric": [">", i]}))),
        ("cidr", Box::new(|i| json!({"cidr": network(i)}))),
        ("exact", Box::new(|i| json!(format!("{same}{i}")))),
    ];
    for (name, alternative) in kinds {
        let all: Vec<Value> = (0..9_999).map(alternative).collect();
        let found = matching(&[leaf(&all)], &json!({"data": {"x": long}}));
        assert_eq!(found.as_deref(), Some(&[][..]), "{name}");
    }
    let texts: Vec<String> = (0..9_999).map(|i| format!("*{same}b*{i}")).collect();
    for but in [
        json!({"wildcard": texts}),
        json!({"prefix": texts}),
        json!({"suffix": texts}),
        json!({"equals-ignore-case": texts}),
        json!(texts),
    ] {
        let found =
            matching(&[leaf(&[json!({"anything-but": but})])], &json!({"data": {"x": long}}));
        assert_eq!(found.as_deref(), Some(&[0][..]));
    }
}

#[test]
fn a_wildcard_in_each_of_many_routes_costs_what_many_in_one_route_cost() {
    let same = "a".repeat(60);
    let whens: Vec<Value> =
        (0..5_000).map(|i| leaf(&[json!({"wildcard": format!("*{same}*b*{same}{i}*")})])).collect();
    let text = format!("{0}b{0}77,", "a".repeat(100_000));
    assert_eq!(matching(&whens, &json!({"data": {"x": text}})), Some(vec![7, 77]));
    // The same field, where another field selects the routes.
    let selected: Vec<Value> = (0..2_000)
        .map(|i| json!({"data": {"kind": ["k"], "x": [{"wildcard": format!("*{same}*b*{same}{i}*")}]}}))
        .collect();
    let envelope = json!({"data": {"kind": "k", "x": text}});
    assert_eq!(matching(&selected, &envelope), Some(vec![7, 77]));
}

#[test]
fn long_numbers_and_large_objects_are_searched_in_bounded_time() {
    let digits = "7".repeat(200_000);
    let whens: Vec<Value> = (0..1_000).map(|i| leaf(&[json!({"numeric": [">", i]})])).collect();
    let envelope: Value = json!({"data": {"x": 0}});
    let body = envelope.to_string().replace("\"x\":0", &format!("\"x\":0.{digits}"));
    let routes: Vec<RouteSpec> = whens.iter().map(filtered).collect();
    let event = fanfare_contract::Event::new("a".into(), "e".into(), "t".into(), 0, 0, body.into());
    let mut out = Vec::new();
    assert_eq!(compile(&routes).matching(&event, &mut out), Tested::All);
    assert_eq!(out, [0]);

    let wide: serde_json::Map<String, Value> =
        (0..20_000).map(|i| (format!("k{i}"), json!(i))).collect();
    let whens: Vec<Value> =
        (0..2_000).map(|i| json!({"data": {format!("k{}", i * 10): [i * 10]}})).collect();
    assert_eq!(matching(&whens, &json!({"data": wide})).unwrap().len(), 2_000);
}

#[test]
fn filters_times_elements_end_at_a_limit_that_is_explained() {
    let elements: Vec<Value> =
        (0..12_000).map(|i| if i % 2 == 0 { json!({"a": 1}) } else { json!({"b": 2}) }).collect();
    let whens: Vec<Value> =
        (0..3_000).map(|i| json!({"items": {"a": [1, i + 10], "b": [2]}})).collect();
    let envelope = json!({"items": elements});
    assert_eq!(matching(&whens, &envelope), None);

    let routes: Vec<RouteSpec> = whens.iter().map(filtered).collect();
    let (table, event) = (compile(&routes), event(&envelope));
    let (mut first, mut second) = (Vec::new(), Vec::new());
    assert_eq!(table.matching(&event, &mut first), Tested::Some);
    assert_eq!(table.matching(&event, &mut second), Tested::Some);
    assert_eq!(first, second);
    let last = table.explain(&event).pop().unwrap();
    assert!(!last.matched);
    assert_eq!(
        last.to_string(),
        "route 3000: no, event: expected an event that the tenant's filters can test in 4000000 \
         steps, found one that takes more; use fewer elements in its arrays, or fewer filters"
    );
    // Routes without a filter do not depend on it.
    let mut routes = routes;
    routes[1_000].when = None;
    let mut out = Vec::new();
    assert_eq!(compile(&routes).matching(&event, &mut out), Tested::Some);
    assert_eq!(out, [1_000]);
}

#[test]
fn an_explanation_writes_only_the_start_of_what_was_found() {
    let text = "é".repeat(100_000);
    let whens: Vec<Value> =
        (0..3_000).map(|i| leaf(&[json!({"prefix": format!("{i}")})])).collect();
    let routes: Vec<RouteSpec> = whens.iter().map(filtered).collect();
    let table = compile(&routes);
    for (value, start) in [
        (json!(text), format!("\"{}…", "é".repeat(119))),
        (json!([text, text]), format!("[\"{}…", "é".repeat(118))),
        (json!((0..50_000).collect::<Vec<_>>()), "[0,1,2,3,4,5,6,7,8,9,10,".to_owned()),
    ] {
        let begin = Instant::now();
        let explained = table.explain(&event(&json!({"data": {"x": value}})));
        assert!(begin.elapsed() < PATIENCE, "{:?}", begin.elapsed());
        let found = &explained[0].reason.as_ref().unwrap().found;
        assert!(found.starts_with(&start) && found.chars().count() <= 121, "{found}");
    }
}

#[test]
fn many_small_texts_and_many_wildcards_end_at_a_limit() {
    let whens =
        [leaf(&(0..9_999).map(|i| json!({"wildcard": format!("*a*{i}b")})).collect::<Vec<_>>())];
    let texts: Vec<String> = (0..20_000).map(|i| format!("a{i}")).collect();
    assert_eq!(matching(&whens, &json!({"data": {"x": texts}})), None);
    assert_eq!(matching(&whens, &json!({"data": {"x": &texts[..100]}})), Some(vec![]));
}

#[track_caller]
fn refused(whens: &[Value], reason: &str) {
    let routes: Vec<RouteSpec> = whens.iter().map(filtered).collect();
    let errors = Table::compile(&routes, &["there"]).unwrap_err();
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(errors[0].message.contains(reason), "{}", errors[0]);
}

#[test]
fn the_filters_of_a_table_are_bounded_together() {
    let kilobyte = |i: usize| json!({"wildcard": format!("*{i:05}{}*", "x".repeat(1_000))});
    refused(&[leaf(&(0..9_999).map(kilobyte).collect::<Vec<_>>())], "2097152 bytes together");
    let split: Vec<Value> = (0..9_999).map(|i| leaf(&[kilobyte(i)])).collect();
    refused(&split, "2097152 bytes together");
    let stars = |i: usize| leaf(&[json!({"wildcard": format!("{}{i}", "*a".repeat(50))})]);
    refused(&(0..2_001).map(stars).collect::<Vec<_>>(), "100000 stars together");
    let values = leaf(&(0..9_999).map(|i| json!(i)).collect::<Vec<_>>());
    refused(&vec![values; 51], "500000 values together");
    let text =
        leaf(&(0..9_000).map(|i| json!(format!("{i}{}", "x".repeat(1_000)))).collect::<Vec<_>>());
    refused(&[text.clone(), text], "16777216 bytes of text");
    refused(&[json!({"k".repeat(1_025): [1]})], "has a name of 1025 bytes; the limit is 1024");
    // Each multiplies out 90 times 90 branches.
    let many = |key: &str| (0..60).map(|n| json!({"items": {key: [n]}})).collect::<Vec<_>>();
    let product = json!({"items": {"z": [1]}, "$or": many("a"), "data": {"$or": many("b")}});
    let joined = json!({"items": {"z": [1]}, "$or": many("a").into_iter().chain(many("c")).collect::<Vec<_>>()});
    Table::compile(&[filtered(&product)], &["there"]).unwrap();
    refused(&vec![joined; 1_000], "250000 fields together");
}
