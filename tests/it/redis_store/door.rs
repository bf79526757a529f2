//! Events that a replica takes in while it waits for something to read.

use fanfare_store::Appended;
use tokio::task::JoinHandle;

use super::*;

type Read = Vec<(EntryId, Arc<Event>)>;

/// A read that the server has by now, for it blocks there.
async fn waiting_reader(server: &Server, store: &Store, count: usize) -> JoinHandle<Read> {
    let reader = store.clone();
    let reading = tokio::spawn(async move { read(&reader, count).await });
    eventually("the reader waits", || async {
        (server.info("clients", "blocked_clients") == "1").then_some(())
    })
    .await;
    reading
}

impl Server {
    fn info(&self, section: &str, field: &str) -> String {
        let text: String = redis::from_redis_value(self.command(&["INFO", section])).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        line.unwrap_or_default().to_owned()
    }

    /// How many scripts have run.
    fn scripts(&self) -> u32 {
        let stats = self.info("commandstats", "cmdstat_evalsha");
        let calls = stats.split(',').find_map(|field| field.strip_prefix("calls="));
        calls.map_or(0, |calls| calls.parse().unwrap())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_taken_in_while_a_replica_waits_is_read_and_known_in_one_round_trip() {
    let server = Server::new(Redis::start());
    let store = server.open(Duration::MAX).await;
    // Scripts are loaded, the group is there.
    let warm = waiting_reader(&server, &store, 1).await;
    store.log.append(vec![event("evt_warm")]).await.unwrap();
    let warm = warm.await.unwrap();
    assert_eq!(store.log.admit(&warm).await.unwrap(), [Admission::Fresh]);

    let reading = waiting_reader(&server, &store, 1).await;
    let before = server.scripts();
    let appended = store.log.append(vec![event("evt_1")]).await.unwrap();
    assert_eq!(appended, [Appended::Accepted]);
    let taken = reading.await.unwrap();
    assert_eq!(ids(&taken), ["evt_1"]);
    assert_eq!(taken[0].1.body, event("evt_1").body);
    assert_eq!(store.log.admit(&taken).await.unwrap(), [Admission::Fresh]);
    assert_eq!(server.scripts() - before, 1);
    // As the ledger of any other replica has it.
    let other = server.open(Duration::MAX).await;
    let known = other.ledger.event("acme", "evt_1").await.unwrap().expect("it is known");
    assert_eq!(known.event.body, event("evt_1").body);
    assert_eq!(other.log.admit(&taken).await.unwrap(), [Admission::Fresh]);
    deliver(&store, &taken).await;
    assert_eq!(other.log.admit(&taken).await.unwrap(), [Admission::Settled]);
    assert_eq!(server.unsettled(), 1, "the first one was never settled");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeated_event_is_told_apart_at_once() {
    let server = Server::new(Redis::start());
    let store = server.open(Duration::MAX).await;
    let mut admitted = Vec::new();
    let mut told = Vec::new();
    for _ in 0..3 {
        let reading = waiting_reader(&server, &store, 1).await;
        told.extend(store.log.append(vec![event("evt_1")]).await.unwrap());
        let taken = reading.await.unwrap();
        admitted.extend(store.log.admit(&taken).await.unwrap());
    }
    assert_eq!(admitted, [Admission::Fresh, Admission::Duplicate, Admission::Duplicate]);
    assert_eq!(told, [Appended::Accepted, Appended::Duplicate, Appended::Duplicate]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waited_in_the_stream_before_is_read_first_and_nothing_is_passed_over() {
    let server = Server::new(Redis::start());
    let (one, two) = (server.open(Duration::MAX).await, server.open(Duration::MAX).await);
    one.log.append(vec![event("evt_0")]).await.unwrap();
    read(&two, 1).await;
    two.upkeep.leave().await.unwrap();
    let reading = waiting_reader(&server, &one, 2).await;
    // Without a word to whoever waits, there is something to read.
    server.command(&["XGROUP", "SETID", "fanfare:events", "fanfare", "0"]);
    one.log.append(vec![event("evt_1")]).await.unwrap();
    let mut taken = reading.await.unwrap();
    // They come on different connections.
    taken.sort_by_key(|(entry, _)| *entry);
    assert_eq!(ids(&taken), ["evt_0", "evt_1"]);
    assert_eq!(one.log.admit(&taken).await.unwrap(), [Admission::Fresh; 2]);
    deliver(&one, &taken).await;
    assert_eq!(server.unsettled(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_whose_producer_goes_away_still_comes() {
    let server = Server::new(Redis::start());
    let store = server.open(Duration::MAX).await;
    let reading = waiting_reader(&server, &store, 1).await;
    let mut append = store.log.append(vec![event("evt_1")]);
    assert!(futures::poll!(&mut append).is_pending());
    drop(append);
    assert_eq!(ids(&reading.await.unwrap()), ["evt_1"]);
    assert_eq!(server.unsettled(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_group_costs_no_event() {
    let server = Server::new(Redis::start());
    let store = server.open(Duration::MAX).await;
    let reading = waiting_reader(&server, &store, 1).await;
    // The reader hears of it and makes it anew; meanwhile events come.
    server.command(&["XGROUP", "DESTROY", "fanfare:events", "fanfare"]);
    store.log.append(vec![event("evt_1")]).await.unwrap();
    assert_eq!(ids(&reading.await.unwrap()), ["evt_1"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_that_take_in_and_read_at_once_have_each_event_once() {
    const EACH: usize = 400;
    let server = Server::new(Redis::start());
    let (one, two) = (server.open(Duration::MAX).await, server.open(Duration::MAX).await);
    let produce = |store: Store, name: &'static str| async move {
        for n in 0..EACH {
            store.log.append(vec![event(&format!("{name}_{n}"))]).await.unwrap();
        }
    };
    let work = |store: Store| async move {
        let mut mine = Vec::new();
        while let entries = store.log.read(25, Duration::from_millis(300)).await.unwrap()
            && !entries.is_empty()
        {
            let entries = decoded(entries);
            let admitted = store.log.admit(&entries).await.unwrap();
            assert!(admitted.iter().all(|one| *one == Admission::Fresh));
            deliver(&store, &entries).await;
            mine.extend(entries.into_iter().map(|(entry, _)| entry));
        }
        mine
    };
    let working = [one.clone(), two.clone()].map(|store| tokio::spawn(work(store)));
    tokio::join!(
        produce(one.clone(), "a"),
        produce(one.clone(), "b"),
        produce(two.clone(), "c"),
        produce(two.clone(), "d")
    );
    let mut all = Vec::new();
    for one in working {
        all.extend(one.await.unwrap());
    }
    assert_eq!(all.len(), 4 * EACH);
    assert_eq!(all.into_iter().collect::<HashSet<_>>().len(), 4 * EACH);
    assert_eq!(server.unsettled(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_in_while_a_replica_leaves_is_another_ones() {
    let server = Server::new(Redis::start());
    let (leaving, other) = (server.open(Duration::MAX).await, server.open(Duration::MAX).await);
    let reading = waiting_reader(&server, &leaving, 1_000).await;
    let producer = leaving.clone();
    let producing = tokio::spawn(async move {
        for one in events(200) {
            producer.log.append(vec![one]).await.unwrap();
        }
    });
    eventually("some came", || async { (server.unsettled() > 50).then_some(()) }).await;
    reading.abort();
    let _ = reading.await;
    leaving.upkeep.leave().await.unwrap();
    producing.await.unwrap();
    let mut all = read(&other, 1).await;
    let until = tokio::time::Instant::now() + PATIENCE;
    while all.len() < 200 {
        assert!(tokio::time::Instant::now() < until, "{} came", all.len());
        all.extend(decoded(other.log.take_over(500).await.unwrap()));
        all.extend(decoded(other.log.read(500, Duration::from_millis(10)).await.unwrap()));
    }
    let unique: HashSet<_> = all.iter().map(|(_, event)| event.id.clone()).collect();
    assert_eq!((unique.len(), all.len()), (200, 200));
}
