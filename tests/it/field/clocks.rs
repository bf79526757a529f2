//! No other machine's clock is trusted: the ids of stream entries come from Redis's clock or from a
//! producer, and may lie in the future.

use std::time::{Duration, Instant};

use crate::crash::Counter;
use crate::scene::{Scene, numbered};
use crate::support::{Redis, request};

/// How far the ids are ahead, in seconds. Much longer than a delivery takes on a busy machine.
const AHEAD_S: [u64; 2] = [60, 300];
const AT_ONCE: Duration = Duration::from_secs(30);

/// Case w3: each kind of lane that keeps its deliveries in a queue.
#[test]
fn an_entry_that_is_ahead_waits_in_no_lane() {
    let redis = Redis::start();
    let (ordered, direct, paused) = receivers();
    let scene = Scene::on(&redis);
    let destination = |id: &str, counter: &Counter, more: &str| {
        format!(
            "[[destination]]\nid = \"{id}\"\nchannel = \"webhook\"\nurl = \"{}\"\nsecret = \"{}\"\n\
             {more}\n",
            counter.url(),
            crate::verifiers::SECRET
        )
    };
    let table = [
        destination("ordered", &ordered, "fifo = true"),
        destination("direct", &direct, ""),
        destination("paused", &paused, ""),
        "[[route]]\nevents = [\"test.**\"]\nto = [\"ordered\", \"direct\", \"paused\"]\n"
            .to_owned(),
    ];
    scene.tenant("acme", &table.concat());
    let router = scene.start();
    let act = |action: &str| {
        let path = format!("/v1/tenants/acme/destinations/paused/{action}");
        let headers = [("content-type", "application/json")];
        let answer = request(router.address(), "POST", &path, &headers, b"{}");
        assert_eq!(answer.expect("it answers").status, 200);
    };
    act("pause");
    let now: (u64, u64) = redis.ask(&["TIME"]);
    let began = Instant::now();
    for (event, ahead_s) in numbered(2).iter().zip(AHEAD_S) {
        let id = format!("{}-0", (now.0 + ahead_s) * 1_000);
        let add = ["XADD", "fanfare:events", &id, "tenant", "acme", "event", event];
        redis.ask::<String>(&add);
    }
    ordered.wait_for(2, AT_ONCE);
    direct.wait_for(2, AT_ONCE);
    assert_eq!(paused.distinct(), 0);
    act("resume");
    paused.wait_for(2, AT_ONCE);
    assert!(began.elapsed() < Duration::from_secs(AHEAD_S[0]), "{:?}", began.elapsed());
    scene.settled("acme", 2);
}

fn receivers() -> (Counter, Counter, Counter) {
    let start = || Counter::slow(Duration::ZERO);
    (start(), start(), start())
}
