//! Connections that send nothing, heads that do not end, answers that are not read, and too many of
//! all of them.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use fanfare_harness::usage::{cpu_s, peak_kib};
use serde_json::json;

use super::{
    all_closed, connect, head, is_closed, key, many_descriptors, metric, rest, send, start,
};
use crate::scene::{SOON, Scene, event};
use crate::support::{command, request, until};

/// `sh` arguments that limit file descriptors, hard and soft, and then become the router.
fn with_descriptors(limit: &str) -> [String; 3] {
    ["sh".into(), "-c".into(), format!("ulimit -n {limit} && exec \"$0\" \"$@\"")]
}

#[test]
fn silent_connections_are_closed_and_others_are_served_meanwhile() {
    many_descriptors();
    let scene = Scene::embedded();
    scene.settings("[http]\nheader_timeout = \"4s\"");
    scene.tenant("acme", "");
    let server = scene.launch().for_customers().behind(&with_descriptors("1024")).start();
    let publisher = key(&scene, &server, &["--role", "publisher", "--tenant", "acme"]);
    let log = server.stderr();
    assert!(log.contains("480 connections instead of the 4096"), "{log}");

    let silent: Vec<_> = (0..1_100).map(|_| connect(server.address())).collect();
    for n in 0..20 {
        let began = Instant::now();
        assert_eq!(server.get("/healthz").status, 200);
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        // A producer gets the place of a connection that has been silent for a second.
        let sent = until(SOON, || {
            let body = event(&format!("evt_{n}"), "k.x", &json!({}));
            let answer = server.post_with(&publisher, "/v1/events", &body);
            (answer.status == 202).then_some(())
        });
        assert!(sent.is_some(), "the producer is not served");
    }
    all_closed(&silent);
    let again = || server.stderr().contains("there is room for new connections").then_some(());
    until(SOON, again).expect("the log says that it is over");
    let warnings = server.stderr().matches("http.max_connections are in use").count();
    assert_eq!(warnings, 1, "warnings for 1,100 connections");
}

#[test]
fn a_head_that_does_not_end_is_cut_off_by_size_and_by_time() {
    many_descriptors();
    let scene = Scene::embedded();
    let server = start(&scene, "header_timeout = \"2s\"");
    let before = peak_kib(server.id()).expect("it runs");
    let huge = [b"GET /healthz HTTP/1.1\r\nx-filler: ".as_slice(), &vec![b'a'; 380_000]].concat();
    let streams: Vec<_> = (0..400).map(|_| connect(server.address())).collect();
    for stream in &streams {
        // The server closes the connection long before the end.
        send(stream, &huge);
    }
    let refused = streams.iter().filter(|stream| rest(stream).starts_with("HTTP/1.1 431")).count();
    let grown = (peak_kib(server.id()).expect("it runs") - before) / 1_024;
    assert!(grown < 100, "400 heads took {grown} MiB");
    // The others were reset before they had read the answer.
    assert!(refused <= 400);

    let slow: Vec<_> = (0..100).map(|_| connect(server.address())).collect();
    let sent = until(SOON, || {
        thread::sleep(Duration::from_millis(100));
        slow.iter().filter(|stream| send(stream, b"G")).count().eq(&0).then_some(())
    });
    assert!(sent.is_some(), "a byte now and then keeps a connection open");
    assert_eq!(server.get("/healthz").status, 200);
}

#[test]
fn an_idle_connection_is_reused_and_closed_after_its_time() {
    let scene = Scene::embedded();
    let server = start(&scene, "idle_timeout = \"2s\"\nheader_timeout = \"1s\"");
    let stream = connect(server.address());
    let get = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n";
    for _ in 0..3 {
        // Pipelined requests are answered in order.
        assert!(send(&stream, &get.repeat(4)));
        thread::sleep(Duration::from_millis(300));
    }
    let answers = rest(&stream);
    assert_eq!(answers.matches("HTTP/1.1 200").count(), 12, "{answers}");
}

#[test]
fn one_address_cannot_take_all_connections() {
    let scene = Scene::embedded();
    scene.settings("[http]\nmax_connections_per_address = 20\nheader_timeout = \"5m\"");
    let server = scene.start();
    let mut streams: Vec<_> = (0..50).map(|_| connect(server.address())).collect();
    let closed = || streams.iter().filter(|stream| is_closed(stream)).count();
    // The connection of a check at the start may still count.
    until(SOON, || (closed() >= 30).then_some(()))
        .unwrap_or_else(|| panic!("only {} of 50 are closed", closed()));
    assert!(closed() <= 32, "the first ones stay: {} of 50 are closed", closed());
    streams.clear();
    let free = || request(server.address(), "GET", "/healthz", &[], b"").ok();
    until(SOON, free).expect("its places are free again");
    let refused = "fanfare_http_connections_refused_total{reason=\"address_limit\"}";
    assert!(metric(&server, refused) >= 30.0);
    assert!(metric(&server, "fanfare_http_connections_open") < 20.0);
    assert_eq!(server.stderr().matches("max_connections_per_address").count(), 1);
    drop(server);

    // All clients of a proxy have the proxy's address.
    let server = start(&scene, "max_connections_per_address = 20\nbehind_proxy = true");
    let streams: Vec<_> = (0..50).map(|_| connect(server.address())).collect();
    assert_eq!(server.get("/healthz").status, 200);
    assert!(!streams.iter().any(is_closed));
}

