//! `fanfare-bench isolation`: how much healthy destinations notice when others misbehave.
//!
//! There are 1,000 destinations of 100 tenants. One in a hundred accepts requests and never answers,
//! one in a hundred always answers 500, and one tenant sends 50 times as much as any other. The
//! measurement is the time from ingest to arrival at the healthy destinations of the other tenants,
//! compared with the same load where all destinations are healthy and no tenant floods.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::ensure;
use fanfare_harness::Redis;
use serde::Serialize;

use crate::actors::{self, Load, Router, Sink, folder, text};
use crate::peers::message::SECRET;
use crate::report::{Figures, float};

/// Tenants of the measurement.
pub(crate) const TENANTS: usize = 100;
/// Destinations of each.
pub(crate) const DESTINATIONS: usize = 10;
/// The tenant that floods.
pub(crate) const FLOODING: usize = 0;
/// How much more it sends than any other.
pub(crate) const FLOOD: u32 = 50;
/// Not measured: connections are made, limits find their place.
pub(crate) const WARM_UP: Duration = Duration::from_secs(3);
/// What was sent last is still on its way for so long at most.
const LAST_ONES: Duration = Duration::from_secs(20);

/// What to measure.
#[derive(Clone, Debug)]
pub(crate) struct Isolation {
    /// The router under test.
    pub(crate) fanfare: PathBuf,
    /// Over Redis rather than the embedded store.
    pub(crate) redis: bool,
    /// Events a second of each tenant that does not flood.
    pub(crate) rate: u32,
    /// How long each run is measured.
    pub(crate) seconds: u32,
}

/// The figures of each run, by its name.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Isolated {
    /// `well`, `bad_destinations`, `flood`, `both`.
    pub(crate) cases: BTreeMap<&'static str, Figures>,
    /// Each run's p99 beside that of `well`.
    pub(crate) ratios: BTreeMap<&'static str, f64>,
}

/// The runs: name, and what is bad in them.
pub(crate) const RUNS: [(&str, bool, bool); 4] = [
    ("well", false, false),
    ("bad_destinations", true, false),
    ("flood", false, true),
    ("both", true, true),
];

/// Measures all four.
pub(crate) async fn isolation(
    options: &Isolation,
    progress: &dyn Fn(&str),
) -> anyhow::Result<Isolated> {
    let mut cases = BTreeMap::new();
    for (name, bad, flood) in RUNS {
        let figures = run(options, bad, flood).await.map_err(|error| error.context(name))?;
        let p99 = figures.get("p99_ms").unwrap_or_default();
        progress(&format!("{name:<17} p99 {p99:>8.2} ms"));
        cases.insert(name, figures);
    }
    let p99 = |name: &str| cases.get(name).and_then(|case: &Figures| case.get("p99_ms"));
    let base = p99("well").unwrap_or(f64::NAN);
    let ratio = |name: &&'static str| Some((*name, p99(name)? / base));
    let ratios = ["bad_destinations", "flood", "both"].iter().filter_map(ratio).collect();
    Ok(Isolated { cases, ratios })
}

async fn run(options: &Isolation, bad: bool, flood: bool) -> anyhow::Result<Figures> {
    let mut sink = Sink::start().await?;
    let dir = folder()?;
    let redis = if options.redis { Some(actors::redis().await?) } else { None };
    let store = redis.as_ref().map_or_else(|| text(dir.path()), Redis::url);
    let http = sink.addresses.http;
    let tables: Vec<_> = (0..TENANTS).map(|tenant| table(tenant, http, bad)).collect();
    let router = Router::start(&options.fanfare, &store, &tables, &sink.addresses).await?;
    let before = router.usage();
    let (to, seconds) = (router.api().to_string(), options.seconds.to_string());
    let flood = if flood { FLOOD } else { 1 }.to_string();
    let load = Load::start(&["tenants", &to, &seconds, &options.rate.to_string(), &flood])?;
    let measured = load.end().await?.sent;
    let began = Instant::now();
    let mut arrivals = sink.ask("report").await?;
    while arrivals.latencies_us.len() < measured && began.elapsed() < LAST_ONES {
        tokio::time::sleep(Duration::from_millis(100)).await;
        arrivals = sink.ask("report").await?;
    }
    let arrived = arrivals.latencies_us.len();
    ensure!(arrived >= measured, "{arrived} of {measured} events arrived where all is well");
    let mut figures = Figures::default();
    figures.set("measured", float(measured));
    figures.times("", &arrivals.latencies_us);
    figures.used("fanfare", before, router.usage(), arrivals.total);
    router.stop().await?;
    Ok(figures)
}

/// What a destination of a tenant does, where something is bad; of ten tenants each, none of which
/// floods.
fn habit(tenant: usize, destination: usize) -> &'static str {
    match (tenant * DESTINATIONS + destination) % 100 {
        15 => "hang",
        16 => "fail",
        _ => "hooks",
    }
}

/// Whether it is among those that are measured: the same in every run.
pub(crate) fn is_healthy(tenant: usize, destination: usize) -> bool {
    tenant != FLOODING && habit(tenant, destination) == "hooks"
}

/// The tenant's id.
pub(crate) fn name(tenant: usize) -> String {
    format!("t{tenant}")
}

fn table(tenant: usize, sink: SocketAddr, bad: bool) -> String {
    let name = name(tenant);
    let mut table = format!("[tenant]\nid = \"{name}\"\nname = \"Tenant {tenant}\"\n");
    for place in 0..DESTINATIONS {
        let habit = if bad { habit(tenant, place) } else { "hooks" };
        let number = tenant * DESTINATIONS + place;
        let _ = write!(
            table,
            "\n[[destination]]\nid = \"d{place}\"\nchannel = \"webhook\"\n\
             url = \"http://{sink}/{habit}/{number}\"\nsecret = \"{SECRET}\"\n\
             \n[[route]]\nevents = [\"isolation.d{place}\"]\nto = [\"d{place}\"]\n"
        );
    }
    table
}
