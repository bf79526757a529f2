//! Everything that a Redis may say or do to a running router: it recovers by itself, loses nothing, and
//! tells each change of the store's condition once.

use std::fs;
use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::crash::Counter;
use crate::scene::{SOON, Scene, event};
use crate::support::{Fanfare, PATIENCE, Redis, until};

/// A server, a router on it, and a receiver of what goes through.
struct Line {
    redis: Redis,
    counter: Counter,
    scene: Scene,
    router: Fanfare,
    sent: usize,
}

impl Line {
    fn start(more: &[&str]) -> Self {
        let redis = Redis::start_with(&[&Redis::DURABLE[..], more].concat());
        let counter = Counter::slow(Duration::ZERO);
        let scene = Scene::on(&redis);
        scene.tenant("acme", &counter.table());
        let router = scene.start();
        let mut line = Self { redis, counter, scene, router, sent: 0 };
        line.passes();
        line
    }

    fn next(&self) -> String {
        event(&format!("evt_{}", self.sent), "test.numbered", &json!({}))
    }

    /// Sends events until one was taken, and waits until it and all before it have arrived.
    fn passes(&mut self) {
        let next = self.next();
        let taken = || {
            let answer = self.router.post("/v1/events?tenant=acme", &next);
            assert!([202, 503].contains(&answer.status), "{} {}", answer.status, answer.body);
            (answer.status == 202).then_some(())
        };
        until(SOON, taken).expect("it is taken");
        self.sent += 1;
        self.counter.wait_for(self.sent, SOON);
    }

    /// The next event is refused with this code, and nothing of it is kept.
    fn refuses(&self, code: &str) {
        let refused = || {
            let answer = self.router.post("/v1/events?tenant=acme", &self.next());
            (answer.status == 503 && answer.json()["error"]["code"] == code).then_some(())
        };
        until(PATIENCE, refused).unwrap_or_else(|| panic!("it is not {code}"));
    }

    /// How often each of these stands in the log.
    fn told<const N: usize>(&self, what: [&str; N]) -> [usize; N] {
        let log = self.router.stderr();
        what.map(|what| log.matches(what).count())
    }

    /// Waits until this stands so often in the log.
    fn tells(&self, what: &str, times: usize) {
        let told = || (self.told([what]) == [times]).then_some(());
        until(PATIENCE, told)
            .unwrap_or_else(|| panic!("{what:?} not {times} times:\n{}", self.router.stderr()));
    }
}

const AWAY: &str = "the store cannot be reached";
const BACK: &str = "the store is back";

#[test]
fn a_restart_of_redis_is_one_absence_and_one_return() {
    let mut line = Line::start(&[]);
    for times in 1..=2 {
        line.redis.kill9();
        line.refuses("store_away");
        line.tells(AWAY, times);
        // Everything in the router has tried again and again by then.
        thread::sleep(Duration::from_millis(1_500));
        line.redis.restart();
        line.passes();
        line.tells(BACK, times);
        assert_eq!(line.told([AWAY, BACK]), [times, times], "{}", line.router.stderr());
    }
}

#[test]
fn a_redis_that_still_loads_is_waited_for() {
    // As with a large file: each key takes its time, and meanwhile every command is refused.
    // It looks at its clients once in some thousand commands.
    let mut line = Line::start(&["--key-load-delay", "300"]);
    let mut filler = redis::pipe();
    for n in 0..8_000 {
        filler.cmd("SET").arg(format!("filler:{n}")).arg("x").ignore();
    }
    filler.exec(&mut line.redis.connection()).expect("it takes them");
    line.redis.kill9();
    line.refuses("store_away");
    thread::scope(|scope| {
        let redis = &mut line.redis;
        let port = redis.port();
        let starting = scope.spawn(move || redis.restart());
        let loading = || {
            let client = redis::Client::open(format!("redis://127.0.0.1:{port}/")).ok()?;
            let mut connection = client.get_connection_with_timeout(PATIENCE).ok()?;
            let refused = redis::cmd("DBSIZE").query::<u64>(&mut connection).err()?;
            (refused.code() == Some("LOADING")).then_some(())
        };
        until(PATIENCE, loading).expect("it loads for a while");
        starting.join().expect("it comes back");
    });
    line.passes();
    line.tells(BACK, 1);
    assert_eq!(line.told([AWAY, BACK]), [1, 1], "{}", line.router.stderr());
}

