//! What the harness starts is really its own, survives what it should, and never outlives it.

use std::env;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use redis::Commands as _;
use tempfile::TempDir;

use fanfare_harness::{Fanfare, PATIENCE, Redis, until};

#[test]
fn a_durable_redis_keeps_what_it_answered_across_kill_9() {
    let mut redis = Redis::start_durable();
    let (port, mut connection) = (redis.port(), redis.connection());
    for number in 0..100 {
        let _: String = connection.xadd("s", "*", &[("n", number)]).expect("an answer");
    }
    redis.kill9();
    assert!(redis::Client::open(redis.url()).expect("a URL").get_connection().is_err());
    redis.restart();
    assert_eq!(redis.port(), port);
    assert_eq!(redis.connection().xlen("s"), Ok(100));

    let _: () = redis.connection().set("k", "v").expect("an answer");
    redis.shutdown();
    redis.restart();
    assert_eq!(redis.connection().get("k"), Ok("v".to_owned()));
}

#[test]
fn a_plain_redis_forgets_and_takes_its_options() {
    let mut redis = Redis::start_with(&["--maxmemory", "10mb"]);
    let _: () = redis.connection().set("k", "v").expect("an answer");
    let limit: Vec<String> = redis::cmd("CONFIG")
        .arg(&["GET", "maxmemory"])
        .query(&mut redis.connection())
        .expect("an answer");
    assert_eq!(limit, ["maxmemory", "10485760"]);
    redis.kill9();
    redis.restart();
    assert_eq!(redis.connection().get("k"), Ok(None::<String>));
}

#[test]
fn many_redis_servers_started_at_once_each_get_their_own() {
    let servers: Vec<Redis> = std::thread::scope(|scope| {
        let starting: Vec<_> = (0..4).map(|_| scope.spawn(Redis::start)).collect();
        starting.into_iter().map(|server| server.join().expect("a server")).collect()
    });
    for (number, server) in servers.iter().enumerate() {
        let _: () = server.connection().set("me", number).expect("an answer");
    }
    // The threads that started them are gone; the servers are not.
    for (number, server) in servers.iter().enumerate() {
        assert_eq!(server.connection().get("me"), Ok(number));
    }
}

/// What the next test does when it runs in the process that is to be killed.
fn start_a_server_and_never_end() -> ! {
    let redis = Redis::start();
    let id: String = redis::cmd("INFO").arg("server").query(&mut redis.connection()).expect("info");
    let id =
        id.lines().find_map(|line| line.strip_prefix("process_id:")).expect("an id").to_owned();
    println!("\nstarted {id}");
    loop {
        std::thread::park();
    }
}

#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "asks /proc, and needs util-linux")]
fn nothing_outlives_a_test_process_that_is_killed() {
    const VICTIM: &str = "FANFARE_TEST_VICTIM";
    if env::var_os(VICTIM).is_some() {
        start_a_server_and_never_end();
    }
    let this = env::current_exe().expect("the test binary");
    let mut test = Command::new(this)
        .args(["--exact", "nothing_outlives_a_test_process_that_is_killed"])
        .arg("--nocapture")
        .env(VICTIM, "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the test binary runs");
    let lines = BufReader::new(test.stdout.take().expect("a pipe")).lines();
    let id = lines
        .map_while(Result::ok)
        .find_map(|line| line.strip_prefix("started ").map(str::to_owned))
        .expect("it tells the server's id");
    let server = PathBuf::from("/proc").join(&id);
    let is_redis = || fs::read(server.join("cmdline")).is_ok_and(|line| !line.is_empty());
    assert!(is_redis(), "{id} should run");

    test.kill().expect("our own child");
    test.wait().expect("our own child");
    until(PATIENCE, || (!is_redis()).then_some(())).expect("the server ends with the test");
}

#[test]
fn a_router_that_refuses_to_start_is_reported_with_what_it_said() {
    let store = TempDir::new().expect("a temporary folder");
    let launch = Fanfare::serve(store.path(), Path::new("no-such-folder"));
    let launch = launch.arg("--no-such-option").within(Duration::from_secs(20));
    let reason = launch.refused();
    assert!(reason.contains("it ended: exit status: 2"), "{reason}");
    assert!(reason.contains("--no-such-option"), "{reason}");
}
