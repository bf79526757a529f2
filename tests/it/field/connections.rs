//! Connections that end: what was sent is in the ledger, and a connection that died while it was
//! kept open costs no delivery its time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::{RawReceiver, answer, read_request, table};
use crate::scene::{SOON, Scene, event};
use crate::support::until;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// Case w5: the receiver reads each request and closes the connection.
#[test]
fn what_is_sent_is_in_the_ledger_and_a_new_connection_is_not_tried_twice() {
    for (retry, requests) in [(r#"["1s"]"#, 2), ("[]", 1)] {
        let read = Arc::new(AtomicUsize::new(0));
        let count = read.clone();
        let receiver = RawReceiver::start(move |mut stream, _| {
            if read_request(&mut stream) {
                count.fetch_add(1, Ordering::SeqCst);
            }
        });
        let scene = Scene::embedded();
        scene.tenant("acme", &table(&receiver.url(), retry, ""));
        let _router = scene.start();
        scene.send("acme", &[event("evt_1", "test.one", &json!({}))]).ok();
        let deliveries = until(SOON, || {
            let found = scene.deliveries("acme").into_iter().next()?;
            (found["state"] == "dead").then_some(found)
        });
        let delivery = deliveries.expect("it is dead");
        let attempts = delivery["attempts"].as_array().expect("a list");
        assert_eq!(attempts.len(), requests, "{delivery:#}");
        assert!(attempts.iter().all(|one| one["resent"].is_null()), "{delivery:#}");
        assert_eq!(read.load(Ordering::SeqCst), requests);
    }
}

/// Case w6: 13 connections were kept open, and each of them resets on the next byte.
#[test]
fn a_pool_full_of_dead_connections_delays_no_delivery() {
    const KEPT: usize = 13;
    // Connections with a lower number are dead.
    let dead_below = Arc::new(AtomicUsize::new(0));
    let below = dead_below.clone();
    let receiver = RawReceiver::start(move |mut stream, nth| {
        loop {
            let is_over = stream.peek(&mut [0]).map_or(true, |count| count == 0);
            // Closing with unread bytes is a reset.
            if is_over || nth < below.load(Ordering::SeqCst) || !read_request(&mut stream) {
                return;
            }
            // Slow enough for the next request to need a connection of its own.
            thread::sleep(Duration::from_millis(100));
            answer(&mut stream, OK);
        }
    });
    let scene = Scene::embedded();
    scene.tenant("acme", &table(&receiver.url(), r#"["1h"]"#, ""));
    let _router = scene.start();
    let events = |from: usize, to: usize| -> Vec<String> {
        (from..to).map(|n| event(&format!("evt_{n}"), "test.one", &json!({}))).collect()
    };
    // A new destination begins with 8 places and gets more while they are used.
    let mut sent = 0;
    while receiver.connections() < KEPT {
        assert!(sent < 400, "{} connections", receiver.connections());
        scene.send("acme", &events(sent, sent + 40)).ok();
        sent += 40;
        scene.settled("acme", sent);
    }
    dead_below.store(receiver.connections(), Ordering::SeqCst);
    scene.send("acme", &events(sent, sent + 12)).ok();
    let deliveries = scene.settled("acme", sent + 12);
    let late: Vec<&Value> = deliveries.iter().filter(|one| one["state"] != "delivered").collect();
    assert!(late.is_empty(), "{late:#?}");
    let attempts = deliveries.iter().flat_map(|one| one["attempts"].as_array().expect("a list"));
    let (resent, last): (Vec<_>, Vec<_>) =
        attempts.partition(|attempt| attempt["resent"] == json!(true));
    assert!(!resent.is_empty(), "the ledger has the requests on dead connections");
    assert!(resent.iter().all(|attempt| attempt["code"] == "connection_reset"), "{resent:#?}");
    assert!(last.iter().all(|attempt| attempt["number"] == 1), "{last:#?}");
}