#[test]
fn lost_connections_and_a_lost_group_cost_no_event_and_no_line() {
    let mut line = Line::start(&[]);
    for _ in 0..5 {
        line.redis.ask::<redis::Value>(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
        line.passes();
        line.redis.ask::<i64>(&["XGROUP", "DESTROY", "fanfare:events", "fanfare"]);
        line.passes();
    }
    assert_eq!(line.told([AWAY, BACK]), [0, 0], "{}", line.router.stderr());
    assert_eq!(line.counter.duplicates(), 0);
}

#[test]
fn a_flushed_redis_gets_its_tenants_and_its_group_again() {
    let mut line = Line::start(&[]);
    for _ in 0..2 {
        line.redis.ask::<()>(&["FLUSHALL"]);
        let back = || {
            let tenants: u64 = line.redis.ask(&["HLEN", "fanfare:{dir}:tenants"]);
            (tenants == 1).then_some(())
        };
        until(PATIENCE, back).expect("the folder of tenants is applied again");
        line.passes();
    }
}

#[test]
fn a_redis_without_room_refuses_and_goes_on_when_it_has_some() {
    let mut line = Line::start(&[]);
    line.redis.ask::<()>(&["CONFIG", "SET", "maxmemory", "1"]);
    line.refuses("store_full");
    line.tells("new events are refused until there is room", 1);
    thread::sleep(Duration::from_millis(1_500));
    line.redis.ask::<()>(&["CONFIG", "SET", "maxmemory", "0"]);
    line.passes();
    line.tells("the store has room again", 1);
    assert_eq!(line.told(["until there is room", AWAY]), [1, 0], "{}", line.router.stderr());
}

#[test]
fn a_redis_that_became_a_replica_refuses_until_it_is_a_master_again() {
    let mut line = Line::start(&[]);
    line.redis.ask::<()>(&["REPLICAOF", "127.0.0.1", "1"]);
    line.refuses("store_away");
    line.tells("new events are refused until it can be written", 1);
    thread::sleep(Duration::from_millis(1_500));
    line.redis.ask::<()>(&["REPLICAOF", "NO", "ONE"]);
    line.passes();
    line.tells("the store can be written again", 1);
    assert_eq!(line.told(["until it can be written", AWAY]), [1, 0], "{}", line.router.stderr());
}

#[test]
fn a_redis_that_cannot_write_its_disk_refuses_until_it_can() {
    let mut line = Line::start(&["--save", "3600 1000000"]);
    // No file can take the place of a folder, so the snapshot fails.
    let place = line.redis.dir().join("dump.rdb");
    fs::create_dir_all(place.join("in-the-way")).expect("the server's own folder");
    line.redis.ask::<()>(&["BGSAVE"]);
    line.refuses("store_away");
    line.tells("new events are refused until it can be written", 1);
    thread::sleep(Duration::from_millis(1_500));
    fs::remove_dir_all(&place).expect("our own folder");
    line.redis.ask::<()>(&["BGSAVE"]);
    line.passes();
    line.tells("the store can be written again", 1);
    assert_eq!(line.told(["until it can be written", AWAY]), [1, 0], "{}", line.router.stderr());
    line.scene.run(&["audit"]).ok();
}

#[test]
fn a_server_that_becomes_less_durable_is_reported_and_one_that_has_evicted_fails_the_audit() {
    let line = Line::start(&[]);
    let says = |part: &str| {
        let said = || line.router.stderr().contains(part).then_some(());
        until(SOON, said).unwrap_or_else(|| panic!("not said: {part}"));
    };
    line.redis.ask::<()>(&["CONFIG", "SET", "maxmemory-policy", "allkeys-random"]);
    says("maxmemory-policy allkeys-random");
    line.redis.ask::<()>(&["CONFIG", "SET", "appendonly", "no"]);
    says("a restart");
    line.scene.run(&["audit"]).ok();
    // Of all keys, those that nothing else needs are as good as any other.
    for n in 0..2_000 {
        line.redis.ask::<()>(&["SET", &format!("other:{n}"), &"x".repeat(1_000)]);
    }
    let info: String = line.redis.ask(&["INFO", "memory"]);
    let used = info.lines().find_map(|line| line.strip_prefix("used_memory:")).expect("a fact");
    let used: u64 = used.trim().parse().expect("a number");
    line.redis.ask::<()>(&["CONFIG", "SET", "maxmemory", &(used - 200_000).to_string()]);
    let evicted = || {
        let info: String = line.redis.ask(&["INFO", "stats"]);
        (!info.contains("evicted_keys:0")).then_some(())
    };
    until(PATIENCE, evicted).expect("keys are evicted");
    line.redis.ask::<()>(&["CONFIG", "SET", "maxmemory", "0"]);
    let said = line.scene.run(&["audit"]);
    assert_eq!(said.code, Some(1), "{} {}", said.out, said.err);
    assert!((said.out + &said.err).contains("evicted"));
}
