//! Producers that send events over HTTP while the router delivers them.

use anyhow::ensure;
use fanfare_harness::Redis;

use super::arrivals::{arrived, open, rate};
use super::{RATES, Setup, Sizes};
use crate::actors::{self, Load, Router, Sink, folder, redis_usage, text};
use crate::peers::message::TENANT;
use crate::report::{Figures, float};
use crate::tables;
use crate::usage::Usage;

/// As fast as the API answers, and then at steady rates.
pub(super) async fn run(on_redis: bool, setup: &Setup) -> anyhow::Result<Figures> {
    let mut sink = Sink::start().await?;
    let dir = folder()?;
    let redis = if on_redis { Some(actors::redis().await?) } else { None };
    let store = redis.as_ref().map_or_else(|| text(dir.path()), Redis::url);
    let tenants = [tables::webhooks(TENANT, sink.addresses.http, 1)];
    let mut router = Router::start(&setup.fanfare, &store, &tenants, &sink.addresses).await?;
    let mut figures = Figures::default();
    let before = [router.usage(), sink.usage()];
    let redis_before = redis.as_ref().map(redis_usage);
    let sent = closed(&mut figures, &mut sink, &mut router, setup.sizes).await?;
    figures.used("fanfare", before[0], router.usage(), sent);
    figures.used("sink", before[1], sink.usage(), sent);
    if let (Some(redis), Some(before)) = (&redis, redis_before) {
        figures.used("redis", before, redis_usage(redis), sent);
    }
    for (rate, times) in RATES {
        let (to, seconds) = (router.api().to_string(), times * setup.sizes.open_s);
        let arrivals = open((&mut sink, Some(&mut router)), &to, rate, seconds, &[]).await?;
        figures.times(&format!("open_{rate}_"), &arrivals.latencies_us);
    }
    router.stop().await?;
    Ok(figures)
}

/// Producers that send the next event when the one before was accepted.
async fn closed(
    figures: &mut Figures,
    sink: &mut Sink,
    router: &mut Router,
    sizes: Sizes,
) -> anyhow::Result<usize> {
    let to = router.api().to_string();
    let load = Load::start(&["closed", &to, &sizes.live_s.to_string()])?;
    let began_us = load.began_us;
    let loaded = load.end().await?;
    arrived(sink, Some(router), loaded.sent).await?;
    let arrivals = sink.ask("report").await?;
    ensure!(arrivals.distinct == loaded.sent, "{} arrived", arrivals.distinct);
    rate(figures, loaded.sent, began_us, &arrivals);
    figures.set("ingest_per_s", float(loaded.sent) / loaded.seconds);
    figures.times("", &arrivals.latencies_us);
    figures.used("producers", Usage::default(), loaded.usage(), loaded.sent);
    Ok(loaded.sent)
}
