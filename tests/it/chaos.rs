//! The short form of `cargo xtask chaos`: routers and Redis are killed with `kill -9` while events
//! come in and receivers hang, reset, refuse, redirect and answer for ever.

use std::time::Duration;

use fanfare_chaos::{Options, Programs, Report, Rolling, StoreKind, rolling, run};

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
