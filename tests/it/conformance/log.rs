//! The log: nothing is lost, nothing is read twice by the same reader, repetitions are told.

use std::sync::Arc;
use std::time::Duration;

use fanfare_contract::Event;
use fanfare_store::{
    Admission, Appended, EventState, Next, Outcome, Payload, Rejected, Settlement, StateKind,
};

use super::Fixture;
use super::kit::{
    A_LOOK, PATIENCE, T0, admit, append, attempt, claim_one, dead, event, event_at,
    expect_nothing_to_read, lane, routed, settle_one, take, take_fresh, tried, update, waiting,
};

pub(crate) async fn appended_events_come_back_whole_and_in_order<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    let body = br#"{ "id":"evt_b", "type":"a.b",  "created":-5, "data":null, "extra": [1.0] }"#;
    let odd = Event::new("acme".into(), "evt_b".into(), "a.b".into(), -5, T0 + 1, body[..].into());
    let odd = Arc::new(odd.with_trace(Some("00-0af7651916cd43dd8448eb211c80319c-b7-01".into())));
    let sent = [event("acme", "evt_z"), odd, event("acme", "evt_a")];
    append(&store, &sent).await;

    let taken = take(&store, 3).await;
    for (sent, taken) in sent.iter().zip(&taken) {
        let came = &taken.event;
        assert_eq!((&sent.tenant, &sent.id, &sent.kind), (&came.tenant, &came.id, &came.kind));
        assert_eq!((sent.created, sent.received_ms), (came.created, came.received_ms));
        assert_eq!(sent.body, came.body, "byte for byte");
        assert_eq!(sent.trace, came.trace);
    }
    assert!(taken.is_sorted_by(|a, b| a.entry < b.entry), "positions go up");
    expect_nothing_to_read(&store).await;
}

pub(crate) async fn the_same_event_twice_is_one<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    let one = event("acme", "evt_1");
    assert_eq!(store.log.append(vec![Arc::clone(&one)]).await.unwrap(), [Appended::Accepted]);
    let again = store.log.append(vec![Arc::clone(&one)]).await.unwrap();
    let entries = 1 + again.iter().filter(|answer| **answer == Appended::Accepted).count();
    let fresh = take_fresh(&store, entries).await;
    assert_eq!(fresh.len(), 1, "one event, whichever entry brought it");
    store.log.settle(vec![routed(&fresh[0], vec![])]).await.unwrap();

    // And still when the first is settled already.
    let again = store.log.append(vec![one]).await.unwrap();
    let entries = again.iter().filter(|answer| **answer == Appended::Accepted).count();
    assert!(take_fresh(&store, entries).await.is_empty());
    let counts = store.ledger.counts("acme", 0, T0 * 2).await.unwrap();
    assert_eq!((counts.received, counts.pending, counts.unrouted), (1, 0, 1));
}

pub(crate) async fn the_same_event_twice_in_one_batch_is_one<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    let batch = vec![event("acme", "evt_1"), event("acme", "evt_2"), event("acme", "evt_1")];
    let answers = store.log.append(batch).await.unwrap();
    assert_eq!(answers[..2], [Appended::Accepted, Appended::Accepted]);
    let entries = answers.iter().filter(|answer| **answer == Appended::Accepted).count();
    let fresh = take_fresh(&store, entries).await;
    let ids: Vec<&str> = fresh.iter().map(|taken| &*taken.event.id).collect();
    assert_eq!(ids, ["evt_1", "evt_2"]);
}

pub(crate) async fn the_same_id_in_two_tenants_is_two<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    append(&store, &[event("acme", "evt_1"), event("globex", "evt_1")]).await;
    let fresh = take_fresh(&store, 2).await;
    let tenants: Vec<&str> = fresh.iter().map(|taken| &*taken.event.tenant).collect();
    assert_eq!(tenants, ["acme", "globex"]);
    store.log.settle(vec![routed(&fresh[0], vec![])]).await.unwrap();
    let state = |record: Option<fanfare_store::EventRecord>| record.map(|record| record.state);
    assert_eq!(
        state(store.ledger.event("acme", "evt_1").await.unwrap()),
        Some(EventState::Unrouted)
    );
    assert_eq!(
        state(store.ledger.event("globex", "evt_1").await.unwrap()),
        Some(EventState::Pending)
    );
}

