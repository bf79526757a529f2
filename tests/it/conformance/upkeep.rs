//! Cleaning, the directory of tenants, the channels' memory, and health.

use std::sync::Arc;
use std::time::Duration;

use fanfare_store::{Backlog, Change, DeliveryState, EventQuery, Next};

use super::Fixture;
use super::kit::{
    PATIENCE, T0, append, claim_one, dead, event, event_at, lane, record, routed, settle_one,
    state_of, take_fresh, update, waiting,
};

const HOUR: i64 = 3_600_000;

pub(crate) async fn old_events_are_removed_with_all_that_belongs_to_them<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    let old = event_at("acme", "evt_old", T0);
    let new = event_at("acme", "evt_new", T0 + HOUR);
    record(&store, "hook", &[(Arc::clone(&old), dead("timeout")), (new, dead("timeout"))]).await;
    append(&store, &[event_at("acme", "evt_unrouted", T0)]).await;
    let taken = take_fresh(&store, 1).await;
    store.log.settle(vec![routed(&taken[0], vec![])]).await.unwrap();

    assert_eq!(store.upkeep.tidy(T0, 100).await.unwrap(), 0, "received before, not at");
    assert_eq!(store.upkeep.tidy(T0 + 1, 100).await.unwrap(), 2);
    assert!(store.ledger.event("acme", "evt_old").await.unwrap().is_none());
    assert!(store.ledger.event("acme", "evt_unrouted").await.unwrap().is_none());
    assert!(store.ledger.event("acme", "evt_new").await.unwrap().is_some());
    let query = EventQuery { tenant: "acme".into(), limit: 10, ..EventQuery::default() };
    let ids: Vec<_> = store.ledger.events(&query).await.unwrap().items;
    assert_eq!(ids.len(), 1);
    let counts = store.ledger.counts("acme", 0, T0 * 2).await.unwrap();
    assert_eq!((counts.received, counts.unrouted, counts.dead), (1, 0, 1));
    let (_, failed) = store.ledger.tally(&lane("acme", "hook"), 0, T0 * 2).await.unwrap();
    assert_eq!(failed[0].count, 1);

    // Forgotten is forgotten: it may come again, and is read after everything that was read.
    record(&store, "hook", &[(old, Change::Delivered)]).await;
    assert_eq!(store.upkeep.tidy(T0 * 2, 100).await.unwrap(), 2);
    record(&store, "hook", &[(event("acme", "evt_last"), Change::Delivered)]).await;
}

pub(crate) async fn nothing_that_waits_is_ever_removed<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    let key = lane("acme", "hook");
    append(&store, &[event("acme", "evt_1"), event("acme", "evt_2")]).await;
    let taken = take_fresh(&store, 2).await;
    // One delivery of it is done, the other waits; the second event is not settled at all.
    let one = Arc::clone(&taken[0].event);
    let updates = vec![update(&one, "done", Change::Delivered), update(&one, "hook", waiting(T0))];
    store.log.settle(vec![routed(&taken[0], updates)]).await.unwrap();
    assert_eq!(store.upkeep.tidy(T0 * 2, 100).await.unwrap(), 0);
    assert_eq!(state_of(&store, &one, "hook").await, waiting(T0).target());
    assert_eq!(state_of(&store, &one, "done").await, DeliveryState::Delivered);

    let claim = claim_one(&store, T0).await;
    assert_eq!(store.upkeep.tidy(T0 * 2, 100).await.unwrap(), 0, "nor while it is served");
    assert_eq!(store.agenda.due(&claim, T0, 10).await.unwrap().len(), 1);
    settle_one(&store, &key, &one, update(&one, "hook", Change::Delivered)).await;
    store.agenda.release(&claim, Next::WhenDue).await.unwrap();
    assert_eq!(store.upkeep.tidy(T0 * 2, 100).await.unwrap(), 1);
    store.log.settle(vec![routed(&taken[1], vec![])]).await.unwrap();
    assert_eq!(store.upkeep.tidy(T0 * 2, 100).await.unwrap(), 1);
}

