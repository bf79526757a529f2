//! How much memory do a million deliveries take that nobody takes? They wait in the store: half of
//! them at a destination that is paused, half at one whose receiver accepts and never answers.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use fanfare_receivers::{HttpReceiver, Reply};
use tempfile::TempDir;

use crate::StoreKind;
use crate::fleet::{Launch, Redis, Router};
use crate::plan::SECRET;
use crate::producer::client;
use crate::retention::event;

/// Events in one request.
const BATCH: u32 = 250;
/// What the router may have.
const LIMIT_MIB: u64 = 200;
/// How long it is looked at when everything is parked.
const LOOKED_AT: Duration = Duration::from_secs(15);

/// How it is measured.
#[derive(Clone, Debug)]
pub struct Parked {
    /// The binary under test.
    pub fanfare: PathBuf,
    /// A `redis-server`.
    pub redis_server: PathBuf,
    /// Over which store.
    pub store: StoreKind,
    /// How many deliveries are parked.
    pub deliveries: u32,
}

/// Runs it and prints the router's memory; true when it is under 200 MiB.
pub async fn parked(options: &Parked) -> Result<bool> {
    let dir = TempDir::new()?;
    let receiver = HttpReceiver::scripted(|_, _| Reply::Hang).await?;
    let (_redis, router) = start(options, &dir, &receiver).await?;
    let began = Instant::now();
    send(options.deliveries / 2, &router).await?;
    println!("{} events taken after {} s", options.deliveries / 2, began.elapsed().as_secs());
    // A handful is being tried at any time; those wait, too.
    let all = u64::from(options.deliveries / 2 * 2);
    let until = Instant::now() + Duration::from_mins(10);
    let mut waiting = 0;
    while waiting < all {
        ensure!(Instant::now() < until, "only {waiting} of {all} deliveries wait");
        tokio::time::sleep(Duration::from_millis(500)).await;
        waiting = backlog(&router).await?;
    }
    tokio::time::sleep(LOOKED_AT).await;
    let (now, peak) = (router.rss_kib() >> 10, router.peak_kib() >> 10);
    println!(
        "{}: {waiting} deliveries parked after {} s; router memory {now} MiB now, {peak} MiB at most (limit {LIMIT_MIB})",
        options.store.name(),
        began.elapsed().as_secs()
    );
    router.kill9().await?;
    Ok(peak < LIMIT_MIB)
}

async fn start(
    options: &Parked,
    dir: &TempDir,
    receiver: &HttpReceiver,
) -> Result<(Option<Redis>, Router)> {
    let tenants = dir.path().join("tenants");
    std::fs::create_dir_all(&tenants)?;
    let url = receiver.url("/");
    let hook = |id: &str, more: &str| {
        format!(
            "[[destination]]\nid = \"{id}\"\nchannel = \"webhook\"\nurl = \"{url}\"\nsecret = \"{SECRET}\"\n{more}\n"
        )
    };
    let tenant = [
        "[tenant]\nid = \"acme\"\n".to_owned(),
        hook("paused", "paused = true"),
        hook("hung", ""),
        "[[route]]\nevents = [\"**\"]\nto = [\"paused\", \"hung\"]\n".to_owned(),
    ];
    std::fs::write(tenants.join("acme.toml"), tenant.concat())?;
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

async fn send(events: u32, router: &Router) -> Result<()> {
    let client = client()?;
    let url = format!("http://{}/v1/events?tenant=acme", router.address);
    for first in (0..events).step_by(BATCH as usize) {
        let batch: Vec<String> = (first..(first + BATCH).min(events)).map(event).collect();
        let body = format!("[{}]", batch.join(","));
        loop {
            let request = client.post(&url).header("content-type", "application/json");
            let status = request.body(body.clone()).send().await?.status();
            if status == 202 {
                break;
            }
            ensure!(status == 503, "an event was not taken: {status}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    Ok(())
}

/// What waits, as the router's own metrics say.
async fn backlog(router: &Router) -> Result<u64> {
    let text = client()?.get(format!("http://{}/metrics", router.address)).send().await?;
    let text = text.text().await?;
    let line = text.lines().find_map(|line| line.strip_prefix("fanfare_deliveries_waiting "));
    let waiting: f64 = line.context("no backlog among the metrics")?.trim().parse()?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
    let waiting = waiting as u64;
    Ok(waiting)
}
