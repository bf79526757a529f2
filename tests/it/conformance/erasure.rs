//! Removing for good, whatever the state of what is removed.

use std::sync::Arc;
use std::time::Duration;

use fanfare_store::{
    Change, DeliveryQuery, EntryId, Erased, EventQuery, Next, Outcome, Payload, Rejected,
    Settlement, StateKind, Store,
};

use super::Fixture;
use super::kit::{
    T0, admit, append, claim, claim_one, dead, due_ids, event, expect_nothing_to_read, lane, park,
    record, routed, settle_one, suppressed, take, take_fresh, tried, update, waiting,
};

async fn erase(store: &Store, tenant: &str, ids: &[&str]) -> Erased {
    let ids: Vec<String> = ids.iter().map(|id| (*id).to_owned()).collect();
    store.erasure.erase_events(tenant, &ids, T0).await.expect("erase")
}

/// The tenant's events in every list there is.
async fn ids(store: &Store, tenant: &str) -> Vec<String> {
    let query = EventQuery { tenant: tenant.into(), limit: 100, ..EventQuery::default() };
    let listed = store.ledger.events(&query).await.expect("events").items;
    let mut listed: Vec<String> = listed.into_iter().map(|one| one.id).collect();
    listed.sort();
    let tail = store.ledger.tail(tenant, 0, 100).await.expect("tail").items;
    let mut followed: Vec<String> =
        tail.iter().map(|(_, record)| record.event.id.to_string()).collect();
    followed.sort();
    assert_eq!(listed, followed);
    listed
}

pub(crate) async fn an_erased_event_is_gone_with_all_that_belongs_to_it<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    let events = ["evt_1", "evt_2", "evt_3", "evt_4"].map(|id| event("acme", id));
    let states = [Change::Delivered, dead("timeout"), suppressed("disabled"), dead("timeout")];
    let lines: Vec<_> = events.iter().cloned().zip(states).collect();
    record(&store, "hook", &lines).await;
    record(&store, "hook", &[(event("globex", "evt_1"), dead("timeout"))]).await;
    append(&store, &[event("acme", "evt_unrouted")]).await;
    let taken = take_fresh(&store, 1).await;
    store.log.settle(vec![routed(&taken[0], vec![])]).await.unwrap();

    let erased =
        erase(&store, "acme", &["evt_1", "evt_2", "evt_3", "evt_unrouted", "evt_none"]).await;
    assert_eq!(erased, Erased { events: 4, deliveries: 3 });
    assert_eq!(erase(&store, "acme", &["evt_1", "evt_2"]).await, Erased::default(), "once");
    assert_eq!(ids(&store, "acme").await, ["evt_4"]);
    assert!(store.ledger.event("acme", "evt_2").await.unwrap().is_none());
    let query = DeliveryQuery { tenant: "acme".into(), limit: 10, ..DeliveryQuery::default() };
    for state in [None, Some(StateKind::Dead), Some(StateKind::Suppressed)] {
        let query = DeliveryQuery { state, ..query.clone() };
        let left = store.ledger.deliveries(&query).await.unwrap().items;
        assert_eq!(left.len(), usize::from(state != Some(StateKind::Suppressed)), "{state:?}");
    }
    let (_, failed) = store.ledger.tally(&lane("acme", "hook"), 0, T0 * 2).await.unwrap();
    assert_eq!(failed[0].count, 1);
    let counts = store.ledger.counts("acme", 0, T0 * 2).await.unwrap();
    assert_eq!((counts.received, counts.dead), (1, 1));
    assert_eq!(ids(&store, "globex").await, ["evt_1"], "another tenant's of the same id stays");

    let store = fixture.crash(store).await;
    assert_eq!(ids(&store, "acme").await, ["evt_4"], "it is durable");
}

pub(crate) async fn an_erased_event_leaves_its_queue_and_an_idle_lane_its_line<F: Fixture>(
    fixture: &F,
) {
    let store = fixture.open().await;
    let (busy, idle) = (lane("acme", "busy"), lane("acme", "idle"));
    park(&store, &busy, "evt_1", T0).await;
    park(&store, &busy, "evt_2", T0).await;
    park(&store, &idle, "evt_3", T0).await;
    assert_eq!(erase(&store, "acme", &["evt_1", "evt_3"]).await.deliveries, 2);
    assert_eq!(store.agenda.waiting(&idle).await.unwrap(), 0);
    let claimed = claim_one(&store, T0).await;
    assert_eq!(claimed.lane, busy, "nothing is left of the other");
    assert_eq!(due_ids(&store, &claimed, T0).await, ["evt_2"]);

    // A lane that is served keeps its line until it is given back.
    erase(&store, "acme", &["evt_2"]).await;
    assert!(due_ids(&store, &claimed, T0).await.is_empty());
    store.agenda.release(&claimed, Next::WhenDue).await.unwrap();
    assert_eq!(store.agenda.next_time().await.unwrap(), None);
    park(&store, &busy, "evt_4", T0).await;
    assert_eq!(claim(&store, T0).await.len(), 1, "and goes on as ever");
}

