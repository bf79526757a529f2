//! Many tenants that each send at their own steady pace, in turn to their destinations.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::ensure;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::isolation::{DESTINATIONS, FLOODING, TENANTS, WARM_UP, is_healthy, name};
use crate::peers::Line;
use crate::peers::message::{id, now_us};

/// Answers how many events are measured: those to healthy destinations, after the warm-up.
pub(super) async fn run(
    to: SocketAddr,
    seconds: u32,
    rate: u32,
    flood: u32,
) -> anyhow::Result<usize> {
    let lasts = WARM_UP + Duration::from_secs(seconds.into());
    let mut tasks = JoinSet::new();
    for tenant in 0..TENANTS {
        let factor = if tenant == FLOODING { flood.max(1) } else { 1 };
        // The flood comes in batches: it is to burden the router, not this process.
        let batch = if factor > 1 { 10 } else { 1 };
        let every = Duration::from_secs_f64(f64::from(batch) / f64::from(rate.max(1) * factor));
        tasks.spawn(Sender { tenant, batch, every, lasts }.run(to));
    }
    let mut measured = 0;
    while let Some(sent) = tasks.join_next().await {
        measured += sent??;
    }
    Ok(measured)
}

struct Sender {
    tenant: usize,
    batch: u32,
    every: Duration,
    lasts: Duration,
}

impl Sender {
    async fn run(self, to: SocketAddr) -> anyhow::Result<usize> {
        let mut line = Line::open(to).await?;
        let path = format!("/v1/events?tenant={}", name(self.tenant));
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let began = Instant::now();
        // Tenants are spread over their period.
        let share = u32::try_from(self.tenant % TENANTS)? * 100 / u32::try_from(TENANTS)?;
        let mut due = began + self.every * share / 100;
        let (mut number, mut measured) = (self.tenant, 0);
        while due < began + self.lasts {
            let late = Instant::now() > due;
            tokio::time::sleep_until(due).await;
            // An event whose producer is late counts from when it should have been sent.
            let behind = if late { due.elapsed() } else { Duration::ZERO };
            let sent_us = now_us().saturating_sub(u64::try_from(behind.as_micros())?);
            let in_time = due >= began + WARM_UP;
            let mut events = Vec::new();
            for _ in 0..self.batch {
                number += 1;
                let place = number % DESTINATIONS;
                let counts = in_time && is_healthy(self.tenant, place);
                measured += usize::from(counts);
                events.push(event(if counts { sent_us } else { 0 }, number, self.tenant, place));
            }
            let body =
                if self.batch == 1 { events.concat() } else { format!("[{}]", events.join(",")) };
            let sent = line.post(&path, headers.clone(), Bytes::from(body)).await;
            ensure!(sent.is_ok(), "an event was not taken: {sent:?}");
            due += self.every;
        }
        Ok(measured)
    }
}

fn event(sent_us: u64, number: usize, tenant: usize, place: usize) -> String {
    // Ids are of one tenant each, and what arrived is told apart by its path.
    let id = id(sent_us, number * TENANTS + tenant);
    format!(
        "{{\"id\":\"{id}\",\"type\":\"isolation.d{place}\",\"created\":1735228800,\
         \"data\":{{\"text\":\"a few words\"}}}}"
    )
}
