//! The router with nothing to do: the time until it is ready, its memory, its use of the CPU.

use std::net::SocketAddr;
use std::time::Duration;

use fanfare_harness::Redis;
use fanfare_harness::usage::Threads;

use crate::actors::{self, Router, folder, text};
use crate::cases::Setup;
use crate::peers::message::TENANT;
use crate::peers::sink::Addresses;
use crate::report::{Figures, float};
use crate::tables;
use crate::usage::{mib, resident_mib};

/// The work that a start leaves for later is done by then.
const SETTLED: Duration = Duration::from_secs(2);

/// Starts the router with one tenant and leaves it alone, and then starts it with many tenants, which
/// are new the first time and in the store already the second time.
pub(crate) async fn rest(on_redis: bool, setup: &Setup) -> anyhow::Result<Figures> {
    let (tenants, idle) = (setup.sizes.tenants, setup.sizes.open_s);
    let dir = folder()?;
    let redis = if on_redis { Some(actors::redis().await?) } else { None };
    let store = redis.as_ref().map_or_else(|| text(dir.path()), Redis::url);
    // Nothing is sent.
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 9));
    let addresses = Addresses { http: nowhere, smtp: nowhere };
    let one = [tables::webhooks(TENANT, nowhere, 1)];
    let many: Vec<_> =
        (0..tenants).map(|n| tables::webhooks(&format!("{TENANT}-{n}"), nowhere, 1)).collect();

    let mut figures = Figures::default();
    let router = Router::start(&setup.fanfare, &store, &one, &addresses).await?;
    figures.set("ready_ms", router.ready_ms);
    tokio::time::sleep(SETTLED).await;
    let before = Threads::of(router.id()).unwrap_or_default();
    tokio::time::sleep(Duration::from_secs_f64(idle)).await;
    let used = Threads::of(router.id()).unwrap_or_default().since(&before).as_secs_f64();
    figures.set("idle_cpu_percent", used / idle * 100.0);
    figures.set("resident_mib", resident_mib(router.id()));
    figures.set("peak_mib_fanfare", router.usage().peak_mib);
    router.stop().await?;

    let router = Router::start(&setup.fanfare, &store, &many, &addresses).await?;
    figures.set("ready_many_new_ms", router.ready_ms);
    router.stop().await?;
    let router = Router::start(&setup.fanfare, &store, &many, &addresses).await?;
    figures.set("ready_many_ms", router.ready_ms);
    tokio::time::sleep(SETTLED).await;
    figures.set("resident_many_mib", resident_mib(router.id()));
    router.stop().await?;
    figures.set("binary_mib", mib(std::fs::metadata(&setup.fanfare)?.len() / 1_024));
    figures.set("tenants_many", float(tenants));
    Ok(figures)
}
