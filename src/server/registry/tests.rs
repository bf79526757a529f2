//! Which connections are admitted, and which make room.

use std::time::Duration;

use super::*;
use crate::observe::Observe;

const SECOND: u64 = 1_000;

fn registry(max: usize, reserved: usize, per_address: Option<usize>) -> Arc<Registry> {
    let options = Options {
        max_connections: max,
        reserved_connections: reserved,
        max_per_address: per_address,
        header_timeout: Duration::from_secs(10),
        body_timeout: Duration::from_secs(10),
        min_body_rate: 1_000,
        idle_timeout: Duration::from_secs(75),
    };
    Registry::new(options, Observe::quiet().metrics.connections.clone())
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn at(registry: &Registry, now: u64) {
    registry.tick(now, &registry.options);
}

fn open(registry: &Registry) -> usize {
    registry.lock().connections.len()
}

#[test]
fn a_silent_connection_makes_room_and_one_with_a_request_does_not() {
    let registry = registry(2, 1, None);
    let busy = registry.admit(ip("192.0.2.1")).unwrap();
    let serving = busy.connection.serve(&registry.clock);
    let silent = registry.admit(ip("192.0.2.1")).unwrap();
    // It may be about to send its request, so the next one gets a place in the reserve.
    let reserved = registry.admit(ip("192.0.2.2")).unwrap();
    assert!(reserved.connection.reserved);
    drop(reserved);

    at(&registry, 2 * SECOND);
    let next = registry.admit(ip("192.0.2.2")).unwrap();
    assert!(!next.connection.reserved, "the silent one made room");
    assert_eq!(open(&registry), 2);
    let next_serving = next.connection.serve(&registry.clock);
    drop(silent);
    assert_eq!(open(&registry), 2, "a place is given back once");

    let reserved = registry.admit(ip("192.0.2.3")).unwrap();
    assert!(reserved.connection.reserved, "all others have requests");
    let latest = registry.admit(ip("192.0.2.4")).unwrap();
    assert!(latest.connection.reserved, "a silent one in the reserve makes room at once");
    let latest_serving = latest.connection.serve(&registry.clock);
    assert!(registry.admit(ip("192.0.2.5")).is_none(), "nothing can be spared");
    drop((serving, next_serving, latest_serving, busy, next, reserved, latest));
    assert_eq!(open(&registry), 0);
    let open = registry.lock();
    assert!(open.reserved == 0 && open.per_address.is_empty());
}

#[test]
fn connections_that_never_sent_a_request_go_before_idle_ones() {
    let registry = registry(2, 0, None);
    let idle = registry.admit(ip("192.0.2.1")).unwrap();
    drop(idle.connection.serve(&registry.clock));
    at(&registry, SECOND);
    let silent = registry.admit(ip("192.0.2.1")).unwrap();
    at(&registry, 6 * SECOND);
    let first = registry.admit(ip("192.0.2.1")).unwrap();
    assert!(!registry.lock().connections.contains_key(&silent.connection.id));
    let serving = first.connection.serve(&registry.clock);
    let _second = registry.admit(ip("192.0.2.1")).unwrap();
    assert!(!registry.lock().connections.contains_key(&idle.connection.id));
    drop(serving);
}

#[test]
fn one_address_cannot_take_all_connections() {
    let registry = registry(10, 1, Some(2));
    let mut kept = Vec::new();
    for address in ["192.0.2.1", "::ffff:192.0.2.1", "2001:db8::1", "2001:db8::ffff:2"] {
        kept.push(registry.admit(ip(address)).unwrap());
    }
    assert!(registry.admit(ip("192.0.2.1")).is_none());
    assert!(registry.admit(ip("2001:db8:0:0:1::")).is_none(), "the same /64 network");
    kept.push(registry.admit(ip("2001:db8:0:1::1")).unwrap());
    kept.remove(0);
    assert!(registry.admit(ip("192.0.2.1")).is_some());
}

#[test]
fn each_phase_has_a_time_limit() {
    let registry = registry(10, 1, None);
    let [silent, head, idle, serving, slow] =
        std::array::from_fn(|_| registry.admit(ip("192.0.2.1")).unwrap());
    drop(idle.connection.serve(&registry.clock));
    let _request = serving.connection.serve(&registry.clock);
    at(&registry, 8 * SECOND);
    head.connection.received(8 * SECOND);
    let request = slow.connection.serve(&registry.clock);
    request.answer();
    slow.connection.blocked(8 * SECOND);
    let has = |place: &Place| registry.lock().connections.contains_key(&place.connection.id);

    at(&registry, 11 * SECOND);
    assert!(!has(&silent), "it sent nothing for 10 s");
    assert!(has(&head) && has(&idle) && has(&serving) && has(&slow));
    head.connection.received(17 * SECOND);
    at(&registry, 18 * SECOND + 1);
    assert!(!has(&head), "more bytes do not extend the time for a head");
    assert!(!has(&slow), "it took nothing of its answer for 10 s");
    at(&registry, 74 * SECOND);
    assert!(has(&idle));
    at(&registry, 76 * SECOND);
    assert!(!has(&idle) && has(&serving), "a request takes as long as its handler");
}

#[test]
fn an_answer_that_is_read_byte_by_byte_is_cut_off() {
    let registry = registry(10, 1, None);
    let slow = registry.admit(ip("192.0.2.1")).unwrap();
    let request = slow.connection.serve(&registry.clock);
    request.answer();
    // The time in which the server itself has nothing to send does not count.
    at(&registry, 100 * SECOND);
    let mut closed_at = None;
    for second in 101..160 {
        slow.connection.sent(100, second * SECOND);
        slow.connection.blocked(second * SECOND);
        at(&registry, second * SECOND);
        if open(&registry) == 0 {
            closed_at = Some(second);
            break;
        }
    }
    // 100 bytes a second are less than the 1,000 that are required after 10 s.
    assert_eq!(closed_at, Some(113));
}

#[test]
fn the_cap_is_logged_until_there_is_room_again() {
    let registry = registry(10, 1, None);
    let mut kept: Vec<_> = (0..10).map(|_| registry.admit(ip("192.0.2.1")).unwrap()).collect();
    assert!(!registry.lock().full);
    kept.push(registry.admit(ip("192.0.2.1")).unwrap());
    assert!(registry.lock().full);
    kept.truncate(10);
    at(&registry, SECOND);
    assert!(registry.lock().full, "still at the cap");
    kept.truncate(9);
    at(&registry, 2 * SECOND);
    assert!(!registry.lock().full);
}
