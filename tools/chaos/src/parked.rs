//! How much memory do a million deliveries take that nobody takes? They wait in the store: half of
//! them at a destination that is paused, half at one whose receiver accepts and never answers.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use fanfare_harness::Fanfare;
use fanfare_receivers::{HttpReceiver, Reply};
use tempfile::TempDir;

use crate::StoreKind;
use crate::fleet::{Fleet, Programs, peak_kib, resident_kib};
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
    /// Over which store.
    pub store: StoreKind,
    /// How many deliveries are parked.
    pub deliveries: u32,
}

/// Runs it and prints the router's memory; true when it is under 200 MiB.
pub async fn parked(programs: &Programs, options: &Parked) -> Result<bool> {
    let dir = TempDir::new()?;
    let receiver = HttpReceiver::scripted(|_, _| Reply::Hang).await?;
    let (_fleet, router) = start(programs, options.store, dir.path(), &receiver).await?;
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
    let (now, peak) = (resident_kib(&router) >> 10, peak_kib(&router) >> 10);
    println!(
        "{}: {waiting} deliveries parked after {} s; router memory {now} MiB now, {peak} MiB at most (limit {LIMIT_MIB})",
        options.store.name(),
        began.elapsed().as_secs()
    );
    Ok(peak < LIMIT_MIB)
}

async fn start(
    programs: &Programs,
    store: StoreKind,
    dir: &Path,
    receiver: &HttpReceiver,
) -> Result<(Fleet, Fanfare)> {
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
    let fleet = Fleet::set_up(programs, store, dir, &tenant.concat(), "").await?;
    let router = fleet.start(0).await?;
    Ok((fleet, router))
}

async fn send(events: u32, router: &Fanfare) -> Result<()> {
    let client = client()?;
    let url = format!("http://{}/v1/events?tenant=acme", router.address());
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
async fn backlog(router: &Fanfare) -> Result<u64> {
    let text = client()?.get(format!("http://{}/metrics", router.address())).send().await?;
    let text = text.text().await?;
    let line = text.lines().find_map(|line| line.strip_prefix("fanfare_deliveries_waiting "));
    let waiting: f64 = line.context("no backlog among the metrics")?.trim().parse()?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
    let waiting = waiting as u64;
    Ok(waiting)
}
