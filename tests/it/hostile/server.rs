//! Connections, bodies and floods.

use std::io::Write as _;
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use super::beside::Beside;
use crate::scene::event;

/// How long an attack with many connections lasts.
const A_WHILE: Duration = Duration::from_secs(3);

/// Input 8. The attackers come from other addresses than the healthy tenant.
pub(super) fn connections_that_say_nothing(beside: &Beside) {
    let open = |count: usize, begin: &dyn Fn(&mut TcpStream)| -> Vec<TcpStream> {
        let connect = |n: usize| {
            let from = u8::try_from(n % 8).expect("small") + 2;
            let mut stream = beside.as_("reader").from(from).connect().ok()?;
            begin(&mut stream);
            Some(stream)
        };
        (0..count).filter_map(connect).collect()
    };
    let silent = open(1_100, &|_| ());
    let large = "x-filler: ".to_owned() + &"a".repeat(1_000) + "\r\n";
    let unfinished = open(400, &|stream| {
        let _ = stream.write_all(b"GET /v1/events HTTP/1.1\r\nhost: x\r\n");
        let _ = stream.set_nonblocking(true);
        for _ in 0..380 {
            let _ = stream.write_all(large.as_bytes());
        }
    });
    let mut slow = open(100, &|stream| {
        let _ = stream.write_all(b"GET /v1/events HTTP/1.1\r\n");
        let _ = stream.set_nonblocking(true);
    });
    let began = Instant::now();
    while began.elapsed() < A_WHILE {
        for stream in &mut slow {
            let _ = stream.write_all(b"x");
        }
        thread::sleep(Duration::from_millis(200));
    }
    drop((silent, unfinished, slow));
}

/// Input 9: the head of a request whose body never comes.
pub(super) fn stalled_bodies(beside: &Beside, count: usize) -> Vec<TcpStream> {
    let stall = |_| {
        let client = beside.as_("publisher").from(9);
        let mut stream = client.connect().expect("a connection");
        let head = client.head("POST", "/v1/events", &[], 10_000, "keep-alive");
        stream.write_all(head.as_bytes()).expect("the head");
        stream.write_all(b"{\"id\": ").expect("a part of the body");
        stream
    };
    (0..count).map(stall).collect()
}

/// Input 12. Most of it is refused by a quota.
pub(super) fn a_flood_of_batches(beside: &Beside) {
    let batch = |sender: usize, n: usize| -> String {
        let one =
            |at: usize| event(&format!("evt_{sender}_{n}_{at}"), "flood.made", &json!({"n": at}));
        format!("[{}]", (0..1_000).map(one).collect::<Vec<_>>().join(","))
    };
    let began = Instant::now();
    let (mut taken, mut refused) = (0, 0);
    thread::scope(|scope| {
        let senders: Vec<_> = (0..8)
            .map(|sender| {
                scope.spawn(move || {
                    let (mut taken, mut refused) = (0, 0);
                    let mut n = 0;
                    while began.elapsed() < A_WHILE {
                        let body = batch(sender, n);
                        match beside
                            .as_("publisher")
                            .from(10)
                            .send("POST", "/v1/events", &body)
                            .status
                        {
                            429 => refused += 1,
                            200 | 202 | 207 => taken += 1,
                            other => panic!("the flood is answered {other}"),
                        }
                        n += 1;
                    }
                    (taken, refused)
                })
            })
            .collect();
        for sender in senders {
            let (more, less) = sender.join().expect("a sender");
            taken += more;
            refused += less;
        }
    });
    eprintln!("the flood: {taken} batches taken, {refused} refused");
}

/// Input 13.
pub(super) fn bodies_of_many_small_items(beside: &Beside) {
    let body = format!("[{}1]", "1,".repeat(16 * 1024 * 1024 - 2));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let client = beside.as_("publisher").from(11);
                match client.try_send("POST", "/v1/events", &[], body.as_bytes()) {
                    Ok(reply) => {
                        assert!(matches!(reply.status, 413 | 422 | 429 | 503), "{reply:?}");
                    }
                    // The server has closed the connection after its answer.
                    Err(error) => eprintln!("13: {error}"),
                }
            });
        }
    });
}

/// Input 20. The polls of one tenant are bounded, and other tenants' still wait.
pub(super) fn a_thousand_long_polls(beside: &Beside) {
    let poll = "/v1/events?wait=30";
    let client = beside.as_("reader");
    let polls: Vec<TcpStream> = (0..1_000)
        .filter_map(|n| {
            let client = client.clone().from(12 + u8::try_from(n % 8).expect("small"));
            let mut stream = client.connect().ok()?;
            stream.write_all(client.head("GET", poll, &[], 0, "keep-alive").as_bytes()).ok()?;
            // What is tested is that they wait. A test build spends a millisecond on each request.
            thread::sleep(Duration::from_millis(3));
            Some(stream)
        })
        .collect();
    let began = Instant::now();
    // The healthy tenant has events all the time; its answer is at once and whole.
    beside.as_("healthy").get("/v1/events?wait=3").is(200);
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    let over = client.from(2).get(poll);
    assert_eq!(over.status, 429, "{}", over.body);
    drop(polls);
}
