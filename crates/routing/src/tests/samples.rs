//! The example tenant and the sample events in `config/`.

use serde::Deserialize;
use serde_json::Value;

use super::{RouteSpec, Table, Tested, event, lines};

#[derive(Deserialize)]
struct Tenant {
    destination: Vec<Destination>,
    route: Vec<RouteSpec>,
}

#[derive(Deserialize)]
struct Destination {
    id: String,
}

#[test]
fn the_sample_events_go_where_the_sample_tenant_says() {
    let tenant: Tenant =
        toml::from_str(include_str!("../../../../config/tenants/acme.toml")).unwrap();
    let ids: Vec<&str> = tenant.destination.iter().map(|place| place.id.as_str()).collect();
    let table = Table::compile(&tenant.route, &ids).unwrap();
    let mut out = Vec::new();
    let mut routed = Vec::new();
    for line in include_str!("../../../../config/samples/kyc.ndjson").lines() {
        let envelope: Value = serde_json::from_str(line).unwrap();
        assert_eq!(table.matching(&event(&envelope), &mut out), Tested::All);
        let to: Vec<&str> = out.iter().map(|index| ids[*index as usize]).collect();
        routed.push(format!("{} {}: {}", envelope["id"], envelope["type"], to.join(", ")));
    }
    insta::assert_snapshot!(lines(&routed));
}

#[test]
fn a_route_reads_the_same_from_toml_and_from_json() {
    let toml: RouteSpec = toml::from_str(
        "events = ['a.*']\nto = ['x']\nwhen = { data.score = [{ numeric = ['>=', 70.5] }, 3, true] }",
    )
    .unwrap();
    let json = r#"{"events": ["a.*"], "to": ["x"], "enabled": true,
        "when": {"data": {"score": [{"numeric": [">=", 70.5]}, 3, true]}}}"#;
    let json: RouteSpec = serde_json::from_str(json).unwrap();
    assert_eq!(toml, json);
    assert!(toml.enabled);
    let again: RouteSpec = serde_json::from_value(serde_json::to_value(&toml).unwrap()).unwrap();
    assert_eq!(toml, again);
    let again: RouteSpec = toml::from_str(&toml::to_string(&toml).unwrap()).unwrap();
    assert_eq!(toml, again);
}
