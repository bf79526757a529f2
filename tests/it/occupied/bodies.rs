//! Bodies that stall, drip, or are many times larger in memory than on the wire.

use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use fanfare_harness::usage::peak_kib;
use serde_json::Value;

use super::{connect, head, key, rest, send, start};
use crate::scene::{SOON, Scene};
use crate::support::{Fanfare, until};

const MIB: usize = 1_024 * 1_024;

/// The status of an answer, and its error's code.
fn refusal(answer: &str) -> (u16, String) {
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body);
    let error: Option<Value> = body.and_then(|body| serde_json::from_str(body).ok());
    let code = error.map(|error| error["error"]["code"].as_str().unwrap_or("").to_owned());
    (status.unwrap_or(0), code.unwrap_or_default())
}

/// Sends the head of an event batch.
fn begin(server: &Fanfare, key: &str, length: usize) -> TcpStream {
    let stream = connect(server.address());
    assert!(send(&stream, &head(key, "POST", "/v1/events", length)));
    stream
}

#[test]
fn a_body_that_stalls_or_drips_is_answered_408() {
    let scene = Scene::embedded();
    let server = start(&scene, "body_timeout = \"2s\"\nmin_body_rate = 1000");
    let publisher = key(&scene, &server, &["--role", "publisher", "--tenant", "acme"]);
    let stalled = begin(&server, &publisher, 100);
    assert!(send(&stalled, b"{\"type\":"));
    let dripping = begin(&server, &publisher, 1_000_000);
    let steady = begin(&server, &publisher, 60_000);
    // 100 bytes a second are too slow, and 20,000 are not.
    let (mut open, mut sent) = (true, 0);
    let cut = until(SOON, || {
        thread::sleep(Duration::from_millis(100));
        open = open && send(&dripping, b"[         ");
        if sent < 60_000 {
            sent += 2_000;
            assert!(send(&steady, &[b' '; 2_000]));
        }
        (!open && sent == 60_000).then_some(())
    });
    assert!(cut.is_some(), "a drip keeps the request open");
    assert_eq!(refusal(&rest(&stalled)), (408, "slow_body".to_owned()));
    assert_eq!(refusal(&rest(&dripping)), (408, "slow_body".to_owned()));
    let mut first = [0; 12];
    std::io::Read::read_exact(&mut &steady, &mut first).expect("an answer");
    assert_eq!(&first, b"HTTP/1.1 422", "an empty body is no event, but it was read to its end");
}

#[test]
fn a_list_of_millions_of_values_stops_at_the_limit_and_takes_little_memory() {
    let scene = Scene::embedded();
    let server = start(&scene, "");
    let publisher = key(&scene, &server, &["--role", "publisher", "--tenant", "acme"]);
    let admin = key(&scene, &server, &["--role", "admin", "--tenant", "acme"]);
    let list = |bytes: usize| format!("[{}1]", "1,".repeat(bytes / 2 - 2));
    let large = list(32 * MIB);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let stream = begin(&server, &publisher, large.len());
                assert!(send(&stream, large.as_bytes()));
                let got = rest_of_one(&stream);
                let (status, code) = refusal(&got);
                // Not all four fit into the tenant's share at once.
                let expected = [(422, "bad_batch"), (429, "no_memory")];
                assert!(expected.contains(&(status, &code)), "{got}");
            });
        }
    });
    let answer = server.post_with(&publisher, "/v1/events", &large);
    assert_eq!((answer.status, &answer.json()["error"]["code"]), (422, &"bad_batch".into()));
    let wrapped = format!("{{\"events\":{}}}", list(MIB));
    let answer = server.post_with(&publisher, "/v1/events", &wrapped);
    assert_eq!((answer.status, &answer.json()["error"]["code"]), (422, &"bad_batch".into()));
    let body = format!("{{\"name\":{}}}", list(7 * MIB));
    let answer = server.post_with(&admin, "/v1/tenants/me/routes", &body);
    assert_eq!((answer.status, &answer.json()["error"]["code"]), (422, &"too_many_values".into()));
    let peak = peak_kib(server.id()).expect("it runs") / 1_024;
    assert!(peak < 300, "{peak} MiB");
}

/// The answer on a connection that stays open after it.
fn rest_of_one(stream: &TcpStream) -> String {
    let mut text = String::new();
    let mut reader = std::io::BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        if std::io::BufRead::read_line(&mut reader, &mut line).unwrap_or(0) == 0 {
            return text;
        }
        if let Some(given) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = given.trim().parse().expect("a number");
        }
        text += &line;
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    std::io::Read::read_exact(&mut reader, &mut body).expect("the body");
    text + &String::from_utf8_lossy(&body)
}

#[test]
fn one_tenant_cannot_take_the_memory_for_the_bodies_of_others() {
    let scene = Scene::embedded();
    // Half of it, 40 MiB, is one tenant's.
    let server =
        start(&scene, "body_memory_bytes = 83886080\nmin_body_rate = 0\nbody_timeout = \"60s\"");
    let acme = key(&scene, &server, &["--role", "publisher", "--tenant", "acme"]);
    let globex = key(&scene, &server, &["--role", "publisher", "--tenant", "globex"]);
    let first = begin(&server, &acme, 30 * MIB);
    assert!(send(&first, &vec![b' '; 29 * MIB]));
    let second = begin(&server, &acme, 30 * MIB);
    assert!(send(&second, &vec![b' '; 29 * MIB]), "the rest is discarded");
    assert_eq!(refusal(&rest(&second)), (429, "no_memory".to_owned()));
    let other = begin(&server, &globex, 20 * MIB);
    assert!(send(&other, &vec![b' '; 20 * MIB]));
    let too_large = (413, "too_large".to_owned());
    assert_eq!(refusal(&rest_of_one(&other)), too_large, "read to its end, and no event");
    // What is answered or given up is free again.
    drop(first);
    let free = until(SOON, || {
        let again = begin(&server, &acme, 30 * MIB);
        let whole = send(&again, &vec![b' '; 30 * MIB]);
        (whole && refusal(&rest_of_one(&again)) == too_large).then_some(())
    });
    assert!(free.is_some(), "the memory is not free again");
}

#[test]
fn a_client_that_is_refused_while_it_sends_reads_the_answer() {
    let scene = Scene::embedded();
    let server = start(&scene, "");
    let publisher = key(&scene, &server, &["--role", "publisher", "--tenant", "acme"]);
    for (key, length, expected) in [
        ("sk_live_wrong", 20 * MIB, (401, "wrong_key")),
        (publisher.as_str(), 40 * MIB, (413, "bad_body")),
    ] {
        let stream = begin(&server, key, length);
        assert!(send(&stream, &vec![b' '; length]), "{expected:?}");
        let (status, code) = refusal(&rest(&stream));
        assert_eq!((status, code.as_str()), expected);
    }
}

#[test]
fn a_preview_takes_at_most_512_kib() {
    let scene = Scene::embedded();
    let server = start(&scene, "");
    let reader = key(&scene, &server, &["--role", "reader", "--tenant", "acme"]);
    let path = "/v1/tenants/me/templates/preview";
    let body = |bytes: usize| {
        format!(
            "{{\"type\":\"kyc.session.created\",\"templates\":{{\"text\":\"{}\"}}}}",
            "x".repeat(bytes)
        )
    };
    let answer = server.post_with(&reader, path, &body(600 * 1_024));
    assert_eq!((answer.status, &answer.json()["error"]["code"]), (413, &"bad_body".into()));
    assert_ne!(server.post_with(&reader, path, &body(1_024)).status, 413);
}
