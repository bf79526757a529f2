//! Stores that are down, in use, read-only or full: each is reported, and no accepted event is lost.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::json;

use super::receiver;
use crate::scene::{SOON, Said, Scene, event, hooks_at, numbered};
use crate::support::{Fanfare, Hook, PATIENCE, Peer, Redis, command, programs, until};
use crate::verifiers::SECRET;

#[test]
fn a_redis_that_is_down_at_the_start_is_reported_at_once() {
    let mut redis = Redis::start();
    redis.kill9();
    let scene = Scene::on(&redis);
    for command in [&["serve", "--listen", "127.0.0.1:0"][..], &["events", "--tenant", "acme"]] {
        let asked = Instant::now();
        let error = scene.run(command).refused(3);
        assert!(asked.elapsed() < Duration::from_secs(15), "{:?}", asked.elapsed());
        let last = error.lines().last().unwrap_or_default();
        let server = format!("127.0.0.1:{}", redis.port());
        assert!(last.contains("the store cannot be reached") && last.contains(&server), "{error}");
    }
}

#[test]
fn a_redis_that_goes_down_and_comes_back_loses_no_event() {
    let mut redis = Redis::start_durable();
    let hooks = Peer::start("http_receiver.mjs", &["--secret", SECRET, "--delay", "50"]);
    let scene = Scene::on(&redis);
    scene.tenant("acme", &hooks_at(&hooks.url("/")));
    let router = scene.start();
    let events = numbered(301);
    scene.send("acme", &events[..300]).ok();
    hooks.wait_for::<Hook>(20, SOON);

    redis.kill9();
    let answer = router.get("/readyz");
    assert_eq!((answer.status, &answer.json()["error"]["code"]), (503, &json!("store_away")));
    let answer = router.post("/v1/events?tenant=acme", &events[300]);
    assert_eq!(answer.status, 503, "{}", answer.body);
    assert_eq!(answer.json()["error"]["code"], "store_away");
    assert!(
        answer.body.contains("nothing was accepted, send the request again"),
        "{}",
        answer.body
    );
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert_eq!(router.get("/healthz").status, 200);

    redis.restart();
    let ready = until(PATIENCE, || (router.get("/readyz").status == 200).then_some(()));
    ready.expect("it is ready again by itself");
    // As a producer does: an event answered with 503 was not accepted, and is sent again. A
    // connection that broke meanwhile may fail only when it is used.
    let sent = || match router.post("/v1/events?tenant=acme", &events[300]).status {
        202 => Some(()),
        503 => None,
        other => panic!("answered {other}"),
    };
    until(PATIENCE, sent).expect("it is accepted again");
    let deliveries = scene.settled("acme", events.len());
    assert_eq!(deliveries.len(), events.len());
    assert!(deliveries.iter().all(|delivery| delivery["state"] == "delivered"));
}

#[test]
fn a_folder_that_another_router_serves_is_refused_with_its_process_id() {
    let scene = Scene::embedded();
    let router = scene.start();
    let reason = scene.launch().refused();
    assert!(reason.contains("exit status: 3"), "{reason}");
    let holder = format!("already served by process {}", router.id());
    assert!(reason.contains(&holder) && reason.contains("--store"), "{reason}");
    // Other commands may use the folder.
    scene.run(&["events", "--rejected"]).ok();
}

/// A command in its own namespace, in which `folder` is a small file system that ends with the
/// process. Needs root or user namespaces.
fn mounted(folder: &Path, options: &str) -> Vec<String> {
    fs::create_dir_all(folder).expect("the scene's own folder");
    let unshare: &[&str] = if fs::metadata(folder).expect("just made").uid() == 0 {
        &["unshare", "--mount"]
    } else {
        &["unshare", "--user", "--map-root-user", "--mount"]
    };
    let script = "mount -t tmpfs -o \"$1\" fanfare-test \"$2\" && shift 2 && exec \"$@\"";
    let folder = folder.display().to_string();
    let rest = ["sh", "-c", script, "sh", options, &folder];
    unshare.iter().chain(&rest).map(|part| (*part).to_owned()).collect()
}

#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "mounts a file system of its own")]
fn a_read_only_folder_is_reported_with_what_is_needed() {
    let scene = Scene::embedded();
    let disk = scene.path("disk");
    let wrapper = mounted(&disk, "ro");
    let mut serve = command(&PathBuf::from(&wrapper[0]));
    serve.args(&wrapper[1..]).arg(programs::fanfare().expect("the binary"));
    serve.args(["serve", "--listen", "127.0.0.1:0", "--store"]).arg(disk.join("store"));
    serve.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = crate::support::Process::spawn(serve).output();
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    let error = Said { code: output.status.code(), out: String::new(), err }.refused(3);
    assert!(error.contains("the store cannot be written"), "{error}");
    assert!(error.contains("Fanfare needs to write there"), "{error}");
}

#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "mounts a file system of its own")]
fn a_full_disk_refuses_new_events_and_loses_no_accepted_one() {
    let hooks = receiver();
    let scene = Scene::embedded();
    scene.tenant("acme", &hooks_at(&hooks.url("/")));
    let disk = scene.path("disk");
    let launch = Fanfare::serve(disk.join("store"), &scene.tenants());
    let router = launch.behind(&mounted(&disk, "size=12m")).start();
    // The disk as the router sees it.
    let seen = |name: &str| {
        PathBuf::from(format!("/proc/{}/root", router.id()))
            .join(disk.join(name).strip_prefix("/").expect("an absolute path"))
    };
    fs::write(seen("ballast"), vec![1; 6 << 20]).expect("room for it");

    let large =
        |n: usize| event(&format!("evt_{n}"), "test.large", &json!({ "x": "x".repeat(200_000) }));
    let mut taken = 0;
    let refusal = loop {
        let answer = router.post("/v1/events?tenant=acme", &large(taken));
        if answer.status != 202 {
            break answer;
        }
        taken += 1;
        assert!(taken < 200, "the disk is never full");
    };
    assert_eq!(refusal.status, 503, "{}", refusal.body);
    assert_eq!(refusal.json()["error"]["code"], "store_full", "{}", refusal.body);
    assert!(refusal.body.contains("nothing was accepted"), "{}", refusal.body);
    assert!(taken > 5, "{taken} were taken");
    // Deliveries continue: room is kept for them.
    hooks.wait_for::<Hook>(taken, SOON);
    let log = router.stderr();
    assert_eq!(log.matches("new events are refused until there is room").count(), 1, "{log}");
    assert_eq!(router.get("/healthz").status, 200);

    fs::remove_file(seen("ballast")).expect("our own file");
    let again = until(PATIENCE, || {
        (router.post("/v1/events?tenant=acme", &large(taken)).status == 202).then_some(())
    });
    again.expect("with room again, it accepts events again");
    let came = hooks.wait_for::<Hook>(taken + 1, SOON);
    let ids: std::collections::BTreeSet<_> =
        came.iter().map(|h| &h.headers["webhook-id"]).collect();
    assert_eq!(ids.len(), taken + 1, "all accepted events, and no refused one");
    assert_eq!(came.len(), taken + 1, "each once");
    assert_eq!(router.stderr().matches("the store has room again").count(), 1);
}