pub(crate) async fn a_thousand_events_fit_in_one_batch<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    let events: Vec<_> =
        (0..1_000).map(|n| event(&format!("t{}", n % 7), &format!("evt_{n}"))).collect();
    append(&store, &events).await;
    let taken = take_fresh(&store, 1_000).await;
    // Tenants take turns. The events of each one are in order.
    for tenant in 0..7 {
        let of = |event: &Arc<Event>| *event.tenant == *format!("t{tenant}");
        let came = taken.iter().map(|taken| &taken.event).filter(|event| of(event));
        let sent = events.iter().filter(|event| of(event));
        assert!(came.map(|event| &event.id).eq(sent.map(|event| &event.id)), "t{tenant}");
    }
    let batch = taken.iter().map(|t| {
        let delivered = update(&t.event, "hook", fanfare_store::Change::Delivered);
        routed(t, vec![tried(delivered, 1, "ok")])
    });
    store.log.settle(batch.collect()).await.unwrap();
    let mut delivered = 0;
    for tenant in 0..7 {
        let counts = store.ledger.counts(&format!("t{tenant}"), T0, T0 + 1).await.unwrap();
        delivered += counts.delivered;
    }
    assert_eq!(delivered, 1_000);
}

pub(crate) async fn big_bodies_and_odd_characters_survive<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    let names = [
        ("O'Brien; DROP TABLE events", "evt_'\"`\\"),
        ("{tag}:*?[a-z]", "evt_{x}:y*%s"),
        ("Ōkubo\u{1f600}", "evt_\u{0} \r\n\t\u{7f}\u{202e}"),
        (" ", "~"),
    ];
    let big = format!(r#"{{"data":"{}"}}"#, "\u{e9}".repeat(130_000));
    let events: Vec<_> = names
        .iter()
        .map(|(tenant, id)| {
            let body = big.clone().into_bytes().into();
            let (tenant, id) = ((*tenant).into(), (*id).into());
            Arc::new(Event::new(tenant, id, "a\u{0}b".into(), i64::MAX / 2, T0, body))
        })
        .collect();
    append(&store, &events).await;
    let taken = take_fresh(&store, events.len()).await;
    // The order is that of each tenant.
    for sent in &events {
        let found = taken.iter().find(|one| one.event.tenant == sent.tenant);
        let taken = found.expect("an entry of each tenant");
        assert_eq!(sent.id, taken.event.id);
        assert!(sent.body == taken.event.body, "the body of {} is the same", sent.id);
        let update = tried(update(&taken.event, "to'{}:*~\u{1f600}", waiting(T0)), 1, "http_500");
        store.log.settle(vec![routed(taken, vec![update])]).await.unwrap();
        let record = store.ledger.event(&sent.tenant, &sent.id).await.unwrap().unwrap();
        assert!(record.event.body == sent.body);
        assert_eq!((&record.event.kind, record.event.created), (&sent.kind, sent.created));
        assert_eq!(record.deliveries[0].lane, "to'{}:*~\u{1f600}");
        assert_eq!(record.deliveries[0].attempts, [attempt(1, "http_500")]);
    }
    let claims = store.agenda.claim(T0, Duration::from_secs(9), 100, 100).await.unwrap();
    assert_eq!(claims.len(), names.len());
    for claim in &claims {
        let due = store.agenda.due(claim, T0, 10).await.unwrap();
        assert!(due[0].event.body == events[0].body);
        assert_eq!(due[0].attempts, 1);
    }
}

pub(crate) async fn reading_waits_for_the_first_event<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    let began = std::time::Instant::now();
    let reader = store.clone();
    let reading = tokio::spawn(async move { reader.log.read(10, PATIENCE).await.unwrap() });
    tokio::task::yield_now().await;
    append(&store, &[event("acme", "evt_1")]).await;
    let entries = reading.await.unwrap();
    assert_eq!(entries.len(), 1);
    assert!(began.elapsed() < PATIENCE / 2, "told when it came, not when the wait was over");
}

