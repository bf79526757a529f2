//! Sends the plan's events, as producers do: over HTTP and with `XADD`, and again until taken.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use redis::aio::MultiplexedConnection;
use tokio::sync::watch;

use crate::plan::{Plan, TENANT};

/// Most events in one request.
const BATCH: u64 = 32;
/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// What all producers share.
pub(crate) struct Load {
    pub(crate) plan: Plan,
    pub(crate) began: Instant,
    /// Events a second, at most.
    pub(crate) pace: f64,
    /// Events up to this number may be sent: the kills say, so that all of them meet load.
    pub(crate) gate: watch::Receiver<u32>,
    /// Where the routers listen now.
    pub(crate) routers: Arc<Mutex<Vec<SocketAddr>>>,
    next: AtomicU32,
    accepted: Mutex<HashMap<u32, Duration>>,
    retries: AtomicU32,
}

impl Load {
    pub(crate) fn new(
        plan: Plan,
        began: Instant,
        pace: f64,
        gate: watch::Receiver<u32>,
        routers: Arc<Mutex<Vec<SocketAddr>>>,
    ) -> Arc<Self> {
        Arc::new(Self {
            plan,
            began,
            pace,
            gate,
            routers,
            next: AtomicU32::new(0),
            accepted: Mutex::default(),
            retries: AtomicU32::new(0),
        })
    }

    /// How many events were taken.
    pub(crate) fn accepted(&self) -> u32 {
        u32::try_from(self.lock().len()).unwrap_or(u32::MAX)
    }

    /// When each event was taken.
    pub(crate) fn times(&self) -> HashMap<u32, Duration> {
        self.lock().clone()
    }

    /// How often a request had to be sent again.
    pub(crate) fn retries(&self) -> u32 {
        self.retries.load(Ordering::Relaxed)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<u32, Duration>> {
        self.accepted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next events to send, once it is their time; none at the end.
    async fn next(&self) -> Option<std::ops::Range<u32>> {
        let size = 1 + self.plan.dice("batch", self.next.load(Ordering::Relaxed).into(), 0, BATCH);
        let size = u32::try_from(size).unwrap_or(1);
        let first = self.next.fetch_add(size, Ordering::Relaxed);
        if first >= self.plan.events {
            return None;
        }
        let due = self.began + Duration::from_secs_f64(f64::from(first) / self.pace);
        tokio::time::sleep_until(due.into()).await;
        // The sender lives as long as the run.
        self.gate.clone().wait_for(|limit| *limit >= first).await.ok()?;
        Some(first..(first + size).min(self.plan.events))
    }

    fn taken(&self, events: std::ops::Range<u32>) {
        let now = self.began.elapsed();
        self.lock().extend(events.map(|n| (n, now)));
    }

    async fn again(&self) {
        self.retries.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    fn router(&self, turn: u32) -> Option<SocketAddr> {
        let routers = self.routers.lock().unwrap_or_else(PoisonError::into_inner);
        routers.get(turn as usize % routers.len().max(1)).copied()
    }
}

/// A client of the routers.
pub(crate) fn client() -> Result<reqwest::Client> {
    // One provider a process; an error says that there is one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Ok(reqwest::Client::builder().no_proxy().timeout(PATIENCE).build()?)
}

/// `POST /v1/events` until there are no more.
pub(crate) async fn over_http(load: Arc<Load>) -> Result<()> {
    let client = client()?;
    while let Some(events) = load.next().await {
        let list: Vec<_> = events.clone().map(|n| load.plan.event(n)).collect();
        let body = format!("[{}]", list.join(","));
        let mut turn = events.start;
        while !post(&client, load.router(turn), &body).await? {
            load.again().await;
            turn = turn.wrapping_add(1);
        }
        load.taken(events);
    }
    Ok(())
}

/// True when all were taken, false when it is to be tried again.
async fn post(client: &reqwest::Client, router: Option<SocketAddr>, body: &str) -> Result<bool> {
    let Some(router) = router else { return Ok(false) };
    let url = format!("http://{router}/v1/events?tenant={TENANT}");
    let request = client.post(url).header("content-type", "application/json");
    let Ok(answer) = request.body(body.to_owned()).send().await else { return Ok(false) };
    let status = answer.status();
    let Ok(text) = answer.text().await else { return Ok(false) };
    match status.as_u16() {
        202 => {
            let answer: serde_json::Value = serde_json::from_str(&text)?;
            let refused = answer.pointer("/data/refused").and_then(serde_json::Value::as_u64);
            if refused != Some(0) {
                bail!("events were refused: {text}");
            }
            Ok(true)
        }
        500..=599 | 429 => Ok(false),
        _ => bail!("{status}: {text}"),
    }
}

/// `XADD` until there are no more.
pub(crate) async fn over_stream(load: Arc<Load>, url: String) -> Result<()> {
    let client = redis::Client::open(url)?;
    let mut connection = None;
    while let Some(events) = load.next().await {
        let mut pipe = redis::pipe();
        for n in events.clone() {
            pipe.cmd("XADD").arg("fanfare:events").arg("*");
            pipe.arg("tenant").arg(TENANT).arg("event").arg(load.plan.event(n));
        }
        // Sent again as a whole: what was in already becomes a duplicate, which the router drops.
        while !add(&client, &mut connection, &pipe).await {
            load.again().await;
        }
        load.taken(events);
    }
    Ok(())
}

async fn add(
    client: &redis::Client,
    held: &mut Option<MultiplexedConnection>,
    pipe: &redis::Pipeline,
) -> bool {
    if held.is_none() {
        let config = redis::AsyncConnectionConfig::new().set_response_timeout(Some(PATIENCE));
        *held = client.get_multiplexed_async_connection_with_config(&config).await.ok();
    }
    let Some(connection) = held else { return false };
    let added: redis::RedisResult<Vec<String>> = pipe.query_async(connection).await;
    if added.is_err() {
        *held = None;
    }
    added.is_ok()
}

/// All producers at once.
pub(crate) async fn produce(load: Arc<Load>, stream: Option<String>) -> Result<()> {
    let mut tasks = tokio::task::JoinSet::new();
    for place in 0..4 {
        match &stream {
            Some(url) if place % 2 == 0 => tasks.spawn(over_stream(load.clone(), url.clone())),
            _ => tasks.spawn(over_http(load.clone())),
        };
    }
    while let Some(ended) = tasks.join_next().await {
        ended.context("a producer panicked")??;
    }
    Ok(())
}
