//! The ledger: what happened can be looked up, listed, counted, by its own tenant alone.

use std::collections::BTreeSet;
use std::sync::Arc;

use fanfare_contract::{Environment, Tally};
use fanfare_store::{
    Change, DeliveryQuery, EventQuery, EventState, Outcome, Rejected, Settlement, StateKind, Store,
    StoreError,
};

use super::Fixture;
use super::kit::{
    LEASE_MS, T0, append, at, attempt, claim_one, dead, event, event_at, event_of, record, routed,
    suppressed, take, take_fresh, tried, update, waiting, waiting_until,
};

pub(crate) async fn an_event_is_found_with_all_that_happened_to_it<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    append(&store, &[event_of("acme", "evt_1", "kyc.done", T0 + 3)]).await;
    let taken = take_fresh(&store, 1).await;
    let record = store.ledger.event("acme", "evt_1").await.unwrap().unwrap();
    assert_eq!((record.state, record.deliveries.len()), (EventState::Pending, 0));

    let states = [
        ("a", Change::Delivered),
        ("b~x", waiting_until(T0 + 9, T0 + 99)),
        ("c", suppressed("unsubscribed")),
        ("d", dead("http_410")),
    ];
    let updates = states.iter().map(|(to, state)| {
        let mut update = tried(update(&taken[0].event, to, state.clone()), 1, "ok");
        update.channel = format!("channel-{to}").into();
        at(update, T0 + 44)
    });
    store.log.settle(vec![routed(&taken[0], updates.collect())]).await.unwrap();

    let record = store.ledger.event("acme", "evt_1").await.unwrap().unwrap();
    assert_eq!(record.state, EventState::Routed);
    assert_eq!(record.event.body, taken[0].event.body);
    assert_eq!(record.deliveries.len(), 4);
    for ((to, state), delivery) in states.iter().zip(&record.deliveries) {
        assert_eq!(delivery.id.as_str(), format!("dlv_evt_1.{to}"));
        assert_eq!((delivery.event.as_str(), delivery.kind.as_str()), ("evt_1", "kyc.done"));
        assert_eq!(delivery.lane, *to);
        assert_eq!(delivery.channel, format!("channel-{to}"));
        assert_eq!(delivery.state, state.target());
        assert_eq!(delivery.attempts, [attempt(1, "ok")]);
        assert_eq!((delivery.received_ms, delivery.updated_ms), (T0 + 3, T0 + 44));
    }
}

pub(crate) async fn an_event_that_never_was_is_not_found<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    assert!(store.ledger.event("acme", "evt_1").await.unwrap().is_none());
    record(&store, "hook", &[(event("acme", "evt_1"), Change::Delivered)]).await;
    assert!(store.ledger.event("acme", "evt_2").await.unwrap().is_none());
    assert!(store.ledger.event("globex", "evt_1").await.unwrap().is_none(), "it is not theirs");
    let query = EventQuery { tenant: "globex".into(), limit: 10, ..EventQuery::default() };
    assert!(store.ledger.events(&query).await.unwrap().items.is_empty());
    let query = DeliveryQuery { tenant: "globex".into(), limit: 10, ..DeliveryQuery::default() };
    assert!(store.ledger.deliveries(&query).await.unwrap().items.is_empty());
    let counts = store.ledger.counts("globex", 0, T0 * 2).await.unwrap();
    assert_eq!(counts, fanfare_store::Counts::default());
}

/// All pages of events; each must hold no more than its limit.
async fn all_events(store: &Store, query: EventQuery) -> Vec<String> {
    let (mut ids, mut query, mut pages) = (Vec::new(), query, 0);
    loop {
        let page = store.ledger.events(&query).await.unwrap();
        assert!(page.items.len() <= query.limit);
        ids.extend(page.items.into_iter().map(|event| event.id));
        pages += 1;
        assert!(pages < 1_000, "the pages end");
        match page.next {
            Some(next) => query.cursor = Some(next),
            None => return ids,
        }
    }
}

/// All pages of deliveries, as `event>destination`.
async fn all_deliveries(store: &Store, query: DeliveryQuery) -> Vec<String> {
    let (mut ids, mut query, mut pages) = (Vec::new(), query, 0);
    loop {
        let page = store.ledger.deliveries(&query).await.unwrap();
        assert!(page.items.len() <= query.limit);
        ids.extend(page.items.into_iter().map(|one| format!("{}>{}", one.event, one.lane)));
        pages += 1;
        assert!(pages < 1_000, "the pages end");
        match page.next {
            Some(next) => query.cursor = Some(next),
            None => return ids,
        }
    }
}

