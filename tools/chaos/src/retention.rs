//! Does it grow? Two million events with a short retention through a real router: its memory, and its
//! disk or Redis's memory, must be flat once the first events have had their time.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use comfy_table::{CellAlignment, Table, presets};
use fanfare_harness::Fanfare;
use fanfare_receivers::{HttpReceiver, Reply};
use tempfile::TempDir;

use crate::StoreKind;
use crate::fleet::{Fleet, Programs, resident_kib};
use crate::plan::SECRET;
use crate::producer::client;

/// Events in one request.
const BATCH: u32 = 250;
/// Requests at once.
const SENDERS: u32 = 4;
/// What is sent and has not arrived yet, at most: the store is to hold what is kept, not a backlog.
const AHEAD: u32 = 10_000;
/// Flat is: the most in the second half of what is measured is not above the most in the first by
/// more than this share…
const SLACK: f64 = 0.10;
/// …and this much, which one batch more or less in flight makes.
const SLACK_BYTES: u64 = 8 << 20;

/// How it is measured.
#[derive(Clone, Debug)]
pub struct Retention {
    /// Over which store.
    pub store: StoreKind,
    /// How many events are sent.
    pub events: u32,
    /// How long they are kept.
    pub kept: Duration,
    /// How often it is looked at.
    pub every: Duration,
    /// Most events a second; none is as fast as they are taken and arrive.
    pub rate: Option<u32>,
}

/// One look.
#[derive(Clone, Copy, Debug)]
struct Look {
    at: Duration,
    arrived: u32,
    router_bytes: u64,
    /// The folder's size, or what Redis uses of memory.
    store_bytes: u64,
}

/// Runs it and prints every look; true when both are flat.
pub async fn retention(programs: &Programs, options: &Retention) -> Result<bool> {
    let dir = TempDir::new()?;
    let arrived = Arc::new(AtomicU32::new(0));
    let count = arrived.clone();
    let receiver = HttpReceiver::scripted(move |_, _| {
        count.fetch_add(1, Ordering::Relaxed);
        Reply::Status(200)
    })
    .await?;
    let (fleet, router) = start(programs, options, dir.path(), &receiver).await?;
    let began = Instant::now();
    let loading = load(options.clone(), router.address(), arrived.clone());
    let mut loading = tokio::spawn(loading);
    let mut looks = Vec::new();
    println!("{:>8}  {:>10}  {:>11}  {:>11}", "seconds", "arrived", "router MiB", "store MiB");
    let mut tick = tokio::time::interval(options.every);
    let mut sent = None;
    while sent.is_none() {
        tokio::select! {
            done = &mut loading => sent = Some(done.context("the load panicked")??),
            _ = tick.tick() => {}
        }
        let look = Look {
            at: began.elapsed(),
            arrived: arrived.load(Ordering::Relaxed),
            router_bytes: resident_kib(&router) << 10,
            store_bytes: store_bytes(&fleet).await?,
        };
        println!("{}", look.line());
        looks.push(look);
    }
    // What is kept is removed, and the room given back, with nobody sending.
    let (until, full) = (Instant::now() + options.kept * 2 + Duration::from_mins(2), looks.len());
    let most = looks.iter().map(|look| look.store_bytes).max().unwrap_or(0);
    let mut after = most;
    while Instant::now() < until && after > most / 2 {
        tokio::time::sleep(options.every).await;
        after = store_bytes(&fleet).await?;
    }
    ensure!(full > 0, "nothing was measured");
    let measured = Measured::of(&looks, options.kept);
    measured.print(options, began.elapsed(), after);
    drop(router);
    Ok(measured.is_flat())
}

impl Look {
    fn line(&self) -> String {
        let (router, store) = (self.router_bytes >> 20, self.store_bytes >> 20);
        let seconds = self.at.as_secs();
        format!("{seconds:>8}  {:>10}  {router:>11}  {store:>11}", self.arrived)
    }
}

/// The most of each half of what is measured, without the warm-up.
struct Measured {
    looks: usize,
    router: [u64; 2],
    store: [u64; 2],
}

impl Measured {
    /// The warm-up is over when events have been removed for as long as they were kept.
    fn of(looks: &[Look], kept: Duration) -> Self {
        let looks: Vec<&Look> = looks.iter().filter(|look| look.at > kept * 2).collect();
        let halves = looks.split_at(looks.len() / 2);
        let most = |of: fn(&Look) -> u64| {
            [halves.0, halves.1].map(|half| half.iter().map(|look| of(look)).max().unwrap_or(0))
        };
        Self {
            looks: looks.len(),
            router: most(|look| look.router_bytes),
            store: most(|look| look.store_bytes),
        }
    }

    fn is_flat(&self) -> bool {
        self.looks >= 4 && flat(self.router) && flat(self.store)
    }

