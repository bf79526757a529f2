//! The router on events that wait already: how fast it sends them off.

use std::time::Instant;

use anyhow::ensure;

use super::arrivals::{arrived, note_settled, rate};
use super::preload::{preload_store, preload_stream, until_empty};
use super::{LONGEST, LOOK, Setup};
use crate::actors::{self, Router, Sink, folder, redis_usage, text};
use crate::peers::message::TENANT;
use crate::report::Figures;
use crate::tables;
use crate::usage::Usage;

/// What waits when the router starts.
#[derive(Clone, Copy)]
pub(super) enum Shape {
    /// Events to one webhook.
    One,
    /// Events to ten webhooks each.
    Ten,
    /// Events of many tenants with ten routes each, one of which matches.
    Tenants,
    /// Events to a webhook, Slack and email each.
    Mixed,
}

/// From a stream in Redis.
pub(super) async fn redis(shape: Shape, setup: &Setup) -> anyhow::Result<Figures> {
    let (sizes, mut sink, redis) = (setup.sizes, Sink::start().await?, actors::redis().await?);
    let http = sink.addresses.http;
    let (events, deliveries, tenants) = match shape {
        Shape::One => (sizes.deliveries, sizes.deliveries, vec![tables::webhooks(TENANT, http, 1)]),
        Shape::Ten => {
            (sizes.deliveries / 10, sizes.deliveries, vec![tables::webhooks(TENANT, http, 10)])
        }
        Shape::Tenants => {
            let names = (0..sizes.tenants).map(|n| tables::ten_routes(&numbered(n), http));
            (sizes.deliveries, sizes.deliveries, names.collect())
        }
        Shape::Mixed => (sizes.mixed / 3, sizes.mixed, vec![tables::mixed(http)]),
    };
    let many = matches!(shape, Shape::Tenants).then_some(sizes.tenants);
    let tenant = |n| many.map_or_else(|| TENANT.to_owned(), |tenants| numbered(n % tenants));
    preload_stream(&redis, events, tenant).await?;
    let (sink_before, redis_before) = (sink.usage(), redis_usage(&redis));
    let mut router = Router::start(&setup.fanfare, &redis.url(), &tenants, &sink.addresses).await?;
    let arrivals = arrived(&mut sink, Some(&mut router), deliveries).await?;
    let mut figures = Figures::default();
    until_empty(&redis).await?;
    note_settled(&mut figures, &router, deliveries);
    rate(&mut figures, deliveries, router.began_us, &arrivals);
    figures.set("ready_ms", router.ready_ms);
    figures.used("fanfare", Usage::default(), router.usage(), deliveries);
    figures.used("redis", redis_before, redis_usage(&redis), deliveries);
    figures.used("sink", sink_before, sink.usage(), deliveries);
    router.stop().await?;
    Ok(figures)
}

fn numbered(n: usize) -> String {
    format!("{TENANT}-{n}")
}

/// From an embedded store.
pub(super) async fn embedded(setup: &Setup) -> anyhow::Result<Figures> {
    let mut sink = Sink::start().await?;
    let (dir, deliveries) = (folder()?, setup.sizes.deliveries);
    let store = preload_store(dir.path(), deliveries).await?;
    let before = sink.usage();
    let tenants = [tables::webhooks(TENANT, sink.addresses.http, 1)];
    let mut router =
        Router::start(&setup.fanfare, &text(dir.path()), &tenants, &sink.addresses).await?;
    let arrivals = arrived(&mut sink, Some(&mut router), deliveries).await?;
    let began = Instant::now();
    loop {
        let counts = store.ledger.counts(TENANT, 0, i64::MAX).await?;
        if counts.pending == 0 && counts.waiting == 0 {
            break;
        }
        ensure!(began.elapsed() < LONGEST, "not settled in {} s", LONGEST.as_secs());
        tokio::time::sleep(LOOK).await;
    }
    let mut figures = Figures::default();
    note_settled(&mut figures, &router, deliveries);
    rate(&mut figures, deliveries, router.began_us, &arrivals);
    figures.set("ready_ms", router.ready_ms);
    figures.used("fanfare", Usage::default(), router.usage(), deliveries);
    figures.used("sink", before, sink.usage(), deliveries);
    router.stop().await?;
    Ok(figures)
}
