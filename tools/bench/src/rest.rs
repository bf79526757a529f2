//! The router with nothing to do: the time until it is ready, its memory, its use of the CPU.

use std::net::SocketAddr;
use std::time::Duration;

use crate::actors::{Redis, Router, folder, text};
use crate::cases::Setup;
use crate::peers::message::TENANT;
use crate::peers::sink::Addresses;
use crate::report::{Figures, float};
use crate::tables;

/// The work that a start leaves for later is done by then.
const SETTLED: Duration = Duration::from_secs(2);

/// Starts the router with one tenant and leaves it alone, and then starts it with many tenants, which
/// are new the first time and in the store already the second time.
pub(crate) async fn rest(on_redis: bool, setup: &Setup) -> anyhow::Result<Figures> {
    let (tenants, idle) = (setup.sizes.tenants, setup.sizes.open_s);
    let dir = folder()?;
    let redis = if on_redis { Some(Redis::start().await?) } else { None };
    let store = redis.as_ref().map_or_else(|| text(dir.path()), |redis| redis.url.clone());
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
    let before = router.process.threads();
    tokio::time::sleep(Duration::from_secs_f64(idle)).await;
    let used = router.process.threads().since(&before).as_secs_f64();
    figures.set("idle_cpu_percent", used / idle * 100.0);
    figures.set("resident_mib", router.process.resident_mib());
    figures.set("peak_mib_fanfare", router.process.usage().peak_mib);
    router.process.stop().await;

    let router = Router::start(&setup.fanfare, &store, &many, &addresses).await?;
    figures.set("ready_many_new_ms", router.ready_ms);
    router.process.stop().await;
    let router = Router::start(&setup.fanfare, &store, &many, &addresses).await?;
    figures.set("ready_many_ms", router.ready_ms);
    tokio::time::sleep(SETTLED).await;
    figures.set("resident_many_mib", router.process.resident_mib());
    router.process.stop().await;
    if let Some(redis) = redis {
        redis.process.stop().await;
    }
    figures.set("binary_mib", mib(std::fs::metadata(&setup.fanfare)?.len()));
    figures.set("tenants_many", float(tenants));
    Ok(figures)
}

fn mib(bytes: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a program is far below 2^52 bytes")]
    let bytes = bytes as f64;
    bytes / f64::from(1 << 20)
}
