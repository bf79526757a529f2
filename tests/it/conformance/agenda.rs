//! The agenda: a lane is served by one process at a time, when its time has come, in fair turns.

use std::sync::Arc;
use std::time::Duration;

use fanfare_store::{Change, Failing, Look, Next};

use super::Fixture;
use super::kit::{
    LEASE, LEASE_MS, PATIENCE, T0, append, claim, claim_one, due_ids, event, lane, park, routed,
    settle_one, take_fresh, update, waiting, waiting_until,
};

pub(crate) async fn a_parked_delivery_is_claimed_when_its_time_comes<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    let key = lane("acme", "hook");
    assert_eq!(store.agenda.next_time().await.unwrap(), None);
    let event = park(&store, &key, "evt_1", T0 + 5_000).await;
    assert_eq!(store.agenda.waiting(&key).await.unwrap(), 1);
    assert!(claim(&store, T0 + 4_999).await.is_empty(), "its time has not come");

    let claim = claim_one(&store, T0 + 5_000).await;
    assert_eq!(claim.lane, key);
    let due = store.agenda.due(&claim, T0 + 5_000, 10).await.unwrap();
    assert_eq!(due.len(), 1);
    assert_eq!(due[0].id.as_str(), "dlv_evt_1.hook");
    assert_eq!((due[0].attempts, due[0].due_ms), (0, T0 + 5_000));
    assert_eq!((&due[0].event.id, &due[0].event.body), (&event.id, &event.body));

    let delivered = update(&event, "hook", Change::Delivered);
    settle_one(&store, &key, &event, delivered).await;
    assert!(due_ids(&store, &claim, T0 * 2).await.is_empty(), "it has left the queue");
    store.agenda.release(&claim, Next::WhenDue).await.unwrap();
    assert_eq!(store.agenda.waiting(&key).await.unwrap(), 0);
    assert_eq!(store.agenda.next_time().await.unwrap(), None);
    assert!(super::kit::claim(&store, T0 * 2).await.is_empty());
}

pub(crate) async fn a_claimed_lane_is_nobody_elses<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    let other = fixture.beside().await;
    park(&store, &lane("acme", "hook"), "evt_1", T0).await;
    let first = claim_one(&store, T0).await;
    assert!(claim(&other, T0 + LEASE_MS - 1).await.is_empty());
    assert!(claim(&store, T0 + LEASE_MS - 1).await.is_empty(), "not even by its holder");
    store.agenda.release(&first, Next::WhenDue).await.unwrap();
    claim_one(&other, T0 + 1).await;
}

pub(crate) async fn an_expired_lease_hands_the_lane_over<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    let other = fixture.beside().await;
    park(&store, &lane("acme", "hook"), "evt_1", T0).await;
    let lost = claim_one(&store, T0).await;
    let taken = claim_one(&other, T0 + LEASE_MS).await;
    assert_eq!(taken.lane, lost.lane);
    assert_ne!(taken.token, lost.token);
    assert_eq!(due_ids(&other, &taken, T0 + LEASE_MS).await, ["evt_1"]);
}

pub(crate) async fn a_lost_lease_can_neither_be_released_nor_renewed<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    park(&store, &lane("acme", "hook"), "evt_1", T0).await;
    let lost = claim_one(&store, T0).await;
    let now = T0 + LEASE_MS;
    let holder = claim_one(&store, now).await;
    store.agenda.release(&lost, Next::NotBefore(T0 * 2)).await.unwrap();
    let renewed = store.agenda.renew(&[lost, holder.clone()], now + 1, LEASE).await.unwrap();
    assert_eq!(renewed, [false, true]);
    assert_eq!(store.agenda.next_time().await.unwrap(), Some(now + 1 + LEASE_MS));
    assert_eq!(due_ids(&store, &holder, now).await, ["evt_1"]);
    store.agenda.release(&holder, Next::WhenDue).await.unwrap();
    assert_eq!(store.agenda.next_time().await.unwrap(), Some(T0));
    assert_eq!(store.agenda.renew(&[holder], now, LEASE).await.unwrap(), [false], "given back");
}

pub(crate) async fn a_renewed_lease_lasts<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    park(&store, &lane("acme", "hook"), "evt_1", T0).await;
    let held = claim_one(&store, T0).await;
    let answer = store.agenda.renew(&[held], T0 + LEASE_MS - 1, LEASE).await.unwrap();
    assert_eq!(answer, [true]);
    assert!(claim(&store, T0 + LEASE_MS).await.is_empty());
    claim_one(&store, T0 + LEASE_MS - 1 + LEASE_MS).await;
}

