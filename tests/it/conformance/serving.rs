//! The queues of the lanes: order, attempts, and outcomes that come late.

use std::collections::HashSet;
use std::sync::Arc;

use fanfare_store::{Change, Claim, DeliveryState, Head, Look, Next, Reason, Store};

use super::Fixture;
use super::kit::{
    LEASE_MS, T0, append, at, attempt, claim_one, dead, due_ids, event, lane, park, record, routed,
    settle_one, state_of, take_fresh, tried, update, waiting,
};

pub(crate) async fn due_deliveries_come_by_due_time_and_then_by_arrival<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    let ids = ["evt_c", "evt_a", "evt_d", "evt_b"];
    append(&store, &ids.map(|id| event("acme", id))).await;
    let taken = take_fresh(&store, 4).await;
    // Settled in another order than they arrived in.
    for n in [3, 1, 0, 2] {
        let due = if n == 3 { T0 - 1 } else { T0 };
        let update = update(&taken[n].event, "hook", waiting(due));
        store.log.settle(vec![routed(&taken[n], vec![update])]).await.unwrap();
    }
    let claim = claim_one(&store, T0).await;
    assert_eq!(due_ids(&store, &claim, T0).await, ["evt_b", "evt_c", "evt_a", "evt_d"]);
    assert_eq!(due_ids(&store, &claim, T0 - 1).await, ["evt_b"], "the others are not due");
    let first = store.agenda.due(&claim, T0, 2).await.unwrap();
    assert_eq!(first.len(), 2, "at most as many as asked for");
    let have = ["evt_b", "evt_a", "evt_nowhere"].map(Arc::from);
    let more =
        store.agenda.more_due(&claim, T0, Look { max: 1, bytes: usize::MAX }, &have).await.unwrap();
    let more: Vec<&str> = more.iter().map(|item| &*item.event.id).collect();
    assert_eq!(more, ["evt_c"], "the first beside what the caller has");
}

/// The event at the head of a claimed lane; `early` if it may not go yet.
async fn head_of(store: &Store, claim: &Claim) -> Option<String> {
    match store.agenda.head(claim, T0).await.expect("head") {
        Head::None => None,
        Head::Ready(item) => Some(item.event.id.to_string()),
        Head::Early { due_ms } => {
            assert_eq!(due_ms, T0);
            Some("early".to_owned())
        }
    }
}

pub(crate) async fn a_head_waits_for_all_that_was_read_before_it<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    append(&store, &["evt_1", "evt_2", "evt_3", "evt_4"].map(|id| event("acme", id))).await;
    let taken = take_fresh(&store, 4).await;
    let settle = async |n: usize, change: Change| {
        let update = update(&taken[n].event, "hook", change);
        store.log.settle(vec![routed(&taken[n], vec![update])]).await.unwrap();
    };
    let leave = async |n: usize| {
        let event = &taken[n].event;
        let update = update(event, "hook", Change::Delivered);
        settle_one(&store, &lane("acme", "hook"), event, update).await;
    };
    settle(2, waiting(T0)).await;
    let claim = claim_one(&store, T0).await;
    let early = if F::ONE_READER { "evt_3" } else { "early" };
    assert_eq!(head_of(&store, &claim).await.as_deref(), Some(early));
    settle(0, waiting(T0)).await;
    assert_eq!(
        head_of(&store, &claim).await.as_deref(),
        Some("evt_1"),
        "the second comes after it"
    );
    leave(0).await;
    assert_eq!(head_of(&store, &claim).await.as_deref(), Some(early));
    settle(1, dead("no_such_thing")).await;
    assert_eq!(head_of(&store, &claim).await.as_deref(), Some("evt_3"), "whatever came of it");
    leave(2).await;
    assert_eq!(head_of(&store, &claim).await, None, "the fourth is not queued");
    settle(3, waiting(T0)).await;
    assert_eq!(head_of(&store, &claim).await.as_deref(), Some("evt_4"));
    let again = Change::Replayed { due_ms: T0 };
    settle_one(&store, &lane("acme", "hook"), &taken[0].event, {
        update(&taken[0].event, "hook", again)
    })
    .await;
    assert_eq!(head_of(&store, &claim).await.as_deref(), Some("evt_1"), "what is put back goes");
}

