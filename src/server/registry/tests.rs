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

/// A connection on which the server has found no byte yet.
fn admit(registry: &Arc<Registry>, peer: &str) -> Option<Place> {
    let place = admit_unseen(registry, peer)?;
    place.connection.silent();
    Some(place)
}

fn admit_unseen(registry: &Arc<Registry>, peer: &str) -> Option<Place> {
    match registry.admit(ip(peer)) {
        Admission::Admitted(place) => Some(place),
        Admission::Refused | Admission::Later => None,
    }
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
    let busy = admit(&registry, "192.0.2.1").unwrap();
    let serving = busy.connection.serve(&registry.clock);
    let silent = admit(&registry, "192.0.2.1").unwrap();
    // It may be about to send its request, so the next one gets a place in the reserve.
    let reserved = admit(&registry, "192.0.2.2").unwrap();
    assert!(reserved.connection.reserved);
    drop(reserved);

    at(&registry, 2 * SECOND);
    let next = admit(&registry, "192.0.2.2").unwrap();
    assert!(!next.connection.reserved, "the silent one made room");
    assert_eq!(open(&registry), 2);
    let next_serving = next.connection.serve(&registry.clock);
    drop(silent);
    assert_eq!(open(&registry), 2, "a place is given back once");

    let reserved = admit(&registry, "192.0.2.3").unwrap();
    assert!(reserved.connection.reserved, "all others have requests");
    let latest = admit(&registry, "192.0.2.4").unwrap();
    assert!(latest.connection.reserved, "a silent one in the reserve makes room at once");
    let latest_serving = latest.connection.serve(&registry.clock);
    assert!(admit(&registry, "192.0.2.5").is_none(), "nothing can be spared");
    drop((serving, next_serving, latest_serving, busy, next, reserved, latest));
    assert_eq!(open(&registry), 0);
    let open = registry.lock();
    assert!(open.reserved == 0 && open.per_address.is_empty());
}

#[test]
fn connections_that_never_sent_a_request_go_before_idle_ones() {
    let registry = registry(2, 0, None);
    let idle = admit(&registry, "192.0.2.1").unwrap();
    drop(idle.connection.serve(&registry.clock));
    at(&registry, SECOND);
    let silent = admit(&registry, "192.0.2.1").unwrap();
    at(&registry, 6 * SECOND);
    let first = admit(&registry, "192.0.2.1").unwrap();
    assert!(!registry.lock().connections.contains_key(&silent.connection.id));
    let serving = first.connection.serve(&registry.clock);
    let _second = admit(&registry, "192.0.2.1").unwrap();
    assert!(!registry.lock().connections.contains_key(&idle.connection.id));
    drop(serving);
}

#[test]
fn one_address_cannot_take_all_connections() {
    let registry = registry(10, 1, Some(2));
    let mut kept = Vec::new();
    for address in ["192.0.2.1", "::ffff:192.0.2.1", "2001:db8::1", "2001:db8::ffff:2"] {
        kept.push(admit(&registry, address).unwrap());
    }
    assert!(admit(&registry, "192.0.2.1").is_none());
    assert!(admit(&registry, "2001:db8:0:0:1::").is_none(), "the same /64 network");
    kept.push(admit(&registry, "2001:db8:0:1::1").unwrap());
    kept.remove(0);
    assert!(admit(&registry, "192.0.2.1").is_some());
}

#[test]
fn each_phase_has_a_time_limit() {
    let registry = registry(10, 1, None);
    let [silent, head, idle, serving, slow] =
        std::array::from_fn(|_| admit(&registry, "192.0.2.1").unwrap());
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
    let slow = admit(&registry, "192.0.2.1").unwrap();
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
    let mut kept: Vec<_> = (0..10).map(|_| admit(&registry, "192.0.2.1").unwrap()).collect();
    assert!(!registry.lock().full);
    kept.push(admit(&registry, "192.0.2.1").unwrap());
    assert!(registry.lock().full);
    kept.truncate(10);
    at(&registry, SECOND);
    assert!(registry.lock().full, "still at the cap");
    kept.truncate(9);
    at(&registry, 2 * SECOND);
    kept.push(admit(&registry, "192.0.2.1").unwrap());
    kept.push(admit(&registry, "192.0.2.1").unwrap());
    kept.truncate(9);
    at(&registry, 3 * SECOND);
    at(&registry, 7 * SECOND);
    assert!(registry.lock().full, "the cap was reached again, which is the same flood");
    at(&registry, 8 * SECOND);
    assert!(!registry.lock().full);
}

#[test]
fn a_flood_from_one_address_does_not_displace_another_address() {
    let registry = registry(4, 2, None);
    let _taken: Vec<_> = (0..4).map(|_| admit(&registry, "192.0.2.1").unwrap()).collect();
    // The check is older than what the flood has in the reserve.
    let check = admit(&registry, "192.0.2.9").unwrap();
    let _flood: Vec<_> = (0..20).map(|_| admit(&registry, "192.0.2.1").unwrap()).collect();
    assert!(registry.lock().connections.contains_key(&check.connection.id));
}

#[test]
fn a_connection_that_the_server_has_not_looked_at_makes_no_room() {
    let registry = registry(1, 1, None);
    let _taken = admit(&registry, "192.0.2.1").unwrap();
    let check = admit_unseen(&registry, "192.0.2.1").unwrap();
    assert!(matches!(registry.admit(ip("192.0.2.1")), Admission::Later));
    check.connection.received(0);
    let serving = check.connection.serve(&registry.clock);
    assert!(matches!(registry.admit(ip("192.0.2.1")), Admission::Refused));
    drop((serving, check));
    let silent = admit_unseen(&registry, "192.0.2.1").unwrap();
    silent.connection.silent();
    assert!(matches!(registry.admit(ip("192.0.2.1")), Admission::Admitted(_)));
}
