//! Short ways to say what the promises need: events, outcomes, parked deliveries.

use std::sync::Arc;
use std::time::Duration;

use fanfare_contract::{DeliveryId, Event};
use fanfare_store::{
    Admission, Attempt, Change, Claim, DeliveryState, DeliveryUpdate, EntryId, LaneKey, Ms,
    Outcome, Payload, Reason, Settlement, StateKind, Store,
};

/// When every test begins: far from the wall clock, which no store may look at.
pub(crate) const T0: Ms = 1_900_000_000_000;
/// Longer than any of the calls under test may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// How long to look before believing that there is nothing.
pub(crate) const A_LOOK: Duration = Duration::from_millis(60);
/// The usual lease.
pub(crate) const LEASE: Duration = Duration::from_secs(30);
/// The usual lease, for adding to times.
pub(crate) const LEASE_MS: Ms = 30_000;

/// An entry of the log that was read.
#[derive(Clone, Debug)]
pub(crate) struct Taken {
    pub(crate) entry: EntryId,
    pub(crate) event: Arc<Event>,
}

/// An event of type `order.paid`, received at [`T0`].
pub(crate) fn event(tenant: &str, id: &str) -> Arc<Event> {
    event_at(tenant, id, T0)
}

/// An event of type `order.paid`.
pub(crate) fn event_at(tenant: &str, id: &str, received_ms: Ms) -> Arc<Event> {
    event_of(tenant, id, "order.paid", received_ms)
}

/// An event with a small envelope.
pub(crate) fn event_of(tenant: &str, id: &str, kind: &str, received_ms: Ms) -> Arc<Event> {
    let body = serde_json::json!({"id": id, "type": kind, "created": 7, "data": {"n": 1}});
    let created = received_ms / 1000;
    let body = body.to_string().into_bytes().into();
    Arc::new(Event::new(tenant.into(), id.into(), kind.into(), created, received_ms, body))
}

pub(crate) fn lane(tenant: &str, destination: &str) -> LaneKey {
    LaneKey { tenant: tenant.into(), id: destination.into() }
}

pub(crate) fn waiting(due_ms: Ms) -> Change {
    waiting_until(due_ms, due_ms)
}

pub(crate) fn waiting_until(due_ms: Ms, serve_ms: Ms) -> Change {
    Change::Retried { due_ms, serve_ms }
}

pub(crate) fn dead(code: &str) -> Change {
    Change::GivenUp(code.into())
}

pub(crate) fn suppressed(reason: &str) -> Change {
    Change::Suppressed(Reason::parse(StateKind::Suppressed, reason))
}

/// An update without attempts, at the time the event was received.
pub(crate) fn update(event: &Event, destination: &str, change: Change) -> DeliveryUpdate {
    DeliveryUpdate {
        id: DeliveryId::derive(&event.id, destination),
        lane: destination.into(),
        channel: "webhook".into(),
        change,
        attempts: Vec::new(),
        at_ms: event.received_ms,
    }
}

/// The same update after an attempt.
pub(crate) fn tried(mut update: DeliveryUpdate, number: u32, code: &str) -> DeliveryUpdate {
    update.attempts.push(attempt(number, code));
    update
}

/// The same update at another time.
pub(crate) fn at(mut update: DeliveryUpdate, at_ms: Ms) -> DeliveryUpdate {
    update.at_ms = at_ms;
    update
}

pub(crate) fn attempt(number: u32, code: &str) -> Attempt {
    let ok = code == "ok";
    Attempt {
        number,
        at_ms: T0 + Ms::from(number),
        took_ms: 12,
        code: code.into(),
        status: Some(if ok { 200 } else { 500 }),
        message: if ok { String::new() } else { "it said „no“, \"twice\"".into() },
        answer: "\u{1f600} answer\n".into(),
        remote_id: ok.then(|| "17.4".into()),
        digest: None,
        resent: false,
    }
}

/// Appends; the answers are of no interest.
pub(crate) async fn append(store: &Store, events: &[Arc<Event>]) {
    let answers = store.log.append(events.to_vec()).await.expect("append");
    assert_eq!(answers.len(), events.len(), "one answer an event");
}

/// Reads (or takes over) until `count` entries came. All must be events.
pub(crate) async fn take(store: &Store, count: usize) -> Vec<Taken> {
    let mut taken = Vec::new();
    let until = tokio::time::Instant::now() + PATIENCE;
    while taken.len() < count {
        assert!(tokio::time::Instant::now() < until, "{} of {count} entries came", taken.len());
        let most = (count - taken.len()).min(256);
        let mut entries = store.log.take_over(most).await.expect("take over");
        if entries.is_empty() {
            entries = store.log.read(most, Duration::from_millis(200)).await.expect("read");
        }
        assert!(entries.len() <= most, "more entries than asked for");
        taken.extend(entries.into_iter().map(|entry| match entry.payload {
            Payload::Event(event) => Taken { entry: entry.id, event },
            Payload::Raw(_) => panic!("an event came back as raw fields"),
        }));
    }
    taken
}

