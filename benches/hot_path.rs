//! What one delivery costs besides the network: taking an event in, signing its request, rendering
//! its messages, and writing what became of it.
//!
//! `cargo bench --bench hot_path`

use std::hint::black_box;
use std::sync::Arc;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use fanfare::app;
use fanfare::config::Config;
use fanfare::event::{Fill, Limits, decode};
use fanfare_contract::{Content, Delivery, DeliveryId, Destination, Event, Part, Resend};
use fanfare_store::{
    Attempt, Change, DeliveryUpdate, EntryId, Outcome, Settlement, Store, embedded,
};
use fanfare_webhook::signature;
use tokio::runtime::Runtime;

const SECRET: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const SAMPLES: &str = include_str!("../config/samples/kyc.ndjson");
/// Entries settled together, as the router does under load.
const BATCH: usize = 512;

/// The first sample: an envelope as a producer writes it.
fn sample() -> Bytes {
    Bytes::from_static(SAMPLES.lines().next().expect("there are samples").as_bytes())
}

fn event(raw: Bytes, id: &str) -> Event {
    let fill = Fill { id: &|| id.to_owned(), received_ms: 1_735_228_800_000 };
    decode(&"acme".into(), raw, Limits::default(), &fill).expect("the sample is an event")
}

fn decoding(c: &mut Criterion) {
    let raw = sample();
    let mut group = c.benchmark_group("event");
    group.throughput(Throughput::Bytes(raw.len() as u64));
    group.bench_function("decode", |b| b.iter(|| event(black_box(raw.clone()), "evt_1")));
    group.finish();
}

fn signing(c: &mut Criterion) {
    let body = sample();
    let mut group = c.benchmark_group("sign");
    group.throughput(Throughput::Bytes(body.len() as u64));
    group.bench_function("body", |b| b.iter(|| signature::sign_body(SECRET, black_box(&body))));
    group.bench_function("v1", |b| {
        b.iter(|| signature::sign_v1(SECRET, "evt_1", 1_735_228_800, black_box(&body)));
    });
    group.finish();
}

fn rendering(c: &mut Criterion) {
    let engine = app::engine(&Config::default(), &std::collections::BTreeMap::new());
    let engine = engine.expect("the built-in templates compile");
    let delivery = |channel: &str| Delivery {
        id: DeliveryId::derive("evt_1", channel),
        destination: Arc::new(Destination {
            tenant: "acme".into(),
            lane: channel.into(),
            channel: channel.into(),
            settings: Arc::new(()),
        }),
        content: Content::Event(Arc::new(event(sample(), "evt_1"))),
        attempt: 1,
        at_ms: 1_735_228_800_000,
        resend: Resend::Allowed,
    };
    let (slack, email) = (delivery("slack"), delivery("email"));
    let mut group = c.benchmark_group("render");
    group.bench_function("slack", |b| b.iter(|| engine.render(black_box(&slack), &[Part::Slack])));
    let parts = [Part::Subject, Part::Html, Part::Text];
    group.bench_function("email", |b| b.iter(|| engine.render(black_box(&email), &parts)));
    group.finish();
}

fn settlement(entry: EntryId, event: Arc<Event>) -> Settlement {
    let update = DeliveryUpdate {
        id: DeliveryId::derive(&event.id, "hook"),
        lane: "hook".into(),
        channel: "webhook".into(),
        change: Change::Delivered,
        attempts: vec![Attempt {
            number: 1,
            at_ms: 1_735_228_800_000,
            took_ms: 3,
            code: "ok".to_owned(),
            status: Some(204),
            message: String::new(),
            answer: String::new(),
            remote_id: None,
            digest: None,
            resent: false,
        }],
        at_ms: 1_735_228_800_003,
    };
    Settlement { entry, outcome: Outcome::Routed(event, vec![update]) }
}

/// Appended events, read as the router reads them.
async fn read(store: &Store, first: usize) -> Vec<Settlement> {
    let raw = sample();
    let text = std::str::from_utf8(&raw).expect("the sample is text");
    let mut value: serde_json::Value = serde_json::from_str(text).expect("the sample is JSON");
    let events = (first..first + BATCH).map(|n| {
        let id = format!("evt_{n}");
        value["id"] = id.as_str().into();
        Arc::new(event(Bytes::from(value.to_string()), &id))
    });
    let events: Vec<_> = events.collect();
    store.log.append(events.clone()).await.expect("the store takes events");
    let mut settlements = Vec::new();
    let mut events = events.into_iter();
    while settlements.len() < BATCH {
        let wait = std::time::Duration::from_secs(5);
        let entries = store.log.read(BATCH, wait).await.expect("the store gives events");
        settlements
            .extend(entries.into_iter().zip(&mut events).map(|(e, ev)| settlement(e.id, ev)));
    }
    settlements
}

fn settling(c: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let dir = tempfile::tempdir().expect("a folder");
    let options = embedded::Options { role: embedded::Role::Router, readers: 1 };
    let store = embedded::open(dir.path(), options).expect("a store");
    let mut group = c.benchmark_group("settle");
    group.sample_size(20).throughput(Throughput::Elements(BATCH as u64));
    let mut first = 0;
    group.bench_function("embedded", |b| {
        b.iter_batched(
            || {
                first += BATCH;
                runtime.block_on(read(&store, first))
            },
            |batch| runtime.block_on(store.log.settle(batch)),
            criterion::BatchSize::PerIteration,
        );
    });
    group.finish();
}

criterion_group!(benches, decoding, signing, rendering, settling);
criterion_main!(benches);