pub(crate) async fn an_outcome_of_the_log_that_comes_late_does_not_bring_an_erased_event_back<
    F: Fixture,
>(
    fixture: &F,
) {
    let store = fixture.open().await;
    let events = ["evt_1", "evt_2", "evt_3", "evt_4"].map(|id| event("acme", id));
    append(&store, &events).await;
    let taken = take_fresh(&store, 4).await;
    assert_eq!(erase(&store, "acme", &["evt_1", "evt_2", "evt_3"]).await.events, 3);
    let states = [Some(Change::Delivered), Some(waiting(T0)), None, Some(waiting(T0))];
    let outcomes = taken.iter().zip(states).map(|(taken, state)| {
        let update = |state| tried(update(&taken.event, "hook", state), 1, "ok");
        routed(taken, state.map(update).into_iter().collect())
    });
    let outcomes: Vec<_> = outcomes.collect();
    store.log.settle(outcomes.clone()).await.unwrap();
    store.log.settle(outcomes).await.unwrap();
    assert_eq!(ids(&store, "acme").await, ["evt_4"]);
    assert_eq!(store.agenda.waiting(&lane("acme", "hook")).await.unwrap(), 1);
    let store = fixture.crash(store).await;
    expect_nothing_to_read(&store).await;
    assert_eq!(ids(&store, "acme").await, ["evt_4"]);
}

pub(crate) async fn an_outcome_of_a_lane_that_comes_late_does_not_bring_an_erased_event_back<
    F: Fixture,
>(
    fixture: &F,
) {
    let store = fixture.open().await;
    let key = lane("acme", "hook");
    let outcomes = [Change::Delivered, waiting(T0 + 5), dead("timeout")];
    for (n, state) in outcomes.into_iter().enumerate() {
        let one = park(&store, &key, &format!("evt_{n}"), T0).await;
        let claimed = claim_one(&store, T0).await;
        assert_eq!(store.agenda.due(&claimed, T0, 10).await.unwrap().len(), 1);
        erase(&store, "acme", &[&one.id]).await;
        let update = tried(update(&one, "hook", state), 1, "ok");
        settle_one(&store, &key, &one, update.clone()).await;
        settle_one(&store, &key, &one, update).await;
        store.agenda.release(&claimed, Next::WhenDue).await.unwrap();
        assert!(ids(&store, "acme").await.is_empty());
        assert_eq!(store.agenda.waiting(&key).await.unwrap(), 0);
        assert_eq!(store.agenda.next_time().await.unwrap(), None);
    }
}

/// What the log holds and nobody settled, as far as the ledger may not know of it.
async fn unsettled(store: &Store) -> Vec<EntryId> {
    let (mut found, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let page = store.erasure.unsettled(cursor.as_deref(), 2).await.expect("unsettled");
        for entry in page.items {
            assert!(matches!(entry.payload, Payload::Event(_)), "what we appended is whole");
            found.push(entry.id);
        }
        match page.next {
            Some(next) => cursor = Some(next),
            None => return found,
        }
    }
}

pub(crate) async fn an_event_that_is_erased_before_it_is_read_is_never_read<F: Fixture>(
    fixture: &F,
) {
    let store = fixture.open().await;
    append(&store, &[1, 2, 3].map(|n| event("acme", &format!("evt_{n}")))).await;
    let entries = unsettled(&store).await;
    // Each store knows of them in one of the two ways.
    if entries.is_empty() {
        assert_eq!(erase(&store, "acme", &["evt_1", "evt_2", "evt_3"]).await.events, 3);
    } else {
        assert_eq!(store.erasure.erase_entries("acme", &entries, T0).await.unwrap(), 3);
    }
    append(&store, &[event("acme", "evt_4")]).await;
    let taken = take(&store, 1).await;
    assert_eq!(&*taken[0].event.id, "evt_4");
    expect_nothing_to_read(&store).await;
}

