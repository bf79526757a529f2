//! One process serves a lane at a time, and an outage of the store causes no duplicates.

use std::collections::HashSet;
use std::time::Duration;

use serde_json::json;

use crate::testing::{Reply, Scene, Setup, ids};

fn long_attempts() -> Setup {
    let mut setup = Setup::default();
    setup.policy.attempt_timeout = Duration::from_mins(5);
    setup.policy.deadline = Duration::from_mins(5);
    setup
}

#[tokio::test(start_paused = true)]
async fn leases_are_renewed_during_long_attempts() {
    let destinations = json!({"order": {"fifo": true}});
    let mut scene = Scene::start(long_attempts(), &[("acme", destinations)]).await;
    scene.receivers.script(|_| Reply::Slowly(Duration::from_mins(1)));
    scene.run().await;
    scene.send("acme", ids(3)).await;
    scene.pass(Duration::from_mins(4)).await;
    let sent: Vec<_> = scene.receivers.calls().into_iter().map(|call| call.id).collect();
    assert_eq!(sent, ids(3).collect::<Vec<_>>(), "two processes, each delivery once");
}

#[tokio::test(start_paused = true)]
async fn a_process_that_cannot_renew_starts_nothing_more() {
    let mut setup = long_attempts();
    setup.options.serve.slice = Duration::from_hours(1);
    let destinations = json!({"order": {"fifo": true}});
    let scene = Scene::start(setup, &[("acme", destinations)]).await;
    scene.receivers.script(|_| Reply::Slowly(Duration::from_secs(5)));
    scene.send("acme", ids(20)).await;
    scene.pass(Duration::from_secs(1)).await;
    for call in ["agenda.renew", "agenda.claim"] {
        scene.world.faults.hang(call);
    }
    scene.pass(Duration::from_mins(5)).await;
    let sent = scene.receivers.calls().len();
    assert!(sent <= 5, "{sent} attempts of 5 s on a lease of 12 s");
    scene.world.faults.heal();
    scene.pass(Duration::from_mins(3)).await;
    let order: Vec<_> = scene.receivers.calls().into_iter().map(|call| call.id).collect();
    assert_eq!(order, ids(20).collect::<Vec<_>>());
}

/// A backlog served with concurrency, the store failing in `call` now and then.
async fn nothing_is_sent_twice_when(call: &'static str) {
    let destinations = json!({"hook": {"concurrency": 4}, "order": {"fifo": true}});
    let scene = Scene::start(Setup::default(), &[("acme", destinations)]).await;
    scene.receivers.script(|_| Reply::Slowly(Duration::from_millis(300)));
    scene.send("acme", ids(60)).await;
    for _ in 0..8 {
        scene.world.faults.fail(call, 3);
        scene.pass(Duration::from_millis(900)).await;
    }
    scene.pass(Duration::from_mins(1)).await;
    assert_eq!(scene.counts("acme").await.delivered, 120, "{call}");
    assert_eq!(scene.receivers.calls().len(), 120, "{call}: each of them once");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_causes_no_duplicates() {
    for call in ["agenda.settle", "agenda.due", "agenda.release", "agenda.claim", "log.settle"] {
        nothing_is_sent_twice_when(call).await;
    }
}

#[tokio::test(start_paused = true)]
async fn outcomes_are_kept_however_long_the_store_is_away() {
    let destinations = json!({"hook": {"concurrency": 2}});
    let scene = Scene::start(Setup::default(), &[("acme", destinations)]).await;
    scene.receivers.script(|_| Reply::Slowly(Duration::from_millis(300)));
    scene.send("acme", ids(20)).await;
    scene.pass(Duration::from_secs(1)).await;
    scene.world.faults.hang("agenda.settle");
    scene.pass(Duration::from_mins(10)).await;
    scene.world.faults.heal();
    scene.pass(Duration::from_mins(1)).await;
    let sent: Vec<_> = scene.receivers.calls().into_iter().map(|call| call.id).collect();
    assert_eq!(sent.iter().collect::<HashSet<_>>().len(), 20);
    assert_eq!(scene.counts("acme").await.delivered, 20);
}

#[tokio::test(start_paused = true)]
async fn lanes_of_a_tenant_at_its_share_cost_nothing_until_they_can_be_served() {
    const LANES: usize = 100;
    let mut setup = long_attempts();
    (setup.options.serve.lanes, setup.options.serve.tenant_lanes) = (16, 4);
    let destinations: serde_json::Map<String, serde_json::Value> =
        (0..LANES).map(|n| (format!("d{n}"), json!({"fifo": true}))).collect();
    let scene = Scene::start(setup, &[("acme", destinations.into())]).await;
    scene.receivers.script(|_| Reply::Slowly(Duration::from_secs(40)));
    scene.send("acme", ids(1)).await;
    scene.pass(Duration::from_secs(10)).await;
    let calls = || ["agenda.claim", "agenda.release"].map(|name| scene.world.faults.met(name));
    let [claims, releases] = calls();
    scene.pass(Duration::from_secs(20)).await;
    let [more_claims, more_releases] = calls();
    assert_eq!(more_releases, releases, "no lane is claimed that cannot be served");
    assert!(more_claims - claims <= 60, "{} claims in 20 s", more_claims - claims);
    scene.pass(Duration::from_mins(25)).await;
    assert_eq!(scene.counts("acme").await.delivered, LANES as u64, "each has its turn");
}
