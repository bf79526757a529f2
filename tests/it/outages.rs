//! Outages of Redis that are about the server, its clients, its memory, or its scripts, with work
//! in flight. Nothing is lost or set aside, nothing is sent twice, and everything continues by
//! itself.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use fanfare_receivers::Reply;

use crate::crash::Counter;
use crate::scene::{SOON, Scene, hooks_at, numbered};
use crate::support::{Fanfare, PATIENCE, Redis, until};

/// A replica that dies is noticed soon, and leases end soon: an outage of some seconds is longer.
const QUICK: &str = "\
    [router]\nlease = \"3s\"\n\
    [redis]\ndead_after = \"3s\"\n";
/// Longer than both.
const OUTAGE: Duration = Duration::from_secs(7);

fn command(connection: &mut redis::Connection, words: &[&str]) {
    let mut cmd = redis::Cmd::new();
    for word in words {
        cmd.arg(*word);
    }
    cmd.exec(connection).unwrap_or_else(|error| panic!("{words:?}: {error}"));
}

/// Answers 503 to the first attempt at one event in `one_in`. Each answer comes after a while.
fn slow_and_fickle(one_in: u32) -> Counter {
    let tried = Mutex::new(HashMap::<String, u32>::new());
    Counter::start(move |request| {
        let id = request.header("webhook-id").to_owned();
        let mut tried = tried.lock().expect("no holder panics");
        let tries = tried.entry(id).or_default();
        *tries += 1;
        let chosen = sum_of(request.header("webhook-id")).is_multiple_of(one_in);
        let status = if *tries == 1 && chosen { 503 } else { 200 };
        Reply::After(Duration::from_millis(200), Box::new(Reply::Status(status)))
    })
}

fn sum_of(id: &str) -> u32 {
    id.bytes().map(u32::from).sum()
}

/// Every event was delivered, and none was set aside.
fn all_delivered(redis: &Redis, scene: &Scene, events: usize) {
    let deliveries = scene.settled("acme", events);
    assert_eq!(deliveries.len(), events);
    let bad: Vec<_> = deliveries.iter().filter(|one| one["state"] != "delivered").collect();
    assert!(bad.is_empty(), "{bad:#?}");
    let rejected: i64 = redis.ask(&["HLEN", "fanfare:{dead}:entries"]);
    assert_eq!(rejected, 0, "dead letters");
}

