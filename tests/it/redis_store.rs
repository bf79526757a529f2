//! The store over a real Redis: every promise of the suite, and what only Redis can do to it.

use std::collections::HashSet;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use fanfare_contract::{DeliveryId, Event};
use fanfare_store::redis::{Options, open};
use fanfare_store::{
    Admission, Attempt, Change, Claim, DeliveryUpdate, Entry, EntryId, Head, LaneKey, Next,
    Outcome, Payload, Settlement, Store, StoreError,
};

use crate::support::Redis;

mod cost;
mod door;
mod order;
mod reconcile;
mod replicas;
mod server;

/// Longer than anything here may take.
const PATIENCE: Duration = Duration::from_secs(20);
const T0: i64 = 1_900_000_000_000;

/// A server of its own, and options for the processes over it.
struct Server {
    redis: Redis,
    started: AtomicU32,
}

impl Server {
    fn new(redis: Redis) -> Self {
        Self { redis, started: AtomicU32::new(0) }
    }

    /// Options of the next process.
    fn options(&self, dead_after: Duration) -> Options {
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        let replica = format!("replica-{number}");
        let search = crate::conformance::search_paths();
        Options { replica, dead_after, search, ..Options::new(self.redis.url()) }
    }

    async fn open(&self, dead_after: Duration) -> Store {
        open(self.options(dead_after)).await.expect("it opens")
    }

    /// Sends one command as any client would.
    fn command(&self, words: &[&str]) -> redis::Value {
        let mut cmd = redis::Cmd::new();
        for word in words {
            cmd.arg(*word);
        }
        cmd.query(&mut self.redis.connection()).expect("the server takes it")
    }

    /// How many entries are in the stream.
    fn unsettled(&self) -> i64 {
        redis::from_redis_value(self.command(&["XLEN", "fanfare:events"])).expect("a number")
    }
}

fn event(id: &str) -> Arc<Event> {
    let body = format!(r#"{{"id":"{id}","type":"a.b","created":7,"data":{{}}}}"#);
    Arc::new(Event::new("acme".into(), id.into(), "a.b".into(), 7, T0, body.into()))
}

fn events(count: usize) -> Vec<Arc<Event>> {
    (0..count).map(|n| event(&format!("evt_{n}"))).collect()
}

fn decoded(entries: Vec<Entry>) -> Vec<(EntryId, Arc<Event>)> {
    let event = |entry: Entry| match entry.payload {
        Payload::Event(event) => (entry.id, event),
        Payload::Raw(fields) => panic!("not ours: {fields:?}"),
    };
    entries.into_iter().map(event).collect()
}

fn ids(entries: &[(EntryId, Arc<Event>)]) -> Vec<&str> {
    entries.iter().map(|(_, event)| &*event.id).collect()
}

fn updated(event: &Event, change: Change) -> DeliveryUpdate {
    DeliveryUpdate {
        id: DeliveryId::derive(&event.id, "hook"),
        lane: "hook".into(),
        channel: "webhook".into(),
        change,
        attempts: Vec::new(),
        at_ms: T0,
    }
}

fn settled(entry: EntryId, event: &Arc<Event>, change: Change) -> Settlement {
    let updates = vec![updated(event, change)];
    Settlement { entry, outcome: Outcome::Routed(Arc::clone(event), updates) }
}

fn waiting() -> Change {
    Change::Retried { due_ms: T0, serve_ms: T0 }
}

async fn deliver(store: &Store, entries: &[(EntryId, Arc<Event>)]) {
    let batch = |(entry, event): &_| settled(*entry, event, Change::Delivered);
    store.log.settle(entries.iter().map(batch).collect()).await.expect("settle");
}

/// Asks again until the answer is there.
async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut ask: impl FnMut() -> F) -> T {
    let asking = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, asking).await.unwrap_or_else(|_| panic!("never: {what}"))
}

/// Reads `count` events, through whatever happens to the connection.
async fn read(store: &Store, count: usize) -> Vec<(EntryId, Arc<Event>)> {
    let mut all = Vec::new();
    let until = tokio::time::Instant::now() + PATIENCE;
    while all.len() < count {
        assert!(tokio::time::Instant::now() < until, "{} of {count} came", all.len());
        match store.log.read(count - all.len(), Duration::from_millis(100)).await {
            Ok(entries) => all.extend(decoded(entries)),
            Err(error) if error.is_temporary() => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Err(error) => panic!("{error}"),
        }
    }
    all
}

/// Every promise of the conformance suite.
mod conformance {
    use super::*;
    use crate::conformance::{Fixture, every_promise};

    impl Fixture for Server {
        const ADDS_KNOWN: bool = true;
        const EXPIRES_ROLLUPS: bool = true;

        async fn start() -> Self {
            Self::new(Redis::start())
        }

        async fn open(&self) -> Store {
            self.open(Duration::MAX).await
        }

        async fn beside(&self) -> Store {
            self.open(Duration::MAX).await
        }

        async fn crash(&self, store: Store) -> Store {
            drop(store);
            // Whoever was there before is dead, at once.
            self.open(Duration::ZERO).await
        }
    }

    every_promise!(Server);
}
