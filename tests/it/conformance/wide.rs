//! Events with many deliveries: each delivery is as it would be alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use fanfare_contract::Event;
use fanfare_store::{
    Change, DeliveryQuery, DeliveryUpdate, EventState, LaneKey, Next, StateKind, Store,
};

use super::Fixture;
use super::kit::{
    LEASE, T0, admit, append, claim, dead, due_ids, event, lane, routed, settle_one, suppressed,
    take, tried, update, waiting,
};

/// More deliveries than a store keeps in one piece.
const DELIVERIES: usize = 150;

fn name(n: usize) -> String {
    format!("hook-{n}")
}

fn first(event: &Event, n: usize) -> DeliveryUpdate {
    let change = match n % 5 {
        0 => suppressed("paused"),
        1 => dead("gone"),
        2 => Change::Delivered,
        _ => waiting(T0),
    };
    tried(update(event, &name(n), change), 1, "http_500")
}

async fn recorded(store: &Store) -> Arc<Event> {
    let wide = event("acme", "evt_wide");
    append(store, std::slice::from_ref(&wide)).await;
    let taken = take(store, 1).await;
    admit(store, &taken).await;
    let updates = (0..DELIVERIES).map(|n| first(&wide, n)).collect();
    let settlement = routed(&taken[0], updates);
    store.log.settle(vec![settlement.clone()]).await.expect("settle");
    store.log.settle(vec![settlement]).await.expect("a repetition changes nothing");
    wide
}

/// The number of deliveries in each state, by the event and by the list of each state.
async fn states(store: &Store) -> BTreeMap<&'static str, usize> {
    let record = store.ledger.event("acme", "evt_wide").await.unwrap().expect("the event");
    assert_eq!(record.deliveries.len(), DELIVERIES);
    assert_eq!(record.state, EventState::Routed);
    let mut all = BTreeMap::new();
    for kind in StateKind::ALL {
        let of = record.deliveries.iter().filter(|one| one.state.kind() == kind).count();
        let query = DeliveryQuery { state: Some(kind), limit: 1_000, ..query() };
        let listed = store.ledger.deliveries(&query).await.unwrap().items.len();
        assert_eq!(listed, of, "{kind:?}");
        let word = match kind {
            StateKind::Delivered => "delivered",
            StateKind::Waiting => "waiting",
            StateKind::Suppressed => "suppressed",
            StateKind::Dead => "dead",
        };
        all.insert(word, of);
    }
    let counts = store.ledger.counts("acme", T0, T0 + 1).await.unwrap();
    assert_eq!(counts.received, 1);
    let counted = [counts.dead, counts.delivered, counts.suppressed, counts.waiting];
    assert!(all.values().map(|n| *n as u64).eq(counted), "{all:?} {counted:?}");
    all
}

fn query() -> DeliveryQuery {
    DeliveryQuery { tenant: "acme".into(), limit: 1_000, ..DeliveryQuery::default() }
}

fn key(n: usize) -> LaneKey {
    lane("acme", &name(n))
}

pub(crate) async fn an_event_with_many_deliveries_keeps_each_of_them<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    let wide = recorded(&store).await;
    let fifth = DELIVERIES / 5;
    let expected = [("dead", fifth), ("delivered", fifth), ("suppressed", fifth)];
    let begun: BTreeMap<_, _> = expected.into_iter().chain([("waiting", 2 * fifth)]).collect();
    assert_eq!(states(&store).await, begun);

    // A retry of one, success of another, late success of a dead one, replay of a suppressed one.
    let retried = tried(update(&wide, &name(3), waiting(T0 + 5)), 2, "http_503");
    settle_one(&store, &key(3), &wide, retried).await;
    settle_one(&store, &key(4), &wide, tried(update(&wide, &name(4), Change::Delivered), 2, "ok"))
        .await;
    settle_one(&store, &key(1), &wide, tried(update(&wide, &name(1), Change::Delivered), 2, "ok"))
        .await;
    settle_one(&store, &key(0), &wide, update(&wide, &name(0), Change::Replayed { due_ms: T0 }))
        .await;
    // What has ended stays so, and keeps the attempt.
    settle_one(&store, &key(2), &wide, tried(update(&wide, &name(2), dead("late")), 2, "http_500"))
        .await;
    let after = states(&store).await;
    assert_eq!(after["delivered"], fifth + 2);
    assert_eq!(after["dead"], fifth - 1);
    assert_eq!(after["suppressed"], fifth - 1);
    assert_eq!(after["waiting"], 2 * fifth);
    let record = store.ledger.event("acme", "evt_wide").await.unwrap().expect("the event");
    let tries = |n: usize| {
        let of = |one: &&fanfare_store::DeliveryRecord| one.lane.as_str() == name(n);
        record.deliveries.iter().find(of).expect("the delivery").attempts.len()
    };
    assert_eq!([3, 4, 1, 0, 2, 8].map(tries), [2, 2, 2, 1, 2, 1]);

    // Every lane has its queue, with the attempts that count.
    let claims = claim(&store, T0).await;
    let mut served = 0;
    for claim in &claims {
        let n: usize = claim.lane.id.rsplit('-').next().unwrap().parse().unwrap();
        let due = store.agenda.due(claim, T0 + 10, 5).await.unwrap();
        if n == 4 {
            // Its line goes with the first claim after its queue became empty.
            assert!(due.is_empty());
            store.agenda.release(claim, Next::WhenDue).await.unwrap();
            continue;
        }
        assert_eq!(due.len(), 1, "{claim:?}");
        let expected = match n {
            0 => 0,
            3 => 2,
            _ => 1,
        };
        assert_eq!(due[0].attempts, expected, "{claim:?}");
        assert_eq!(due_ids(&store, claim, T0 + 10).await, ["evt_wide"]);
        let done = tried(update(&wide, &name(n), Change::Delivered), 9, "ok");
        settle_one(&store, &key(n), &wide, done).await;
        store.agenda.release(claim, Next::WhenDue).await.unwrap();
        served += 1;
    }
    assert!(served >= 50);
    let rest = store.agenda.claim(T0 + 10, LEASE, 100, 100).await.unwrap();
    assert_eq!(states(&store).await["waiting"], rest.len());
}

pub(crate) async fn an_event_with_many_deliveries_is_removed_whole<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    let wide = recorded(&store).await;
    assert_eq!(store.upkeep.tidy(T0 + 1, 100).await.unwrap(), 0, "some of it waits");
    for n in (0..DELIVERIES).filter(|n| n % 5 >= 3) {
        settle_one(&store, &key(n), &wide, update(&wide, &name(n), Change::Delivered)).await;
    }
    assert_eq!(states(&store).await["waiting"], 0);
    assert_eq!(store.upkeep.tidy(T0 + 1, 100).await.unwrap(), 1);
    assert!(store.ledger.event("acme", "evt_wide").await.unwrap().is_none());
    assert!(store.ledger.deliveries(&query()).await.unwrap().items.is_empty());

    // The same id again is a new event, of which nothing of the old one is left.
    let again = recorded(&store).await;
    assert_eq!(states(&store).await["waiting"], 2 * DELIVERIES / 5);
    let erased = store.erasure.erase_events("acme", &[again.id.to_string()], T0).await.unwrap();
    assert_eq!((erased.events, erased.deliveries), (1, DELIVERIES as u64));
    let late = tried(update(&again, &name(3), Change::Delivered), 2, "ok");
    settle_one(&store, &key(3), &again, late).await;
    assert!(store.ledger.event("acme", "evt_wide").await.unwrap().is_none(), "nothing comes back");
    assert_eq!(store.agenda.next_time().await.unwrap(), None);
}
