//! The senders, each in a process of its own: raw hyper, reqwest, the naive consumer, and producers
//! of events over HTTP.

mod tenants;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::peers::Line;
use crate::peers::message::{Signer, TENANT, body, id, now_us};
use crate::peers::senders::{all, deliver, hyper, naive, reqwest};
use bytes::Bytes;
use http::{HeaderMap, header};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::actors::Loaded;
use crate::usage::Usage;

/// What to send.
#[derive(Clone, Debug, clap::Subcommand)]
pub(crate) enum Kind {
    /// Signed POSTs with hyper's http1 client
    Hyper { to: SocketAddr, count: usize },
    /// Signed POSTs with reqwest
    Reqwest { to: SocketAddr, count: usize },
    /// XREADGROUP, sign, reqwest, XACK
    Naive { to: SocketAddr, count: usize, redis: String },
    /// Events to the router's API as fast as it answers
    Closed { to: SocketAddr, seconds: f64 },
    /// Events at a rate a second: to the router's API, or signed to the receiver itself
    Open {
        to: SocketAddr,
        seconds: f64,
        rate: f64,
        #[arg(long)]
        signed: bool,
    },
    /// Events of many tenants at a steady pace, one of which may flood
    Tenants { to: SocketAddr, seconds: u32, rate: u32, flood: u32 },
}

/// Producers of the closed loop.
const PRODUCERS: usize = 32;

/// Sends, and tells what it took as one line of JSON.
pub(crate) async fn run(kind: Kind) -> anyhow::Result<()> {
    let began = Instant::now();
    let sent = match kind {
        Kind::Hyper { to, count } => hyper(to, count).await?,
        Kind::Reqwest { to, count } => reqwest(to, count).await?,
        Kind::Naive { to, count, redis } => naive(to, count, &redis).await?,
        Kind::Closed { to, seconds } => closed(to, Duration::from_secs_f64(seconds)).await?,
        Kind::Open { to, seconds, rate, signed } => open(to, seconds, rate, signed).await?,
        Kind::Tenants { to, seconds, rate, flood } => {
            tenants::run(to, seconds, rate, flood).await?
        }
    };
    let seconds = began.elapsed().as_secs_f64();
    let used = Usage::of(std::process::id());
    let loaded = Loaded { sent, seconds, cpu_s: used.cpu_s, peak_mib: used.peak_mib };
    println!("{}", serde_json::to_string(&loaded)?);
    Ok(())
}

async fn ingest(line: &mut Line, path: &str, sent_us: u64, n: usize) -> anyhow::Result<()> {
    let body = Bytes::from(body(&id(sent_us, n)));
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    line.post(path, headers, body).await
}

async fn closed(to: SocketAddr, time: Duration) -> anyhow::Result<usize> {
    let (next, path) = (Arc::new(AtomicUsize::new(0)), format!("/v1/events?tenant={TENANT}"));
    let until = Instant::now() + time;
    let mut tasks = JoinSet::new();
    for _ in 0..PRODUCERS {
        let (next, path) = (next.clone(), path.clone());
        tasks.spawn(async move {
            let mut line = Line::open(to).await?;
            while Instant::now() < until {
                let n = next.fetch_add(1, Ordering::Relaxed);
                ingest(&mut line, &path, now_us(), n).await?;
            }
            Ok(())
        });
    }
    all(tasks).await?;
    Ok(next.load(Ordering::Relaxed))
}

/// Events at fixed times, whatever becomes of those before. An event whose producer is late
/// counts from when it should have been sent: a stall is not hidden.
async fn open(to: SocketAddr, seconds: f64, rate: f64, signed: bool) -> anyhow::Result<usize> {
    let path = format!("/v1/events?tenant={TENANT}");
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small count")]
    let count = (seconds * rate) as usize;
    let mut lines = Vec::new();
    for _ in 0..PRODUCERS {
        lines.push(Line::open(to).await?);
    }
    let signer = signed.then(Signer::keyed);
    let (began, began_us) = (Instant::now(), now_us());
    let mut tasks = JoinSet::new();
    for (first, mut line) in lines.into_iter().enumerate() {
        let (path, signer) = (path.clone(), signer.clone());
        tasks.spawn(async move {
            for n in (first..count).step_by(PRODUCERS) {
                #[expect(clippy::cast_precision_loss, reason = "a small count")]
                let after = Duration::from_secs_f64(n as f64 / rate);
                let late = Instant::now() > began + after;
                tokio::time::sleep_until(began + after).await;
                let due_us = began_us + u64::try_from(after.as_micros()).unwrap_or(0);
                // The timer is a millisecond coarse; that is the producer's, not the router's.
                let sent_us = if late { due_us } else { now_us() };
                match &signer {
                    Some(signer) => deliver(&mut line, signer, &id(sent_us, n)).await?,
                    None => ingest(&mut line, &path, sent_us, n).await?,
                }
            }
            Ok(())
        });
    }
    all(tasks).await?;
    Ok(count)
}
