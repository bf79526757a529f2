//! Hourly rollups: they follow every outcome, count each once, and say nothing of other tenants.

use fanfare_contract::Environment;
use fanfare_store::{
    Change, HOUR_MS, OTHER_TYPES, Series, SeriesKey, StatsQuery, Store, Sums, TypeFilter,
};

use super::Fixture;
use super::kit::{
    T0, append, at, dead, event, event_at, event_of, lane, record, routed, settle_one, suppressed,
    take_fresh, tried, update, waiting,
};

/// The hour of [`T0`], as a point has it.
const HOUR: i64 = T0 / HOUR_MS * HOUR_MS;

/// Everything of one tenant in the hours around [`T0`].
fn around(tenant: &str) -> StatsQuery {
    StatsQuery {
        tenant: Some(tenant.into()),
        from_ms: T0 - 100 * HOUR_MS,
        to_ms: T0 + 100 * HOUR_MS,
        step_hours: 1,
        ..StatsQuery::default()
    }
}

async fn stats(store: &Store, query: &StatsQuery) -> Vec<Series> {
    store.rollups.stats(query).await.expect("stats")
}

/// The sums of the only series; nothing at all without one.
async fn total(store: &Store, query: &StatsQuery) -> Sums {
    let mut series = stats(store, query).await;
    assert!(series.len() <= 1, "not grouped: {series:?}");
    series.pop().map(|series| series.total).unwrap_or_default()
}

/// Received, unrouted, delivered, retried, suppressed, dead, attempts.
fn counts(sums: &Sums) -> [u64; 7] {
    let Sums { received, unrouted, delivered, retried, suppressed, dead, attempts, .. } = *sums;
    [received, unrouted, delivered, retried, suppressed, dead, attempts]
}

pub(crate) async fn rollups_count_every_outcome_by_hour<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    assert_eq!(total(&store, &around("acme")).await, Sums::default(), "nothing yet");
    let events = [event("acme", "evt_1"), event("acme", "evt_2"), event("acme", "evt_3")];
    append(&store, &events).await;
    let taken = take_fresh(&store, 3).await;
    let delivered = at(tried(update(&events[0], "hook", Change::Delivered), 1, "ok"), T0 + 40);
    let retried = tried(update(&events[0], "mail~ann", waiting(T0)), 1, "http_500");
    let off = update(&events[1], "hook", suppressed("duplicate"));
    let settlements = [
        routed(&taken[0], vec![delivered, retried]),
        routed(&taken[1], vec![off]),
        routed(&taken[2], Vec::new()),
    ];
    store.log.settle(settlements.to_vec()).await.unwrap();
    assert_eq!(counts(&total(&store, &around("acme")).await), [3, 1, 1, 1, 1, 0, 2]);

    // A later outcome counts in its own hour.
    let late = T0 + 2 * HOUR_MS;
    let gone = at(tried(update(&events[0], "mail~ann", dead("http_410")), 2, "http_410"), late);
    settle_one(&store, &lane("acme", "mail~ann"), &events[0], gone).await;
    let mut series = stats(&store, &around("acme")).await;
    let series = series.pop().expect("one series");
    let points: Vec<_> = series.points.iter().map(|(at, sums)| (*at, counts(sums))).collect();
    let expected = [(HOUR, [3, 1, 1, 1, 1, 0, 2]), (HOUR + 2 * HOUR_MS, [0, 0, 0, 0, 0, 1, 1])];
    assert_eq!(points, expected);
    let latency = series.total.latency_ms(0.5).expect("one was delivered");
    assert!((20..=50).contains(&latency), "40 ms, in its class: {latency}");

    let days = StatsQuery { step_hours: 24, ..around("acme") };
    let series = stats(&store, &days).await;
    assert!(series[0].points.iter().all(|(at, _)| at % (24 * HOUR_MS) == 0));
    assert_eq!(counts(&series[0].total), [3, 1, 1, 1, 1, 1, 3]);
    let narrow = StatsQuery { from_ms: T0 + HOUR_MS, to_ms: T0 + 3 * HOUR_MS, ..around("acme") };
    assert_eq!(counts(&total(&store, &narrow).await), [0, 0, 0, 0, 0, 1, 1]);
}