pub(crate) async fn a_lane_survives_the_crash_of_its_holder<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    let key = lane("acme", "hook");
    park(&store, &key, "evt_1", T0).await;
    claim_one(&store, T0).await;
    let store = fixture.crash(store).await;
    let claim = claim_one(&store, T0 + LEASE_MS).await;
    assert_eq!(due_ids(&store, &claim, T0 + LEASE_MS).await, ["evt_1"]);
}

pub(crate) async fn no_tenant_takes_more_than_its_share<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    for n in 0..6 {
        park(&store, &lane("loud", &format!("d{n}")), &format!("evt_{n}"), T0).await;
    }
    park(&store, &lane("quiet", "d"), "evt_1", T0 + 1).await;
    let claims = store.agenda.claim(T0 + 1, LEASE, 5, 2).await.unwrap();
    let of = |tenant: &str| claims.iter().filter(|claim| &*claim.lane.tenant == tenant).count();
    assert_eq!((of("loud"), of("quiet"), claims.len()), (2, 1, 3));
    assert_eq!(store.agenda.claim(T0 + 1, LEASE, 3, 100).await.unwrap().len(), 3, "at most max");
    assert_eq!(store.agenda.claim(T0 + 1, LEASE, 3, 100).await.unwrap().len(), 1, "and the rest");
}

pub(crate) async fn a_flood_of_one_tenant_hides_no_other<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    let flood: Vec<_> = (0..3_000).map(|n| event("loud", &format!("evt_{n}"))).collect();
    append(&store, &flood).await;
    let taken = take_fresh(&store, flood.len()).await;
    let batch = taken.iter().map(|t| {
        let update = update(&t.event, &format!("mail~{}", t.event.id), waiting(T0));
        routed(t, vec![update])
    });
    store.log.settle(batch.collect()).await.unwrap();
    for n in 0..5 {
        park(&store, &lane(&format!("quiet{n}"), "hook"), "evt_1", T0 + 1).await;
    }
    let claims = store.agenda.claim(T0 + 1, LEASE, 20, 4).await.unwrap();
    let loud = claims.iter().filter(|claim| &*claim.lane.tenant == "loud").count();
    assert_eq!((loud, claims.len()), (4, 9), "every quiet one has its turn");
}

pub(crate) async fn the_earliest_lane_is_claimed_first<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    for (tenant, destination, due) in [("a", "x", 30), ("b", "y", 10), ("a", "z", 20)] {
        park(&store, &lane(tenant, destination), &format!("evt_{due}"), T0 + due).await;
    }
    let mut order = Vec::new();
    for _ in 0..3 {
        let claims = store.agenda.claim(T0 + 100, LEASE, 1, 1).await.unwrap();
        order.push(claims[0].lane.id.to_string());
    }
    assert_eq!(order, ["y", "z", "x"]);
}

pub(crate) async fn the_next_time_follows_every_change<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    let key = lane("acme", "hook");
    let event = park(&store, &key, "evt_1", T0 + 10).await;
    park(&store, &lane("globex", "hook"), "evt_1", T0 + LEASE_MS * 3).await;
    assert_eq!(store.agenda.next_time().await.unwrap(), Some(T0 + 10));
    let claim = claim_one(&store, T0 + 20).await;
    assert_eq!(store.agenda.next_time().await.unwrap(), Some(T0 + 20 + LEASE_MS), "the lease ends");
    store.agenda.release(&claim, Next::NotBefore(T0 + 40)).await.unwrap();
    assert_eq!(store.agenda.next_time().await.unwrap(), Some(T0 + 40));
    let claim = claim_one(&store, T0 + 40).await;
    store.agenda.release(&claim, Next::WhenDue).await.unwrap();
    assert_eq!(store.agenda.next_time().await.unwrap(), Some(T0 + 10));
    let claim = claim_one(&store, T0 + 40).await;
    settle_one(&store, &key, &event, update(&event, "hook", Change::Delivered)).await;
    store.agenda.release(&claim, Next::NotBefore(T0 + 50)).await.unwrap();
    assert_eq!(store.agenda.next_time().await.unwrap(), Some(T0 + LEASE_MS * 3));
}

pub(crate) async fn an_earlier_time_brings_a_lane_forward_and_a_later_one_does_not_delay_it<
    F: Fixture,
>(
    fixture: &F,
) {
    let store = fixture.open().await;
    for (id, serve, expected) in [("a", 500, 500), ("b", 900, 500), ("c", 200, 200)] {
        append(&store, &[event("acme", id)]).await;
        let taken = take_fresh(&store, 1).await;
        let update = update(&taken[0].event, "hook", waiting_until(T0, T0 + serve));
        store.log.settle(vec![routed(&taken[0], vec![update])]).await.unwrap();
        assert_eq!(store.agenda.next_time().await.unwrap(), Some(T0 + expected));
    }
    let claim = claim_one(&store, T0 + 200).await;
    assert_eq!(due_ids(&store, &claim, T0 + 200).await.len(), 3, "due is not served");
}

