//! Mistakes in routes: all are reported at once, with the place and what to write instead.

use serde_json::{Value, json};

use super::{RouteSpec, Table, filtered, lines};

fn errors(routes: &[RouteSpec], destinations: &[&str]) -> String {
    let errors = Table::compile(routes, destinations).expect_err("the routes are wrong");
    lines(&errors)
}

/// The errors of a filter in a route without other mistakes.
#[track_caller]
fn refused(when: &Value) -> String {
    errors(&[filtered(when)], &["there"])
}

#[test]
fn all_errors_of_all_routes_are_reported_at_once() {
    let route = |name: &str, events: &[&str], when: Option<Value>, to: &[&str]| RouteSpec {
        id: None,
        name: Some(name.to_owned()).filter(|name| !name.is_empty()),
        events: events.iter().map(ToString::to_string).collect(),
        except: vec![],
        when,
        to: to.iter().map(ToString::to_string).collect(),
        enabled: true,
    };
    let routes = [
        route("fine", &["kyc.*"], None, &["support"]),
        route("typo", &["kyc.*", "kyc.sess*"], None, &["suport", "support", "pager"]),
        route("", &[], Some(json!({"data": {"x": 1, "y": []}})), &[]),
    ];
    insta::assert_snapshot!(errors(&routes, &["support", "mlro-now"]));
    insta::assert_snapshot!(errors(&routes[..1], &[]));
    let found = Table::compile(&routes, &["support"]).unwrap_err();
    assert_eq!((found[0].route, found[0].name.as_deref()), (1, Some("typo")));
    assert_eq!(found[0].field, "events[1]");
}

#[test]
fn every_mistake_in_a_filter_is_reported_with_the_fix() {
    let wrong = json!({
        "data.risk_score": [70],
        "bare text": "approved",
        "bare": {"number": 5, "truth": true, "null": null},
        "empty": [],
        "nothing": {},
        "listed": [["a"]],
        "typo": [{"prefx": "a"}],
        "unknown": [{"regex": ".*"}],
        "two": [{"prefix": "a", "suffix": "b"}],
        "none": [{}],
        "unlisted": {"anything-but": ["approved"]},
        "unlisted2": {"numeric": [">=", 70]},
        "unlisted3": {"prefix": "a"},
        "prefix": [{"prefix": 5}, {"prefix": {"ignore-case": "a"}}, {"suffix": {"equals-ignore-case": 1}}, {"prefix": ["a"]}],
        "same": [{"equals-ignore-case": null}],
        "wild": [{"wildcard": "a**b"}, {"wildcard": "a\\b"}, {"wildcard": "a\\"}],
        "numeric": [
            {"numeric": 70}, {"numeric": [">="]}, {"numeric": ["=>", 70]}, {"numeric": [">=", "70"]},
            {"numeric": [">", 1, ">", 2]}, {"numeric": [">", 5, "<", 5]}, {"numeric": ["=", 1, "<", 5]}, {"numeric": []},
        ],
        "cidr": [{"cidr": "10.0.0.1"}, {"cidr": "10.0.0.0/33"}, {"cidr": "::1"}, {"cidr": "here"}],
        "exists": [{"exists": "true"}],
        "but": [
            {"anything-but": ["a", 1]}, {"anything-but": []}, {"anything-but": null}, {"anything-but": {"numeric": ["=", 1]}},
            {"anything-but": {"prefix": ""}}, {"anything-but": {"suffix": ["a", 1]}}, {"anything-but": {"wildcard": []}},
        ],
        "or": {"$or": {"a": [1]}},
        "or1": {"$or": [{"a": [1]}]},
        "or2": {"$or": [{"a": [1]}, 5, {"prefix": ["a"]}, {}]},
    });
    insta::assert_snapshot!(refused(&wrong));
    insta::assert_snapshot!([refused(&json!(["data"])), refused(&json!({}))].join("\n"));
}

#[test]
fn toml_values_without_a_json_form_are_refused() {
    let route: RouteSpec = toml::from_str(
        "events = ['**']\nto = ['there']\n[when.data]\nday = [2024-12-26]\nat = 2024-12-26T16:00:00Z\n\
         rate = [nan]\nlimit = [{ numeric = ['<', inf] }]\nbut = [{ anything-but = [-inf, 1] }]\nwhole = nan",
    )
    .unwrap();
    insta::assert_snapshot!(errors(&[route], &["there"]));
}

#[test]
fn duplicate_and_unknown_fields_are_refused() {
    let twice = r#"{"events": ["**"], "to": ["a"], "when": {"data": {"x": [1], "x": [2]}}}"#;
    let error = serde_json::from_str::<RouteSpec>(twice).unwrap_err().to_string();
    assert!(error.contains("`x` is present twice"), "{error}");
    let unknown = r#"{"events": ["**"], "to": ["a"], "wen": {}}"#;
    assert!(serde_json::from_str::<RouteSpec>(unknown).unwrap_err().to_string().contains("`wen`"));
}

#[test]
fn depth_and_size_are_bounded() {
    let nested = |levels: usize| (0..levels).fold(json!([1]), |inner, _| json!({"a": inner}));
    Table::compile(&[filtered(&nested(32))], &["there"]).unwrap();
    assert!(refused(&nested(33)).contains("deeper than 32 levels"));
    assert!(refused(&nested(200)).contains("deeper than 32 levels"));
    let or = (0..40).fold(json!({"a": [1]}), |inner, _| json!({"$or": [inner, {"b": [1]}]}));
    assert!(refused(&or).contains("deeper than 32 levels"));
    let values = |count: u32| json!({"a": (0..count / 2).collect::<Vec<_>>(), "b": [{"anything-but": (0..count / 2 - 1).collect::<Vec<_>>()}]});
    Table::compile(&[filtered(&values(10_000))], &["there"]).unwrap();
    let too_many = refused(&values(10_002));
    assert!(too_many.contains("limit is 10000"), "{too_many}");
    assert_eq!(too_many.lines().count(), 1);
}

#[test]
fn too_many_combinations_of_ors_are_refused() {
    let branches = |key: &str| (0..30).map(|n| json!({"items": {key: [n]}})).collect::<Vec<_>>();
    let joined = ["a", "b", "c"].iter().fold(json!({"items": {"z": [1]}}), |inner, key| {
        let mut all = branches(key);
        all[0]["$or"] = json!([inner.clone(), {"y": [1]}]);
        json!({"items": {"z": [1]}, "$or": all})
    });
    Table::compile(&[filtered(&joined)], &["there"]).unwrap();
    // Both sides bring an `$or` into the same field: 70 times 70 combinations.
    let many = |key: &str| (0..70).map(|n| json!({"items": {key: [n]}})).collect::<Vec<_>>();
    let product = json!({
        "data": {"items": {"z": [1]}, "$or": many("a")},
        "$or": [{"data": {"$or": many("b")}}, {"x": [1]}],
    });
    assert!(refused(&product).contains("too many combinations"));
    // Fifteen levels of two branches each are 32,768 combinations, and cost nothing.
    let deep = (0..15)
        .fold(json!({"a": [1]}), |inner, i| json!({format!("f{i}"): {"$or": [inner, {"b": [1]}]}}));
    Table::compile(&[filtered(&deep)], &["there"]).unwrap();
}