#[test]
fn health_checks_and_operators_have_a_reserve_when_every_connection_has_a_request() {
    let scene = Scene::embedded();
    let server = start(&scene, "max_connections = 16\nreserved_connections = 4");
    let reader = key(&scene, &server, &["--role", "reader", "--tenant", "acme"]);
    let operator = key(&scene, &server, &["--role", "operator"]);
    let waiting: Vec<_> = (0..16)
        .map(|_| {
            let stream = connect(server.address());
            assert!(send(&stream, &head(&reader, "GET", "/v1/events?wait=60", 0)));
            stream
        })
        .collect();
    let refused = until(SOON, || {
        let answer = server.get_with(&reader, "/v1/tenants/me");
        (answer.status == 503).then_some(answer)
    });
    let refused = refused.expect("all connections are in use");
    assert_eq!(refused.json()["error"]["code"], "no_connections");
    assert_eq!(refused.header("retry-after"), Some("1"));
    let stream = connect(server.address());
    assert!(send(&stream, &head(&reader, "GET", "/v1/tenants/me", 0)));
    assert!(rest(&stream).contains("connection: close"));
    for path in ["/healthz", "/readyz"] {
        assert_eq!(server.get(path).status, 200, "{path}");
    }
    assert_eq!(server.get("/metrics").status, 401, "its own rule still holds");
    assert_eq!(server.get_with(&operator, "/v1/tenants").status, 200);
    // Silent connections do not take the reserve.
    let silent: Vec<_> = (0..20).map(|_| connect(server.address())).collect();
    assert_eq!(server.get("/healthz").status, 200);
    assert_eq!(server.get_with(&operator, "/v1/tenants").status, 200);
    drop((waiting, silent));
    let served = || (server.get_with(&reader, "/v1/tenants/me").status == 200).then_some(());
    until(SOON, served).expect("there is room again");
}

#[test]
fn an_answer_that_is_not_read_is_cut_off() {
    let scene = Scene::embedded();
    scene.settings("[http]\nbody_timeout = \"1s\"");
    let server = scene.start();
    let stream = connect(server.address());
    // More than the buffers of the system hold.
    let get = "GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nhost: localhost\r\n\r\n";
    assert!(send(&stream, get.repeat(50).as_bytes()));
    let counter = "fanfare_http_connections_refused_total{reason=\"answer_timeout\"}";
    until(SOON, || (metric(&server, counter) > 0.0).then_some(())).expect("it is cut off");
    let answers = rest(&stream);
    assert!(answers.matches("HTTP/1.1 200").count() < 50, "not all of it was sent");
}

#[test]
fn a_server_without_file_descriptors_still_serves_and_does_not_spin() {
    let scene = Scene::embedded();
    let server = start(&scene, "");
    let open = fs::read_dir(format!("/proc/{}/fd", server.id())).expect("it runs").count();
    let limit = format!("--nofile={}", open + 4);
    let mut lower = command(Path::new("prlimit"));
    lower.args(["--pid", &server.id().to_string(), &limit]);
    assert!(lower.status().expect("prlimit is a part of util-linux").success());
    let streams: Vec<_> = (0..40).map(|_| connect(server.address())).collect();
    assert_eq!(server.get("/healthz").status, 200, "a silent connection made room");
    let full: Vec<_> = (0..40).map(|_| connect(server.address())).collect();
    let before = cpu_s(server.id()).expect("it runs");
    thread::sleep(Duration::from_secs(1));
    let used = cpu_s(server.id()).expect("it runs") - before;
    assert!(used < 0.5, "{used} s of processor time in a second");
    let lines = server.stderr().matches("the system refuses new connections").count();
    assert_eq!(lines, 1, "one line for many refusals");
    drop((streams, full));
    let served = || (server.get("/healthz").status == 200).then_some(());
    until(SOON, served).expect("it goes on");
}

#[test]
fn a_limit_on_file_descriptors_is_raised_or_refused_at_start() {
    let scene = Scene::embedded();
    let soft = ["sh", "-c", "ulimit -S -n 300 && exec \"$0\" \"$@\""];
    let server = scene.launch().behind(&soft).start();
    assert!(metric(&server, "process_max_fds") > 300.0, "up to the hard limit");
    assert!(!server.stderr().contains("http.max_connections"), "{}", server.stderr());
    drop(server);
    let refused = scene.launch().behind(&with_descriptors("90")).refused();
    assert!(refused.contains("only 90 file descriptors"), "{refused}");
    assert!(refused.contains("at least 96"), "{refused}");
}