pub(crate) async fn tidying_is_bounded_and_says_when_it_is_done<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    let state = |n: i64| if n % 4 == 0 { waiting(T0 * 2) } else { Change::Delivered };
    let lines: Vec<_> = (0..40)
        .map(|n| (event_at(&format!("t{}", n % 3), &format!("evt_{n}"), T0 + n % 5), state(n)))
        .collect();
    record(&store, "hook", &lines).await;
    let (mut removed, mut calls) = (0, 0);
    loop {
        let now = store.upkeep.tidy(T0 * 2, 7).await.unwrap();
        assert!(now <= 7, "at most as many as asked for");
        removed += now;
        calls += 1;
        assert!(calls < 20, "it ends");
        if now < 7 {
            break;
        }
    }
    assert_eq!(removed, 30, "all but what waits");
    let mut left = 0;
    for tenant in ["t0", "t1", "t2"] {
        let counts = store.ledger.counts(tenant, 0, T0 * 2).await.unwrap();
        assert_eq!(counts.received, counts.waiting);
        left += counts.waiting;
    }
    assert_eq!(left, 10);
}

pub(crate) async fn a_memo_is_kept_and_replaced<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    let (long, odd) = (Duration::from_mins(10), "thread:{acme}:'\u{1f600}");
    assert_eq!(store.memo.get(odd).await, None);
    store.memo.put(odd, "17.1", long).await;
    store.memo.put("other", "x", long).await;
    assert_eq!(store.memo.get(odd).await.as_deref(), Some("17.1"));
    store.memo.put(odd, "17.2", long).await;
    assert_eq!(fixture.beside().await.memo.get(odd).await.as_deref(), Some("17.2"));
}

pub(crate) async fn a_memo_ends_with_its_time<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    store.memo.put("short", "x", Duration::from_millis(40)).await;
    let gone = async {
        while store.memo.get("short").await.is_some() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.expect("it ends");
}

pub(crate) async fn a_well_store_says_so<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    assert!(["embedded", "redis"].contains(&store.upkeep.kind()));
    store.upkeep.ping().await.unwrap();
    store.upkeep.beat(T0).await.unwrap();
    store.upkeep.warnings().await;
    store.upkeep.leave().await.unwrap();
}

pub(crate) async fn the_backlog_is_all_that_waits_and_since_when<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    assert_eq!(store.upkeep.backlog().await.unwrap(), Backlog::default());
    let to = |change: Change| move |id: &str, at| (event_at("acme", id, at), change.clone());
    let (waits, dies) = (to(waiting(T0 + HOUR)), to(dead("timeout")));
    record(&store, "hook", &[dies("evt_0", T0), waits("evt_1", T0 + 1), waits("evt_2", T0 + 2)])
        .await;
    record(&store, "mail~1", &[waits("evt_3", T0 + 3)]).await;
    let other = event_at("other", "evt_1", T0 + 4);
    record(&store, "hook", &[(other, waiting(T0 + HOUR))]).await;
    let backlog = fixture.beside().await.upkeep.backlog().await.unwrap();
    assert_eq!(backlog, Backlog { waiting: 4, oldest_ms: Some(T0 + 1) });

    // What is claimed waits until it is settled.
    let claims = store.agenda.claim(T0 + HOUR, PATIENCE, 10, 10).await.unwrap();
    assert_eq!(claims.len(), 3);
    let one = event_at("acme", "evt_1", T0 + 1);
    let delivered = update(&one, "hook", Change::Delivered);
    settle_one(&store, &lane("acme", "hook"), &one, delivered).await;
    let backlog = store.upkeep.backlog().await.unwrap();
    assert_eq!(backlog, Backlog { waiting: 3, oldest_ms: Some(T0 + 2) });
}
