//! Explanations of matches, as people read them.

use serde_json::{Value, json};

use super::{RouteSpec, Table, event, filtered, lines};

/// The explanations of these filters on an envelope, one on each line.
fn explain(whens: &[Value], envelope: &Value) -> String {
    let routes: Vec<_> = whens.iter().map(filtered).collect();
    let table = Table::compile(&routes, &["there"]).unwrap();
    lines(&table.explain(&event(envelope)))
}

#[test]
fn every_route_is_explained_by_the_first_field_that_fails() {
    let envelope = json!({"type": "kyc.session.processed", "data": {
        "risk_score": 12, "final_decision": "approved", "tags": ["vip", "new"], "empty": [],
        "note": "x".repeat(300), "checks": [{"name": "document", "result": "pass"}, {"name": "face", "result": "fail"}],
        "ip": "10.1.2.3", "inner": {"a": 1},
    }});
    let whens = [
        json!({"data": {"risk_score": [{"numeric": [">=", 70]}]}}),
        json!({"data": {"risk_score": [{"numeric": [">", 0, "<", 12]}], "absent": ["never reached"]}}),
        json!({"data": {"final_decision": [{"anything-but": ["approved", "declined"]}]}}),
        json!({"data": {"final_decision": ["flagged", null, 3, true, {"prefix": "x"}]}}),
        json!({"data": {"absent": [{"exists": true}]}}),
        json!({"data": {"tags": [{"suffix": "z"}, {"equals-ignore-case": "Z"}, {"wildcard": "*z*"}]}}),
        json!({"data": {"risk_score": [{"exists": false}]}}),
        json!({"data": {"empty": [{"anything-but": {"prefix": ["a", "b"]}}]}}),
        json!({"data": {"note": [{"prefix": {"equals-ignore-case": "y"}}]}}),
        json!({"data": {"checks": {"name": ["document"], "result": ["fail"]}}}),
        json!({"data": {"checks": {"name": ["document"], "result": ["unknown"]}}}),
        json!({"data": {"absent": {"deep": {"a": [1]}}}}),
        json!({"data": {"inner": [1]}}),
        json!({"data": {"ip": [{"cidr": "192.168.0.0/16"}]}}),
        json!({"data": {"$or": [{"risk_score": [1]}, {"absent": ["a"]}]}}),
        json!({"data": {"risk_score": (100..120).collect::<Vec<_>>()}}),
        json!({"data": {"risk_score": [12]}}),
    ];
    insta::assert_snapshot!(explain(&whens, &envelope));
}

#[test]
fn wrong_types_and_disabled_routes_have_different_explanations() {
    let mut named = RouteSpec {
        id: None,
        name: Some("reviews".into()),
        events: vec!["kyc.session.manual_review".into(), "kyc.job.*".into()],
        except: vec![],
        when: None,
        to: vec!["there".into()],
        enabled: true,
    };
    let mut routes = vec![named.clone()];
    named.events = vec!["kyb.a".into(), "kyc.**".into()];
    routes.push(named.clone());
    named.enabled = false;
    routes.push(named);
    let table = Table::compile(&routes, &["there"]).unwrap();
    let explained = table.explain(&event(&json!({"type": "kyc.session.created"})));
    insta::assert_snapshot!(lines(&explained));
    insta::assert_snapshot!(serde_json::to_string_pretty(&explained).unwrap());
}

#[test]
fn an_exception_is_named() {
    let mut route = filtered(&json!({"data": {"x": [1]}}));
    route.except = vec!["kyc.job.*".into(), "kyc.**.created".into()];
    let envelope = json!({"type": "kyc.session.created", "data": {"x": 1}});
    let table = Table::compile(&[route], &["there"]).unwrap();
    let explained = lines(&table.explain(&event(&envelope)));
    assert_eq!(
        explained,
        "route 1: no, type: expected any type but kyc.**.created (`except` of this route), found \
         kyc.session.created"
    );
}