/// Nothing more to read or to take over.
pub(crate) async fn expect_nothing_to_read(store: &Store) {
    assert!(store.log.take_over(10).await.expect("take over").is_empty(), "nothing to take over");
    let read = store.log.read(10, A_LOOK).await.expect("read");
    assert!(read.is_empty(), "nothing to read, but {read:?}");
}

/// Makes them known to the ledger.
pub(crate) async fn admit(store: &Store, taken: &[Taken]) -> Vec<Admission> {
    let entries: Vec<_> = taken.iter().map(|t| (t.entry, Arc::clone(&t.event))).collect();
    let admitted = store.log.admit(&entries).await.expect("admit");
    assert_eq!(admitted.len(), taken.len(), "one answer an entry");
    admitted
}

/// Reads `count` entries and acknowledges those that only repeat an event; returns the others.
/// Some stores tell of a repetition when it is appended, some when it is admitted.
pub(crate) async fn take_fresh(store: &Store, count: usize) -> Vec<Taken> {
    let taken = take(store, count).await;
    let admitted = admit(store, &taken).await;
    let mut fresh = Vec::new();
    let mut repeated = Vec::new();
    for (taken, admission) in taken.into_iter().zip(admitted) {
        match admission {
            Admission::Fresh => fresh.push(taken),
            Admission::Settled | Admission::Duplicate => {
                repeated.push(Settlement { entry: taken.entry, outcome: Outcome::Duplicate });
            }
        }
    }
    store.log.settle(repeated).await.expect("settle the repeated");
    fresh
}

/// One settlement of a routed event; of an unrouted one when there are no updates.
pub(crate) fn routed(taken: &Taken, updates: Vec<DeliveryUpdate>) -> Settlement {
    let event = Arc::clone(&taken.event);
    let outcome =
        if updates.is_empty() { Outcome::Unrouted(event) } else { Outcome::Routed(event, updates) };
    Settlement { entry: taken.entry, outcome }
}

/// Takes the events through the log, each to one destination with the given change.
pub(crate) async fn record(
    store: &Store,
    destination: &str,
    lines: &[(Arc<Event>, Change)],
) -> Vec<Taken> {
    let events: Vec<_> = lines.iter().map(|(event, _)| Arc::clone(event)).collect();
    append(store, &events).await;
    let taken = take_fresh(store, events.len()).await;
    assert_eq!(taken.len(), events.len(), "every one of them is new");
    let change_of = |wanted: &Event| {
        let same = |event: &Event| event.id == wanted.id && event.tenant == wanted.tenant;
        lines.iter().find(|(event, _)| same(event)).expect("it was appended").1.clone()
    };
    let batch = taken.iter().map(|t| {
        let update = update(&t.event, destination, change_of(&t.event));
        routed(t, vec![update])
    });
    store.log.settle(batch.collect()).await.expect("settle");
    taken
}

/// Parks one new event of a tenant in a lane, served from when it is due.
pub(crate) async fn park(store: &Store, key: &LaneKey, id: &str, due_ms: Ms) -> Arc<Event> {
    let event = event(&key.tenant, id);
    record(store, &key.id, &[(Arc::clone(&event), waiting(due_ms))]).await;
    event
}

/// Claims what can be claimed, with the usual lease.
pub(crate) async fn claim(store: &Store, now: Ms) -> Vec<Claim> {
    store.agenda.claim(now, LEASE, 100, 100).await.expect("claim")
}

/// Claims the one lane that can be claimed.
pub(crate) async fn claim_one(store: &Store, now: Ms) -> Claim {
    let mut claims = claim(store, now).await;
    assert_eq!(claims.len(), 1, "exactly one lane is due: {claims:?}");
    claims.remove(0)
}

/// The event ids of what is due in a claimed lane.
pub(crate) async fn due_ids(store: &Store, claim: &Claim, now: Ms) -> Vec<String> {
    let due = store.agenda.due(claim, now, 1_000).await.expect("due");
    due.iter().map(|item| item.event.id.to_string()).collect()
}

/// Writes one outcome of a lane's delivery.
pub(crate) async fn settle_one(
    store: &Store,
    key: &LaneKey,
    event: &Arc<Event>,
    update: DeliveryUpdate,
) {
    let updates = vec![(Arc::clone(event), update)];
    store.agenda.settle(key, updates).await.expect("settle in the agenda");
}

/// The state of one delivery.
pub(crate) async fn state_of(store: &Store, event: &Event, destination: &str) -> DeliveryState {
    let record = store.ledger.event(&event.tenant, &event.id).await.expect("ledger");
    let deliveries = record.expect("the event is there").deliveries;
    let found = deliveries.into_iter().find(|delivery| delivery.lane.as_str() == destination);
    found.expect("the delivery is there").state
}
