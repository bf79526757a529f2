//! Whatever a late answer, lost data, or a person does to the keys: reconciliation finds it and
//! repairs it, and an inspection reports it.

use super::*;
use fanfare_store::Findings;

/// Longer than an entry may be on its way to its replica.
const ON_ITS_WAY: Duration = Duration::from_millis(3_200);
/// Soon: events without an outcome are looked for after twice this time.
const DEAD: Duration = Duration::from_millis(50);

/// Reconciles until something was found.
async fn repaired(store: &Store, now: i64) -> Findings {
    eventually("it is repaired", || async {
        let found = store.upkeep.reconcile(now).await.expect("it reconciles");
        (!found.is_empty()).then_some(found)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entries_whose_answer_came_too_late_are_handed_to_the_reader() {
    let server = Server::new(Redis::start());
    let store = server.open(Duration::MAX).await;
    store.log.append(events(5)).await.unwrap();
    let first = read(&store, 2).await;
    // A read whose connection was given up: the server answers it, and the answer gets lost.
    server.command(&[
        "XREADGROUP",
        "GROUP",
        "fanfare",
        "replica-0",
        "STREAMS",
        "fanfare:events",
        ">",
    ]);
    assert!(store.log.read(5, Duration::from_millis(50)).await.unwrap().is_empty());
    tokio::time::sleep(ON_ITS_WAY).await;
    assert_eq!(repaired(&store, T0).await, Findings { stranded: 3, ..Findings::default() });
    let rest = read(&store, 3).await;
    assert_eq!(ids(&rest), ["evt_2", "evt_3", "evt_4"]);
    deliver(&store, &[first, rest].concat()).await;
    assert_eq!(server.unsettled(), 0);
    assert!(store.upkeep.reconcile(T0).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entries_of_a_consumer_that_somebody_removed_are_found() {
    let server = Server::new(Redis::start());
    let (store, other) = (server.open(Duration::MAX).await, server.open(Duration::MAX).await);
    store.log.append(events(200)).await.unwrap();
    let mine = read(&store, 50).await;
    let lost = read(&other, 120).await;
    server.command(&["XGROUP", "DELCONSUMER", "fanfare:events", "fanfare", "replica-1"]);
    assert_eq!(store.upkeep.inspect(T0).await.unwrap().orphaned, 120);
    assert_eq!(repaired(&store, T0).await, Findings { orphaned: 120, ..Findings::default() });
    let found = read(&store, 150).await;
    let all: HashSet<_> = mine.iter().chain(&found).map(|(entry, _)| *entry).collect();
    assert_eq!(all.len(), 200, "each of them once");
    assert!(lost.iter().all(|(entry, _)| all.contains(entry)));
    deliver(&store, &[mine, found].concat()).await;
    assert_eq!(server.unsettled(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_that_the_stream_has_lost_are_routed_again() {
    let server = Server::new(Redis::start());
    let store = server.open(DEAD).await;
    store.log.append(events(20)).await.unwrap();
    let taken = read(&store, 20).await;
    store.log.admit(&taken).await.unwrap();
    deliver(&store, &taken[..5]).await;
    drop(store);
    server.command(&["XTRIM", "fanfare:events", "MAXLEN", "0"]);

    let store = server.open(DEAD).await;
    let later = T0 + 60_000;
    let found = repaired(&store, later).await;
    assert_eq!(found.unlogged, 15, "{found:?}");
    // Entries that are pending and were trimmed come too, and settle as what they are.
    let again = eventually("they come again", || async {
        let entries = store.log.read(50, Duration::from_millis(50)).await.unwrap();
        let entries: Vec<_> = entries
            .into_iter()
            .filter_map(|entry| match entry.payload {
                Payload::Event(event) => Some((entry.id, event)),
                Payload::Raw(_) => None,
            })
            .collect();
        (!entries.is_empty()).then_some(entries)
    })
    .await;
    assert_eq!(ids(&again), ids(&taken[5..]));
    let admitted = store.log.admit(&again).await.unwrap();
    assert!(admitted.iter().all(|admission| *admission == Admission::Fresh), "{admitted:?}");
    deliver(&store, &again).await;
    let counts = store.ledger.counts("acme", T0, T0 + 1).await.unwrap();
    assert_eq!((counts.received, counts.delivered), (20, 20));
    assert_eq!(store.upkeep.inspect(later).await.unwrap().unlogged, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lane_that_lost_its_line_or_its_queue_is_served_again() {
    let server = Server::new(Redis::start());
    let store = server.open(Duration::MAX).await;
    store.log.append(events(3)).await.unwrap();
    let taken = read(&store, 3).await;
    store.log.admit(&taken).await.unwrap();
    let batch = |(entry, event): &_| settled(*entry, event, waiting());
    store.log.settle(taken.iter().map(batch).collect()).await.unwrap();
    let shard = |key: &str| {
        let keys: Vec<String> =
            redis::from_redis_value(server.command(&["KEYS", &format!("fanfare:*:{key}")]))
                .unwrap();
        keys[0].clone()
    };
    let (lanes, queue) = (shard("a:acme"), shard("q:acme:hook"));

    // The line is lost while the lane is held, and then the holder dies.
    let held = store.agenda.claim(T0, PATIENCE, 1, 1).await.unwrap();
    assert_eq!(held.len(), 1);
    server.command(&["ZREM", &lanes, "hook"]);
    assert_eq!(store.upkeep.inspect(T0).await.unwrap().unscheduled, 1);
    assert!(repaired(&store, T0).await.unscheduled >= 1);
    assert!(store.agenda.claim(T0, PATIENCE, 1, 1).await.unwrap().is_empty(), "its holder has it");
    let claims = store.agenda.claim(T0 + 90_000, PATIENCE, 1, 1).await.unwrap();
    assert_eq!(claims.len(), 1);
    store.agenda.release(&claims[0], Next::WhenDue).await.unwrap();

    // And without a holder, with all that waits.
    server.command(&["DEL", &lanes]);
    server.command(&["DEL", &queue]);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(repaired(&store, T0).await.unscheduled >= 4);
    let claim = store.agenda.claim(T0, PATIENCE, 1, 1).await.unwrap().remove(0);
    let due = store.agenda.due(&claim, T0, 10).await.unwrap();
    assert_eq!(due.len(), 3);
    assert_eq!(store.upkeep.inspect(T0).await.unwrap(), Findings::default());
    let waiting = async || store.ledger.usage(&["acme".into()]).await.unwrap()[0].waiting;
    assert_eq!(waiting().await, 3);

    // A number that is wrong does not last either.
    server.command(&["HSET", &shard("use:acme"), "waiting", "99"]);
    eventually("it is counted again", || async {
        store.upkeep.reconcile(T0).await.unwrap();
        (waiting().await == 3).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_at_its_last_id_says_so_and_is_made_again_once_it_is_empty() {
    let server = Server::new(Redis::start());
    let store = server.open(Duration::MAX).await;
    store.upkeep.ping().await.unwrap();
    store.log.append(events(1)).await.unwrap();
    let last = "18446744073709551615-18446744073709551615";
    server.command(&["XADD", "fanfare:events", last, "tenant", "acme", "event", "{}"]);
    let error = store.log.append(vec![event("evt_9")]).await.unwrap_err();
    assert!(matches!(error, StoreError::Away { .. }), "{error:?}");
    let unready = store.upkeep.ping().await.unwrap_err();
    assert!(unready.to_string().contains("last possible id"), "{unready}");

    let entries = store.log.read(10, PATIENCE).await.unwrap();
    let settled = entries
        .into_iter()
        .map(|entry| Settlement { entry: entry.id, outcome: Outcome::Duplicate })
        .collect();
    store.log.settle(settled).await.unwrap();
    eventually("it is made again", || async {
        store.upkeep.reconcile(T0).await.unwrap();
        store.upkeep.ping().await.ok()
    })
    .await;
    store.log.append(vec![event("evt_9")]).await.unwrap();
    assert_eq!(ids(&read(&store, 1).await), ["evt_9"]);
}

/// Case i5: a producer's `MAXLEN` removes entries that were not read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entries_that_were_trimmed_unread_are_counted_once() {
    let server = Server::new(Redis::start());
    let store = server.open(Duration::MAX).await;
    store.log.append(events(20)).await.unwrap();
    let first = read(&store, 3).await;
    // Three of these are read and pending, so nothing of them is lost.
    server.command(&["XTRIM", "fanfare:events", "MAXLEN", "5"]);
    deliver(&store, &first).await;
    assert_eq!(repaired(&store, T0).await, Findings { trimmed: 12, ..Findings::default() });
    let again = || async {
        server.command(&["DEL", "fanfare:{up}:reconciling"]);
        store.upkeep.reconcile(T0).await.unwrap()
    };
    assert!(again().await.is_empty(), "once");
    let rest = read(&store, 5).await;
    assert!(again().await.is_empty());
    deliver(&store, &rest).await;
    assert!(again().await.is_empty());
}
