//! The short form of `cargo xtask chaos`: routers and Redis are killed with `kill -9` while events
//! come in and receivers hang, reset, refuse, redirect and answer for ever.

use fanfare_chaos::{Options, Report, StoreKind, run};

use crate::support::bin;

async fn quick(store: StoreKind) -> Report {
    let options = Options {
        fanfare: env!("CARGO_BIN_EXE_fanfare").into(),
        redis_server: bin("redis-server"),
        ..Options::quick(store)
    };
    let report = run(&options).await.expect("the run comes to its end");
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