pub(crate) async fn what_is_not_settled_is_due_again<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    let key = lane("acme", "hook");
    let first = park(&store, &key, "evt_1", T0).await;
    park(&store, &key, "evt_2", T0).await;
    let claim = claim_one(&store, T0).await;
    assert_eq!(due_ids(&store, &claim, T0).await, ["evt_1", "evt_2"]);
    settle_one(&store, &key, &first, update(&first, "hook", Change::Delivered)).await;
    assert_eq!(due_ids(&store, &claim, T0).await, ["evt_2"]);
    store.agenda.release(&claim, Next::WhenDue).await.unwrap();
    let claim = claim_one(&store, T0).await;
    assert_eq!(due_ids(&store, &claim, T0).await, ["evt_2"]);
}

pub(crate) async fn a_retry_goes_back_with_its_attempts<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    let key = lane("acme", "hook");
    let one = park(&store, &key, "evt_1", T0).await;
    for number in 1..=3 {
        let now = store.agenda.next_time().await.unwrap().unwrap();
        let claim = claim_one(&store, now).await;
        let due = store.agenda.due(&claim, now, 10).await.unwrap();
        assert_eq!((due.len(), due[0].attempts), (1, number - 1));
        let again = now + 5_000 * i64::from(number);
        let update = tried(update(&one, "hook", waiting(again)), number, "http_500");
        settle_one(&store, &key, &one, at(update, now)).await;
        assert!(due_ids(&store, &claim, again - 1).await.is_empty(), "not due before its time");
        store.agenda.release(&claim, Next::WhenDue).await.unwrap();
        assert_eq!(store.agenda.next_time().await.unwrap(), Some(again));
    }
    let record = store.ledger.event("acme", "evt_1").await.unwrap().unwrap();
    let delivery = &record.deliveries[0];
    let all: Vec<_> = (1..=3).map(|number| attempt(number, "http_500")).collect();
    assert_eq!(delivery.attempts, all, "first to last");
    assert_eq!(delivery.state, waiting(T0 + 30_000).target());
    assert_eq!(delivery.updated_ms, T0 + 15_000);
    assert_eq!(store.agenda.waiting(&key).await.unwrap(), 1);
}

pub(crate) async fn what_was_sent_again_at_once_does_not_count_in_the_schedule<F: Fixture>(
    fixture: &F,
) {
    let store = fixture.open().await;
    let key = lane("acme", "hook");
    let one = park(&store, &key, "evt_1", T0).await;
    let claim = claim_one(&store, T0).await;
    let mut first = attempt(1, "connection_reset");
    first.resent = true;
    first.answer = r#""resent":true"#.into();
    let mut update = at(update(&one, "hook", waiting(T0 + 5_000)), T0);
    update.attempts = vec![first.clone(), attempt(1, "http_500")];
    settle_one(&store, &key, &one, update).await;
    let due = store.agenda.due(&claim, T0 + 5_000, 10).await.unwrap();
    assert_eq!(due[0].attempts, 1, "one of two counts");
    let record = store.ledger.event("acme", "evt_1").await.unwrap().unwrap();
    assert_eq!(record.deliveries[0].attempts, [first, attempt(1, "http_500")]);
}