pub(crate) async fn parking_into_a_claimed_lane_leaves_the_lease_alone<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    let key = lane("acme", "hook");
    let first = park(&store, &key, "evt_1", T0).await;
    let held = claim_one(&store, T0).await;
    park(&store, &key, "evt_2", T0 + 7).await;
    assert!(claim(&store, T0 + 100).await.is_empty(), "it is claimed");
    assert_eq!(store.agenda.next_time().await.unwrap(), Some(T0 + LEASE_MS));
    assert_eq!(due_ids(&store, &held, T0 + 100).await, ["evt_1", "evt_2"], "but it sees the new");
    settle_one(&store, &key, &first, update(&first, "hook", Change::Delivered)).await;
    store.agenda.release(&held, Next::WhenDue).await.unwrap();
    assert_eq!(store.agenda.next_time().await.unwrap(), Some(T0 + 7));
}

pub(crate) async fn a_lane_with_an_empty_queue_goes_away<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    let key = lane("acme", "hook");
    let event = park(&store, &key, "evt_1", T0).await;
    let held = claim_one(&store, T0).await;
    settle_one(&store, &key, &event, update(&event, "hook", Change::Delivered)).await;
    store.agenda.release(&held, Next::NotBefore(T0 + 5)).await.unwrap();
    assert_eq!(store.agenda.next_time().await.unwrap(), None);
    assert!(claim(&store, T0 * 2).await.is_empty());
}

pub(crate) async fn a_lane_is_rescheduled_sooner_and_later<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    let key = lane("acme", "hook");
    park(&store, &key, "evt_1", T0 + 100).await;
    store.agenda.reschedule(&key, T0 + 10).await.unwrap();
    assert_eq!(store.agenda.next_time().await.unwrap(), Some(T0 + 10));
    store.agenda.reschedule(&key, T0 + 900).await.unwrap();
    assert_eq!(store.agenda.next_time().await.unwrap(), Some(T0 + 900));
    assert!(claim(&store, T0 + 899).await.is_empty());
    claim_one(&store, T0 + 900).await;
}

pub(crate) async fn a_held_lane_is_not_brought_forward_by_what_comes<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    let key = lane("acme", "hook");
    park(&store, &key, "evt_1", T0).await;
    let claim_of_first = claim_one(&store, T0).await;
    store.agenda.release(&claim_of_first, Next::NotBefore(T0 + 500)).await.unwrap();
    park(&store, &key, "evt_2", T0 + 7).await;
    assert_eq!(store.agenda.next_time().await.unwrap(), Some(T0 + 500));
    assert!(claim(&store, T0 + 499).await.is_empty(), "it is held");
    // The hold ends with its time,
    let second = claim_one(&store, T0 + 500).await;
    store.agenda.release(&second, Next::WhenDue).await.unwrap();
    assert_eq!(store.agenda.next_time().await.unwrap(), Some(T0));
    // or by hand.
    let third = claim_one(&store, T0 + 500).await;
    store.agenda.release(&third, Next::NotBefore(T0 + 900)).await.unwrap();
    store.agenda.reschedule(&key, T0 + 600).await.unwrap();
    claim_one(&store, T0 + 600).await;
}

pub(crate) async fn an_empty_or_claimed_lane_is_not_rescheduled<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    let key = lane("acme", "hook");
    store.agenda.reschedule(&key, T0).await.unwrap();
    assert_eq!(store.agenda.next_time().await.unwrap(), None);
    park(&store, &key, "evt_1", T0).await;
    let held = claim_one(&store, T0).await;
    store.agenda.reschedule(&key, T0 + 1).await.unwrap();
    assert!(claim(&store, T0 + 1).await.is_empty(), "the lease holds");
    store.agenda.release(&held, Next::WhenDue).await.unwrap();
    assert_eq!(store.agenda.next_time().await.unwrap(), Some(T0));
}

pub(crate) async fn a_change_is_told_at_once<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    let key = lane("acme", "hook");
    // Something that is told already may be told once more; so wait until it is quiet.
    store.agenda.changed(Duration::from_millis(1)).await;
    let began = std::time::Instant::now();
    tokio::join!(biased; store.agenda.changed(PATIENCE), park(&store, &key, "evt_1", T0 + 50));
    tokio::join!(biased; store.agenda.changed(PATIENCE), async {
        store.agenda.reschedule(&key, T0 + 10).await.unwrap();
    });
    assert!(began.elapsed() < PATIENCE / 2, "told when it changed, not when the wait was over");
}

pub(crate) async fn waiting_for_a_change_ends<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    let waited = store.agenda.changed(Duration::from_millis(30));
    tokio::time::timeout(PATIENCE, waited).await.expect("it ends by itself");
}

