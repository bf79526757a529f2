//! A stop ends soon, whatever clients do.

use std::time::{Duration, Instant};

use super::{connect, head, key, rest, send, start};
use crate::scene::Scene;

#[test]
fn no_client_delays_a_stop() {
    let scene = Scene::embedded();
    let mut server = start(&scene, "");
    let publisher = key(&scene, &server, &["--role", "publisher", "--tenant", "acme"]);
    let reader = key(&scene, &server, &["--role", "reader", "--tenant", "acme"]);
    let open = |bytes: &[u8]| {
        let stream = connect(server.address());
        assert!(send(&stream, bytes));
        stream
    };
    let silent = open(b"");
    let half_a_head = open(b"GET /healthz HTTP/1.1\r\nx:");
    let idle = open(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n");
    let stalled = open(&head(&publisher, "POST", "/v1/events", 100));
    let waiting = open(&head(&reader, "GET", "/v1/events?wait=60", 0));
    let unread = connect(server.address());
    unread.set_write_timeout(Some(Duration::from_secs(1))).expect("a time");
    // The server stops reading when its answers are not read.
    send(&unread, "GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n".repeat(100_000).as_bytes());
    std::thread::sleep(Duration::from_millis(500));

    let began = Instant::now();
    server.sigterm();
    // The grace time is 25 s.
    let status = server.wait_exit(Duration::from_secs(15));
    assert!(status.success(), "{status}");
    let took = began.elapsed();
    let log = server.stderr();
    assert!(log.contains("stopped; all attempts in flight were recorded"), "{took:?}: {log}");
    assert_eq!(rest(&silent), "");
    assert_eq!(rest(&half_a_head), "");
    assert!(rest(&idle).starts_with("HTTP/1.1 200"));
    let cut = rest(&stalled);
    assert!(cut.starts_with("HTTP/1.1 503") && cut.contains("\"stopping\""), "{cut}");
    let answer = rest(&waiting);
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("next_cursor"), "{answer}");
    drop(unread);
}
