//! A Redis of several servers: a Cluster of three, and a master that a Sentinel replaces.
//!
//! Redis replicates after it has answered. So what it promises across a failover is this, and no more:
//! what a replica has confirmed (`WAIT`) is there. The producers here ask for that, and what was
//! confirmed must arrive; what was not may be lost with its server, by Redis and not by the router.

use std::collections::HashSet;
use std::thread;
use std::time::{Duration, Instant};

use redis::cluster::{ClusterClient, ClusterConnection};
use redis::{Commands as _, ConnectionLike, RedisResult};

use crate::crash::Counter;
use crate::scene::{SOON, Scene, numbered};
use crate::support::{Cluster, Fanfare, Guarded, until};

/// Events that one producer adds at once.
const PART: usize = 20;

/// How often the store was told to be away, and back.
fn changes(router: &Fanfare) -> (usize, usize) {
    let log = router.stderr();
    (log.matches("the store cannot be reached").count(), log.matches("the store is back").count())
}

fn add<C: ConnectionLike>(connection: &mut C, tenant: &str, event: &str) -> RedisResult<String> {
    connection.xadd("fanfare:events", "*", &[("tenant", tenant), ("event", event)])
}

/// Adds all events to the stream, part by part, each again until it was taken: by the first server,
/// or by the second once that one takes writes. Answers the ids of those that are certain: confirmed
/// by the first's replica, or taken by the second.
fn produce_to(ports: [u16; 2], events: &[String]) -> HashSet<String> {
    let mut kept = HashSet::new();
    let mut turn = 0;
    for (n, part) in events.chunks(PART).enumerate() {
        let sent = until(SOON, || {
            let sent = add_to(ports[turn % 2], part, turn % 2 == 0);
            turn += usize::from(sent.is_err());
            sent.ok()
        });
        if sent.expect("it is taken at last") {
            kept.extend((0..part.len()).map(|m| format!("evt_{}", n * PART + m)));
        }
        // So that the end of the first comes in the middle.
        thread::sleep(Duration::from_millis(20));
    }
    kept
}

#[test]
fn events_go_through_a_cluster_of_three_by_two_replicas() {
    const EVENTS: usize = 600;
    let cluster = Cluster::start();
    let counter = Counter::slow(Duration::from_millis(2));
    let scene = Scene::at(cluster.url());
    // Tenants whose keys are on different nodes.
    let tenants = ["acme", "globex", "initech", "umbrella"];
    let in_order = &tenants[2..];
    for tenant in tenants {
        let fifo = in_order.contains(&tenant);
        let table = counter.table().replace("retry =", &format!("fifo = {fifo}\nretry ="));
        scene.tenant(tenant, &table);
    }
    let launch = scene.launch();
    let _routers = [launch.start(), launch.start()];
    let mut connection = client(&cluster);
    let mut expected = HashSet::new();
    for n in 0..EVENTS {
        let tenant = tenants[n % tenants.len()];
        let event = numbered(n + 1).remove(n).replace("evt_", &format!("evt_{tenant}_"));
        add(&mut connection, tenant, &event).expect("the cluster takes it");
        expected.insert(format!("evt_{tenant}_{n}"));
    }
    counter.wait_for(EVENTS, SOON);
    assert_eq!(counter.ids(), expected);
    for tenant in tenants {
        scene.settled(tenant, EVENTS / tenants.len());
    }
    assert_eq!(counter.duplicates(), 0);
    for tenant in in_order {
        let order = counter.order();
        let number =
            |id: &String| id.strip_prefix(&format!("evt_{tenant}_"))?.parse::<usize>().ok();
        let order: Vec<_> = order.iter().filter_map(number).collect();
        assert!(order.is_sorted() && order.len() == EVENTS / tenants.len(), "{tenant}: {order:?}");
    }
    let audits = scene.json(&["audit"]);
    let received = |n: usize| audits[n]["found"]["delivered"].as_u64().expect("a number");
    assert_eq!((0..tenants.len()).map(received).sum::<u64>(), EVENTS as u64);
    // All of it is on all of them.
    for node in &cluster.masters {
        assert!(node.ask::<u64>(&["DBSIZE"]) > 0, "a node has nothing");
    }
}

