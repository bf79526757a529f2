//! Tests of whole routing tables.

mod arrays;
mod bounds;
mod compatibility;
mod errors;
mod explaining;
mod operators;
mod reference;
mod samples;
mod tables;

use bytes::Bytes;
use fanfare_contract::Event;
use serde_json::Value;

use super::{RouteSpec, Table, Tested, exact};

/// An event as it comes from the store.
fn event(envelope: &Value) -> Event {
    let kind = envelope["type"].as_str().unwrap_or("kyc.test").into();
    let id = envelope["id"].as_str().unwrap_or("evt_test").into();
    Event::new("acme".into(), id, kind, 0, 0, Bytes::from(envelope.to_string()))
}

/// Whether a filter matches an event. Both are JSON text, of which every digit counts.
#[track_caller]
fn text_passes(when: &str, envelope: &str) -> bool {
    let when = exact::parse(when).unwrap();
    let table = Table::compile(&[filtered(&when)], &["there"]).unwrap_or_else(|e| panic!("{e:?}"));
    let body = Bytes::copy_from_slice(envelope.as_bytes());
    let event = Event::new("acme".into(), "evt_1".into(), "kyc.test".into(), 0, 0, body);
    let mut out = Vec::new();
    assert_eq!(table.matching(&event, &mut out), Tested::All);
    assert_eq!(table.explain(&event)[0].matched, !out.is_empty(), "{when} on {envelope}");
    !out.is_empty()
}

/// The things as text, one on each line.
fn lines(things: &[impl std::fmt::Display]) -> String {
    things.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// A route for all event types with this filter.
fn filtered(when: &Value) -> RouteSpec {
    RouteSpec {
        id: None,
        name: None,
        events: vec!["**".into()],
        except: vec![],
        when: Some(when.clone()),
        to: vec!["there".into()],
        enabled: true,
    }
}

/// Whether the filter matches the envelope, by the compiled table. The explanation must agree.
#[track_caller]
fn passes(when: &Value, envelope: &Value) -> bool {
    let table = Table::compile(&[filtered(when)], &["there"]).unwrap_or_else(|e| panic!("{e:?}"));
    let event = event(envelope);
    let mut out = Vec::new();
    assert_eq!(table.matching(&event, &mut out), Tested::All);
    let explained = table.explain(&event);
    assert_eq!(explained[0].matched, !out.is_empty(), "{when} on {envelope}: {}", explained[0]);
    !out.is_empty()
}

/// Asserts that a list of alternatives matches each of `takes` and none of `refuses`.
#[track_caller]
fn check(alternatives: &Value, takes: &[Value], refuses: &[Value]) {
    let when = serde_json::json!({"data": {"x": alternatives}});
    for (values, expected) in [(takes, true), (refuses, false)] {
        for value in values {
            let envelope = serde_json::json!({"type": "kyc.test", "data": {"x": value, "y": 1}});
            assert_eq!(passes(&when, &envelope), expected, "{alternatives} on {value}");
        }
    }
}
