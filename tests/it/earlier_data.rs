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

/// That version had no change feed and no list of tenants: both begin with the tenants it wrote.
async fn check_directory(store: &Store) {
    let directory = &*store.directory;
    let begun = directory.version().await.expect("a version");
    assert_eq!(directory.count().await.expect("a count"), 1);
    let listed = directory.list(None, 10).await.expect("a page");
    let listed: Vec<_> = listed.iter().map(|one| (one.id.as_str(), one.revision)).collect();
    assert_eq!(listed, [("acme", 7)]);
    let unchanged = directory.changed_since(begun, 10).await.expect("the feed");
    assert!(unchanged.tenants.is_empty() && !unchanged.is_incomplete);

    directory.put("globex", "{}".into(), Some(0)).await.expect("it is written");
    let changes = directory.changed_since(begun, 10).await.expect("the feed");
    let [changed] = &changes.tenants[..] else { panic!("one change: {changes:?}") };
    assert_eq!((changed.id.as_str(), changed.revision), ("globex", Some(1)));
    let listed = directory.list(None, 10).await.expect("a page");
    assert_eq!(listed.len(), 2);
    assert_eq!(directory.count().await.expect("a count"), 2);
    assert!(directory.remove("globex").await.expect("it is removed"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_of_the_version_before_still_opens() {
    let dir = tempfile::tempdir().expect("a folder");
    let database = rusqlite::Connection::open(dir.path().join("fanfare.db")).expect("a database");
    database.execute_batch(FOLDER).expect("the fixture is SQL");
    let tenant = "INSERT INTO directory VALUES ('acme', 7, x'7b7d'); \
                  UPDATE numbers SET value = 7 WHERE name = 'directory'";
    database.execute_batch(tenant).expect("a tenant");
    drop(database);
    let options = embedded::Options { role: Role::Router, readers: 2 };
    let store = embedded::open(dir.path(), options).expect("it opens");
    check_directory(&store).await;
    check(&store).await;
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
    for command in [
        ["HSET", "fanfare:{dir}:tenants", "acme", "7\n{}"],
        ["HSET", "fanfare:{dir}:revisions", "acme", "7"],
        ["SET", "fanfare:{dir}:version", "1764579600000000", "KEEPTTL"],
    ] {
        let mut cmd = redis::cmd(command[0]);
        cmd.arg(&command[1..]);
        let _: redis::Value = cmd.query(&mut connection).expect("the server takes it");
    }
    let store = fanfare_store::redis::open(Options::new(server.url())).await.expect("it opens");
    check_directory(&store).await;
    check(&store).await;
}

/// During a rolling upgrade, replicas of that version write beside those of this one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_feed_says_so_when_a_replica_without_a_feed_has_written() {
    let server = Redis::start();
    let store = fanfare_store::redis::open(Options::new(server.url())).await.expect("it opens");
    store.directory.put("acme", "1".into(), None).await.expect("it is written");
    let mut connection = server.connection();
    let mut write = |id: &str| {
        let (dir, packed) = ("fanfare:{dir}", "1\n{}");
        let _: () = redis::cmd("HSET")
            .arg(format!("{dir}:tenants"))
            .arg(id)
            .arg(packed)
            .query(&mut connection)
            .expect("the server takes it");
        let bumped: u64 = redis::cmd("INCR")
            .arg(format!("{dir}:version"))
            .query(&mut connection)
            .expect("the server takes it");
        bumped
    };
    let since = store.directory.version().await.expect("a version");
    let now = write("globex");
    let changes = store.directory.changed_since(since, 10).await.expect("the feed");
    assert!(changes.is_incomplete && changes.version == now, "{changes:?}");
    let listed = store.directory.list(None, 10).await.expect("a page");
    assert_eq!(listed.len(), 2, "and it is listed");

    // A write of this version after it does not hide it from others.
    write("initech");
    store.directory.put("acme", "2".into(), None).await.expect("it is written");
    let changes = store.directory.changed_since(since, 10).await.expect("the feed");
    assert!(changes.is_incomplete, "{changes:?}");
    let then = store.directory.changed_since(changes.version, 10).await.expect("the feed");
    assert!(!then.is_incomplete && then.tenants.is_empty(), "only once: {then:?}");
}
