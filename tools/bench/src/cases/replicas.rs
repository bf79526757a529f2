//! A rate over several replicas: three routers on one Redis, and what a receiver with a promised rate
//! sees.

use super::Setup;
use super::arrivals::{arrived, rate};
use crate::actors::{self, Router, Sink};
use crate::peers::message::{TENANT, body, id, now_us};
use crate::peers::{STREAM, connect};
use crate::report::{Figures, float};
use crate::tables;

/// Routers.
const REPLICAS: usize = 3;
/// The length of the window that is looked at, in microseconds.
const WINDOW_US: u32 = 10_000_000;

/// Sends to a webhook with `rate = "5/s"`. `most_in_10s` must not exceed 55: a burst of 5 and 5 in each
/// second.
pub(super) async fn rate_of_three(setup: &Setup) -> anyhow::Result<Figures> {
    let (mut sink, redis) = (Sink::start().await?, actors::redis().await?);
    let table = [tables::with_rate(TENANT, sink.addresses.http, "5/s")];
    let mut routers = Vec::new();
    for _ in 0..REPLICAS {
        routers.push(Router::start(&setup.fanfare, &redis.url(), &table, &sink.addresses).await?);
    }
    let (began_us, count) = (now_us(), setup.sizes.paced);
    let mut connection = connect(&redis.url()).await?;
    for n in 0..count {
        let mut add = redis::cmd("XADD");
        add.arg(STREAM).arg("*").arg("tenant").arg(TENANT);
        let () = add.arg("event").arg(body(&id(began_us, n))).query_async(&mut connection).await?;
    }
    arrived(&mut sink, None, count).await?;
    let arrivals = sink.ask("report").await?;
    let mut figures = Figures::default();
    rate(&mut figures, count, began_us, &arrivals);
    // Every id has the same moment, so these are the times of arrival.
    let times = &arrivals.latencies_us;
    let within = |at: usize| times[at..].partition_point(|time| time - times[at] < WINDOW_US);
    let most = (0..times.len()).map(within).max().unwrap_or(0);
    figures.set("most_in_10s", float(most));
    figures.set("repeated", float(arrivals.total - arrivals.distinct));
    for router in routers {
        router.stop().await?;
    }
    Ok(figures)
}
