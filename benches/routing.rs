//! What routing costs: many routes of different types, many filters on one type, compiling.
//!
//! `cargo bench --bench routing`

use std::hint::black_box;

use bytes::Bytes;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use fanfare_contract::Event;
use fanfare_routing::{RouteSpec, Table, Tested};
use serde_json::{Value, json};

fn event(kind: &str, data: &Value) -> Event {
    let body = json!({"id": "evt_1", "type": kind, "created": 1_735_228_800, "data": data});
    let body = Bytes::from(body.to_string());
    Event::new("acme".into(), "evt_1".into(), kind.into(), 1_735_228_800, 0, body)
}

fn processed(score: u32, country: &str) -> Event {
    let data = json!({
        "session_id": "7f6c2a54-53f2-4d0e-9d5e-0f2b8d0f6c11",
        "workflow_id": "b1a7c7de-5a1c-4b4e-8a55-1d2f3e4a5b6c",
        "metadata": {"user_email": "jane@example.com", "user_name": "Jane Smith-Ōkubo"},
        "status": "APPROVED",
        "final_decision": "flagged",
        "risk_score": score,
        "country": country,
        "flags": ["address_mismatch", "pep"],
        "checks": {"document": {"result": "pass", "confidence": 0.95}},
    });
    event("kyc.session.processed", &data)
}

fn route(events: String, when: Option<Value>, to: String) -> RouteSpec {
    RouteSpec {
        id: None,
        name: None,
        events: vec![events],
        except: vec![],
        when,
        to: vec![to],
        enabled: true,
    }
}

fn destinations() -> Vec<String> {
    (0..100).map(|i| format!("destination-{i}")).collect()
}

fn compile(routes: &[RouteSpec]) -> Table {
    let ids = destinations();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    Table::compile(routes, &ids).expect("the routes of the benchmark are right")
}

/// Routes whose event types all differ.
fn distinct(count: usize) -> Vec<RouteSpec> {
    let to = |i: usize| format!("destination-{}", i % 100);
    (0..count).map(|i| route(format!("kyc.kind{i}.done"), None, to(i))).collect()
}

/// The same with wildcards in them.
fn wildcards(count: usize) -> Vec<RouteSpec> {
    let to = |i: usize| format!("destination-{}", i % 100);
    (0..count)
        .map(|i| {
            let end = if i % 2 == 0 { "*" } else { "**" };
            route(format!("kyc.kind{i}.{end}"), None, to(i))
        })
        .collect()
}

/// Filters on one event type.
fn filters(count: usize, when: impl Fn(usize) -> Value) -> Vec<RouteSpec> {
    let to = |i: usize| format!("destination-{}", i % 100);
    (0..count).map(|i| route("kyc.session.processed".to_owned(), Some(when(i)), to(i))).collect()
}

fn matching(c: &mut Criterion) {
    let mut group = c.benchmark_group("match");
    let mut out = Vec::new();
    let data = json!({"session_id": "s"});
    for count in [10, 1_000, 10_000] {
        let table = compile(&distinct(count));
        let event = event("kyc.kind7.done", &data);
        group.bench_function(format!("{count} exact types"), |b| {
            b.iter(|| table.matching(black_box(&event), &mut out));
        });
        let table = compile(&wildcards(count));
        group.bench_function(format!("{count} wildcard types"), |b| {
            b.iter(|| table.matching(black_box(&event), &mut out));
        });
    }
    group.finish();
}

fn filtering(c: &mut Criterion) {
    type When = fn(usize) -> Value;
    let kinds: [(&str, When); 4] = [
        (
            "exact",
            |i| json!({"data": {"country": [format!("C{i}")], "risk_score": [{"numeric": [">=", 70]}]}}),
        ),
        ("numeric, few match", |i| json!({"data": {"risk_score": [{"numeric": ["=", i]}]}})),
        (
            "numeric, half match",
            |i| json!({"data": {"risk_score": [{"numeric": [">=", i]}], "final_decision": [{"anything-but": ["approved"]}]}}),
        ),
        ("different fields", |i| json!({"data": {format!("field{i}"): [{"prefix": "a"}]}})),
    ];
    let mut group = c.benchmark_group("1000 filters on one type");
    let mut out = Vec::new();
    for (name, when) in kinds {
        let table = compile(&filters(1_000, when));
        let parsed = processed(500, "C500");
        group.bench_function(name, |b| b.iter(|| table.matching(black_box(&parsed), &mut out)));
        group.bench_function(format!("{name}, with parsing"), |b| {
            b.iter_batched_ref(
                || processed(500, "C500"),
                |event| table.matching(event, &mut out),
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

/// Ten thousand wildcards for one field, on the longest text that an event can have.
fn wildcards_of_one_field(c: &mut Criterion) {
    type Wildcard = fn(usize) -> String;
    let kinds: [(&str, Wildcard, &str); 3] = [
        ("that share a beginning", |i| format!("*{0}b*{0}b{i}", "a".repeat(60)), ""),
        ("that are endings of each other", |i| format!("*{}*b{i}", "a".repeat(i % 200 + 1)), "b7"),
        ("that all match", |i| format!("*a*{i}a*"), ""),
    ];
    let digits = (0..10_000).map(|i| i.to_string()).collect::<Vec<_>>().join("a");
    let mut group = c.benchmark_group("10000 wildcards on 240 KB");
    let mut out = Vec::new();
    for (name, wildcard, end) in kinds {
        let all: Vec<_> = (0..10_000).map(|i| json!({"wildcard": wildcard(i)})).collect();
        let when = json!({"data": {"x": all[..9_999]}});
        let table = compile(&filters(1, |_| when.clone()));
        let fill = if name == "that all match" { digits.as_str() } else { "" };
        let text = format!("{}{fill}{end}", "a".repeat(240_000 - fill.len()));
        let event = event("kyc.session.processed", &json!({"x": text}));
        assert_eq!(table.matching(&event, &mut out), Tested::All);
        group.bench_function(name, |b| b.iter(|| table.matching(black_box(&event), &mut out)));
    }
    group.finish();
}

fn compiling(c: &mut Criterion) {
    let mut group = c.benchmark_group("compile 10000 routes");
    group.sample_size(20);
    let plain = distinct(10_000);
    group.bench_function("without filters", |b| {
        b.iter_with_large_drop(|| compile(black_box(&plain)));
    });
    let filtered = filters(
        10_000,
        |i| json!({"data": {"country": [format!("C{i}")], "risk_score": [{"numeric": [">=", i]}]}}),
    );
    group.bench_function("with filters", |b| {
        b.iter_with_large_drop(|| compile(black_box(&filtered)));
    });
    group.finish();
}

criterion_group!(benches, matching, filtering, wildcards_of_one_field, compiling);
criterion_main!(benches);
