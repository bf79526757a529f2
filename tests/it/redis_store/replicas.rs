//! Several replicas over one server: who reads what, who takes over from whom.

use super::*;
use fanfare_store::Change;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_replicas_share_the_events_without_double_work() {
    let server = Server::new(Redis::start());
    let (one, two) = (server.open(Duration::MAX).await, server.open(Duration::MAX).await);
    one.log.append(events(600)).await.unwrap();
    let work = |store: Store| async move {
        let mut mine = Vec::new();
        loop {
            let entries = store.log.read(25, Duration::from_millis(50)).await.unwrap();
            if entries.is_empty() {
                return mine;
            }
            let entries = decoded(entries);
            deliver(&store, &entries).await;
            mine.extend(entries.into_iter().map(|(entry, _)| entry));
        }
    };
    let (a, b) = tokio::join!(work(one), work(two));
    let all: HashSet<_> = a.iter().chain(&b).collect();
    assert_eq!((all.len(), a.len() + b.len()), (600, 600));
    assert_eq!(server.unsettled(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_replicas_entries_are_taken_over_by_one_and_a_slow_ones_by_none() {
    const DEAD: Duration = Duration::from_millis(300);
    let server = Server::new(Redis::start());
    let slow = server.open(DEAD).await;
    slow.log.append(events(60)).await.unwrap();
    let held = read(&slow, 20).await;
    let dead = server.open(DEAD).await;
    let lost = read(&dead, 40).await;
    drop(dead);

    let beating = tokio::spawn(async move {
        loop {
            slow.upkeep.beat(0).await.unwrap();
            tokio::time::sleep(DEAD / 10).await;
        }
    });
    let (one, two) = (server.open(DEAD).await, server.open(DEAD).await);
    let taken = std::sync::Mutex::new(Vec::new());
    let take = |store: Store| {
        let taken = &taken;
        async move {
            store.upkeep.beat(0).await.unwrap();
            let more = decoded(store.log.take_over(7).await.unwrap());
            taken.lock().unwrap().extend(more.into_iter().map(|(entry, _)| entry));
        }
    };
    eventually("all are taken over", || async {
        tokio::join!(take(one.clone()), take(two.clone()));
        (taken.lock().unwrap().len() >= lost.len()).then_some(())
    })
    .await;
    // Long enough for the slow one to be thought dead, if it could be.
    let until = tokio::time::Instant::now() + DEAD * 2;
    while tokio::time::Instant::now() < until {
        tokio::join!(take(one.clone()), take(two.clone()));
        tokio::time::sleep(DEAD / 20).await;
    }
    let taken: Vec<_> = taken.into_inner().unwrap();
    let expected: HashSet<_> = lost.iter().map(|(entry, _)| *entry).collect();
    assert_eq!(taken.len(), expected.len(), "each of them by one");
    assert_eq!(taken.into_iter().collect::<HashSet<_>>(), expected);
    assert!(held.iter().all(|(entry, _)| !expected.contains(entry)));
    beating.abort();
    let consumers = server.command(&["XINFO", "CONSUMERS", "fanfare:events", "fanfare"]);
    let redis::Value::Array(consumers) = consumers else { panic!("{consumers:?}") };
    assert_eq!(consumers.len(), 3, "the dead one is gone from the group");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_leaving_replica_held_is_taken_over_at_once() {
    let server = Server::new(Redis::start());
    let (leaving, other) = (server.open(Duration::MAX).await, server.open(Duration::MAX).await);
    leaving.log.append(events(5)).await.unwrap();
    let taken = read(&leaving, 3).await;
    deliver(&leaving, &taken[..1]).await;
    assert!(other.log.take_over(10).await.unwrap().is_empty(), "it lives");
    leaving.upkeep.leave().await.unwrap();
    let over = decoded(other.log.take_over(10).await.unwrap());
    assert_eq!(ids(&over), ids(&taken[1..]));
    assert_eq!(read(&other, 2).await.len(), 2, "and it reads no more");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_by_another_replica_is_seen_within_a_second() {
    let server = Server::new(Redis::start());
    let (one, two) = (server.open(Duration::MAX).await, server.open(Duration::MAX).await);
    one.log.append(events(1)).await.unwrap();
    let taken = read(&one, 1).await;
    one.log.admit(&taken).await.unwrap();
    assert_eq!(two.agenda.next_time().await.unwrap(), None);
    one.log.settle(vec![settled(taken[0].0, &taken[0].1, waiting())]).await.unwrap();
    let told = tokio::time::timeout(Duration::from_secs(1), two.agenda.changed(PATIENCE));
    told.await.expect("it is told");
    let claim = two.agenda.claim(T0, PATIENCE, 1, 1).await.unwrap().remove(0);
    assert!(one.agenda.claim(T0, PATIENCE, 1, 1).await.unwrap().is_empty());
    two.agenda.release(&claim, Next::WhenDue).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outcome_that_is_sent_twice_counts_once() {
    let server = Server::new(Redis::start());
    let store = server.open(Duration::MAX).await;
    store.log.append(events(1)).await.unwrap();
    let taken = read(&store, 1).await;
    store.log.admit(&taken).await.unwrap();
    store.log.settle(vec![settled(taken[0].0, &taken[0].1, waiting())]).await.unwrap();
    let lane = LaneKey { tenant: "acme".into(), id: "hook".into() };
    let mut update = updated(&taken[0].1, Change::GivenUp("http_500".into()));
    update.attempts.push(Attempt {
        number: 1,
        at_ms: T0,
        took_ms: 5,
        code: "http_500".into(),
        status: Some(500),
        message: "no\tgood".into(),
        answer: String::new(),
        remote_id: None,
        digest: None,
        resent: false,
    });
    for _ in 0..2 {
        let updates = vec![(Arc::clone(&taken[0].1), update.clone())];
        store.agenda.settle(&lane, updates).await.unwrap();
    }
    let record = store.ledger.event("acme", "evt_0").await.unwrap().unwrap();
    assert_eq!(record.deliveries[0].attempts, update.attempts);
    let (_, dead) = store.ledger.tally(&lane, T0, T0 + 1).await.unwrap();
    assert_eq!((dead.len(), dead[0].count), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_of_the_server_makes_no_living_replica_dead() {
    const DEAD: Duration = Duration::from_millis(200);
    let mut server = Server::new(Redis::start_durable());
    let (one, two) = (server.open(DEAD).await, server.open(DEAD).await);
    one.log.append(events(3)).await.unwrap();
    let held = read(&one, 3).await;
    assert!(two.log.take_over(9).await.unwrap().is_empty(), "it has just been seen");
    server.redis.kill9();
    assert!(two.upkeep.beat(0).await.unwrap_err().is_temporary());
    tokio::time::sleep(DEAD * 2).await;
    server.redis.restart();
    eventually("it beats again", || async { two.upkeep.beat(0).await.ok() }).await;
    // Nobody could give a sign of life meanwhile.
    let taken = eventually("it is back", || async { two.log.take_over(9).await.ok() }).await;
    assert!(taken.is_empty(), "{taken:?}");
    // But one that gives none from now on is dead.
    let taken = eventually("it is taken over", || async {
        two.log.take_over(9).await.ok().filter(|entries| !entries.is_empty())
    });
    assert_eq!(ids(&decoded(taken.await)), ids(&held));
}
