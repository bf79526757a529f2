//! Filters compared with `match_patterns.py`, an independent matcher written from the documentation.

use bytes::Bytes;
use fanfare_contract::Event;
use fanfare_routing::{RouteSpec, Table, Tested, exact};

use serde_json::{Value, json};

use crate::api::Api;
use crate::scene::SOON;
use crate::support::{run_peer_lines, until};

const SEED: &str = "20261201";
const PAIRS: usize = 20_000;

/// Whether the filter matches the event. Both are JSON text.
fn matches(pattern: &str, event: &str) -> Result<bool, String> {
    let route = RouteSpec {
        id: None,
        name: None,
        events: vec!["**".into()],
        except: Vec::new(),
        when: Some(exact::parse(pattern).map_err(|error| error.to_string())?),
        to: vec!["there".into()],
        enabled: true,
    };
    let table = Table::compile(&[route], &["there"]).map_err(|errors| errors[0].to_string())?;
    let body = Bytes::copy_from_slice(event.as_bytes());
    let event = Event::new("acme".into(), "evt_1".into(), "k.x".into(), 0, 0, body);
    let mut found = Vec::new();
    if table.matching(&event, &mut found) != Tested::All {
        return Err("the work reached its limit".into());
    }
    let matched = !found.is_empty();
    let explained = &table.explain(&event)[0];
    if explained.matched == matched { Ok(matched) } else { Err(format!("but: {explained}")) }
}

#[test]
fn an_independent_matcher_agrees_on_twenty_thousand_random_pairs() {
    let pairs = run_peer_lines("match_patterns.py", &[SEED, &PAIRS.to_string()]);
    assert_eq!(pairs.len(), PAIRS);
    let mut differences = Vec::new();
    let mut matching = 0;
    for pair in &pairs {
        let [pattern, event] = ["pattern", "event"].map(|name| pair[name].as_str().expect("text"));
        let expected = pair["matches"].as_bool().expect("a truth");
        matching += usize::from(expected);
        let found = matches(pattern, event);
        if found != Ok(expected) {
            differences.push(format!("{pattern} on {event}: {found:?}, expected {expected}"));
        }
    }
    let first: Vec<_> = differences.iter().take(10).map(String::as_str).collect();
    assert!(first.is_empty(), "{} differences:\n{}", differences.len(), first.join("\n"));
    // Pairs that all match, or none, would prove little.
    assert!((PAIRS / 5..PAIRS * 4 / 5).contains(&matching), "{matching} match");
}

#[test]
fn an_event_that_stops_its_filters_is_counted_and_explained() {
    let api = Api::start();
    api.put("/v1/tenants/acme/destinations/box", &json!({"channel": "poll", "settings": {}}))
        .is(201);
    let route = |i: usize| json!({"events": ["k.x"], "to": ["box"], "when": {"data": {"items": {"a": [1, i + 10], "b": [2]}}}});
    let routes: Vec<Value> = (0..1_000).map(route).collect();
    api.put("/v1/tenants/acme/routes", &json!({"routes": routes})).is(200);
    let item = |i: usize| if i.is_multiple_of(2) { json!({"a": 1}) } else { json!({"b": 2}) };
    let items: Vec<Value> = (0..12_000).map(item).collect();
    let event = json!({"id": "evt_1", "type": "k.x", "data": {"items": items}});
    api.post("/v1/events?tenant=acme", &event).is(202);
    let shown = until(SOON, || {
        let event = api.get("/v1/tenants/acme/events/evt_1");
        let event = (event.answer.status == 200).then(|| event.is(200))?;
        (event["state"] != "pending").then_some(event)
    });
    let shown = shown.expect("the event settles");
    assert_eq!(shown["state"], "unrouted");
    let last = &shown["routes"][999];
    assert_eq!((&last["matched"], &last["reason"]["field"]), (&json!(false), &json!("event")));
    let expected = last["reason"]["expected"].as_str().expect("text");
    assert!(expected.contains("in 4000000 steps"), "{expected}");
    let metrics = api.get("/metrics").answer.body;
    assert!(metrics.contains("fanfare_filters_stopped_total 1\n"), "{metrics}");
    // Other events of the tenant are not affected.
    api.post(
        "/v1/events?tenant=acme",
        &json!({"id": "evt_2", "type": "k.x", "data": {"items": {"a": 1, "b": 2}}}),
    )
    .is(202);
    let routed = until(SOON, || {
        let event = api.get("/v1/tenants/acme/events/evt_2");
        (event.answer.status == 200 && event.is(200)["state"] == "routed").then_some(())
    });
    assert!(routed.is_some());
}
