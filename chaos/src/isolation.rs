//! Who feels it when others misbehave: 1,000 destinations of 100 tenants, some of which hang, some
//! of which always fail, and one tenant that floods. Measured is the time from sending an event to
//! its arrival, for the healthy destinations of the tenants that do nothing unusual; each time
//! beside the same load without what is bad.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use comfy_table::{CellAlignment, Table, presets};
use fanfare_testkit::{HttpReceiver, Received, Reply};
use tempfile::TempDir;

use crate::StoreKind;
use crate::fleet::{Launch, Redis, Router};
use crate::plan::SECRET;
use crate::producer::client;

const TENANTS: usize = 100;
/// Destinations of one tenant.
const DESTINATIONS: usize = 10;
/// The tenant that floods.
const FLOODING: usize = 0;
/// Every destination with this remainder, over the tenants, hangs; with the next, fails.
const ONE_IN: usize = 100;
/// How much more the flooding tenant sends than any other.
const FLOOD: u32 = 50;
/// Not measured: connections are made, limits find their place.
const WARM_UP: Duration = Duration::from_secs(3);

/// How it is measured.
#[derive(Clone, Debug)]
pub struct Isolation {
    /// The binary under test.
    pub fanfare: PathBuf,
    /// A `redis-server`.
    pub redis_server: PathBuf,
    /// Over which store.
    pub store: StoreKind,
    /// Events a second of each tenant that does not flood.
    pub rate: u32,
    /// How long each run is measured.
    pub lasts: Duration,
}

/// What is bad in one run.
#[derive(Clone, Copy, PartialEq)]
struct Evil {
    destinations: bool,
    flood: bool,
}

/// What one run came to.
struct Measured {
    name: &'static str,
    sent: usize,
    /// Microseconds, ascending.
    waits: Vec<u32>,
    peak_kib: u64,
}

/// Runs the load well and badly, and prints both.
pub async fn isolation(options: &Isolation) -> Result<()> {
    let runs = [
        ("all well", Evil { destinations: false, flood: false }),
        ("1 % hang, 1 % fail", Evil { destinations: true, flood: false }),
        ("one tenant floods", Evil { destinations: false, flood: true }),
        ("all of it", Evil { destinations: true, flood: true }),
    ];
    let mut measured = Vec::new();
    for (name, evil) in runs {
        eprintln!("{}: {name}", options.store.name());
        measured.push(run(options, name, evil).await?);
    }
    print(&measured);
    for run in &measured {
        let lost = run.sent.saturating_sub(run.waits.len());
        ensure!(lost == 0, "{}: {lost} events of healthy destinations did not arrive", run.name);
    }
    Ok(())
}

fn print(runs: &[Measured]) {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header(["", "healthy", "p50 ms", "p99 ms", "longest ms", "p99 ×", "memory MiB"]);
    let base = runs.first().map_or(1.0, |run| run.millis(0.99));
    for run in runs {
        let p99 = run.millis(0.99);
        table.add_row([
            run.name.to_owned(),
            run.waits.len().to_string(),
            format!("{:.1}", run.millis(0.5)),
            format!("{p99:.1}"),
            format!("{:.1}", run.millis(1.0)),
            format!("{:.2}", p99 / base),
            (run.peak_kib / 1_024).to_string(),
        ]);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    println!("{table}");
}

impl Measured {
    /// A quantile, 0 to 1.
    fn millis(&self, share: f64) -> f64 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "counts are small and shares are not negative"
        )]
        let place = (share * self.waits.len().saturating_sub(1) as f64).round() as usize;
        self.waits.get(place).map_or(0.0, |micros| f64::from(*micros) / 1_000.0)
    }
}

/// What arrived of what is measured.
type Waits = Arc<Mutex<Vec<u32>>>;

async fn run(options: &Isolation, name: &'static str, evil: Evil) -> Result<Measured> {
    let dir = TempDir::new()?;
    let began = Instant::now();
    let waits = Waits::default();
    let mut receivers = Vec::new();
    for tenant in 0..TENANTS {
        receivers.push(receiver(tenant, evil, began, waits.clone()).await?);
    }
    let (_redis, router) = start(options, &dir, &receivers).await?;
    let sent = load(options, evil, began, router.address).await?;
    // What was sent last is still on its way.
    let until = Instant::now() + Duration::from_secs(20);
    while lock(&waits).len() < sent && Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let peak_kib = router.kill9().await?;
    let mut waits = lock(&waits).clone();
    waits.sort_unstable();
    Ok(Measured { name, sent, waits, peak_kib })
}

fn lock(waits: &Waits) -> std::sync::MutexGuard<'_, Vec<u32>> {
    waits.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Is this destination one that misbehaves, and how?
fn bad(tenant: usize, destination: usize) -> Option<Reply> {
    match (tenant * DESTINATIONS + destination) % ONE_IN {
        // 15 and 16: of ten tenants each, none of which floods.
        15 => Some(Reply::Hang),
        16 => Some(Reply::Status(500)),
        _ => None,
    }
}

