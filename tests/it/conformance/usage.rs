//! What a tenant holds: the numbers follow every write, and nothing has to be added up.

use std::sync::Arc;

use fanfare_contract::Event;
use fanfare_store::{Change, Ms, Next, Outcome, Rejected, Settlement, Store, Usage};

use super::Fixture;
use super::kit::{
    T0, append, claim_one, dead, event, event_at, event_of, lane, park, record, routed, settle_one,
    take, take_fresh, tried, update, waiting,
};

/// Most bytes that a store keeps beside the body of an event.
const BESIDE_A_BODY: u64 = 200;

async fn usage(store: &Store, tenant: &str) -> Usage {
    let mut usages = store.ledger.usage(&[tenant.into()]).await.expect("usage");
    assert_eq!(usages.len(), 1, "one answer a tenant");
    usages.remove(0)
}

/// The tenant holds exactly these events, and this number of their deliveries wait.
#[track_caller]
fn assert_holds(held: Usage, events: &[&Arc<Event>], waiting: u64) {
    let bodies: u64 = events.iter().map(|event| event.body.len() as u64).sum();
    let most = bodies + BESIDE_A_BODY * events.len() as u64;
    assert!((bodies..=most).contains(&held.stored_bytes), "{held:?}, bodies of {bodies} bytes");
    assert_eq!(held.waiting, waiting);
}

fn big(id: &str, bytes: usize) -> Arc<Event> {
    let small = event("acme", id);
    let body = serde_json::json!({"id": id, "type": "order.paid", "created": 7,
        "data": {"text": "x".repeat(bytes)}});
    let body = body.to_string().into_bytes().into();
    let (tenant, id, kind) = (small.tenant.clone(), small.id.clone(), small.kind.clone());
    Arc::new(Event::new(tenant, id, kind, small.created, small.received_ms, body))
}

pub(crate) async fn usage_follows_what_is_stored_and_what_waits<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    assert_eq!(usage(&store, "acme").await, Usage::default(), "a tenant that has nothing");
    let (one, two) = (big("evt_1", 50_000), big("evt_2", 7_000));
    let key = lane("acme", "hook");
    record(&store, "hook", &[(one.clone(), waiting(T0)), (two.clone(), Change::Delivered)]).await;
    record(&store, "hook", &[(event("globex", "evt_1"), waiting(T0))]).await;
    assert_holds(usage(&store, "acme").await, &[&one, &two], 1);

    let other = event("globex", "evt_1");
    let both = store.ledger.usage(&["globex".into(), "none".into(), "acme".into()]).await.unwrap();
    assert_holds(both[0], &[&other], 1);
    assert_eq!(both[1], Usage::default());
    assert_holds(both[2], &[&one, &two], 1);

    // A retry still waits, a replay waits again, an outcome ends it.
    let claims = store.agenda.claim(T0, super::kit::LEASE, 10, 10).await.unwrap();
    let retried = tried(update(&one, "hook", waiting(T0 + 5)), 1, "http_500");
    settle_one(&store, &key, &one, retried.clone()).await;
    settle_one(&store, &key, &one, retried).await;
    settle_one(&store, &key, &two, update(&two, "hook", Change::Replayed { due_ms: T0 })).await;
    assert_holds(usage(&store, "acme").await, &[&one, &two], 2);
    let delivered = tried(update(&one, "hook", Change::Delivered), 2, "ok");
    settle_one(&store, &key, &one, delivered.clone()).await;
    settle_one(&store, &key, &one, delivered).await;
    settle_one(&store, &key, &two, update(&two, "hook", dead("gone"))).await;
    assert_holds(usage(&store, "acme").await, &[&one, &two], 0);
    for claim in &claims {
        store.agenda.release(claim, Next::WhenDue).await.unwrap();
    }
    assert_holds(usage(&store, "acme").await, &[&one, &two], 0);
    assert_holds(usage(&store, "globex").await, &[&other], 1);
}

