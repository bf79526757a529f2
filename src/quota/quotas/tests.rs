//! The quotas on events over a store in memory, with a paused clock.

use super::*;
use fanfare_contract::Event;
use fanfare_store::memory::World;

const BURST: Duration = Duration::from_secs(2);

fn quotas(store: &Store, limits: &[(Quota, u64)], over_rate: OverRate) -> (Arc<Quotas>, Limits) {
    let value = |quota| limits.iter().find(|(one, _)| *one == quota).map_or(0, |(_, value)| *value);
    let limits = Limits::new(value);
    (Quotas::new(store, limits, BURST, over_rate), limits)
}

fn tenant() -> Arc<str> {
    "acme".into()
}

/// Appends an event whose body has this many bytes.
async fn store_event(store: &Store, id: &str, bytes: usize) {
    let body = vec![b' '; bytes].into();
    let event = Event::new(tenant(), id.into(), "order.paid".into(), 0, 0, body);
    store.log.append(vec![Arc::new(event)]).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_flood_is_refused_until_the_rate_allows_more() {
    let store = World::new().open();
    let (quotas, limits) = quotas(&store, &[(Quota::EventsPerSecond, 100)], OverRate::Wait);
    let tenant = tenant();
    let mut taken = 0;
    // Ten seconds of batches, many more than allowed.
    for _ in 0..1_000 {
        if quotas.enter(&tenant, &limits, 1_000).await.is_ok() {
            taken += 50 * usize::from(quotas.take_events(&tenant, &limits, 50).is_ok());
        }
        tokio::time::advance(Duration::from_millis(10)).await;
    }
    // The burst, the rate, and a batch that may pass when one token is left.
    assert!((1_150..=1_250).contains(&taken), "{taken} events in ten seconds");

    let refused = loop {
        let entered = quotas.enter(&tenant, &limits, 1_000).await;
        let taken = entered.and_then(|()| quotas.take_events(&tenant, &limits, 50));
        if let Err(refused) = taken {
            break refused;
        }
    };
    assert_eq!((refused.quota, refused.limit), (Quota::EventsPerSecond, 100));
    let wait = refused.retry_after().unwrap();
    assert!((Duration::from_secs(1)..=BURST).contains(&wait), "{wait:?}");
    let text = refused.to_string();
    assert!(
        text.starts_with("the tenant's quota `events_per_second` is 100 and used up"),
        "{text}"
    );
    tokio::time::advance(wait).await;
    quotas.enter(&tenant, &limits, 1_000).await.unwrap();
    quotas.take_events(&tenant, &limits, 50).unwrap();
}

#[tokio::test(start_paused = true)]
async fn one_tenant_at_its_quota_leaves_another_alone() {
    let store = World::new().open();
    let (quotas, limits) = quotas(&store, &[(Quota::BytesPerSecond, 1_000)], OverRate::Wait);
    let (acme, globex): (Arc<str>, Arc<str>) = (tenant(), "globex".into());
    quotas.enter(&acme, &limits, 1_000_000).await.unwrap();
    let refused = quotas.enter(&acme, &limits, 1).await.unwrap_err();
    assert_eq!(refused.quota, Quota::BytesPerSecond);
    quotas.enter(&globex, &limits, 1_000).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_refusal_because_of_stored_bytes_follows_what_the_store_says_now() {
    let store = World::new().open();
    let (quotas, limits) = quotas(&store, &[(Quota::StoredBytes, 1_000)], OverRate::Wait);
    let tenant = tenant();
    quotas.enter(&tenant, &limits, 900).await.unwrap();
    store_event(&store, "evt_1", 900).await;
    quotas.accepted(&tenant, 1, 900);
    quotas.enter(&tenant, &limits, 200).await.unwrap();
    store_event(&store, "evt_2", 200).await;
    quotas.accepted(&tenant, 1, 200);
    // Known at once, before the store is asked again.
    let refused = quotas.enter(&tenant, &limits, 1).await.unwrap_err();
    assert_eq!((refused.quota, refused.used), (Quota::StoredBytes, Some(1_100)));
    assert_eq!(refused.retry_after(), None);

    store.erasure.erase_events("acme", &["evt_1".to_owned()], 0).await.unwrap();
    tokio::time::advance(Duration::from_secs(1)).await;
    quotas.enter(&tenant, &limits, 1).await.unwrap();
    assert_eq!(quotas.usage(&tenant).await.stored_bytes, 200);
}

#[tokio::test(start_paused = true)]
async fn entries_of_the_stream_wait_one_after_another_or_are_refused() {
    let store = World::new().open();
    let rate = [(Quota::EventsPerSecond, 10)];
    let (waiting, limits) = quotas(&store, &rate, OverRate::Wait);
    let tenant = tenant();
    let waits: Vec<_> =
        (0..23).map(|_| waiting.take_entry(&tenant, &limits, 10).unwrap().as_millis()).collect();
    assert!(waits[..20].iter().all(|wait| *wait == 0), "{waits:?}");
    assert_eq!(waits[20..], [100, 200, 300]);

    let (rejecting, limits) = quotas(&store, &rate, OverRate::Reject);
    let taken = (0..23).map(|_| rejecting.take_entry(&tenant, &limits, 10));
    assert_eq!(taken.flatten().count(), 20);
}

#[tokio::test(start_paused = true)]
async fn meters_of_idle_tenants_are_forgotten() {
    let store = World::new().open();
    let (quotas, limits) = quotas(&store, &[(Quota::EventsPerSecond, 10)], OverRate::Wait);
    for n in 0..METERS_KEPT {
        quotas.enter(&format!("t{n}").into(), &limits, 1).await.unwrap();
    }
    tokio::time::advance(Duration::from_mins(2)).await;
    quotas.enter(&tenant(), &limits, 1).await.unwrap();
    assert_eq!(quotas.meters.read().unwrap().len(), 1);
}