pub(crate) async fn events_are_listed_newest_first_in_pages<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    let lines: Vec<_> = (0..25)
        .map(|n| (event_at("acme", &format!("evt_{n}"), T0 + n / 2), Change::Delivered))
        .collect();
    record(&store, "hook", &lines).await;
    record(&store, "hook", &[(event("globex", "evt_x"), Change::Delivered)]).await;
    let expected: Vec<_> = (0..25).rev().map(|n| format!("evt_{n}")).collect();
    for limit in [1, 4, 25, 1_000] {
        let query = EventQuery { tenant: "acme".into(), limit, ..EventQuery::default() };
        assert_eq!(all_events(&store, query).await, expected, "{limit} a page");
    }
    let query = EventQuery { tenant: "acme".into(), limit: 1, ..EventQuery::default() };
    let first = store.ledger.events(&query).await.unwrap().items.remove(0);
    assert_eq!((first.kind.as_str(), first.received_ms), ("order.paid", T0 + 12));
    assert_eq!((first.state, first.deliveries.delivered), (EventState::Routed, 1));
    assert_eq!((first.deliveries.waiting, first.deliveries.dead), (0, 0));
}

pub(crate) async fn events_are_filtered_by_type_and_time<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    let kinds = ["a.b", "a.c", "a.b", "a.b"];
    let lines: Vec<_> = (0_i64..)
        .zip(kinds)
        .map(|(n, kind)| (event_of("acme", &format!("evt_{n}"), kind, T0 + n), waiting(T0)))
        .collect();
    record(&store, "hook", &lines).await;
    let all = EventQuery { tenant: "acme".into(), limit: 2, ..EventQuery::default() };
    let query = EventQuery { kind: Some("a.b".into()), ..all.clone() };
    assert_eq!(all_events(&store, query).await, ["evt_3", "evt_2", "evt_0"]);
    let query = EventQuery { kind: Some("a.*".into()), ..all.clone() };
    assert!(all_events(&store, query).await.is_empty(), "types are exact here");
    let query = EventQuery { from_ms: Some(T0 + 1), to_ms: Some(T0 + 3), ..all.clone() };
    assert_eq!(all_events(&store, query).await, ["evt_2", "evt_1"], "from is in, to is not");
    let query = EventQuery { kind: Some("a.b".into()), to_ms: Some(T0 + 3), ..all };
    assert_eq!(all_events(&store, query).await, ["evt_2", "evt_0"]);
}

pub(crate) async fn the_environment_of_an_event_stays_with_it<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    let live = event_of("acme", "evt_live", "a.b", T0);
    let test = event_of("acme", "evt_test", "a.b", T0 + 1);
    let test = Arc::into_inner(test).expect("one owner").with_environment(Environment::Test);
    let lines = [(live, waiting(T0)), (Arc::new(test), waiting(T0))];
    let taken = record(&store, "hook", &lines).await;
    let read: Vec<_> = taken.iter().map(|taken| taken.event.environment).collect();
    assert_eq!(read, [Environment::Live, Environment::Test], "as the router reads them");

    let store = fixture.crash(store).await;
    for (id, environment) in [("evt_live", Environment::Live), ("evt_test", Environment::Test)] {
        let found = store.ledger.event("acme", id).await.unwrap().expect("it is there");
        assert_eq!(found.event.environment, environment);
        assert_eq!(found.deliveries[0].environment, environment);
        let wanted = Some(environment);
        let query = EventQuery {
            environment: wanted,
            tenant: "acme".into(),
            limit: 10,
            ..EventQuery::default()
        };
        let page = store.ledger.events(&query).await.unwrap();
        let listed: Vec<_> = page.items.iter().map(|e| (e.id.as_str(), e.environment)).collect();
        assert_eq!(listed, [(id, environment)], "events are filtered by it");
        let query = DeliveryQuery {
            environment: wanted,
            tenant: "acme".into(),
            limit: 10,
            ..DeliveryQuery::default()
        };
        let page = store.ledger.deliveries(&query).await.unwrap();
        let listed: Vec<_> = page.items.iter().map(|d| (d.event.as_str(), d.environment)).collect();
        assert_eq!(listed, [(id, environment)], "deliveries too");
    }
    // What waits is served as what it is.
    let claim = claim_one(&store, T0 + LEASE_MS * 2).await;
    let due = store.agenda.due(&claim, T0 + LEASE_MS * 2, 10).await.unwrap();
    let due: Vec<_> = due.iter().map(|item| (&*item.event.id, item.event.environment)).collect();
    assert_eq!(due, [("evt_live", Environment::Live), ("evt_test", Environment::Test)]);
}