pub(crate) async fn rollups_are_grouped_and_filtered<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    let paid = event_of("acme", "evt_1", "order.paid", T0);
    let sent = event_of("acme", "evt_2", "order.sent", T0);
    record(&store, "hook", &[(paid, Change::Delivered), (sent, Change::Delivered)]).await;
    let again = event_of("acme", "evt_3", "order.paid", T0);
    record(&store, "mail~ann", &[(again, Change::Delivered)]).await;
    record(&store, "hook", &[(event("globex", "evt_1"), Change::Delivered)]).await;

    let by = StatsQuery { by_destination: true, by_type: true, ..around("acme") };
    let mut found = stats(&store, &by).await;
    found.sort_by(|a, b| a.key.cmp(&b.key));
    let key = |destination: &str, kind: &str| SeriesKey {
        destination: Some(destination.into()),
        channel: None,
        kind: Some(kind.into()),
    };
    let keys: Vec<_> = found.iter().map(|one| (one.key.clone(), one.total.delivered)).collect();
    let expected = [
        (key("hook", "order.paid"), 1),
        (key("hook", "order.sent"), 1),
        (key("mail", "order.paid"), 1),
    ];
    assert_eq!(keys, expected, "recipients of a destination count together");
    let channels = stats(&store, &StatsQuery { by_channel: true, ..around("acme") }).await;
    assert_eq!(channels[0].key.channel.as_deref(), Some("webhook"));

    let hook = StatsQuery { destination: Some("hook".to_owned()), ..around("acme") };
    assert_eq!(counts(&total(&store, &hook).await)[..3], [0, 0, 2]);
    let kind = Some(TypeFilter::exactly("order.paid"));
    let paid = StatsQuery { kind, ..around("acme") };
    assert_eq!(counts(&total(&store, &paid).await)[..3], [2, 0, 2]);
    let test = StatsQuery { environment: Some(Environment::Test), ..around("acme") };
    assert_eq!(total(&store, &test).await, Sums::default());
    let all = StatsQuery { tenant: None, ..around("acme") };
    assert_eq!(counts(&total(&store, &all).await)[..3], [4, 0, 4], "of all tenants");
    assert_eq!(counts(&total(&store, &around("globex")).await)[..3], [1, 0, 1]);
}

pub(crate) async fn a_repetition_adds_nothing_to_a_rollup<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    let (one, two) = (event("acme", "evt_1"), event("acme", "evt_2"));
    append(&store, &[one.clone(), two.clone()]).await;
    let taken = take_fresh(&store, 2).await;
    let delivered = tried(update(&taken[0].event, "hook", Change::Delivered), 1, "ok");
    let first = routed(&taken[0], vec![delivered]);
    store.log.settle(vec![first.clone()]).await.unwrap();
    // The second batch repeats the first one beside something new.
    let retried = tried(update(&taken[1].event, "hook", waiting(T0)), 1, "http_500");
    let second = vec![first, routed(&taken[1], vec![retried])];
    store.log.settle(second.clone()).await.unwrap();
    store.log.settle(second).await.unwrap();
    assert_eq!(counts(&total(&store, &around("acme")).await), [2, 0, 1, 1, 0, 0, 2]);

    let delivered = tried(update(&taken[1].event, "hook", Change::Delivered), 2, "ok");
    for _ in 0..2 {
        settle_one(&store, &lane("acme", "hook"), &taken[1].event, delivered.clone()).await;
    }
    let sums = total(&store, &around("acme")).await;
    assert_eq!((sums.delivered, sums.retried, sums.dead), (2, 1, 0));
}

pub(crate) async fn rollups_survive_a_crash_and_go_with_their_tenant<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    for tenant in ["acme", "globex"] {
        record(&store, "hook", &[(event(tenant, "evt_1"), Change::Delivered)]).await;
    }
    let store = fixture.crash(store).await;
    assert_eq!(total(&store, &around("acme")).await.delivered, 1);
    store.erasure.erase_events("acme", &["evt_1".to_owned()], T0).await.unwrap();
    assert_eq!(total(&store, &around("acme")).await.delivered, 1, "a count is no data of an event");
    store.erasure.forget_tenant("acme").await.unwrap();
    assert_eq!(total(&store, &around("acme")).await, Sums::default());
    assert_eq!(total(&store, &around("globex")).await.delivered, 1);
}

pub(crate) async fn a_flood_of_event_types_does_not_grow_a_rollup_without_end<F: Fixture>(
    fixture: &F,
) {
    let store = fixture.open().await;
    let count = 4_300;
    for part in 0..10 {
        let ids = (0..count / 10).map(|n| part * count / 10 + n);
        let kinds = ids.map(|n| event_of("acme", &format!("evt_{n}"), &format!("flood.t{n}"), T0));
        let lines = kinds.map(|event| (event, suppressed("duplicate"))).collect::<Vec<_>>();
        record(&store, "hook", &lines).await;
    }
    let mut query = around("acme");
    query.by_type = true;
    let found = stats(&store, &query).await;
    assert!(found.len() <= 4_097, "{} types", found.len());
    let of_others = found.iter().find(|one| one.key.kind.as_deref() == Some(OTHER_TYPES));
    assert!(of_others.is_some_and(|one| one.total.received + one.total.suppressed > 0));
    let sums = total(&store, &around("acme")).await;
    assert_eq!((sums.received, sums.suppressed), (count, count), "nothing is lost");
}

pub(crate) async fn old_rollups_are_forgotten<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    for hour in [0, 1, 2] {
        let event = event_at("acme", &format!("evt_{hour}"), T0 + hour * HOUR_MS);
        record(&store, "hook", &[(event, Change::Delivered)]).await;
    }
    store.rollups.forget_rollups(T0 + HOUR_MS).await.unwrap();
    let left = if F::EXPIRES_ROLLUPS { 3 } else { 2 };
    assert_eq!(total(&store, &around("acme")).await.delivered, left);
    let all = StatsQuery { tenant: None, ..around("acme") };
    assert_eq!(total(&store, &all).await.delivered, left);
}