async fn receiver(tenant: usize, evil: Evil, began: Instant, waits: Waits) -> Result<HttpReceiver> {
    let script = move |request: &Received, _| {
        let place = request.path.rsplit('/').next().and_then(|place| place.parse().ok());
        let place: usize = place.unwrap_or_default();
        if let Some(reply) = bad(tenant, place) {
            // Not measured in any run: both measure the same destinations.
            return if evil.destinations { reply } else { Reply::Status(200) };
        }
        if tenant != FLOODING
            && let Some(sent) = sent_micros(&request.body)
        {
            let now = request.at.duration_since(began).as_micros();
            let wait = u64::try_from(now).unwrap_or(u64::MAX).saturating_sub(sent);
            lock(&waits).push(u32::try_from(wait).unwrap_or(u32::MAX));
        }
        Reply::Status(200)
    };
    Ok(HttpReceiver::scripted(script).await?)
}

/// When it was sent; none in the warm-up.
fn sent_micros(body: &[u8]) -> Option<u64> {
    let event: serde_json::Value = serde_json::from_slice(body).ok()?;
    event.pointer("/data/sent")?.as_u64()
}

async fn start(
    options: &Isolation,
    dir: &TempDir,
    receivers: &[HttpReceiver],
) -> Result<(Option<Redis>, Router)> {
    let tenants = dir.path().join("tenants");
    std::fs::create_dir_all(&tenants)?;
    for (tenant, receiver) in receivers.iter().enumerate() {
        let mut file = format!("[tenant]\nid = \"t{tenant}\"\nname = \"Tenant {tenant}\"\n");
        for place in 0..DESTINATIONS {
            let url = receiver.url(&format!("/{place}"));
            let _ = write!(
                file,
                "\n[[destination]]\nid = \"d{place}\"\nchannel = \"webhook\"\nurl = \"{url}\"\nsecret = \"{SECRET}\"\n\
                 \n[[route]]\nevents = [\"isolation.d{place}\"]\nto = [\"d{place}\"]\n"
            );
        }
        std::fs::write(tenants.join(format!("t{tenant}.toml")), file)?;
    }
    let config = dir.path().join("fanfare.toml");
    std::fs::write(&config, "")?;
    let (redis, store) = match options.store {
        StoreKind::Embedded => (None, dir.path().join("data").display().to_string()),
        StoreKind::Redis => {
            let redis = Redis::start(&options.redis_server, &dir.path().join("redis")).await?;
            let url = redis.url();
            (Some(redis), url)
        }
    };
    let fanfare = options.fanfare.canonicalize().context("the binary under test")?;
    let launch = Launch { fanfare, store, tenants, config, dir: dir.path().to_owned() };
    Ok((redis, launch.start(0).await?))
}

/// Sends at a steady pace, each tenant by its own; answers how many events are measured.
async fn load(
    options: &Isolation,
    evil: Evil,
    began: Instant,
    router: std::net::SocketAddr,
) -> Result<usize> {
    let client = client()?;
    let mut tasks = tokio::task::JoinSet::new();
    for tenant in 0..TENANTS {
        let factor = if tenant == FLOODING && evil.flood { FLOOD } else { 1 };
        // The flood comes in batches: it is to burden the router, not this process.
        let batch = if factor > 1 { 10 } else { 1 };
        let sender = Sender {
            client: client.clone(),
            url: format!("http://{router}/v1/events?tenant=t{tenant}"),
            tenant,
            batch,
            every: Duration::from_secs_f64(f64::from(batch) / f64::from(options.rate * factor)),
            began,
            lasts: options.lasts,
        };
        tasks.spawn(sender.run());
    }
    let mut measured = 0;
    while let Some(sent) = tasks.join_next().await {
        measured += sent??;
    }
    Ok(measured)
}

struct Sender {
    client: reqwest::Client,
    url: String,
    tenant: usize,
    batch: u32,
    every: Duration,
    began: Instant,
    lasts: Duration,
}

impl Sender {
    async fn run(self) -> Result<usize> {
        let start = Instant::now();
        // Tenants are spread over their period.
        let first = start + self.every.mul_f64(fraction(self.tenant));
        let mut tick = tokio::time::interval_at(first.into(), self.every);
        let (mut number, mut measured) = (self.tenant, 0);
        while start.elapsed() < WARM_UP + self.lasts {
            tick.tick().await;
            let in_time = start.elapsed() >= WARM_UP;
            let mut events = Vec::new();
            for _ in 0..self.batch {
                number += 1;
                let place = number % DESTINATIONS;
                if in_time && self.tenant != FLOODING && bad(self.tenant, place).is_none() {
                    measured += 1;
                }
                events.push(self.event(place, in_time));
            }
            let body = format!("[{}]", events.join(","));
            let request = self.client.post(&self.url).header("content-type", "application/json");
            let answer = request.body(body).send().await?;
            ensure!(answer.status() == 202, "an event was not taken: {}", answer.status());
        }
        Ok(measured)
    }

    fn event(&self, place: usize, in_time: bool) -> String {
        let sent = self.began.elapsed().as_micros();
        let sent = if in_time { format!("\"sent\":{sent},") } else { String::new() };
        format!("{{\"type\":\"isolation.d{place}\",\"data\":{{{sent}\"text\":\"a few words\"}}}}")
    }
}

/// From 0 to below 1.
fn fraction(tenant: usize) -> f64 {
    f64::from(u32::try_from(tenant % TENANTS).unwrap_or_default()) / 100.0
}
