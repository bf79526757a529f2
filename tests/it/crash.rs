//! What the router promises when it is killed, stopped, or loses a replica: nothing is lost.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use fanfare_receivers::{HttpReceiver, Received, Reply};
use tokio::runtime::Runtime;

use crate::scene::{SOON, Scene, hooks_at, numbered};
use crate::support::{Fanfare, PATIENCE, Redis, until};

/// Bounds small enough that a crash of a second ago is over soon, and duplicates can be counted.
const SETTINGS: &str = "\
    [router]\nwindow = 256\nlease = \"3s\"\n\
    [redis]\ndead_after = \"3s\"\n";
/// What a router has in flight at most: its window, and what it has claimed and not yet settled.
const IN_FLIGHT: usize = 256 + 64 + 128;

/// A receiver that counts by the id of the event, in this process but behind a real socket.
pub(crate) struct Counter {
    // Declared before the runtime that it lives on.
    receiver: HttpReceiver,
    seen: Arc<Mutex<Seen>>,
    order: Arc<Mutex<Vec<String>>>,
    last: Arc<Mutex<Instant>>,
    _runtime: Runtime,
}

/// Bodies by event id: one a request.
type Seen = HashMap<String, Vec<bytes::Bytes>>;

impl Counter {
    /// Takes everything, so long after it came.
    pub(crate) fn slow(delay: Duration) -> Self {
        Self::start(move |_| Reply::After(delay, Box::new(Reply::Status(200))))
    }

    /// Refuses one event in so many, at its first attempt.
    pub(crate) fn fickle(one_in: u32) -> Self {
        let refused = Mutex::new(HashSet::new());
        Self::start(move |request| {
            let id = request.header("webhook-id");
            let sum = id.bytes().map(u32::from).sum::<u32>();
            let first = sum.is_multiple_of(one_in)
                && refused.lock().expect("no holder panics").insert(id.to_owned());
            Reply::Status(if first { 500 } else { 200 })
        })
    }

    pub(crate) fn start(reply: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> Self {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).enable_all().build().expect("a runtime");
        let seen = Arc::new(Mutex::new(Seen::new()));
        let last = Arc::new(Mutex::new(Instant::now()));
        let order = Arc::new(Mutex::new(Vec::new()));
        let (count, latest, firsts) = (Arc::clone(&seen), Arc::clone(&last), Arc::clone(&order));
        let receiver = runtime.block_on(HttpReceiver::start(move |request, _| {
            let id = request.header("webhook-id").to_owned();
            let mut seen = count.lock().expect("no holder panics");
            let bodies = seen.entry(id.clone()).or_default();
            if bodies.is_empty() {
                firsts.lock().expect("no holder panics").push(id);
            }
            bodies.push(request.body.clone());
            *latest.lock().expect("no holder panics") = request.at;
            reply(request)
        }));
        Self { receiver: receiver.expect("a receiver"), seen, order, last, _runtime: runtime }
    }

    /// Where it listens.
    pub(crate) fn url(&self) -> String {
        self.receiver.url("/")
    }

    pub(crate) fn table(&self) -> String {
        hooks_at(&self.url())
    }

    /// How many requests came.
    pub(crate) fn requests(&self) -> usize {
        self.receiver.count()
    }

    /// How many different events came.
    pub(crate) fn distinct(&self) -> usize {
        self.seen.lock().expect("no holder panics").len()
    }

    /// The bodies of an event's requests.
    pub(crate) fn bodies(&self, id: &str) -> Vec<bytes::Bytes> {
        self.seen.lock().expect("no holder panics").get(id).cloned().unwrap_or_default()
    }

    /// Which events came.
    pub(crate) fn ids(&self) -> HashSet<String> {
        self.seen.lock().expect("no holder panics").keys().cloned().collect()
    }

    /// Events in the order in which each first came.
    pub(crate) fn order(&self) -> Vec<String> {
        self.order.lock().expect("no holder panics").clone()
    }

    /// When the last request came.
    pub(crate) fn last(&self) -> Instant {
        *self.last.lock().expect("no holder panics")
    }

    /// How many requests came besides the first of each event. All of an event are the same.
    pub(crate) fn duplicates(&self) -> usize {
        let seen = self.seen.lock().expect("no holder panics");
        for (id, bodies) in &*seen {
            assert!(bodies.iter().all(|body| *body == bodies[0]), "{id} changed");
        }
        seen.values().map(|bodies| bodies.len() - 1).sum()
    }

    pub(crate) fn wait_for(&self, distinct: usize, within: Duration) {
        let came = until(within, || (self.distinct() >= distinct).then_some(()));
        assert!(came.is_some(), "{} of {distinct} came in {within:?}", self.distinct());
    }
}

/// Kills the router again and again while events come in and go out.
fn loses_none_to_kill9(scene: &Scene) {
    const EVENTS: usize = 5_000;
    const KILLS: usize = 4;
    let counter = Counter::slow(Duration::from_millis(20));
    scene.settings(SETTINGS);
    scene.tenant("acme", &counter.table());
    let launch = scene.launch();
    let mut router = launch.start();
    thread::scope(|scope| {
        let sender = scope.spawn(|| scene.send("acme", &numbered(EVENTS)));
        for kill in 1..=KILLS {
            counter.wait_for(kill * EVENTS / 6, SOON);
            router.kill9();
            assert!(counter.distinct() < EVENTS, "it was mid-way");
            router = launch.start();
        }
        let sent = sender.join().expect("no panic").ok();
        assert_eq!(sent, format!("{EVENTS} sent\n"));
    });
    counter.wait_for(EVENTS, 2 * SOON);

    let deliveries = scene.settled("acme", EVENTS);
    assert_eq!(deliveries.len(), EVENTS);
    assert!(deliveries.iter().all(|delivery| delivery["state"] == "delivered"));
    assert_eq!(counter.distinct(), EVENTS);
    let duplicates = counter.duplicates();
    assert!(duplicates <= KILLS * IN_FLIGHT, "{duplicates} duplicates");
}