/// Four events, two destinations, all four states.
async fn various(store: &Store) {
    let states = [
        [Change::Delivered, waiting(T0 + 5)],
        [dead("timeout"), suppressed("disabled")],
        [Change::Delivered, dead("http_500")],
        [waiting(T0 + 9), Change::Delivered],
    ];
    let kinds = ["a.b", "a.b", "a.c", "a.c"];
    let events: Vec<_> = (0_i64..)
        .zip(kinds)
        .map(|(n, kind)| event_of("acme", &format!("evt_{n}"), kind, T0 + n))
        .collect();
    append(store, &events).await;
    let taken = take_fresh(store, 4).await;
    let batch = taken.iter().zip(states).map(|(t, [hook, mail])| {
        routed(t, vec![update(&t.event, "hook", hook), update(&t.event, "mail~ann", mail)])
    });
    store.log.settle(batch.collect()).await.unwrap();
}

pub(crate) async fn deliveries_are_filtered_by_each_of_their_marks<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    various(&store).await;
    let all = DeliveryQuery { tenant: "acme".into(), limit: 1, ..DeliveryQuery::default() };
    let cases: [(&str, DeliveryQuery, &[&str]); 9] = [
        (
            "delivered",
            DeliveryQuery { state: Some(StateKind::Delivered), ..all.clone() },
            &["evt_3>mail~ann", "evt_2>hook", "evt_0>hook"],
        ),
        (
            "waiting",
            DeliveryQuery { state: Some(StateKind::Waiting), ..all.clone() },
            &["evt_3>hook", "evt_0>mail~ann"],
        ),
        (
            "dead",
            DeliveryQuery { state: Some(StateKind::Dead), ..all.clone() },
            &["evt_2>mail~ann", "evt_1>hook"],
        ),
        (
            "suppressed",
            DeliveryQuery { state: Some(StateKind::Suppressed), ..all.clone() },
            &["evt_1>mail~ann"],
        ),
        (
            "a lane",
            DeliveryQuery { lane: Some("mail~ann".into()), ..all.clone() },
            &["evt_3>mail~ann", "evt_2>mail~ann", "evt_1>mail~ann", "evt_0>mail~ann"],
        ),
        (
            "a destination with all its lanes",
            DeliveryQuery {
                lane: Some("mail".into()),
                state: Some(StateKind::Dead),
                ..all.clone()
            },
            &["evt_2>mail~ann"],
        ),
        (
            "no other destination that begins the same",
            DeliveryQuery { lane: Some("hoo".into()), ..all.clone() },
            &[],
        ),
        (
            "type",
            DeliveryQuery { kind: Some("a.c".into()), lane: Some("hook".into()), ..all.clone() },
            &["evt_3>hook", "evt_2>hook"],
        ),
        (
            "time",
            DeliveryQuery {
                from_ms: Some(T0 + 1),
                to_ms: Some(T0 + 3),
                lane: Some("hook".into()),
                ..all
            },
            &["evt_2>hook", "evt_1>hook"],
        ),
    ];
    for (what, query, expected) in cases {
        assert_eq!(all_deliveries(&store, query).await, expected, "{what}");
    }
}

pub(crate) async fn deliveries_are_listed_in_pages<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    various(&store).await;
    let query = DeliveryQuery { tenant: "acme".into(), limit: 1_000, ..DeliveryQuery::default() };
    let whole = all_deliveries(&store, query.clone()).await;
    assert_eq!(whole.len(), 8);
    let events: Vec<_> = whole.iter().map(|line| line.split('>').next().unwrap()).collect();
    let newest_first = ["evt_3", "evt_3", "evt_2", "evt_2", "evt_1", "evt_1", "evt_0", "evt_0"];
    assert_eq!(events, newest_first);
    for limit in 1..5 {
        let query = DeliveryQuery { limit, ..query.clone() };
        assert_eq!(all_deliveries(&store, query).await, whole, "{limit} a page");
    }
}

pub(crate) async fn deliveries_are_listed_from_the_oldest_on_too<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    various(&store).await;
    let newest = DeliveryQuery { tenant: "acme".into(), limit: 1_000, ..DeliveryQuery::default() };
    let oldest = DeliveryQuery { oldest_first: true, ..newest.clone() };
    let by_event = |lines: Vec<String>| {
        let event = |line: &String| line.split('>').next().unwrap().to_owned();
        (lines.iter().map(event).collect::<Vec<_>>(), BTreeSet::from_iter(lines))
    };
    let ranges =
        [(None, None), (Some(T0 + 1), None), (None, Some(T0 + 3)), (Some(T0 + 1), Some(T0 + 3))];
    for (from_ms, to_ms) in ranges {
        for state in
            [None, Some(StateKind::Dead), Some(StateKind::Waiting), Some(StateKind::Delivered)]
        {
            let in_range = |query: &DeliveryQuery, limit| DeliveryQuery {
                from_ms,
                to_ms,
                state,
                limit,
                ..query.clone()
            };
            let (mut events, lines) =
                by_event(all_deliveries(&store, in_range(&newest, 100)).await);
            events.reverse();
            for limit in [1, 2, 3, 100] {
                let found = by_event(all_deliveries(&store, in_range(&oldest, limit)).await);
                assert_eq!(
                    found,
                    (events.clone(), lines.clone()),
                    "{from_ms:?} {to_ms:?} {state:?}"
                );
            }
        }
    }
}

