//! Data that Fanfare wrote before the life of a delivery became one module still opens: the words
//! of reasons that changed since are read, and every change works on them.
//!
//! The fixtures were written by that version: one tenant whose receivers answer 503, 410, 500, 429
//! with `Retry-After` and 204, one destination with a rate, one paused, and a yearly digest.

use fanfare_contract::LaneId;
use fanfare_store::embedded::{self, Role};
use fanfare_store::redis::Options;
use fanfare_store::{
    Change, DeliveryQuery, DeliveryRecord, DeliveryState, DeliveryUpdate, EventQuery, LaneKey,
    Reason, StateKind, Store,
};

use crate::support::Redis;

const FOLDER: &str = include_str!("data/before_lifecycle.sql");
const REDIS: &str = include_str!("data/before_lifecycle.redis.json");

async fn deliveries(store: &Store) -> Vec<DeliveryRecord> {
    let query = DeliveryQuery { tenant: "acme".into(), limit: 1_000, ..DeliveryQuery::default() };
    let page = store.ledger.deliveries(&query).await.expect("deliveries");
    assert!(page.next.is_none(), "one page");
    page.items
}

fn reason_of(all: &[DeliveryRecord], event: &str, lane: &str) -> Reason {
    let found = all.iter().find(|one| one.event == event && one.lane == lane);
    found.expect("a delivery").state.reason().expect("a reason").clone()
}

/// Reads what is there, then applies changes to deliveries of every state.
async fn check(store: &Store) {
    let all = deliveries(store).await;
    let gone = Reason::Disabled("gone".into());
    for (event, lane, reason) in [
        ("evt_1", "hooks", Reason::Retry),
        ("evt_1", "gone", gone.clone()),
        ("evt_1", "never", Reason::Failed("http_500".into())),
        ("evt_1", "quiet", Reason::Paused),
        ("evt_1", "mail~2debe8", Reason::Digest),
        ("evt_2", "slow", Reason::RateLimit),
        ("evt_3", "slow", Reason::Backlog),
        ("evt_4", "busy", Reason::RetryAfter),
    ] {
        assert_eq!(reason_of(&all, event, lane), reason, "{event} to {lane}");
    }
    let other = |one: &&DeliveryRecord| matches!(one.state.reason(), Some(Reason::Other(_)));
    assert_eq!(all.iter().find(other), None, "every word is known");
    let before = store.ledger.counts("acme", 0, i64::MAX).await.expect("counts");
    check_usage(store, before.waiting).await;

    change(store, "evt_4", "busy", Change::Cancelled).await;
    change(store, "evt_1", "gone", Change::Replayed { due_ms: 1 }).await;
    change(store, "evt_1", "never", Change::Replayed { due_ms: 1 }).await;
    change(store, "evt_2", "slow", Change::Delivered).await;
    let after = store.ledger.counts("acme", 0, i64::MAX).await.expect("counts");
    assert_eq!(after.received, before.received);
    assert_eq!(after.delivered, before.delivered + 1);
    assert_eq!(after.dead, before.dead - 1);
    assert_eq!(after.suppressed, before.suppressed, "one came, one went");
    assert_eq!(after.waiting, before.waiting);
    check_usage(store, after.waiting).await;
    let waiting = DeliveryQuery {
        tenant: "acme".into(),
        state: Some(StateKind::Waiting),
        lane: Some(LaneId::from("gone")),
        limit: 1_000,
        ..DeliveryQuery::default()
    };
    let replayed = store.ledger.deliveries(&waiting).await.expect("deliveries").items;
    assert_eq!(replayed.len(), 1);
    let state = DeliveryState::Waiting { due_ms: 1, serve_ms: 1, reason: Reason::Replay };
    assert_eq!(replayed[0].state, state);
}

/// That version kept no such numbers: they are counted once, and follow every change from then on.
async fn check_usage(store: &Store, waiting: u64) {
    let query = EventQuery { tenant: "acme".into(), limit: 1_000, ..EventQuery::default() };
    let events = store.ledger.events(&query).await.expect("events").items;
    let mut bodies = 0;
    for event in &events {
        let record = store.ledger.event("acme", &event.id).await.expect("the ledger");
        bodies += record.expect("an event").event.body.len() as u64;
    }
    let usage = store.ledger.usage(&["acme".into()]).await.expect("usage")[0];
    assert_eq!(usage.waiting, waiting);
    // Redis counts the few fields beside a body as well.
    let most = bodies + 200 * events.len() as u64;
    assert!((bodies..=most).contains(&usage.stored_bytes), "{usage:?}, bodies {bodies}");
}

async fn change(store: &Store, event: &str, lane: &str, change: Change) {
    let record = store.ledger.event("acme", event).await.expect("the ledger").expect("an event");
    let found = record.deliveries.iter().find(|one| one.lane == lane).expect("a delivery");
    let update = DeliveryUpdate {
        id: found.id.clone(),
        lane: lane.into(),
        channel: found.channel.as_str().into(),
        change,
        attempts: Vec::new(),
        at_ms: found.updated_ms + 1,
    };
    let key = LaneKey { tenant: "acme".into(), id: lane.into() };
    store.agenda.settle(&key, vec![(record.event, update)]).await.expect("it is written");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_of_the_version_before_still_opens() {
    let dir = tempfile::tempdir().expect("a folder");
    let database = rusqlite::Connection::open(dir.path().join("fanfare.db")).expect("a database");
    database.execute_batch(FOLDER).expect("the fixture is SQL");
    drop(database);
    let options = embedded::Options { role: Role::Router, readers: 2 };
    check(&embedded::open(dir.path(), options).expect("it opens")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_of_the_version_before_still_opens() {
    let server = Redis::start();
    let mut connection = server.connection();
    let commands: Vec<Vec<String>> = serde_json::from_str(REDIS).expect("the fixture is JSON");
    for command in commands {
        let mut cmd = redis::Cmd::new();
        for word in &command {
            cmd.arg(word);
        }
        let _: redis::Value = cmd.query(&mut connection).expect("the server takes it");
    }
    let store = fanfare_store::redis::open(Options::new(server.url())).await;
    check(&store.expect("it opens")).await;
}