#[test]
fn kill_9_mid_way_through_5000_events_in_a_folder_loses_none() {
    loses_none_to_kill9(&Scene::embedded());
}

#[test]
fn kill_9_mid_way_through_5000_events_in_redis_loses_none() {
    let redis = Redis::start();
    loses_none_to_kill9(&Scene::on(&redis));
}

/// Stops the router gracefully, again and again, in the middle of its work.
fn loses_and_repeats_none_at_sigterm(scene: &Scene) {
    const EVENTS: usize = 1_500;
    let counter = Counter::slow(Duration::from_millis(20));
    scene.settings(SETTINGS);
    scene.tenant("acme", &counter.table());
    let launch = scene.launch();
    let mut router = launch.start();
    scene.send("acme", &numbered(EVENTS)).ok();
    for stop in 1..=2 {
        counter.wait_for(stop * EVENTS / 4, SOON);
        router.sigterm();
        assert!(router.wait_exit(PATIENCE).success());
        assert!(counter.distinct() < EVENTS, "it was mid-way");
        assert!(router.stderr().contains("all attempts in flight were recorded"));
        router = launch.start();
    }
    counter.wait_for(EVENTS, SOON);
    let deliveries = scene.settled("acme", EVENTS);
    assert_eq!(deliveries.len(), EVENTS);
    assert_eq!(counter.duplicates(), 0);
}

#[test]
fn sigterm_mid_way_in_a_folder_loses_none_and_repeats_none() {
    loses_and_repeats_none_at_sigterm(&Scene::embedded());
}

#[test]
fn sigterm_mid_way_in_redis_loses_none_and_repeats_none() {
    let redis = Redis::start();
    loses_and_repeats_none_at_sigterm(&Scene::on(&redis));
}

#[test]
fn a_second_signal_stops_at_once_what_waits_for_a_hung_receiver() {
    let counter = Counter::start(|_| Reply::Hang);
    let scene = Scene::embedded();
    scene.tenant("acme", &counter.table());
    let mut router = scene.start();
    scene.send("acme", &numbered(1)).ok();
    counter.wait_for(1, PATIENCE);

    router.sigterm();
    let stopping = || router.stderr().contains("a second signal stops at once").then_some(());
    until(PATIENCE, stopping).expect("it says that it is stopping");
    let asked = Instant::now();
    router.sigterm();
    assert!(router.wait_exit(PATIENCE).success());
    // The attempt alone would take 10 s, and the grace time is 25 s.
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    assert!(router.stderr().contains("stopped at once"));

    // What was in flight is not forgotten.
    let _router = scene.start();
    until(SOON, || (counter.duplicates() == 1).then_some(())).expect("it is tried again");
}

/// Entries of the stream that a replica has read and not settled; consumers are named after hosts and
/// process ids.
fn entries_of(redis: &Redis, process: u32) -> u64 {
    let reply: redis::streams::StreamInfoConsumersReply = redis::cmd("XINFO")
        .arg("CONSUMERS")
        .arg("fanfare:events")
        .arg("fanfare")
        .query(&mut redis.connection())
        .expect("the group is there");
    let part = format!("-{process}-");
    let of = reply.consumers.iter().filter(|consumer| consumer.name.contains(&part));
    of.map(|consumer| consumer.pending as u64).sum()
}

#[test]
fn a_replica_takes_over_from_one_that_was_killed_within_15_s() {
    const PART: usize = 50;
    let redis = Redis::start();
    let counter = Counter::slow(Duration::from_millis(300));
    let scene = Scene::on(&redis);
    // The times are the defaults: they are what is promised. Small batches, so that each replica
    // has some of the events.
    scene.settings("[router]\nwindow = 64\nbatch = 16\n");
    scene.tenant("acme", &counter.table());
    let launch = scene.launch();
    let [mut first, second]: [Fanfare; 2] = thread::scope(|scope| {
        let starting = [(); 2].map(|()| scope.spawn(|| launch.start()));
        starting.map(|replica| replica.join().expect("a replica"))
    });
    // Until the first one holds entries while it is frozen: then it is killed.
    let events = numbered(PART * 40);
    let mut sent = 0;
    for part in events.chunks(PART) {
        scene.send("acme", part).ok();
        sent += part.len();
        first.freeze();
        if entries_of(&redis, first.id()) > 0 {
            break;
        }
        first.thaw();
    }
    assert!(entries_of(&redis, first.id()) > 0, "it held nothing of {sent} events");
    first.kill9();
    let killed = Instant::now();
    assert!(counter.distinct() < sent, "it was mid-way");
    counter.wait_for(sent, SOON);
    let deliveries = scene.settled("acme", sent);

    assert_eq!(second.get("/readyz").status, 200);
    assert!(deliveries.iter().all(|delivery| delivery["state"] == "delivered"));
    assert!(second.stderr().contains("took over from a replica that is gone"));
    let took = counter.last().duration_since(killed);
    assert!(took < Duration::from_secs(15), "it took {took:?}");
}
