//! The short form of `cargo xtask chaos`: routers and Redis are killed with `kill -9` while events
//! come in and receivers hang, reset, refuse, redirect and answer for ever.

use std::time::Duration;

use fanfare_chaos::{Options, Programs, Report, Rolling, StoreKind, Storm, rolling, run, storm};

fn programs() -> Programs {
    Programs::find(None, None).expect("fanfare and redis-server")
}

async fn quick(store: StoreKind) -> Report {
    let options = Options::quick(store);
    let report = run(&programs(), &options).await.expect("the run comes to its end");
    assert!(report.is_good(), "{report:#?}");
    assert_eq!((report.events, report.kills), (options.events, options.kills as usize));
    report
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_router_that_is_killed_again_and_again_loses_nothing() {
    quick(StoreKind::Embedded).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_and_redis_that_are_killed_lose_nothing() {
    let report = quick(StoreKind::Redis).await;
    assert_eq!(report.redis_kills, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart_loses_repeats_and_reorders_nothing_and_goes_on() {
    let options = Rolling { rate: 100, rounds: 1 };
    let rolled = rolling(&programs(), &options).await.expect("the run comes to its end");
    assert!(rolled.is_whole() && rolled.restarts == 2, "{rolled:#?}");
    // A second is promised, and measured by `cargo xtask chaos rolling`; here other tests run beside.
    assert!(rolled.pauses.iter().all(|pause| *pause < Duration::from_secs(10)), "{rolled:#?}");
}

/// A storm of every kind of fault. `cargo xtask chaos --runs 1000 --seed 1` runs a thousand.
async fn weathers(store: StoreKind, seeds: &[u64]) {
    for seed in seeds {
        let options = Storm { store, seed: *seed, events: 200, keep: None };
        let done = storm(&programs(), &options).await.expect("the run comes to its end");
        assert!(done.is_good(), "{}\n{:#?}", done.line(), done.failures);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_under_every_kind_of_fault_loses_strands_and_reorders_nothing() {
    weathers(StoreKind::Embedded, &[2]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_on_redis_under_every_kind_of_fault_lose_strand_and_reorder_nothing() {
    weathers(StoreKind::Redis, &[3]).await;
}
