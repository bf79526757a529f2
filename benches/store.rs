//! How many events a second the embedded store takes, hands out and settles, each step durable.
//!
//! `cargo bench --bench store`. Events of 600 bytes, one delivery each with one attempt. What the
//! disk needs for an fsync is in the numbers: they say nothing about another machine.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use fanfare_contract::{DeliveryId, Event};
use fanfare_store::embedded::{self, Options, Role};
use fanfare_store::{Attempt, Change, DeliveryUpdate, Entry, Outcome, Payload, Settlement, Store};
use tokio::runtime::Runtime;

const BATCH: usize = 256;
const BACKLOG: usize = 40 * BATCH;

fn events(count: usize) -> Vec<Arc<Event>> {
    let padding = "x".repeat(480);
    let event = |_| {
        let id = format!("evt_{:024x}", rand::random::<u128>() >> 32);
        let body = format!(
            r#"{{"id":"{id}","type":"kyc.session.created","created":1,"data":"{padding}"}}"#
        );
        let tenant = format!("tenant-{}", rand::random::<u8>() % 50);
        let (kind, body) = ("kyc.session.created".into(), body.into_bytes().into());
        Arc::new(Event::new(tenant.into(), id.into(), kind, 1, 1_900_000_000_000, body))
    };
    (0..count).map(event).collect()
}

fn delivered(entry: &Entry) -> Settlement {
    let Payload::Event(event) = &entry.payload else { panic!("only events were appended") };
    let attempt = Attempt {
        number: 1,
        at_ms: 1_900_000_000_100,
        took_ms: 12,
        code: "ok".into(),
        status: Some(200),
        message: String::new(),
        answer: "{\"received\":true}".into(),
        remote_id: None,
        digest: None,
        resent: false,
    };
    let update = DeliveryUpdate {
        id: DeliveryId::derive(&event.id, "backoffice"),
        lane: "backoffice".into(),
        channel: "webhook".into(),
        change: Change::Delivered,
        attempts: vec![attempt],
        at_ms: 1_900_000_000_112,
    };
    let outcome = Outcome::Routed(Arc::clone(event), vec![update]);
    Settlement { entry: entry.id, outcome }
}

/// Reads and settles until `count` events are done.
async fn drain(store: &Store, count: usize) {
    let mut done = 0;
    while done < count {
        let entries = store.log.read(BATCH, Duration::from_secs(1)).await.expect("read");
        done += entries.len();
        store.log.settle(entries.iter().map(delivered).collect()).await.expect("settle");
    }
}

/// Reads ahead while settling, as the router does.
async fn drain_abreast(store: &Store, count: usize) {
    let mut settling = tokio::task::JoinSet::new();
    let mut read = 0;
    while read < count {
        let entries = store.log.read(BATCH, Duration::from_secs(1)).await.expect("read");
        read += entries.len();
        let batch: Vec<_> = entries.iter().map(delivered).collect();
        let store = store.clone();
        settling.spawn(async move { store.log.settle(batch).await.expect("settle") });
        if settling.len() > 8 {
            settling.join_next().await;
        }
    }
    settling.join_all().await;
}

fn open(dir: &tempfile::TempDir) -> Store {
    embedded::open(dir.path(), Options { role: Role::Router, readers: 2 }).expect("open")
}

fn benches(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let mut group = criterion.benchmark_group("embedded");
    group.sample_size(20).measurement_time(Duration::from_secs(5));

    group.throughput(Throughput::Elements(BATCH as u64));
    let dir = tempfile::tempdir().expect("a folder");
    let store = open(&dir);
    group.bench_function("append, then read, then settle 256", |bench| {
        bench.iter_custom(|rounds| {
            let batches: Vec<_> = (0..rounds).map(|_| events(BATCH)).collect();
            let began = Instant::now();
            runtime.block_on(async {
                for batch in batches {
                    black_box(store.log.append(batch).await.expect("append"));
                    drain(&store, BATCH).await;
                }
            });
            began.elapsed()
        });
    });
    group.bench_function("256 callers append one each, while settling", |bench| {
        bench.iter_custom(|rounds| {
            let rounds = usize::try_from(rounds).expect("few");
            let all = events(BATCH * rounds);
            let began = Instant::now();
            runtime.block_on(async {
                let reader = store.clone();
                let count = all.len();
                let draining = tokio::spawn(async move { drain_abreast(&reader, count).await });
                let callers: Vec<_> = all
                    .chunks(rounds)
                    .map(|mine| {
                        let (store, mine) = (store.clone(), mine.to_vec());
                        tokio::spawn(async move {
                            for event in mine {
                                store.log.append(vec![event]).await.expect("append");
                            }
                        })
                    })
                    .collect();
                for caller in callers {
                    caller.await.expect("a caller");
                }
                draining.await.expect("the reader");
            });
            began.elapsed()
        });
    });

    group.throughput(Throughput::Elements(BACKLOG as u64));
    group.sample_size(10);
    group.bench_function("drain a backlog of 10,240 from disk", |bench| {
        bench.iter_custom(|rounds| {
            let mut took = Duration::ZERO;
            for _ in 0..rounds {
                let dir = tempfile::tempdir().expect("a folder");
                let append = open(&dir).log;
                runtime.block_on(append.append(events(BACKLOG))).expect("append");
                drop(append);
                let store = open(&dir);
                let began = Instant::now();
                runtime.block_on(drain_abreast(&store, BACKLOG));
                took += began.elapsed();
            }
            took
        });
    });
    group.finish();
}

criterion_group!(store, benches);
criterion_main!(store);