fn client(cluster: &Cluster) -> ClusterConnection {
    let client = ClusterClient::new(cluster.nodes()).expect("addresses");
    client.get_connection().expect("the cluster answers")
}

#[test]
fn a_cluster_whose_node_with_the_stream_dies_loses_nothing_that_was_replicated() {
    const EVENTS: usize = 1_200;
    let mut cluster = Cluster::start();
    let dying = cluster.owner("fanfare:events");
    cluster.add_replica_of(dying);
    let counter = Counter::slow(Duration::from_millis(10));
    let scene = Scene::at(cluster.url());
    scene.tenant("acme", &counter.table());
    let router = scene.start();
    let events = numbered(EVENTS);
    let ports = [cluster.masters[dying].port(), cluster.replicas[0].port()];
    let kept = thread::scope(|scope| {
        let producing = scope.spawn(move || produce_to(ports, &events));
        counter.wait_for(EVENTS / 4, SOON);
        cluster.masters[dying].kill9();
        producing.join().expect("no panic")
    });
    assert!(counter.distinct() > 0 && kept.len() > EVENTS / 2, "{} are certain", kept.len());
    let came = until(2 * SOON, || kept.is_subset(&counter.ids()).then_some(()));
    let missing: Vec<_> = kept.difference(&counter.ids()).cloned().collect();
    assert!(came.is_some(), "{} of {} are missing: {missing:?}", missing.len(), kept.len());
    // Its client may find the new master before anybody has to be told.
    let told = until(SOON, || {
        let (away, back) = changes(&router);
        (away <= 1 && back == away).then_some(())
    });
    assert!(told.is_some(), "{}", router.stderr());
    assert_eq!(router.get("/readyz").status, 200);
}

#[test]
fn a_master_that_a_sentinel_replaces_mid_way_loses_nothing_that_was_replicated() {
    const EVENTS: usize = 1_200;
    let mut guarded = Guarded::start();
    let counter = Counter::slow(Duration::from_millis(10));
    let scene = Scene::at(guarded.url());
    scene.tenant("acme", &counter.table());
    let router = scene.start();
    let events = numbered(EVENTS);
    let (first, second) = (guarded.master.port(), guarded.replica.port());
    let (kept, was_away) = thread::scope(|scope| {
        let producing = scope.spawn(move || produce_to([first, second], &events));
        counter.wait_for(EVENTS / 4, SOON);
        guarded.master.kill9();
        let killed = Instant::now();
        let replaced = || (guarded.master_port() == second).then_some(());
        until(SOON, replaced).expect("the Sentinel replaces it");
        (producing.join().expect("no panic"), killed.elapsed())
    });
    assert!(kept.len() > EVENTS / 2, "{} are certain after {was_away:?}", kept.len());
    let came = until(2 * SOON, || kept.is_subset(&counter.ids()).then_some(()));
    let missing: Vec<_> = kept.difference(&counter.ids()).cloned().collect();
    assert!(came.is_some(), "{} of {} are missing: {missing:?}", missing.len(), kept.len());
    let told = until(SOON, || (changes(&router) == (1, 1)).then_some(()));
    assert!(told.is_some(), "{}", router.stderr());
}

/// Adds a part. With a replica, that must confirm it; the one that takes its place is alone and is
/// not killed.
fn add_to(port: u16, part: &[String], has_replica: bool) -> RedisResult<bool> {
    let client = redis::Client::open(format!("redis://127.0.0.1:{port}/"))?;
    let mut connection = client.get_connection_with_timeout(Duration::from_secs(2))?;
    connection.set_read_timeout(Some(Duration::from_secs(2)))?;
    for event in part {
        add(&mut connection, "acme", event)?;
    }
    if !has_replica {
        return Ok(true);
    }
    let confirmed: u64 = redis::cmd("WAIT").arg(1).arg(500).query(&mut connection)?;
    Ok(confirmed >= 1)
}

