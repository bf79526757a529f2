//! Limits that a receiver was promised hold over all replicas: real routers on one Redis.

use std::thread;
use std::time::{Duration, Instant};

use fanfare_receivers::{HttpReceiver, Received, Reply};
use tokio::runtime::Runtime;

use crate::scene::Scene;
use crate::support::{Fanfare, Redis, until};
use crate::verifiers::SECRET;

/// Long enough for a lane that is slow by promise.
const AT_LENGTH: Duration = Duration::from_mins(3);

/// Three replicas on one Redis.
fn three(scene: &Scene) -> Vec<Fanfare> {
    let launch = scene.launch();
    thread::scope(|scope| {
        let starting = [(); 3].map(|()| scope.spawn(|| launch.start()));
        starting.map(|replica| replica.join().expect("a replica")).into()
    })
}

fn lines(count: usize) -> Vec<String> {
    let line = |n| format!(r#"{{"id":"evt_{n:04}","type":"a.b","data":{{}}}}"#);
    (0..count).map(line).collect()
}

/// The most arrivals in any time of this length.
fn most_within(times: &[Instant], length: Duration) -> usize {
    let from = |at: usize| times[at..].partition_point(|time| *time - times[at] < length);
    (0..times.len()).map(from).max().unwrap_or(0)
}

#[test]
fn a_rate_holds_over_three_replicas_and_no_lane_starves() {
    const EVENTS: usize = 90;
    let runtime = Runtime::new().expect("a runtime");
    let receiver = runtime.block_on(HttpReceiver::ok()).expect("a receiver");
    let redis = Redis::start();
    let scene = Scene::on(&redis);
    let destination = |id: &str, rate: &str| {
        let url = receiver.url(&format!("/{id}"));
        format!(
            "[[destination]]\nid = \"{id}\"\nchannel = \"webhook\"\nurl = \"{url}\"\n\
             secret = \"{SECRET}\"\n{rate}\n"
        )
    };
    scene.tenant(
        "acme",
        &format!(
            "{}{}{}[[route]]\nevents = [\"a.b\"]\nto = [\"five\", \"also-five\", \"free\"]\n",
            destination("five", "rate = \"5/s\""),
            destination("also-five", "rate = \"5/s\""),
            destination("free", ""),
        ),
    );
    let _replicas = three(&scene);
    let began = Instant::now();
    // In parts, so that each replica takes some of them in.
    for part in lines(EVENTS).chunks(10) {
        scene.send("acme", part).ok();
    }
    let arrived = |id: &str| {
        let path = format!("/{id}");
        let all = receiver.received().into_iter().filter(|one| one.path == path);
        all.map(|one| one.at).collect::<Vec<_>>()
    };
    let lanes = ["five", "also-five"];
    until(AT_LENGTH, || lanes.iter().all(|id| arrived(id).len() >= EVENTS).then_some(()))
        .expect("everything arrives");
    for id in lanes {
        let times = arrived(id);
        assert_eq!(times.len(), EVENTS, "{id}: each once");
        let most = most_within(&times, Duration::from_secs(10));
        assert!(most <= 55, "{id}: {most} arrivals in 10 s");
        // At 5/s it takes at least 17 s after the burst. A lane that starves takes far longer.
        let took = times[EVENTS - 1] - began;
        assert!(took < Duration::from_mins(1), "{id}: {took:?}");
    }
    // A lane without a rate does not wait for those that have one.
    let free = arrived("free");
    assert_eq!(free.len(), EVENTS);
    assert!(free[EVENTS - 1] < arrived("five")[EVENTS - 1]);
}

/// Answers as Slack does: one message a second to a channel, and a little more after a pause.
fn slack() -> impl Fn(&Received, usize) -> Reply + Send + Sync + 'static {
    const BURST: f64 = 2.0;
    let bucket = std::sync::Mutex::new((BURST, None::<Instant>));
    move |request, _| {
        let mut bucket = bucket.lock().expect("no test fails with it");
        let passed = bucket.1.map_or(0.0, |last| (request.at - last).as_secs_f64());
        *bucket = ((bucket.0 + passed).min(BURST), Some(request.at));
        if bucket.0 < 1.0 {
            let headers = vec![("retry-after".to_owned(), "1".to_owned())];
            return Reply::Full { status: 429, headers, body: "rate_limited".into() };
        }
        bucket.0 -= 1.0;
        Reply::Full { status: 200, headers: Vec::new(), body: "ok".into() }
    }
}

#[test]
fn two_destinations_of_one_slack_channel_keep_its_limit_over_three_replicas() {
    const EVENTS: usize = 8;
    let runtime = Runtime::new().expect("a runtime");
    let receiver = runtime.block_on(HttpReceiver::start(slack())).expect("a stand-in");
    let redis = Redis::start();
    let scene = Scene::on(&redis);
    let url = receiver.url("/services/T000/B000/XXXX");
    let destination = |id: &str| {
        format!("[[destination]]\nid = \"{id}\"\nchannel = \"slack\"\nurl = \"{url}\"\n")
    };
    scene.tenant(
        "acme",
        &format!(
            "{}{}[[route]]\nevents = [\"a.b\"]\nto = [\"alerts\", \"also-alerts\"]\n",
            destination("alerts"),
            destination("also-alerts"),
        ),
    );
    let _replicas = three(&scene);
    for part in lines(EVENTS).chunks(2) {
        scene.send("acme", part).ok();
    }
    let all = || (receiver.received().len() >= 2 * EVENTS).then_some(());
    until(AT_LENGTH, all).expect("everything arrives");
    let deliveries = scene.settled("acme", EVENTS);
    assert_eq!(deliveries.len(), 2 * EVENTS);
    for delivery in deliveries {
        assert_eq!(delivery["state"], "delivered");
        let attempts = delivery["attempts"].as_array().expect("a list");
        assert_eq!(attempts.len(), 1, "never refused: {delivery}");
    }
    assert_eq!(receiver.received().len(), 2 * EVENTS, "no request was refused and repeated");
}