pub(crate) async fn an_entry_that_was_read_and_erased_is_not_made_known<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    append(&store, &[event("acme", "evt_1"), event("acme", "evt_2")]).await;
    let taken = take(&store, 2).await;
    let entries = unsettled(&store).await;
    store.erasure.erase_entries("acme", &entries, T0).await.unwrap();
    erase(&store, "acme", &["evt_1", "evt_2"]).await;
    admit(&store, &taken).await;
    assert!(ids(&store, "acme").await.is_empty());
    let late =
        taken.iter().map(|taken| routed(taken, vec![update(&taken.event, "hook", waiting(T0))]));
    store.log.settle(late.collect()).await.unwrap();
    assert!(ids(&store, "acme").await.is_empty());
    assert_eq!(store.agenda.waiting(&lane("acme", "hook")).await.unwrap(), 0);
    let store = fixture.crash(store).await;
    expect_nothing_to_read(&store).await;
}

pub(crate) async fn erased_dead_letters_and_memos_are_gone_and_others_stay<F: Fixture>(
    fixture: &F,
) {
    let store = fixture.open().await;
    append(&store, &[event("acme", "evt_1"), event("acme", "evt_2")]).await;
    let taken = take(&store, 2).await;
    let rejected = taken.iter().map(|taken| Settlement {
        entry: taken.entry,
        outcome: Outcome::Rejected(Rejected {
            entry: taken.entry.to_string(),
            at_ms: T0,
            tenant: Some("acme".into()),
            code: "not_json".into(),
            reason: "it is not".into(),
            raw: "{".into(),
        }),
    });
    store.log.settle(rejected.collect()).await.unwrap();
    let gone = [taken[0].entry.to_string()];
    assert_eq!(store.erasure.erase_rejected(&gone).await.unwrap(), 1);
    assert_eq!(store.erasure.erase_rejected(&gone).await.unwrap(), 0);
    let left = store.ledger.rejected(None, 10).await.unwrap().items;
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].entry, taken[1].entry.to_string());

    record(&store, "hook", &[(event("globex", "evt_1"), Change::Delivered)]).await;
    let hour = Duration::from_hours(1);
    for key in ["slack/acme/chat/s1", "slack/acme/chat/s2", "slack/globex/chat/s1"] {
        store.memo.put(key, "x", hour).await;
    }
    assert_eq!(store.erasure.erase_memos(&["slack/acme/chat/s1".into()]).await.unwrap(), 1);
    assert_eq!(store.memo.get("slack/acme/chat/s1").await, None);
    assert!(store.memo.get("slack/acme/chat/s2").await.is_some());
    assert!(store.memo.get("slack/globex/chat/s1").await.is_some());
}

pub(crate) async fn a_tenant_without_events_is_forgotten_and_may_begin_anew<F: Fixture>(
    fixture: &F,
) {
    let store = fixture.open().await;
    let key = lane("acme", "hook");
    let hour = Duration::from_hours(1);
    let one = park(&store, &key, "evt_1", T0).await;
    record(&store, "hook", &[(event("globex", "evt_1"), Change::Delivered)]).await;
    store.agenda.failing(&key, T0, hour).await.unwrap();
    for memo in ["slack/acme/chat/s1", "slack/globex/acme/s1"] {
        store.memo.put(memo, "x", hour).await;
    }
    erase(&store, "acme", &[&one.id]).await;
    store.erasure.forget_tenant("acme").await.unwrap();
    store.erasure.forget_tenant("acme").await.unwrap();
    assert_eq!(store.memo.get("slack/acme/chat/s1").await, None);
    assert!(store.memo.get("slack/globex/acme/s1").await.is_some(), "another tenant's");
    assert_eq!(store.agenda.next_time().await.unwrap(), None);
    let failing = store.agenda.failing(&key, T0, hour).await.unwrap();
    assert_eq!(failing.told, 1, "how it went before is forgotten");

    // The same id is another tenant from now on. What follows it begins behind what was.
    let (place, _) = {
        let two: Arc<_> = park(&store, &key, "evt_2", T0).await;
        let tail = store.ledger.tail("acme", 0, 10).await.unwrap();
        assert_eq!(tail.items.len(), 1);
        assert_eq!(tail.items[0].1.event.id, two.id);
        (tail.items[0].0, two)
    };
    assert!(place > 1, "no place is given twice");
    let claimed = claim_one(&store, T0).await;
    assert_eq!(due_ids(&store, &claimed, T0).await, ["evt_2"]);
    assert!(store.erasure.scrub().await.unwrap());
    assert_eq!(ids(&store, "acme").await, ["evt_2"]);
}