    fn print(&self, options: &Retention, took: Duration, after: u64) {
        let mut table = Table::new();
        table.load_preset(presets::NOTHING);
        table.set_header(["", "first half MiB", "second half MiB", "flat"]);
        let word = |halves| if flat(halves) { "yes" } else { "NO" };
        let store = match options.store {
            StoreKind::Embedded => "folder, most",
            StoreKind::Redis => "Redis memory, most",
        };
        for (name, halves) in [("router memory, most", self.router), (store, self.store)] {
            let [first, second] = halves.map(|bytes| (bytes >> 20).to_string());
            table.add_row([name, &first, &second, word(halves)]);
        }
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        println!(
            "\n{}: {} events, kept {:?}, in {} s; {} looks after the warm-up",
            options.store.name(),
            options.events,
            options.kept,
            took.as_secs(),
            self.looks
        );
        println!("{table}");
        println!("store when all had had their time: {} MiB", after >> 20);
        if self.looks < 4 {
            println!("too few looks: more events, a shorter retention, or looks more often");
        }
    }
}

/// Is the second not above the first?
fn flat([first, second]: [u64; 2]) -> bool {
    #[expect(clippy::cast_precision_loss, reason = "sizes of memories, far below 2^52")]
    let limit = first as f64 * (1.0 + SLACK) + SLACK_BYTES as f64;
    #[expect(clippy::cast_precision_loss, reason = "as above")]
    let second = second as f64;
    second <= limit
}

async fn start(
    programs: &Programs,
    options: &Retention,
    dir: &Path,
    receiver: &HttpReceiver,
) -> Result<(Fleet, Fanfare)> {
    let url = receiver.url("/");
    let tenant = format!(
        "[tenant]\nid = \"acme\"\n[[destination]]\nid = \"hook\"\nchannel = \"webhook\"\nurl = \"{url}\"\n\
         secret = \"{SECRET}\"\n[[route]]\nevents = [\"**\"]\nto = [\"hook\"]\n"
    );
    let settings = format!("retention = \"{}s\"\n", options.kept.as_secs().max(1));
    let fleet = Fleet::set_up(programs, options.store, dir, &tenant, &settings).await?;
    let router = fleet.start(0).await?;
    Ok((fleet, router))
}

async fn store_bytes(fleet: &Fleet) -> Result<u64> {
    match &fleet.redis {
        Some(redis) => Fleet::redis_memory(redis).await,
        None => folder_bytes(&fleet.data()),
    }
}

fn folder_bytes(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in folder.read_dir()? {
        // One that went away meanwhile takes no room.
        bytes += entry?.metadata().map_or(0, |file| file.len());
    }
    Ok(bytes)
}

/// Sends all events; answers how many.
async fn load(
    options: Retention,
    router: std::net::SocketAddr,
    arrived: Arc<AtomicU32>,
) -> Result<u32> {
    let (began, sent) = (Instant::now(), Arc::new(AtomicU32::new(0)));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..SENDERS {
        let sender = Sender {
            client: client()?,
            url: format!("http://{router}/v1/events?tenant=acme"),
            events: options.events,
            rate: options.rate,
            began,
            sent: sent.clone(),
            arrived: arrived.clone(),
        };
        tasks.spawn(sender.run());
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    while arrived.load(Ordering::Relaxed) < options.events {
        tokio::time::sleep(Duration::from_millis(100)).await;
        ensure!(began.elapsed() < Duration::from_hours(3), "not all events arrive");
    }
    Ok(options.events)
}

struct Sender {
    client: reqwest::Client,
    url: String,
    events: u32,
    rate: Option<u32>,
    began: Instant,
    sent: Arc<AtomicU32>,
    arrived: Arc<AtomicU32>,
}

impl Sender {
    async fn run(self) -> Result<()> {
        loop {
            let first = self.sent.fetch_add(BATCH, Ordering::Relaxed);
            if first >= self.events {
                return Ok(());
            }
            let last = (first + BATCH).min(self.events);
            if let Some(rate) = self.rate {
                let due = self.began + Duration::from_secs_f64(f64::from(first) / f64::from(rate));
                tokio::time::sleep_until(due.into()).await;
            }
            while first > self.arrived.load(Ordering::Relaxed) + AHEAD {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            let events: Vec<String> = (first..last).map(event).collect();
            let body = format!("[{}]", events.join(","));
            while !self.post(&body).await? {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }

    /// False when it is to be tried again.
    async fn post(&self, body: &str) -> Result<bool> {
        let request = self.client.post(&self.url).header("content-type", "application/json");
        let status = request.body(body.to_owned()).send().await?.status();
        ensure!(matches!(status.as_u16(), 202 | 503), "an event was not taken: {status}");
        Ok(status == 202)
    }
}

/// Some 300 bytes, as an event of a session has.
pub(crate) fn event(n: u32) -> String {
    let text = "x".repeat(160);
    format!(
        "{{\"id\":\"evt_r{n}\",\"type\":\"kyc.session.completed\",\"created\":1735228800,\
         \"data\":{{\"session_id\":\"s{n}\",\"note\":\"{text}\"}}}}"
    )
}
