//! Every state through every change, as [`transition`] says: the three stores keep one rule.

use fanfare_contract::{DeliveryId, LaneId};
use fanfare_store::lifecycle::transition;
use fanfare_store::{Change, DeliveryState, Ms, Reason, StateKind, Store};

use super::Fixture;
use super::kit::{
    T0, at, dead, event, lane, record, settle_one, state_of, suppressed, tried, update,
    waiting_until,
};

/// How a delivery gets into each state.
fn ways() -> [(&'static str, Change); 5] {
    [
        ("delivered", Change::Delivered),
        ("waiting", waiting_until(T0 + 40_000, T0 + 41_000)),
        ("suppressed", suppressed("other_environment")),
        ("disabled", Change::ReceiverGone("gone".into())),
        ("dead", dead("http_500")),
    ]
}

pub(crate) async fn every_state_takes_every_change_as_the_model_says<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    let mut n = 0;
    for (name, first) in ways() {
        for change in Change::samples() {
            n += 1;
            let key = lane("acme", &format!("to-{n}"));
            let event = event("acme", &format!("evt_{n}"));
            record(&store, &key.id, &[(event.clone(), first.clone())]).await;
            let before = state_of(&store, &event, &key.id).await;
            assert_eq!(before, transition(None, &first), "a new delivery, {name}");

            let expected = transition(Some(&before), &change);
            let second = at(tried(update(&event, &key.id, change.clone()), 1, "http_500"), T0 + 9);
            settle_one(&store, &key, &event, second.clone()).await;
            let context = format!("{name}, then {change:?}");
            check(&store, &event.id, &key.id, &expected, 1, &context).await;
            let waits = u64::from(expected.is_waiting());
            assert_eq!(store.agenda.waiting(&key).await.unwrap(), waits, "{context}: the queue");
            let updated = if before.accepts(&change) { T0 + 9 } else { T0 };
            assert_eq!(updated_ms(&store, &event.id).await, updated, "{context}");
        }
    }
    let counts = store.ledger.counts("acme", T0, T0 + 1).await.unwrap();
    let total = counts.delivered + counts.waiting + counts.suppressed + counts.dead;
    assert_eq!((counts.received, total), (n, n), "each delivery is in exactly one state");
}

pub(crate) async fn a_cancelled_delivery_stays_so_when_its_attempt_fails_late<F: Fixture>(
    fixture: &F,
) {
    let store = fixture.open().await;
    let key = lane("acme", "hook");
    let event = event("acme", "evt_1");
    record(&store, "hook", &[(event.clone(), waiting_until(T0, T0))]).await;
    settle_one(&store, &key, &event, update(&event, "hook", Change::Cancelled)).await;
    let late = tried(update(&event, "hook", waiting_until(T0 + 5, T0 + 5)), 1, "http_500");
    settle_one(&store, &key, &event, late).await;
    let cancelled = DeliveryState::Suppressed { reason: Reason::Cancelled };
    check(&store, "evt_1", "hook", &cancelled, 1, "a late failure").await;
    assert_eq!(store.agenda.waiting(&key).await.unwrap(), 0);
    // The receiver has the message after all.
    let success = tried(update(&event, "hook", Change::Delivered), 2, "ok");
    settle_one(&store, &key, &event, success).await;
    check(&store, "evt_1", "hook", &DeliveryState::Delivered, 2, "a late success").await;
}

pub(crate) async fn every_reason_comes_back_as_it_was_written<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    let reasons = Reason::words().map(|(kind, word)| (kind, Reason::parse(kind, word)));
    let coded = [
        (StateKind::Suppressed, Reason::Disabled("http_410".into())),
        (StateKind::Dead, Reason::Failed("odd \"code\"\twith a tab".into())),
        (StateKind::Waiting, Reason::Other("from_the_future".into())),
    ];
    for (n, (kind, reason)) in reasons.chain(coded).enumerate() {
        let change = match (kind, &reason) {
            (StateKind::Waiting, _) => {
                Change::Queued { due_ms: T0, serve_ms: T0 + 1, reason: reason.clone() }
            }
            (StateKind::Dead, Reason::Failed(code)) => Change::GivenUp(code.clone()),
            (StateKind::Dead, _) => Change::SetAside,
            _ => Change::Suppressed(reason.clone()),
        };
        let (event, to) = (event("acme", &format!("evt_{n}")), format!("to-{n}"));
        record(&store, &to, &[(event.clone(), change.clone())]).await;
        assert_eq!(state_of(&store, &event, &to).await, change.target());
        assert_eq!(change.target().reason(), Some(&reason));
    }
}

async fn check(
    store: &Store,
    id: &str,
    to: &str,
    expected: &DeliveryState,
    attempts: usize,
    context: &str,
) {
    let record = store.ledger.event("acme", id).await.unwrap().unwrap();
    let delivery = &record.deliveries[0];
    assert_eq!(delivery.id, DeliveryId::derive(id, to), "{context}");
    assert_eq!(delivery.lane, LaneId::from(to), "{context}");
    assert_eq!(delivery.state, *expected, "{context}");
    assert_eq!(delivery.attempts.len(), attempts, "{context}: attempts are always kept");
}

async fn updated_ms(store: &Store, id: &str) -> Ms {
    store.ledger.event("acme", id).await.unwrap().unwrap().deliveries[0].updated_ms
}