pub(crate) async fn a_repetition_counts_once<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    let one = event("acme", "evt_1");
    append(&store, std::slice::from_ref(&one)).await;
    let taken = take_fresh(&store, 1).await;
    append(&store, std::slice::from_ref(&one)).await;
    let settled = vec![routed(&taken[0], vec![update(&one, "hook", waiting(T0))])];
    store.log.settle(settled.clone()).await.unwrap();
    store.log.settle(settled).await.unwrap();
    assert_holds(usage(&store, "acme").await, &[&one], 1);
    // The second entry, where the store has one, is a duplicate.
    let read = store.log.read(10, super::kit::A_LOOK).await.unwrap();
    for entry in read {
        let event = one.clone();
        let admitted = store.log.admit(&[(entry.id, event)]).await.unwrap();
        assert_ne!(admitted[0], fanfare_store::Admission::Fresh);
        let duplicate = Settlement { entry: entry.id, outcome: Outcome::Duplicate };
        store.log.settle(vec![duplicate]).await.unwrap();
    }
    assert_holds(usage(&store, "acme").await, &[&one], 1);
}

pub(crate) async fn usage_is_right_after_a_crash<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    let events: Vec<_> = (0..20).map(|n| big(&format!("evt_{n}"), 100 * n)).collect();
    let lines: Vec<_> = events.iter().map(|event| (event.clone(), waiting(T0))).collect();
    record(&store, "hook", &lines).await;
    let all: Vec<_> = events.iter().collect();
    assert_holds(usage(&store, "acme").await, &all, 20);
    let store = fixture.crash(store).await;
    assert_holds(usage(&store, "acme").await, &all, 20);
    let key = lane("acme", "hook");
    settle_one(&store, &key, &events[3], update(&events[3], "hook", Change::Delivered)).await;
    let beside = fixture.beside().await;
    assert_holds(usage(&beside, "acme").await, &all, 19);
}

pub(crate) async fn usage_falls_with_retention_and_erasure<F: Fixture>(fixture: &F) {
    const HOUR: Ms = 3_600_000;
    let store = fixture.open().await;
    let old = event_at("acme", "evt_old", T0);
    let waits = event_at("acme", "evt_waits", T0);
    let new = event_of("acme", "evt_new", "order.paid", T0 + 2 * HOUR);
    let lines =
        [(old, dead("timeout")), (waits.clone(), waiting(T0)), (new.clone(), Change::Delivered)];
    record(&store, "hook", &lines).await;
    assert_eq!(store.upkeep.tidy(T0 + HOUR, 100).await.unwrap(), 1);
    assert_holds(usage(&store, "acme").await, &[&waits, &new], 1);

    let ids = ["evt_waits".to_owned(), "evt_none".to_owned()];
    store.erasure.erase_events("acme", &ids, T0).await.unwrap();
    store.erasure.erase_events("acme", &ids, T0).await.unwrap();
    assert_holds(usage(&store, "acme").await, &[&new], 0);
    store.erasure.erase_events("acme", &["evt_new".to_owned()], T0).await.unwrap();
    assert_eq!(usage(&store, "acme").await, Usage::default());
    store.erasure.forget_tenant("acme").await.unwrap();
    assert_eq!(usage(&store, "acme").await, Usage::default());

    // Another tenant with the same id begins from nothing, and retention leads there as well.
    let again = park(&store, &lane("acme", "hook"), "evt_again", T0).await;
    assert_holds(usage(&store, "acme").await, &[&again], 1);
    let claim = claim_one(&store, T0).await;
    let ended = update(&again, "hook", dead("timeout"));
    settle_one(&store, &lane("acme", "hook"), &again, ended).await;
    store.agenda.release(&claim, Next::WhenDue).await.unwrap();
    assert_eq!(store.upkeep.tidy(T0 + HOUR, 100).await.unwrap(), 1);
    assert_eq!(usage(&store, "acme").await, Usage::default());
}

pub(crate) async fn a_rejected_entry_is_not_usage<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    append(&store, &[event("acme", "evt_1")]).await;
    let taken = take(&store, 1).await;
    let rejected = Rejected {
        entry: taken[0].entry.to_string(),
        at_ms: T0,
        tenant: Some("acme".into()),
        code: "store_refused".into(),
        reason: "it was refused".into(),
        raw: "{".into(),
    };
    let outcome = Outcome::Rejected(rejected);
    let settlement = Settlement { entry: taken[0].entry, outcome };
    store.log.settle(vec![settlement.clone()]).await.unwrap();
    store.log.settle(vec![settlement]).await.unwrap();
    assert_eq!(usage(&store, "acme").await, Usage::default());
}