pub(crate) async fn a_digest_takes_all_that_is_due<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    let tick = T0 + 3_600_000;
    let events: Vec<_> = (0..300).map(|n| event("acme", &format!("evt_{n}"))).collect();
    let state = Change::Queued { due_ms: T0, serve_ms: tick, reason: Reason::Digest };
    let lines: Vec<_> = events.iter().map(|event| (event.clone(), state.clone())).collect();
    record(&store, "compliance~3fa9c1", &lines).await;
    assert_eq!(store.agenda.next_time().await.unwrap(), Some(tick));

    let claim = claim_one(&store, tick).await;
    let due = store.agenda.due(&claim, tick, 1_000).await.unwrap();
    assert_eq!(due.len(), 300);
    let updates = due.iter().map(|item| {
        let mut sent = update(&item.event, "compliance~3fa9c1", Change::Delivered);
        sent.attempts.push(attempt(1, "ok"));
        sent.attempts[0].digest = Some("dig_1".into());
        (item.event.clone(), sent)
    });
    store.agenda.settle(&claim.lane, updates.collect()).await.unwrap();
    store.agenda.release(&claim, Next::NotBefore(tick * 2)).await.unwrap();
    assert_eq!(store.agenda.next_time().await.unwrap(), None, "nothing to serve at the next tick");
    let counts = store.ledger.counts("acme", T0, T0 + 1).await.unwrap();
    assert_eq!((counts.received, counts.delivered, counts.waiting), (300, 300, 0));
    let record = store.ledger.event("acme", "evt_7").await.unwrap().unwrap();
    assert_eq!(record.deliveries[0].attempts[0].digest.as_deref(), Some("dig_1"));
}

pub(crate) async fn the_lanes_of_a_destination_are_apart<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    let lanes = [lane("acme", "mail"), lane("acme", "mail~ann"), lane("acme", "mail~bob")];
    append(&store, &[event("acme", "evt_1")]).await;
    let taken = take_fresh(&store, 1).await;
    let updates = lanes.iter().map(|key| update(&taken[0].event, &key.id, waiting(T0)));
    store.log.settle(vec![routed(&taken[0], updates.collect())]).await.unwrap();
    let claims = super::kit::claim(&store, T0).await;
    let claimed: HashSet<_> = claims.iter().map(|claim| claim.lane.clone()).collect();
    assert_eq!(claimed, lanes.clone().into());
    let delivered = update(&taken[0].event, "mail~ann", Change::Delivered);
    settle_one(&store, &lanes[1], &taken[0].event, delivered).await;
    let mut waiting = Vec::new();
    for key in &lanes {
        waiting.push(store.agenda.waiting(key).await.unwrap());
    }
    assert_eq!(waiting, [1, 0, 1]);
}

pub(crate) async fn a_late_outcome_is_still_recorded<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    let key = lane("acme", "hook");
    let event = park(&store, &key, "evt_1", T0).await;
    claim_one(&store, T0).await;
    let holder = claim_one(&store, T0 + LEASE_MS).await;
    let delivered = tried(update(&event, "hook", Change::Delivered), 1, "ok");
    settle_one(&store, &key, &event, delivered).await;
    assert_eq!(state_of(&store, &event, "hook").await, DeliveryState::Delivered);
    assert!(due_ids(&store, &holder, T0 * 2).await.is_empty(), "the next holder need not send it");
    store.agenda.release(&holder, Next::WhenDue).await.unwrap();
    assert_eq!(store.agenda.next_time().await.unwrap(), None);
}

pub(crate) async fn a_late_failure_does_not_undo_a_delivery<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    let key = lane("acme", "hook");
    let event = park(&store, &key, "evt_1", T0).await;
    claim_one(&store, T0).await;
    let holder = claim_one(&store, T0 + LEASE_MS).await;
    let delivered = tried(update(&event, "hook", Change::Delivered), 1, "ok");
    settle_one(&store, &key, &event, delivered).await;
    let failed = tried(update(&event, "hook", waiting(T0 + 9)), 1, "timeout");
    settle_one(&store, &key, &event, failed).await;
    assert_eq!(state_of(&store, &event, "hook").await, DeliveryState::Delivered);
    assert_eq!(store.agenda.waiting(&key).await.unwrap(), 0);
    let record = store.ledger.event("acme", "evt_1").await.unwrap().unwrap();
    assert_eq!(record.deliveries[0].attempts, [attempt(1, "ok"), attempt(1, "timeout")]);
    store.agenda.release(&holder, Next::WhenDue).await.unwrap();
    assert_eq!(store.agenda.next_time().await.unwrap(), None);
}

