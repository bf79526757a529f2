//! The programs in `examples/`, run as their comments say, against the real binary.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::mpsc;

use crate::scene::{SOON, Scene, hooks_at};
use crate::support::{Process, command};
use crate::verifiers::SECRET;

/// An example, which Cargo builds together with the tests.
fn example(name: &str) -> std::process::Command {
    let fanfare = Path::new(env!("CARGO_BIN_EXE_fanfare"));
    let path: PathBuf = fanfare.with_file_name("examples").join(name);
    assert!(path.exists(), "{} is missing: run `cargo build --examples`", path.display());
    let mut command = command(&path);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    command
}

/// Starts an example; its lines come as it prints them.
fn start(mut command: std::process::Command) -> (Process, mpsc::Receiver<String>) {
    command.env_remove("FANFARE_KEY");
    let mut process = Process::spawn(command);
    let out = process.child().stdout.take().expect("standard output is a pipe");
    let (sender, lines) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(out).lines().map_while(Result::ok) {
            let _ = sender.send(line);
        }
    });
    (process, lines)
}

fn receiver(secret: &str) -> (Process, mpsc::Receiver<String>, String) {
    let mut receiver = example("receiver");
    receiver.env("WEBHOOK_SECRET", secret).env("RECEIVER_LISTEN", "127.0.0.1:0");
    let (process, lines) = start(receiver);
    let line = lines.recv_timeout(SOON).expect("the receiver says where it listens");
    let url = line.strip_prefix("listening on ").expect("its address").to_owned();
    (process, lines, url)
}

#[test]
fn what_the_example_producer_sends_arrives_verified_at_the_example_receiver() {
    let (_receiver, received, url) = receiver(SECRET);
    let scene = Scene::embedded();
    scene.tenant("acme", &hooks_at(&url));
    let router = scene.start();

    let mut producer = example("producer");
    producer.env("FANFARE_SERVER", router.url("")).env("FANFARE_TENANT", "acme");
    let (mut producer, sent) = start(producer);
    for kind in ["created", "processed"] {
        let line = sent.recv_timeout(SOON).expect("a line for each event");
        assert!(line.starts_with("accepted: ") && line.contains(kind), "{line}");
    }
    assert!(producer.wait_exit(SOON).is_some_and(|status| status.success()));

    // Attempts run at the same time, so the order is open.
    let mut arrived = [(); 2].map(|()| received.recv_timeout(SOON).expect("both events arrive"));
    arrived.sort_unstable();
    for (line, kind) in arrived.iter().zip(["created", "processed"]) {
        let starts = line.starts_with("verified: evt_ses_");
        assert!(starts && line.contains(&format!(" kyc.session.{kind} ")), "{line}");
    }
    let deliveries = scene.settled("acme", 2);
    assert!(deliveries.iter().all(|one| one["state"] == "delivered"), "{deliveries:#?}");
}

#[test]
fn the_example_receiver_refuses_what_another_secret_signed() {
    let (_receiver, received, url) = receiver("whsec_ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=");
    let scene = Scene::embedded();
    scene.tenant("acme", &hooks_at(&url));
    let router = scene.start();
    let event = r#"{"id":"evt_1","type":"test.one","data":{}}"#;
    assert_eq!(router.post("/v1/events?tenant=acme", event).status, 202);

    let refused = crate::support::until(SOON, || {
        let waiting = scene.deliveries("acme");
        let code = waiting.first()?.to_string();
        code.contains("http_401").then_some(code)
    });
    assert!(refused.is_some(), "{:#?}", scene.deliveries("acme"));
    assert!(received.try_recv().is_err(), "nothing was printed as verified");
}
