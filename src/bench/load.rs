//! The senders, each in a process of its own: raw hyper, reqwest, the naive consumer, and producers
//! of events over HTTP.

mod tenants;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, ensure};
use bytes::Bytes;
use http::{HeaderMap, Request, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use redis::streams::{StreamReadOptions, StreamReadReply};
use redis::{AsyncCommands, aio::MultiplexedConnection};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::actors::{Loaded, connect};
use super::message::{Signer, TENANT, body, id, now_us};
use super::process;

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
    /// Events to the router's API at a rate a second
    Open { to: SocketAddr, seconds: f64, rate: f64 },
    /// Events of many tenants at a steady pace, one of which may flood
    Tenants { to: SocketAddr, seconds: u32, rate: u32, flood: u32 },
}

/// Connections of a sender: what Fanfare opens to one destination.
const CONNECTIONS: usize = 64;
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
        Kind::Open { to, seconds, rate } => open(to, seconds, rate).await?,
        Kind::Tenants { to, seconds, rate, flood } => {
            tenants::run(to, seconds, rate, flood).await?
        }
    };
    let seconds = began.elapsed().as_secs_f64();
    let used = process::usage("self").unwrap_or_default();
    let loaded = Loaded { sent, seconds, cpu_s: used.cpu_s, peak_mib: used.peak_mib };
    println!("{}", serde_json::to_string(&loaded)?);
    Ok(())
}

/// One kept-alive connection.
struct Line {
    sender: SendRequest<Full<Bytes>>,
    host: String,
}

impl Line {
    async fn open(to: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(to).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        // Its end shows in the next request.
        tokio::spawn(async move { connection.await.ok() });
        Ok(Self { sender, host: to.to_string() })
    }

    async fn post(&mut self, path: &str, headers: HeaderMap, body: Bytes) -> anyhow::Result<()> {
        let mut request = Request::post(path).body(Full::new(body))?;
        *request.headers_mut() = headers;
        request.headers_mut().insert(header::HOST, self.host.parse()?);
        self.sender.ready().await?;
        let response = self.sender.send_request(request).await?;
        ensure!(response.status().is_success(), "the answer was {}", response.status());
        let mut body = response.into_body();
        while let Some(frame) = body.frame().await {
            frame?;
        }
        Ok(())
    }
}

async fn all(tasks: JoinSet<anyhow::Result<()>>) -> anyhow::Result<()> {
    tasks.join_all().await.into_iter().collect()
}

async fn hyper(to: SocketAddr, count: usize) -> anyhow::Result<usize> {
    let next = Arc::new(AtomicUsize::new(0));
    let signer = Signer::new();
    let mut tasks = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let (next, signer) = (next.clone(), signer.clone());
        tasks.spawn(async move {
            let mut line = Line::open(to).await?;
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= count {
                    return Ok(());
                }
                let id = id(0, n);
                let body = Bytes::from(body(&id));
                line.post("/hooks/0", signer.headers(&id, &body), body).await?;
            }
        });
    }
    all(tasks).await?;
    Ok(count)
}

fn client() -> anyhow::Result<reqwest::Client> {
    let builder = reqwest::Client::builder().no_proxy().http1_only();
    // Nothing here speaks TLS: the machine's roots need not be read.
    Ok(builder.tls_certs_only([]).pool_max_idle_per_host(CONNECTIONS).build()?)
}

async fn post(
    client: &reqwest::Client,
    url: &str,
    headers: HeaderMap,
    body: Bytes,
) -> anyhow::Result<()> {
    let response = client.post(url).headers(headers).body(body).send().await?;
    response.error_for_status()?.bytes().await?;
    Ok(())
}

async fn reqwest(to: SocketAddr, count: usize) -> anyhow::Result<usize> {
    let next = Arc::new(AtomicUsize::new(0));
    let (client, signer) = (client()?, Signer::new());
    let url = format!("http://{to}/hooks/0");
    let mut tasks = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let (next, client, signer, url) =
            (next.clone(), client.clone(), signer.clone(), url.clone());
        tasks.spawn(async move {
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= count {
                    return Ok(());
                }
                let id = id(0, n);
                let body = Bytes::from(body(&id));
                post(&client, &url, signer.headers(&id, &body), body).await?;
            }
        });
    }
    all(tasks).await?;
    Ok(count)
}

/// What people write in an afternoon, without its usual mistake (reads have their own connection):
/// no retries, no ledger, no filter, and whatever fails is lost.
async fn naive(to: SocketAddr, count: usize, redis: &str) -> anyhow::Result<usize> {
    let (mut reads, acks) = (connect(redis).await?, connect(redis).await?);
    let _: () = reads.xgroup_create_mkstream(super::STREAM, "naive", "0").await?;
    let (client, signer) = (client()?, Signer::new());
    let url: Arc<str> = format!("http://{to}/hooks/0").into();
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let options = StreamReadOptions::default().group("naive", "one").count(500).block(1_000);
    let mut tasks = JoinSet::new();
    let mut read = 0;
    while read < count {
        let reply: Option<StreamReadReply> =
            reads.xread_options(&[super::STREAM], &[">"], &options).await?;
        for entry in reply.into_iter().flat_map(|reply| reply.keys).flat_map(|key| key.ids) {
            read += 1;
            let place = places.clone().acquire_owned().await?;
            let (client, signer, url, acks) =
                (client.clone(), signer.clone(), url.clone(), acks.clone());
            tasks.spawn(async move {
                consume(&client, &signer, &url, acks, &entry).await?;
                drop(place);
                Ok(())
            });
        }
    }
    all(tasks).await?;
    Ok(count)
}

async fn consume(
    client: &reqwest::Client,
    signer: &Signer,
    url: &str,
    mut acks: MultiplexedConnection,
    entry: &redis::streams::StreamId,
) -> anyhow::Result<()> {
    let body: String = entry.get("event").context("an entry without an event")?;
    let event: serde_json::Value = serde_json::from_str(&body)?;
    let id = event["id"].as_str().context("an event without an id")?;
    post(client, url, signer.headers(id, body.as_bytes()), Bytes::from(body.clone())).await?;
    let _: usize = acks.xack(super::STREAM, "naive", &[&entry.id]).await?;
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
async fn open(to: SocketAddr, seconds: f64, rate: f64) -> anyhow::Result<usize> {
    let path = format!("/v1/events?tenant={TENANT}");
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small count")]
    let count = (seconds * rate) as usize;
    let mut lines = Vec::new();
    for _ in 0..PRODUCERS {
        lines.push(Line::open(to).await?);
    }
    let (began, began_us) = (Instant::now(), now_us());
    let mut tasks = JoinSet::new();
    for (first, mut line) in lines.into_iter().enumerate() {
        let path = path.clone();
        tasks.spawn(async move {
            for n in (first..count).step_by(PRODUCERS) {
                #[expect(clippy::cast_precision_loss, reason = "a small count")]
                let after = Duration::from_secs_f64(n as f64 / rate);
                let late = Instant::now() > began + after;
                tokio::time::sleep_until(began + after).await;
                let due_us = began_us + u64::try_from(after.as_micros()).unwrap_or(0);
                // The timer is a millisecond coarse; that is the producer's, not the router's.
                ingest(&mut line, &path, if late { due_us } else { now_us() }, n).await?;
            }
            Ok(())
        });
    }
    all(tasks).await?;
    Ok(count)
}
