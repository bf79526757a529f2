//! What the server may do: lose its group, its memory, its connections, its room; and come back.

use super::*;
use fanfare_store::Change;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_consumer_group_is_made_again_under_a_read() {
    let server = Server::new(Redis::start());
    let store = server.open(Duration::MAX).await;
    store.log.append(events(3)).await.unwrap();
    let first = read(&store, 3).await;
    deliver(&store, &first[..2]).await;

    let reader = store.clone();
    let reading = tokio::spawn(async move { read(&reader, 2).await });
    server.command(&["XGROUP", "DESTROY", "fanfare:events", "fanfare"]);
    store.log.append(vec![event("evt_8"), event("evt_9")]).await.unwrap();
    // What is settled is gone, and what is in hand does not come a second time.
    assert_eq!(ids(&reading.await.unwrap()), ["evt_8", "evt_9"]);
    deliver(&store, &first[2..]).await;
    assert_eq!(server.unsettled(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_flush_everything_goes_on_and_what_was_in_hand_is_not_lost() {
    let server = Server::new(Redis::start());
    let store = server.open(Duration::MAX).await;
    store.log.append(events(2)).await.unwrap();
    let taken = read(&store, 2).await;
    store.log.admit(&taken).await.unwrap();
    server.command(&["FLUSHALL"]);
    server.command(&["SCRIPT", "FLUSH"]);

    store.log.settle(vec![settled(taken[0].0, &taken[0].1, waiting())]).await.unwrap();
    let claims = store.agenda.claim(T0, PATIENCE, 1, 1).await.unwrap();
    let due = store.agenda.due(&claims[0], T0, 10).await.unwrap();
    assert_eq!(due[0].event.body, taken[0].1.body, "it waits with its event");

    // And one that was served when the memory went.
    server.command(&["FLUSHALL"]);
    let lane = LaneKey { tenant: "acme".into(), id: "hook".into() };
    let again = vec![(Arc::clone(&due[0].event), updated(&due[0].event, waiting()))];
    store.agenda.settle(&lane, again).await.unwrap();
    assert_eq!(store.agenda.next_time().await.unwrap(), Some(T0));

    store.log.append(vec![event("evt_9")]).await.unwrap();
    assert_eq!(ids(&read(&store, 1).await), ["evt_9"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_of_the_directory_is_never_met_again_after_a_flush() {
    let server = Server::new(Redis::start());
    let store = server.open(Duration::MAX).await;
    let mut versions = HashSet::new();
    for _ in 0..3 {
        store.directory.put("acme", "1".into(), None).await.unwrap();
        assert!(versions.insert(store.directory.version().await.unwrap()));
        server.command(&["FLUSHALL"]);
    }
    assert_eq!(store.directory.version().await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_change_feed_says_that_changes_are_missing_after_a_flush() {
    let server = Server::new(Redis::start());
    let store = server.open(Duration::MAX).await;
    store.directory.put("acme", "1".into(), None).await.unwrap();
    store.directory.put("globex", "1".into(), None).await.unwrap();
    let since = store.directory.version().await.unwrap();
    server.command(&["FLUSHALL"]);
    let empty = store.directory.changed_since(since, 10).await.unwrap();
    assert!(empty.is_incomplete && empty.version == 0, "{empty:?}");
    // A server with tenant files writes one of them again before another server looks.
    store.directory.put("acme", "1".into(), None).await.unwrap();
    let changes = store.directory.changed_since(since, 10).await.unwrap();
    assert!(changes.is_incomplete, "globex is missing: {changes:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_connections_lose_nothing_and_double_nothing() {
    let server = Server::new(Redis::start());
    let store = server.open(Duration::MAX).await;
    let reader = store.clone();
    let reading = tokio::spawn(async move { read(&reader, 400).await });
    for part in events(400).chunks(20) {
        store.log.append(part.to_vec()).await.unwrap();
        server.command(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    }
    let taken = reading.await.unwrap();
    let unique: HashSet<_> = taken.iter().map(|(_, event)| Arc::clone(&event.id)).collect();
    assert_eq!(unique.len(), 400);
    // An append whose answer was lost may have been sent twice: told apart when admitted.
    let admitted = store.log.admit(&taken).await.unwrap();
    let fresh = admitted.iter().filter(|one| **one == Admission::Fresh).count();
    assert_eq!(fresh, unique.len());
    let entries: HashSet<_> = taken.iter().map(|(entry, _)| *entry).collect();
    assert_eq!(entries.len(), taken.len(), "no entry came twice");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entries_that_were_given_to_a_broken_connection_still_come() {
    let server = Server::new(Redis::start());
    let store = server.open(Duration::MAX).await;
    store.log.append(events(2)).await.unwrap();
    assert_eq!(read(&store, 1).await.len(), 1);
    // What the server does when the connection breaks under its answer.
    server.command(&[
        "XREADGROUP",
        "GROUP",
        "fanfare",
        "replica-0",
        "STREAMS",
        "fanfare:events",
        ">",
    ]);
    server.command(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    assert_eq!(ids(&read(&store, 1).await), ["evt_1"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_of_a_durable_server_loses_nothing_that_was_answered() {
    let mut server = Server::new(Redis::start_durable());
    let store = server.open(Duration::MAX).await;
    store.log.append(events(50)).await.unwrap();
    let taken = read(&store, 30).await;
    store.log.admit(&taken).await.unwrap();
    deliver(&store, &taken[..20]).await;
    server.redis.kill9();
    let away = store.log.append(vec![event("evt_x")]).await.unwrap_err();
    assert!(matches!(away, StoreError::Away { .. }), "{away:?}");
    assert!(matches!(store.upkeep.ping().await, Err(StoreError::Away { .. })));
    server.redis.restart();

    assert_eq!(read(&store, 20).await.len(), 20, "those that nobody had read");
    // A failed dial is not repeated at once: another call may come too early.
    eventually("it is back", || async { store.upkeep.ping().await.ok() }).await;
    let rest = taken[20..].iter();
    let rest = rest.map(|(entry, event)| settled(*entry, event, Change::Delivered));
    let rest: Vec<_> = rest.collect();
    eventually("it settles", || async { store.log.settle(rest.clone()).await.ok() }).await;
    assert_eq!(server.unsettled(), 20);
    let counts = store.ledger.counts("acme", T0, T0 + 1).await.unwrap();
    assert_eq!((counts.received, counts.delivered), (30, 30));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_room_is_full_and_goes_on_when_it_has_some() {
    let server = Server::new(Redis::start());
    let store = server.open(Duration::MAX).await;
    store.log.append(events(1)).await.unwrap();
    let taken = read(&store, 1).await;
    store.log.admit(&taken).await.unwrap();
    server.command(&["CONFIG", "SET", "maxmemory", "1"]);
    let full = |error: &StoreError| matches!(error, StoreError::Full(_));
    assert!(full(&store.log.append(vec![event("evt_x")]).await.unwrap_err()));
    let batch = vec![settled(taken[0].0, &taken[0].1, waiting())];
    assert!(full(&store.log.settle(batch.clone()).await.unwrap_err()), "and not acknowledged");
    assert!(store.ledger.event("acme", "evt_0").await.unwrap().is_some(), "reads go on");
    server.command(&["CONFIG", "SET", "maxmemory", "0"]);
    assert_eq!(server.unsettled(), 1);
    store.log.settle(batch).await.unwrap();
    assert_eq!(server.unsettled(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_of_redis_is_read_only_and_a_promoted_one_is_not() {
    let server = Server::new(Redis::start());
    let store = server.open(Duration::MAX).await;
    server.command(&["REPLICAOF", "127.0.0.1", "1"]);
    let error = store.log.append(events(1)).await.unwrap_err();
    assert!(matches!(error, StoreError::ReadOnly(_)), "{error:?}");
    assert!(store.upkeep.ping().await.is_err());
    server.command(&["REPLICAOF", "NO", "ONE"]);
    store.log.append(events(1)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_down_is_told_at_once_and_without_the_password() {
    let mut server = Server::new(Redis::start());
    server.redis.kill9();
    let port = server.redis.port();
    let began = std::time::Instant::now();
    let url = format!("redis://user:s3cret@127.0.0.1:{port}/");
    let Err(error) = open(Options::new(url)).await else { panic!("there is no server") };
    assert!(began.elapsed() < Duration::from_secs(2));
    assert!(matches!(error, StoreError::Away { .. }), "{error:?}");
    let said = format!("{error} {error:?}");
    assert!(said.contains(&format!("127.0.0.1:{port}")) && !said.contains("s3cret"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_is_refused_without_being_shown() {
    let server = Server::new(Redis::start_with(&[]));
    server.command(&["ACL", "SETUSER", "fan", "on", ">right", "~*", "+@all"]);
    let url = format!("redis://fan:s3cret@127.0.0.1:{}/", server.redis.port());
    let Err(error) = open(Options::new(url)).await else { panic!("it was let in") };
    assert!(matches!(error, StoreError::Denied { .. }), "{error:?}");
    assert!(!format!("{error} {error:?}").contains("s3cret"), "{error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_stranger_wrote_comes_as_it_was_written() {
    let server = Server::new(Redis::start());
    let store = server.open(Duration::MAX).await;
    let mut cmd = redis::cmd("XADD");
    cmd.arg("fanfare:events").arg("*").arg("tenant").arg("acme").arg("event").arg(b"\xff{");
    cmd.arg(b"\xfe").arg("");
    let _: String = cmd.query(&mut server.redis.connection()).unwrap();
    // Our own mark on a body that it was not made for.
    server.command(&[
        "XADD",
        "fanfare:events",
        "*",
        "tenant",
        "acme",
        "event",
        "[]",
        "fanfare",
        "9\t\"e\"\t1\t1\t\"k\"",
    ]);
    let entries = store.log.read(10, Duration::from_secs(1)).await.unwrap();
    let fields = |n: usize| match &entries[n].payload {
        Payload::Raw(fields) => fields.clone(),
        Payload::Event(event) => panic!("taken for ours: {event:?}"),
    };
    assert_eq!(fields(0)[1].1[..], b"\xff{"[..]);
    assert_eq!((&fields(0)[2].0[..], &fields(0)[2].1[..]), (&b"\xfe"[..], &b""[..]));
    assert_eq!(fields(1).len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_or_forgetful_server_is_told_of() {
    let server = Server::new(Redis::start());
    let store = server.open(Duration::MAX).await;
    let said = store.upkeep.warnings().await.join("\n");
    assert!(said.contains("keeps nothing across a restart"), "{said}");
    server.command(&["CONFIG", "SET", "appendonly", "yes"]);
    server.command(&["CONFIG", "SET", "appendfsync", "always"]);
    assert_eq!(store.upkeep.warnings().await, [""; 0]);
    server.command(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);
    assert!(store.upkeep.warnings().await[0].contains("noeviction"));
}