/// With 60 events in flight, `shut` refuses all clients, and `open` lets them in again.
fn refused_clients_lose_nothing(shut: &[&[&str]], open: &[&[&str]]) {
    const EVENTS: usize = 60;
    let redis = Redis::start_durable();
    let counter = slow_and_fickle(4);
    let scene = Scene::on(&redis);
    scene.settings(QUICK);
    scene.tenant("acme", &counter.table());
    let router = scene.start();
    scene.send("acme", &numbered(EVENTS)).ok();
    counter.wait_for(5, SOON);

    // This connection stays, whatever happens to the others.
    let mut admin = redis.connection();
    for words in shut {
        command(&mut admin, words);
    }
    command(&mut admin, &["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    thread::sleep(OUTAGE);
    let answer = router.get("/readyz");
    assert_eq!(answer.status, 503, "{}", answer.body);
    for words in open {
        command(&mut admin, words);
    }

    counter.wait_for(EVENTS, SOON);
    all_delivered(&redis, &scene, EVENTS);
    let log = router.stderr();
    assert!(!log.contains("for good"), "{log}");
}

#[test]
fn a_redis_that_takes_no_more_clients_is_waited_for() {
    refused_clients_lose_nothing(
        &[&["CONFIG", "SET", "maxclients", "1"]],
        &[&["CONFIG", "SET", "maxclients", "1000"]],
    );
}

#[test]
fn a_password_that_is_wrong_for_a_while_is_waited_for() {
    refused_clients_lose_nothing(
        &[&["CONFIG", "SET", "requirepass", "x"]],
        &[&["CONFIG", "SET", "requirepass", ""]],
    );
}

#[test]
fn a_permission_that_is_missing_for_a_while_is_waited_for() {
    refused_clients_lose_nothing(
        &[&["ACL", "SETUSER", "default", "-evalsha", "-eval", "-set"]],
        &[&["ACL", "SETUSER", "default", "+evalsha", "+eval", "+set"]],
    );
}

#[test]
fn scripts_that_are_flushed_again_and_again_lose_and_set_aside_nothing() {
    const EVENTS: usize = 400;
    let redis = Redis::start_durable();
    let counter = Counter::fickle(3);
    let scene = Scene::on(&redis);
    scene.settings(QUICK);
    scene.tenant("acme", &counter.table());
    let router = scene.start();
    let flushing = AtomicBool::new(true);
    thread::scope(|scope| {
        let flusher = scope.spawn(|| {
            let mut admin = redis.connection();
            while flushing.load(Ordering::Relaxed) {
                command(&mut admin, &["SCRIPT", "FLUSH"]);
            }
        });
        for part in numbered(EVENTS).chunks(20) {
            scene.send("acme", part).ok();
        }
        counter.wait_for(EVENTS, SOON);
        flushing.store(false, Ordering::Relaxed);
        flusher.join().expect("no panic");
    });
    all_delivered(&redis, &scene, EVENTS);
    let pending: i64 = redis.ask(&["XLEN", "fanfare:events"]);
    assert_eq!(pending, 0, "no entry is stuck");
    assert!(!router.stderr().contains("for good"), "{}", router.stderr());
}

/// Two routers over one Redis, each with the times of [`QUICK`].
fn two(scene: &Scene) -> [Fanfare; 2] {
    let launch = scene.launch();
    [launch.start(), launch.start()]
}

#[test]
fn a_redis_at_its_maxmemory_makes_no_living_replica_dead() {
    const EVENTS: usize = 60;
    let redis = Redis::start_durable();
    // Longer than the outage: everything stays in flight, held by both replicas.
    let counter = Counter::slow(Duration::from_millis(300));
    let scene = Scene::on(&redis);
    scene.settings(&format!("{QUICK}\n"));
    scene.tenant("acme", &counter.table());
    let routers = two(&scene);
    scene.send("acme", &numbered(EVENTS)).ok();
    counter.wait_for(1, SOON);
    let mut admin = redis.connection();
    command(&mut admin, &["CONFIG", "SET", "maxmemory", "1"]);
    thread::sleep(OUTAGE);
    command(&mut admin, &["CONFIG", "SET", "maxmemory", "0"]);
    counter.wait_for(EVENTS, SOON);
    all_delivered(&redis, &scene, EVENTS);
    thread::sleep(Duration::from_secs(4));
    assert_eq!(counter.duplicates(), 0, "{}\n{}", routers[0].stderr(), routers[1].stderr());
}

#[test]
fn a_replica_of_redis_that_does_not_confirm_doubles_nothing() {
    const EACH: usize = 4;
    const LANES: usize = 20;
    let redis = Redis::start_durable();
    let port = redis.port().to_string();
    let mut follower = Redis::start_with(&["--replicaof", "127.0.0.1", &port]);
    let linked = || {
        let info: String = redis.ask(&["INFO", "replication"]);
        info.contains("state=online").then_some(())
    };
    until(PATIENCE, linked).expect("the replica follows");
    // Each event fails at first, so that every lane has retries to lose.
    let counter = slow_and_fickle(1);
    let scene = Scene::on(&redis);
    scene.settings(&format!("{QUICK}wait_replicas = 1\nwait_timeout = \"1s\"\n"));
    let url = counter.table();
    for n in 0..LANES {
        scene.tenant(&format!("tenant{n}"), &url);
    }
    let routers = two(&scene);
    for n in 0..LANES {
        let events: Vec<String> = numbered(EACH)
            .iter()
            .map(|event| event.replace("evt_", &format!("evt_{n}_")))
            .collect();
        scene.send(&format!("tenant{n}"), &events).ok();
    }
    counter.wait_for(EACH, SOON);
    follower.kill9();
    thread::sleep(OUTAGE * 2);
    follower.restart();
    let everything = LANES * EACH;
    counter.wait_for(everything, SOON);
    for n in 0..LANES {
        let deliveries = scene.settled(&format!("tenant{n}"), EACH);
        assert!(deliveries.iter().all(|one| one["state"] == "delivered"), "{deliveries:#?}");
    }
    // One failed attempt and one that succeeds for each.
    assert_eq!(
        counter.duplicates(),
        everything,
        "{}\n{}",
        routers[0].stderr(),
        routers[1].stderr()
    );
}

#[test]
fn one_node_of_a_cluster_is_used_as_a_cluster() {
    const EVENTS: usize = 40;
    let redis = Redis::start_with(&["--cluster-enabled", "yes"]);
    redis.ask::<()>(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]);
    let serves = || {
        let info: String = redis.ask(&["CLUSTER", "INFO"]);
        info.contains("cluster_state:ok").then_some(())
    };
    until(PATIENCE, serves).expect("the cluster is up");
    let counter = Counter::slow(Duration::ZERO);
    let scene = Scene::on(&redis);
    for n in 0..4 {
        scene.tenant(&format!("t{n}"), &hooks_at(&counter.url()));
    }
    let router = scene.start();
    for n in 0..EVENTS {
        let event = numbered(n + 1).remove(n);
        let answer = router.post(&format!("/v1/events?tenant=t{}", n % 4), &event);
        assert_eq!(answer.status, 202, "{}", answer.body);
    }
    counter.wait_for(EVENTS, SOON);
}

#[test]
fn an_entry_from_the_future_delays_nothing() {
    let redis = Redis::start();
    let counter = Counter::slow(Duration::ZERO);
    let scene = Scene::on(&redis);
    for tenant in ["acme", "globex"] {
        scene.tenant(tenant, &counter.table().replace("retry =", "fifo = true\nretry ="));
    }
    let router = scene.start();
    let now: (u64, u64) = redis.ask(&["TIME"]);
    let ahead = format!("{}-0", (now.0 + 3_600) * 1_000);
    let add = |id: &str, tenant: &str, event: &str| {
        redis.ask::<String>(&["XADD", "fanfare:events", id, "tenant", tenant, "event", event])
    };
    let events = numbered(6);
    add("*", "acme", &events[0]);
    add(&ahead, "acme", &events[1]);
    add("*", "globex", &events[2].replace("evt_", "evt_g"));
    for event in &events[3..] {
        add("*", "acme", event);
    }
    counter.wait_for(6, SOON);
    let order: Vec<_> = counter.order().into_iter().filter(|id| !id.starts_with("evt_g")).collect();
    assert_eq!(order, ["evt_0", "evt_1", "evt_3", "evt_4", "evt_5"]);
    let now_ms = i64::try_from(now.0 * 1_000).expect("a time");
    for event in scene.events("acme") {
        let received = event["received_ms"].as_i64().expect("a number");
        assert!(received < now_ms + 600_000, "{event}");
    }
    assert!(router.stderr().contains("lies in the future"), "{}", router.stderr());
}
