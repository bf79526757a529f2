//! What the machine can do without a router: bare senders, the disk, and a hand-written consumer.

use std::io::Write as _;
use std::time::{Duration, Instant};

use anyhow::ensure;

use super::arrivals::{open, rate};
use super::preload::preload_stream;
use super::{RATES, Sizes};
use crate::actors::{self, Load, Sink, folder, redis_usage};
use crate::peers::message::TENANT;
use crate::report::{Figures, float};
use crate::usage::Usage;

/// hyper alone, and then the same requests at a steady pace: what one request costs here.
pub(super) async fn hyper(sizes: Sizes) -> anyhow::Result<Figures> {
    let mut sink = Sink::start().await?;
    let mut figures = all_at_once("hyper", &mut sink, sizes).await?;
    let to = sink.addresses.http.to_string();
    for (rate, times) in RATES {
        let seconds = times * sizes.open_s;
        let arrivals = open((&mut sink, None), &to, rate, seconds, &["--signed"]).await?;
        figures.times(&format!("open_{rate}_"), &arrivals.latencies_us);
    }
    Ok(figures)
}

/// reqwest alone.
pub(super) async fn reqwest(sizes: Sizes) -> anyhow::Result<Figures> {
    let mut sink = Sink::start().await?;
    let figures = all_at_once("reqwest", &mut sink, sizes).await?;
    Ok(figures)
}

async fn all_at_once(kind: &str, sink: &mut Sink, sizes: Sizes) -> anyhow::Result<Figures> {
    let to = sink.addresses.http.to_string();
    let load = Load::start(&[kind, &to, &sizes.deliveries.to_string()])?;
    let began_us = load.began_us;
    let loaded = load.end().await?;
    let arrivals = sink.ask("count").await?;
    ensure!(arrivals.distinct == sizes.deliveries, "{} arrived", arrivals.distinct);
    let mut figures = Figures::default();
    rate(&mut figures, sizes.deliveries, began_us, &arrivals);
    figures.used("sender", Usage::default(), loaded.usage(), sizes.deliveries);
    figures.used("sink", Usage::default(), sink.usage(), sizes.deliveries);
    Ok(figures)
}

/// How long the disk takes for the commit of one event, measured on a file where stores are.
pub(super) async fn fsync(sizes: Sizes) -> anyhow::Result<Figures> {
    /// Pages of one event in the write-ahead log.
    const COMMIT: usize = 6 * 4_096;
    let (dir, (rate, times)) = (folder()?, RATES[0]);
    let mut file = std::fs::File::create(dir.path().join("log"))?;
    let (commit, mut taken) = (vec![0; COMMIT], Vec::new());
    let mut due = tokio::time::interval(Duration::from_millis(10));
    let began = Instant::now();
    while began.elapsed().as_secs_f64() < times * sizes.open_s {
        due.tick().await;
        let asked = Instant::now();
        file.write_all(&commit)?;
        file.sync_all()?;
        taken.push(u32::try_from(asked.elapsed().as_micros()).unwrap_or(u32::MAX));
    }
    let mut figures = Figures::default();
    figures.set("per_s", float(taken.len()) / began.elapsed().as_secs_f64());
    taken.sort_unstable();
    figures.times(&format!("open_{rate}_"), &taken);
    Ok(figures)
}

/// The consumer that people write themselves, on a waiting stream.
pub(super) async fn naive(sizes: Sizes) -> anyhow::Result<Figures> {
    let (mut sink, redis) = (Sink::start().await?, actors::redis().await?);
    preload_stream(&redis, sizes.deliveries, |_| TENANT.to_owned()).await?;
    let (sink_before, redis_before) = (sink.usage(), redis_usage(&redis));
    let to = sink.addresses.http.to_string();
    let load = Load::start(&["naive", &to, &sizes.deliveries.to_string(), &redis.url()])?;
    let began_us = load.began_us;
    let loaded = load.end().await?;
    let arrivals = sink.ask("count").await?;
    ensure!(arrivals.distinct == sizes.deliveries, "{} arrived", arrivals.distinct);
    let mut figures = Figures::default();
    rate(&mut figures, sizes.deliveries, began_us, &arrivals);
    figures.used("sender", Usage::default(), loaded.usage(), sizes.deliveries);
    figures.used("redis", redis_before, redis_usage(&redis), sizes.deliveries);
    figures.used("sink", sink_before, sink.usage(), sizes.deliveries);
    Ok(figures)
}