/// With this, what is answered is with a replica too.
const WAITS: &str = "[redis]\nwait_replicas = 1\nwait_timeout = \"300ms\"\n";

#[test]
fn with_wait_replicas_nothing_is_accepted_that_no_replica_has() {
    let guarded = Guarded::start();
    let (master, replica) = (&guarded.master, &guarded.replica);
    let counter = Counter::slow(Duration::ZERO);
    let scene = Scene::on(master);
    scene.settings(WAITS);
    scene.tenant("acme", &counter.table());
    let router = scene.start();
    let post = |n: usize| router.post("/v1/events?tenant=acme", &numbered(n + 1).remove(n));
    // The replica is there when it has copied what there was.
    let taken = || (post(0).status == 202).then_some(());
    until(SOON, taken).expect("it is taken at last");
    for n in 1..20 {
        let answer = post(n);
        assert_eq!(answer.status, 202, "{}", answer.body);
    }
    counter.wait_for(20, SOON);
    scene.settled("acme", 20);

    // The Sentinel makes it a replica again, but not within seconds.
    let _: String = replica.ask(&["REPLICAOF", "NO", "ONE"]);
    let alone = || (post(20).status == 503).then_some(());
    until(SOON, alone).expect("it is refused");
    let port = master.port().to_string();
    let _: String = replica.ask(&["REPLICAOF", "127.0.0.1", &port]);
    let taken = || (post(20).status == 202).then_some(());
    until(SOON, taken).expect("it is taken when the replica is back");
    counter.wait_for(21, SOON);
    scene.settled("acme", 21);
    assert_eq!(counter.duplicates(), 0, "however often it was sent");
    let told = until(SOON, || (changes(&router).0 == changes(&router).1).then_some(()));
    assert!(told.is_some(), "{}", router.stderr());
}

#[test]
fn with_wait_replicas_a_retry_survives_the_node_that_it_was_queued_on() {
    const EVENTS: usize = 400;
    let mut cluster = Cluster::start();
    (0..3).for_each(|master| cluster.add_replica_of(master));
    // At any time some wait for their second attempt.
    let counter = Counter::fickle(3);
    let scene = Scene::at(cluster.url());
    scene.settings(WAITS);
    scene.tenant("acme", &counter.table());
    let router = scene.start();
    let events = numbered(EVENTS);
    thread::scope(|scope| {
        let producing = scope.spawn(|| {
            for event in &events {
                let taken = || {
                    let answer = router.post("/v1/events?tenant=acme", event);
                    assert!([202, 503].contains(&answer.status), "{}", answer.body);
                    (answer.status == 202).then_some(())
                };
                until(2 * SOON, taken).expect("it is taken at last");
            }
        });
        counter.wait_for(EVENTS / 4, SOON);
        let owner = (0..3).find(|n| {
            let keys: Vec<String> = cluster.masters[*n].ask(&["KEYS", "fanfare:*:e:acme"]);
            !keys.is_empty()
        });
        let owner = owner.expect("somebody has the events");
        cluster.masters[owner].kill9();
        let replica = &cluster.replicas[owner];
        let replaced = || {
            let role: Vec<redis::Value> = replica.try_ask(&["ROLE"]).ok()?;
            (role.first() == Some(&redis::Value::BulkString(b"master".to_vec()))).then_some(())
        };
        until(SOON, replaced).expect("its replica takes its place");
        // And is one itself from now on; until then nothing is confirmed there.
        cluster.masters[owner].restart();
        producing.join().expect("no panic");
    });
    let deliveries = scene.settled("acme", EVENTS);
    assert_eq!(deliveries.len(), EVENTS, "each of them is known");
    assert!(deliveries.iter().all(|delivery| delivery["state"] == "delivered"));
    scene.run(&["audit"]).ok();
}