pub(crate) async fn a_dropped_read_loses_nothing<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    let mut ids = Vec::new();
    for n in 0..100_u64 {
        let reader = store.clone();
        let reading = tokio::spawn(async move { reader.log.read(1, PATIENCE).await });
        if n % 3 == 0 {
            tokio::task::yield_now().await;
        }
        append(&store, &[event("acme", &format!("evt_{n:03}"))]).await;
        reading.abort();
        // What it had already handed over was read; anything else must still come.
        if let Ok(entries) = reading.await {
            ids.extend(entries.unwrap().into_iter().map(|entry| match entry.payload {
                Payload::Event(event) => event.id.to_string(),
                Payload::Raw(_) => panic!("an event came back as raw fields"),
            }));
        }
    }
    let store = fixture.crash(store).await;
    // None of them was settled: all come again.
    let mut again: Vec<_> =
        take(&store, 100).await.iter().map(|taken| taken.event.id.to_string()).collect();
    again.sort_unstable();
    assert!(again.windows(2).all(|pair| pair[0] != pair[1]), "each of them once");
    ids.sort_unstable();
    assert!(ids.windows(2).all(|pair| pair[0] != pair[1]), "no entry was read twice");
    expect_nothing_to_read(&store).await;
}

pub(crate) async fn an_event_appended_by_another_process_is_read<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    append(&store, &[event("acme", "evt_1")]).await;
    take(&store, 1).await;
    let reader = store.clone();
    let reading = tokio::spawn(async move { take(&reader, 2).await });
    let other = fixture.beside().await;
    append(&other, &[event("acme", "evt_2")]).await;
    append(&store, &[event("acme", "evt_3")]).await;
    let ids: Vec<_> = reading.await.unwrap().iter().map(|t| t.event.id.to_string()).collect();
    assert_eq!(ids, ["evt_2", "evt_3"]);
    append(&other, &[event("acme", "evt_4")]).await;
    assert_eq!(&*take(&store, 1).await[0].event.id, "evt_4");
}

pub(crate) async fn an_unsettled_entry_is_fresh_however_often_it_is_admitted<F: Fixture>(
    fixture: &F,
) {
    let store = fixture.open().await;
    append(&store, &[event("acme", "evt_1"), event("acme", "evt_2")]).await;
    let taken = take(&store, 2).await;
    assert_eq!(admit(&store, &taken).await, [Admission::Fresh, Admission::Fresh]);
    assert_eq!(admit(&store, &taken).await, [Admission::Fresh, Admission::Fresh]);
    store.log.settle(vec![routed(&taken[1], vec![])]).await.unwrap();
    assert_eq!(admit(&store, &taken).await, [Admission::Fresh, Admission::Settled]);
}

pub(crate) async fn settling_is_idempotent<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    append(&store, &[event("acme", "evt_1"), event("acme", "evt_2")]).await;
    let taken = take_fresh(&store, 2).await;
    let batch = vec![
        routed(&taken[0], vec![]),
        routed(
            &taken[1],
            vec![
                tried(update(&taken[1].event, "a", dead("http_500")), 1, "http_500"),
                tried(update(&taken[1].event, "b", waiting(T0 + 5)), 1, "http_500"),
            ],
        ),
    ];
    for _ in 0..3 {
        store.log.settle(batch.clone()).await.unwrap();
    }
    let record = store.ledger.event("acme", "evt_2").await.unwrap().unwrap();
    assert_eq!(record.state, EventState::Routed);
    assert_eq!(record.deliveries.len(), 2);
    for delivery in &record.deliveries {
        assert_eq!(delivery.attempts, [attempt(1, "http_500")], "counted once");
    }
    assert_eq!(store.agenda.waiting(&lane("acme", "b")).await.unwrap(), 1);
    let counts = store.ledger.counts("acme", T0, T0 + 1).await.unwrap();
    assert_eq!((counts.received, counts.unrouted, counts.dead, counts.waiting), (2, 1, 1, 1));
}

