//! The receiver, in a process of its own: answers everything, and notes what arrived and when.
//!
//! It speaks with its parent in lines: `reset`, `count` and `report` on standard input, one line of
//! JSON for each on standard output. It ends when standard input does.

use std::convert::Infallible;
use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Context;
use bytes::Bytes;
use fanfare_receivers::{SmtpReceiver, SmtpReply};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpListener;

use super::message::{now_us, read_id};

/// Where it listens: the first line that it writes.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Addresses {
    /// HTTP.
    pub(crate) http: SocketAddr,
    /// SMTP.
    pub(crate) smtp: SocketAddr,
}

/// What arrived since the last reset.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Arrivals {
    /// Requests and mails.
    pub(crate) total: usize,
    /// Without repetitions.
    pub(crate) distinct: usize,
    /// Unix microseconds; 0 when there was none.
    pub(crate) last_us: u64,
    /// From the moment in the id to the arrival, sorted, microseconds. Empty in answer to `count`.
    pub(crate) latencies_us: Vec<u32>,
}

#[derive(Default)]
struct State {
    arrivals: Arrivals,
    /// Which events arrived, a bit each, for each path.
    seen: Vec<Vec<u64>>,
}

type Shared = Arc<Mutex<State>>;

fn lock(state: &Shared) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    fn arrived(&mut self, path: usize, id: &str) {
        let now = now_us();
        self.arrivals.total += 1;
        self.arrivals.last_us = now;
        let Some((sent_us, n)) = read_id(id) else { return };
        if sent_us > 0 {
            let took = u32::try_from(now.saturating_sub(sent_us)).unwrap_or(u32::MAX);
            self.arrivals.latencies_us.push(took);
        }
        if self.seen.len() <= path {
            self.seen.resize_with(path + 1, Vec::new);
        }
        let (word, bit) = (n / 64, 1 << (n % 64));
        let seen = &mut self.seen[path];
        if seen.len() <= word {
            seen.resize(word + 1, 0);
        }
        self.arrivals.distinct += usize::from(seen[word] & bit == 0);
        seen[word] |= bit;
    }
}

/// Runs until standard input ends.
pub(crate) async fn run() -> anyhow::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.context("no free port")?;
    let state = Shared::default();
    let mailed = state.clone();
    let smtp = SmtpReceiver::start(move |stage, _, _| {
        if stage == fanfare_receivers::Stage::Data {
            let mut state = lock(&mailed);
            state.arrivals.total += 1;
            state.arrivals.distinct += 1;
            state.arrivals.last_us = now_us();
        }
        SmtpReply::Ok
    })
    .await
    .context("no free port")?;
    tell(&Addresses { http: listener.local_addr()?, smtp: smtp.addr() })?;
    tokio::spawn(accept(listener, state.clone()));
    let mut commands = BufReader::new(tokio::io::stdin()).lines();
    while let Some(command) = commands.next_line().await? {
        let mut state = lock(&state);
        match command.as_str() {
            "reset" => {
                *state = State::default();
                tell(&state.arrivals)?;
            }
            "report" => {
                state.arrivals.latencies_us.sort_unstable();
                tell(&state.arrivals)?;
            }
            _ => tell(&Arrivals { latencies_us: Vec::new(), ..state.arrivals })?,
        }
    }
    Ok(())
}

fn tell(what: &impl Serialize) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    serde_json::to_writer(&mut out, what)?;
    out.write_all(b"\n")?;
    Ok(out.flush()?)
}

async fn accept(listener: TcpListener, state: Shared) {
    while let Ok((stream, _)) = listener.accept().await {
        let _ = stream.set_nodelay(true);
        let state = state.clone();
        let service = service_fn(move |request| answer(request, state.clone()));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .serve_connection(TokioIo::new(stream), service);
        // A sender that goes away is no concern of the sink's.
        tokio::spawn(async move { connection.await.ok() });
    }
}

async fn answer(
    request: Request<Incoming>,
    state: Shared,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, mut body) = request.into_parts();
    while let Some(Ok(_)) = body.frame().await {}
    let path = head.uri.path();
    if path.starts_with("/hang") {
        return std::future::pending().await;
    }
    if path.starts_with("/fail") {
        let mut failed = Response::new(Full::new(Bytes::new()));
        *failed.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        return Ok(failed);
    }
    let number = path.rsplit('/').next().and_then(|last| last.parse().ok()).unwrap_or(0);
    let slack = path.starts_with("/slack");
    let id = head.headers.get("webhook-id").and_then(|id| id.to_str().ok()).unwrap_or_default();
    let mut state = lock(&state);
    state.arrived(number, id);
    // Messages to Slack have no id of ours: each counts.
    state.arrivals.distinct += usize::from(slack);
    drop(state);
    let mut response = Response::new(Full::new(Bytes::new()));
    if slack {
        *response.body_mut() = Full::new(Bytes::from_static(b"ok"));
    } else {
        *response.status_mut() = StatusCode::NO_CONTENT;
    }
    Ok(response)
}
