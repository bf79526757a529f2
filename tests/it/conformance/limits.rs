//! Paces, and hints about circuits.

use std::time::Duration;

use fanfare_store::{OpenCircuit, Pacing};

use super::Fixture;
use super::kit::{T0, lane};

const SLOW: Pacing = Pacing { interval: Duration::from_hours(1), burst: 5 };

pub(crate) async fn a_pace_gives_its_burst_once<F: Fixture>(fixture: &F) {
    let limits = fixture.open().await.limits;
    let take = async |key: &str, most| limits.take_places(key, SLOW, most).await.unwrap();
    assert_eq!(take("acme:hook", 2).await.taken, 2);
    assert_eq!(take("acme:hook", 9).await.taken, 3, "what is left of the burst");
    let none = take("acme:hook", 1).await;
    assert_eq!(none.taken, 0);
    let hour = Duration::from_hours(1);
    assert!(none.wait <= hour && none.wait > hour / 2, "the next one: {:?}", none.wait);
    assert_eq!(take("acme:other", 1).await.taken, 1, "each key has a pace of its own");
}

pub(crate) async fn a_pace_gives_a_place_per_interval<F: Fixture>(fixture: &F) {
    let limits = fixture.open().await.limits;
    let pacing = Pacing { interval: Duration::from_millis(50), burst: 1 };
    let began = std::time::Instant::now();
    let mut taken = 0;
    while taken < 6 {
        let places = limits.take_places("acme:hook", pacing, 10).await.unwrap();
        assert!(places.taken <= 1, "a burst of one");
        taken += places.taken;
        assert!(places.wait <= pacing.interval, "{:?}", places.wait);
        tokio::time::sleep(places.wait).await;
    }
    let least = pacing.interval * 5;
    assert!(began.elapsed() + Duration::from_millis(5) >= least, "{:?}", began.elapsed());
}

pub(crate) async fn a_process_that_is_alone_counts_itself<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    store.upkeep.beat(T0).await.unwrap();
    assert_eq!(store.limits.replicas().await.unwrap(), 1);
}

pub(crate) async fn open_circuits_are_known_until_they_close<F: Fixture>(fixture: &F) {
    let store = fixture.open().await;
    let circuit = |name: &str, until| OpenCircuit { lane: lane("acme", name), revision: 7, until };
    let (hook, mail) = (circuit("hook", T0 + 5_000), circuit("mail~ann", T0 + 9_000));
    let limits = &store.limits;
    let open = limits.share_circuits(T0, &[hook.clone(), mail.clone()], &[]).await.unwrap();
    if F::ONE_READER {
        assert_eq!(open, [], "there is no other process");
        return;
    }
    assert_eq!(open, [hook.clone(), mail.clone()]);
    let beside = fixture.beside().await;
    let open = beside.limits.share_circuits(T0, &[], &[hook]).await.unwrap();
    assert_eq!(open, std::slice::from_ref(&mail));
    let longer = circuit("mail~ann", T0 + 20_000);
    let open = limits.share_circuits(T0 + 1, std::slice::from_ref(&longer), &[]).await.unwrap();
    assert_eq!(open, [longer], "opened again");
    let later = beside.limits.share_circuits(T0 + 20_000, &[], &[]).await.unwrap();
    assert_eq!(later, [], "their time is over");
}