fn rejected(entry: String, at_ms: i64) -> Rejected {
    let (code, reason, raw) = ("too_large".into(), "300 KiB; at most 256".into(), "{".into());
    Rejected { entry, at_ms, tenant: None, code, reason, raw }
}

pub(crate) async fn rejected_entries_are_listed_in_pages<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    let events: Vec<_> = (0..7).map(|n| event("acme", &format!("evt_{n}"))).collect();
    append(&store, &events).await;
    let taken = take(&store, 7).await;
    let batch = (0..).zip(&taken).map(|(n, t)| Settlement {
        entry: t.entry,
        outcome: Outcome::Rejected(rejected(t.entry.to_string(), T0 + n)),
    });
    store.log.settle(batch.collect()).await.unwrap();
    let (mut times, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let page = store.ledger.rejected(cursor.as_deref(), 3).await.unwrap();
        assert!(page.items.len() <= 3);
        times.extend(page.items.iter().map(|line| line.at_ms - T0));
        match page.next {
            Some(next) => cursor = Some(next),
            None => break,
        }
    }
    assert_eq!(times, [6, 5, 4, 3, 2, 1, 0]);
}

pub(crate) async fn a_cursor_that_is_not_ours_is_refused<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    various(&store).await;
    for cursor in ["", "nonsense", "1", "'; DROP TABLE events", "\u{1f600}"] {
        let bad = |error: StoreError| matches!(error, StoreError::BadQuery(_));
        let events = EventQuery {
            tenant: "acme".into(),
            cursor: Some(cursor.into()),
            limit: 5,
            ..EventQuery::default()
        };
        assert!(bad(store.ledger.events(&events).await.unwrap_err()), "{cursor:?}");
        let deliveries = DeliveryQuery {
            tenant: "acme".into(),
            cursor: Some(cursor.into()),
            limit: 5,
            ..DeliveryQuery::default()
        };
        assert!(bad(store.ledger.deliveries(&deliveries).await.unwrap_err()), "{cursor:?}");
        assert!(bad(store.ledger.rejected(Some(cursor), 5).await.unwrap_err()), "{cursor:?}");
    }
}

pub(crate) async fn a_tally_counts_what_ended_without_delivery_by_reason<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    let states = [
        (suppressed("unsubscribed"), 1),
        (suppressed("unsubscribed"), 2),
        (suppressed("disabled"), 2),
        (dead("timeout"), 3),
        (dead("timeout"), 5),
        (suppressed("unsubscribed"), 5),
        (Change::Delivered, 2),
        (waiting(T0 + 2), 2),
    ];
    let events: Vec<_> = (0..states.len()).map(|n| event("acme", &format!("evt_{n}"))).collect();
    append(&store, &events).await;
    let taken = take_fresh(&store, events.len()).await;
    let batch = taken.iter().zip(states).map(|(t, (state, when))| {
        let other = at(update(&t.event, "other", dead("elsewhere")), T0 + 2);
        routed(t, vec![at(update(&t.event, "mail~ann", state), T0 + when), other])
    });
    store.log.settle(batch.collect()).await.unwrap();
    let key = super::kit::lane("acme", "mail~ann");
    let (mut kept, failed) = store.ledger.tally(&key, T0 + 1, T0 + 5).await.unwrap();
    kept.sort_by(|a, b| a.reason.cmp(&b.reason));
    let line = |reason: &str, count| Tally { reason: reason.into(), count };
    assert_eq!(kept, [line("disabled", 1), line("unsubscribed", 2)]);
    assert_eq!(failed, [line("timeout", 1)]);
    let empty = store.ledger.tally(&key, T0 + 6, T0 + 9).await.unwrap();
    assert_eq!(empty, (vec![], vec![]));
}

pub(crate) async fn the_account_of_a_tenant_adds_up<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    various(&store).await;
    let late = [event_at("acme", "evt_8", T0 + 8), event_at("acme", "evt_9", T0 + 9)];
    append(&store, &late).await;
    let taken = take_fresh(&store, 2).await;
    store.log.settle(vec![routed(&taken[0], vec![])]).await.unwrap();
    let counts = store.ledger.counts("acme", 0, T0 * 2).await.unwrap();
    assert_eq!((counts.received, counts.pending, counts.unrouted), (6, 1, 1));
    assert_eq!((counts.delivered, counts.waiting), (3, 2));
    assert_eq!((counts.suppressed, counts.dead), (1, 2));
    let counts = store.ledger.counts("acme", T0 + 1, T0 + 3).await.unwrap();
    assert_eq!((counts.received, counts.delivered, counts.dead), (2, 1, 2));
}