pub(crate) async fn failures_are_counted_from_the_first_until_a_success<F: Fixture>(fixture: &F) {
    const GAP: Duration = Duration::from_secs(100);
    let store = fixture.open().await;
    let (hook, other) = (lane("acme", "hook"), lane("acme", "other"));
    park(&store, &hook, "evt_1", T0).await;
    let failed = |since_ms, told| Failing { since_ms, told };
    assert_eq!(store.agenda.failing(&hook, T0, GAP).await.unwrap(), failed(T0, 1));
    assert_eq!(store.agenda.failing(&hook, T0 + 9, GAP).await.unwrap(), failed(T0, 2));
    // Clocks of two replicas differ a little.
    assert_eq!(store.agenda.failing(&hook, T0 - 1, GAP).await.unwrap(), failed(T0 - 1, 3));
    assert_eq!(store.agenda.failing(&other, T0 + 5, GAP).await.unwrap(), failed(T0 + 5, 1));
    let store = fixture.crash(store).await;
    assert_eq!(store.agenda.failing(&hook, T0 + 10, GAP).await.unwrap(), failed(T0 - 1, 4));
    let beside = fixture.beside().await;
    beside.agenda.well(&hook).await.unwrap();
    beside.agenda.well(&lane("acme", "never_heard_of")).await.unwrap();
    assert_eq!(store.agenda.failing(&hook, T0 + 11, GAP).await.unwrap(), failed(T0 + 11, 1));
    assert_eq!(store.agenda.failing(&other, T0 + 12, GAP).await.unwrap(), failed(T0 + 5, 2));
}

pub(crate) async fn a_silence_between_two_failures_begins_anew<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    let hook = lane("acme", "hook");
    park(&store, &hook, "evt_1", T0).await;
    let gap = Duration::from_millis(100);
    let mut told = Vec::new();
    for at in [T0, T0 + 100, T0 + 200, T0 + 301, T0 + 302] {
        let failing = store.agenda.failing(&hook, at, gap).await.unwrap();
        told.push((failing.since_ms - T0, failing.told));
    }
    assert_eq!(told, [(0, 1), (0, 2), (0, 3), (301, 1), (301, 2)]);
}

pub(crate) async fn a_claim_leaves_tenants_at_their_limit_alone<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    for n in 0..5 {
        park(&store, &lane("full", &format!("d{n}")), &format!("evt_{n}"), T0).await;
        park(&store, &lane("nearly", &format!("d{n}")), &format!("evt_{n}"), T0).await;
    }
    park(&store, &lane("quiet", "d"), "evt_1", T0 + 7).await;
    let full: Arc<str> = "full".into();
    let limits = [(full.clone(), 0), ("nearly".into(), 2), ("unknown".into(), 0)];
    let claims = store.agenda.claim_limited(T0 + 1, LEASE, 100, 16, &limits).await.unwrap();
    assert_eq!(claims.len(), 2, "{claims:?}");
    assert!(claims.iter().all(|claim| &*claim.lane.tenant == "nearly"));
    let nearly: Arc<str> = "nearly".into();
    let next = store.agenda.next_time_without(&[full.clone(), nearly.clone()]).await.unwrap();
    assert_eq!(next, Some(T0 + 7), "what cannot be served does not wake anyone");
    assert_eq!(store.agenda.next_time_without(&[full]).await.unwrap(), Some(T0));
    let both = [("full".into(), 0), (nearly, 0)];
    assert!(store.agenda.claim_limited(T0, LEASE, 100, 16, &both).await.unwrap().is_empty());
    assert_eq!(claim(&store, T0 + 7).await.len(), 9, "nothing was lost");
}

pub(crate) async fn a_look_into_a_queue_is_bounded_by_bytes<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    let key = lane("acme", "hook");
    let mut bytes = 0;
    for n in 0..6 {
        bytes = park(&store, &key, &format!("evt_{n}"), T0 + n).await.body.len();
    }
    let claim = claim_one(&store, T0 + 9).await;
    let look = |max, bytes| store.agenda.more_due(&claim, T0 + 9, Look { max, bytes }, &[]);
    assert_eq!(look(10, 0).await.unwrap().len(), 1, "one is returned, however large");
    assert_eq!(look(10, bytes).await.unwrap().len(), 1);
    // The one that reaches it is the last. A store may count more than the body.
    assert!((2..=3).contains(&look(10, 2 * bytes + 1).await.unwrap().len()));
    assert_eq!(look(2, usize::MAX).await.unwrap().len(), 2);
    let taken: Vec<Arc<str>> = vec!["evt_0".into(), "evt_1".into()];
    let look = Look { max: 10, bytes: 1 };
    let rest = store.agenda.more_due(&claim, T0 + 9, look, &taken).await.unwrap();
    assert_eq!(rest.iter().map(|item| &*item.event.id).collect::<Vec<_>>(), ["evt_2"]);
}