pub(crate) async fn a_late_repetition_of_a_settlement_undoes_nothing<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    append(&store, &[event("acme", "evt_1")]).await;
    let taken = take_fresh(&store, 1).await;
    let batch = vec![routed(&taken[0], vec![update(&taken[0].event, "hook", waiting(T0))])];
    store.log.settle(batch.clone()).await.unwrap();
    let claim = claim_one(&store, T0).await;
    let delivered = update(&taken[0].event, "hook", fanfare_store::Change::Delivered);
    settle_one(&store, &claim.lane, &taken[0].event, tried(delivered, 1, "ok")).await;
    store.agenda.release(&claim, Next::WhenDue).await.unwrap();

    store.log.settle(batch).await.unwrap();
    let record = store.ledger.event("acme", "evt_1").await.unwrap().unwrap();
    assert_eq!(record.deliveries[0].state.kind(), StateKind::Delivered);
    assert_eq!(store.agenda.waiting(&claim.lane).await.unwrap(), 0);
    assert_eq!(store.agenda.next_time().await.unwrap(), None);
}

pub(crate) async fn only_unsettled_entries_come_again_after_a_crash<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    let events: Vec<_> = (0..20).map(|n| event("acme", &format!("evt_{n}"))).collect();
    append(&store, &events).await;
    let taken = take_fresh(&store, 12).await;
    let settled = taken.iter().enumerate().filter(|(n, _)| n % 3 != 0);
    let batch = settled.map(|(_, taken)| routed(taken, vec![])).collect();
    store.log.settle(batch).await.unwrap();

    let store = fixture.crash(store).await;
    let again = take(&store, 12).await;
    let mut ids: Vec<_> = again.iter().map(|taken| taken.event.id.to_string()).collect();
    ids.sort_unstable();
    let mut expected: Vec<_> = [0, 3, 6, 9].into_iter().chain(12..20).collect();
    expected.sort_by_key(ToString::to_string);
    let expected: Vec<_> = expected.iter().map(|n| format!("evt_{n}")).collect();
    assert_eq!(ids, expected);
    assert!(admit(&store, &again).await.iter().all(|admission| *admission == Admission::Fresh));
    expect_nothing_to_read(&store).await;
}

pub(crate) async fn what_was_appended_and_never_read_survives_a_crash<F: Fixture>(fixture: &F) {
    let mut store = fixture.open().await;
    for round in 0..3 {
        append(&store, &[event_at("acme", &format!("evt_{round}"), T0 + round)]).await;
        store = fixture.crash(store).await;
    }
    let ids: Vec<_> = take(&store, 3).await.iter().map(|t| t.event.id.to_string()).collect();
    assert_eq!(ids, ["evt_0", "evt_1", "evt_2"]);
    assert!(store.log.read(1, A_LOOK).await.unwrap().is_empty());
}

pub(crate) async fn a_rejected_entry_is_kept_and_is_no_event<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    append(&store, &[event("acme", "evt_1")]).await;
    let taken = take(&store, 1).await;
    let rejected = Rejected {
        entry: taken[0].entry.to_string(),
        at_ms: T0,
        tenant: Some("acme".into()),
        code: "not_json".into(),
        reason: "expected `}` at byte 7; send one JSON object".into(),
        raw: "{\"id\":\u{fffd}\u{0}".into(),
    };
    let settlement =
        Settlement { entry: taken[0].entry, outcome: Outcome::Rejected(rejected.clone()) };
    store.log.settle(vec![settlement.clone()]).await.unwrap();
    store.log.settle(vec![settlement]).await.unwrap();
    let page = store.ledger.rejected(None, 10).await.unwrap();
    assert_eq!((page.items, page.next), (vec![rejected], None));
    assert!(store.ledger.event("acme", "evt_1").await.unwrap().is_none());
    assert_eq!(store.ledger.counts("acme", 0, T0 * 2).await.unwrap().received, 0);
    let store = fixture.crash(store).await;
    expect_nothing_to_read(&store).await;
}
