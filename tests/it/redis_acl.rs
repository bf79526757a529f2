//! The user that the documentation gives to Fanfare can do everything that Fanfare needs.

use std::time::Duration;

use crate::crash::Counter;
use crate::scene::{SOON, Scene, hooks_at, numbered};
use crate::support::Redis;

#[test]
fn the_documented_user_is_enough() {
    const EVENTS: usize = 30;
    let redis = Redis::start_durable();
    let docs = include_str!("../../docs/redis.md");
    let line = docs.lines().find(|line| line.starts_with("ACL SETUSER fanfare ")).expect("a user");
    let line = line.replace("PASSWORD", "s3cret");
    redis.ask::<()>(&line.split(' ').collect::<Vec<_>>());

    let counter = Counter::fickle(4);
    let scene = Scene::at(format!("redis://fanfare:s3cret@127.0.0.1:{}/", redis.port()));
    scene.tenant("acme", &counter.table());
    scene.tenant("order", &hooks_at(&counter.url()).replace("retry =", "fifo = true\nretry ="));
    let router = scene.start();
    scene.send("acme", &numbered(EVENTS)).ok();
    scene.send("order", &numbered(1)).ok();
    counter.wait_for(EVENTS, SOON);
    let deliveries = scene.settled("acme", EVENTS);
    assert!(deliveries.iter().all(|one| one["state"] == "delivered"));
    scene.settled("order", 1);
    scene.run(&["audit"]).ok();
    // Reconciliation and retention have run as well.
    std::thread::sleep(Duration::from_secs(11));
    let log = router.stderr();
    assert!(!log.contains("refuses access") && !log.contains("NOPERM"), "{log}");
}