pub(crate) async fn a_dead_delivery_can_be_replayed<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    let key = lane("acme", "hook");
    let event = event("acme", "evt_1");
    record(&store, "hook", &[(event.clone(), dead("http_500"))]).await;
    assert_eq!(store.agenda.next_time().await.unwrap(), None);
    let again = update(&event, "hook", Change::Replayed { due_ms: T0 + 6 });
    settle_one(&store, &key, &event, again).await;
    assert_eq!(store.agenda.waiting(&key).await.unwrap(), 1);
    // A queue that holds something always has its line.
    assert_eq!(store.agenda.next_time().await.unwrap(), Some(T0 + 6));
    let claim = claim_one(&store, T0 + 6).await;
    assert_eq!(due_ids(&store, &claim, T0 + 6).await, ["evt_1"]);
    let counts = store.ledger.counts("acme", T0, T0 + 1).await.unwrap();
    assert_eq!((counts.dead, counts.waiting), (0, 1));
}

pub(crate) async fn an_outcome_that_nobody_claimed_brings_its_lane_forward<F: Fixture>(
    fixture: &F,
) {
    let store = fixture.open().await;
    let key = lane("acme", "hook");
    let event = park(&store, &key, "evt_1", T0 + 40_000).await;
    settle_one(&store, &key, &event, update(&event, "hook", waiting(T0 + 5_000))).await;
    assert_eq!(store.agenda.next_time().await.unwrap(), Some(T0 + 5_000));
    // A claimed or held lane stays where it is.
    let held = claim_one(&store, T0 + 5_000).await;
    store.agenda.release(&held, Next::NotBefore(T0 + 30_000)).await.unwrap();
    settle_one(&store, &key, &event, update(&event, "hook", waiting(T0 + 6_000))).await;
    assert_eq!(store.agenda.next_time().await.unwrap(), Some(T0 + 30_000));
}

pub(crate) async fn a_replay_puts_back_what_ended_with_a_new_schedule<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    let key = lane("acme", "hook");
    let (won, lost) = (event("acme", "evt_1"), event("acme", "evt_2"));
    let lines = [(won.clone(), Change::Delivered), (lost.clone(), dead("http_500"))];
    record(&store, "hook", &lines).await;
    let again = Change::Replayed { due_ms: T0 };
    for event in [&won, &lost] {
        let failed = tried(update(event, "hook", dead("http_500")), 1, "http_500");
        settle_one(&store, &key, event, failed).await;
        settle_one(&store, &key, event, update(event, "hook", again.clone())).await;
    }
    assert_eq!(store.agenda.waiting(&key).await.unwrap(), 2);
    let claim = claim_one(&store, T0).await;
    let due = store.agenda.due(&claim, T0, 10).await.unwrap();
    assert_eq!(due.iter().map(|item| item.attempts).collect::<Vec<_>>(), [0, 0]);
    let tried_again = tried(update(&lost, "hook", waiting(T0)), 1, "timeout");
    settle_one(&store, &key, &lost, tried_again).await;
    settle_one(&store, &key, &won, update(&won, "hook", Change::Delivered)).await;
    let due = store.agenda.due(&claim, T0, 10).await.unwrap();
    assert_eq!((due.len(), due[0].attempts), (1, 1));
    let record = store.ledger.event("acme", "evt_2").await.unwrap().unwrap();
    assert_eq!(record.deliveries[0].attempts.len(), 2, "the ledger keeps all");
    assert_eq!(state_of(&store, &won, "hook").await, DeliveryState::Delivered);
}
