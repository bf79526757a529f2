//! The tail of a tenant's events: whoever follows it misses nothing.

use std::collections::BTreeSet;

use fanfare_store::{Change, EventState, Store};

use super::Fixture;
use super::kit::{PATIENCE, T0, append, event_at, routed, take_fresh, update};

async fn follow(store: &Store, after: u64, limit: usize) -> (Vec<String>, u64) {
    let (mut ids, mut after) = (Vec::new(), after);
    loop {
        let tail = store.ledger.tail("acme", after, limit).await.unwrap();
        assert!(tail.items.len() <= limit);
        assert!(tail.next >= after, "places ascend");
        assert!(tail.items.iter().all(|(place, _)| (after + 1..=tail.next).contains(place)));
        ids.extend(tail.items.iter().map(|(_, record)| record.event.id.to_string()));
        after = tail.next;
        if !tail.more {
            return (ids, after);
        }
    }
}

pub(crate) async fn the_tail_of_events_is_followed_place_by_place<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    assert_eq!(follow(&store, 0, 2).await, (vec![], 0));
    // What was received later may become visible earlier.
    let mut events: Vec<_> =
        (0..5).map(|n| event_at("acme", &format!("evt_{n}"), T0 - n)).collect();
    events.insert(2, event_at("globex", "evt_x", T0));
    append(&store, &events).await;
    let taken = take_fresh(&store, 6).await;
    let of_first = update(&taken[0].event, "hook", Change::Delivered);
    store.log.settle(vec![routed(&taken[0], vec![of_first])]).await.unwrap();

    let expected: Vec<_> = (0..5).map(|n| format!("evt_{n}")).collect();
    for limit in [1, 2, 5, 100] {
        assert_eq!(follow(&store, 0, limit).await.0, expected, "{limit} a page");
    }
    let first = store.ledger.tail("acme", 0, 1).await.unwrap();
    let (place, record) = &first.items[0];
    assert_eq!((record.state, record.deliveries.len()), (EventState::Routed, 1));
    assert_eq!(record.event.body, taken[0].event.body);
    assert_eq!(follow(&store, *place, 100).await.0, expected[1..]);

    let (_, end) = follow(&store, 0, 100).await;
    append(&store, &[event_at("acme", "evt_5", T0 - 99)]).await;
    take_fresh(&store, 1).await;
    assert_eq!(follow(&store, end, 100).await.0, ["evt_5"]);
    assert_eq!(follow(&store, u64::MAX / 2, 100).await.0, Vec::<String>::new());
}

pub(crate) async fn no_event_becomes_visible_before_a_place_that_was_given_out<F: Fixture>(
    fixture: &F,
) {
    const EACH: usize = 150;
    let store = fixture.open().await;
    let other = fixture.beside().await;
    let writers = [(store.clone(), "a"), (other, "b")].map(|(store, name)| {
        tokio::spawn(async move {
            for n in 0..EACH {
                let received = T0 + if n % 2 == 0 { 1_000 } else { -1_000 };
                append(&store, &[event_at("acme", &format!("{name}_{n}"), received)]).await;
            }
        })
    });
    let taker = {
        let store = store.clone();
        tokio::spawn(async move { take_fresh(&store, 2 * EACH).await })
    };
    let (mut seen, mut after) = (BTreeSet::new(), 0);
    let until = tokio::time::Instant::now() + PATIENCE;
    while seen.len() < 2 * EACH {
        let (ids, next) = follow(&store, after, 7).await;
        after = next;
        for id in ids {
            assert!(seen.insert(id.clone()), "{id} came twice");
        }
        let late = tokio::time::Instant::now() > until;
        assert!(!late, "{} of {} were seen: some were passed over", seen.len(), 2 * EACH);
        tokio::task::yield_now().await;
    }
    for writer in writers {
        writer.await.unwrap();
    }
    taker.await.unwrap();
}
