//! The control plane with many tenants: the start, the memory, a change, and `fanfare apply`.
//!
//! A change of a tenant is measured with few tenants and with all of them. Most tenants are copies
//! that are written to the store directly. They never send, and their secrets are never decrypted.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use fanfare_harness::{command, usage::Threads};
use fanfare_store::{Store, embedded, redis};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use http::{HeaderMap, HeaderValue, Method, header};
use serde_json::Value;
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::actors::{self, Router, Sink, folder, text};
use crate::cases::{LONGEST, Setup};
use crate::peers::Line;
use crate::peers::message::{body, id};
use crate::report::{Figures, float};
use crate::tables;
use crate::usage::resident_mib;

/// The tenants that a change is compared with.
const FEW: usize = 10;
/// Documents that are written at once.
const AT_ONCE: usize = 256;
/// The work that a start leaves for later is done by then.
const SETTLED: Duration = Duration::from_secs(5);
/// Changes a second that a replica follows.
const FOLLOWED_PER_S: u64 = 50;

/// Measures both stores, the embedded one first.
pub(crate) async fn run(setup: &Setup) -> anyhow::Result<Figures> {
    let mut figures = Figures::default();
    let mut sink = Sink::start().await?;
    let dir = folder()?;
    let embedded = Case { name: "embedded", store: text(&dir.path().join("store")), setup };
    embedded.measure(&mut sink, dir.path(), &mut figures).await?;
    let (redis, dir) = (actors::redis().await?, folder()?);
    let on_redis = Case { name: "redis", store: redis.url(), setup };
    on_redis.measure(&mut sink, dir.path(), &mut figures).await?;
    on_redis.follow(&sink, &mut figures).await?;
    let ready = figures.get("embedded_ready_ms").unwrap_or_default();
    figures.set("ready_ms", ready);
    Ok(figures)
}

/// The measurement over one store.
struct Case<'s> {
    name: &'static str,
    store: String,
    setup: &'s Setup,
}

impl Case<'_> {
    async fn measure(
        &self,
        sink: &mut Sink,
        dir: &Path,
        figures: &mut Figures,
    ) -> anyhow::Result<()> {
        let sizes = self.setup.sizes.many;
        let mut set = |name: &str, value: f64| figures.set(format!("{}_{name}", self.name), value);

        // In development, a server without a master key says that secrets are stored as they are.
        self.start(sink).await?.stop().await?;
        let few = files(&dir.join("few"), 0..FEW, sink)?;
        self.apply(&few).await?;
        let router = self.start(sink).await?;
        let with_few = change(&router, FEW, sizes.changes).await?;
        router.stop().await?;

        let mut from = FEW;
        for (set_of, count) in ["first", "second"].into_iter().zip(sizes.files) {
            let folder = files(&dir.join(set_of), from..from + count, sink)?;
            from += count;
            set(&format!("apply_{count}_s"), self.apply(&folder).await?);
            set(&format!("apply_{count}_again_s"), self.apply(&folder).await?);
        }
        self.fill(sizes.tenants).await?;

        let router = self.start(sink).await?;
        set("ready_ms", router.ready_ms);
        sleep(SETTLED).await;
        set("resident_mib", resident_mib(router.id()));
        let with_all = change(&router, from, sizes.changes).await?;
        for (name, times) in [("few", &with_few), ("all", &with_all)] {
            let mut figures = Figures::default();
            figures.times("", times);
            for percentile in ["p50_ms", "p99_ms"] {
                let value = figures.get(percentile).context("a time")?;
                set(&format!("patch_{name}_{percentile}"), value);
            }
        }
        let middle = |times: &[u32]| float(times[times.len() / 2] as usize);
        set("patch_ratio", middle(&with_all) / middle(&with_few));
        let listed = Instant::now();
        call(&router, Method::GET, "/v1/tenants?limit=100", "").await?;
        set("list_ms", listed.elapsed().as_secs_f64() * 1_000.0);
        send(&router, sizes.active, sink).await?;
        set("resident_active_mib", resident_mib(router.id()));
        router.stop().await
    }

    /// What it costs a replica to follow the changes of another one.
    async fn follow(&self, sink: &Sink, figures: &mut Figures) -> anyhow::Result<()> {
        let (changed, follows) = (self.start(sink).await?, self.start(sink).await?);
        sleep(SETTLED).await;
        let mut line = Line::open(changed.api()).await?;
        let mut due = interval(Duration::from_millis(1_000 / FOLLOWED_PER_S));
        due.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let seconds = self.setup.sizes.many.follow_s;
        let (before, began) = (Threads::of(follows.id()).unwrap_or_default(), Instant::now());
        for n in 0..u64::from(seconds) * FOLLOWED_PER_S {
            due.tick().await;
            patch(&mut line, usize::try_from(n)? % FEW, usize::try_from(n)?).await?;
        }
        let used = Threads::of(follows.id()).unwrap_or_default().since(&before);
        let share = used.as_secs_f64() / began.elapsed().as_secs_f64();
        figures.set(format!("{}_follow_cpu_percent", self.name), share * 100.0);
        changed.stop().await?;
        follows.stop().await
    }

    async fn start(&self, sink: &Sink) -> anyhow::Result<Router> {
        Router::start(&self.setup.fanfare, &self.store, &[], &sink.addresses).await
    }

    /// Runs `fanfare apply` on a folder. Answers how long it took in seconds.
    async fn apply(&self, folder: &Path) -> anyhow::Result<f64> {
        let mut apply = command(&self.setup.fanfare);
        apply.arg("apply").arg(folder).args(["--development", "--store", &self.store]);
        apply.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let began = Instant::now();
        let output = tokio::process::Command::from(apply).kill_on_drop(true).output();
        let output = tokio::time::timeout(LONGEST, output).await.context("apply is late")??;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.success(), "fanfare apply: {said}");
        Ok(began.elapsed().as_secs_f64())
    }

    /// Adds copies of the first tenant up to a total number.
    async fn fill(&self, tenants: usize) -> anyhow::Result<()> {
        let store = self.open().await?;
        let first = store.directory.get(&name(0)).await?.context("the first tenant")?;
        let document: Value = serde_json::from_slice(&first.doc)?;
        let there = usize::try_from(store.directory.count().await?)?;
        let (store, document) = (&store, &document);
        let writes = (there..tenants).map(|n| async move {
            let (mut copy, name) = (document.clone(), name(n));
            copy["id"] = name.as_str().into();
            store.directory.put(&name, Bytes::from(copy.to_string()), Some(0)).await
        });
        stream::iter(writes).buffer_unordered(AT_ONCE).try_collect::<Vec<_>>().await?;
        Ok(())
    }

    async fn open(&self) -> anyhow::Result<Store> {
        if self.name == "redis" {
            return Ok(redis::open(redis::Options::new(self.store.clone())).await?);
        }
        let options = embedded::Options { role: embedded::Role::Tool, readers: 1 };
        Ok(embedded::open(Path::new(&self.store), options)?)
    }
}

fn name(n: usize) -> String {
    format!("tenant-{n:06}")
}

/// Writes a file for each of these tenants, with two webhooks.
fn files(dir: &Path, tenants: std::ops::Range<usize>, sink: &Sink) -> anyhow::Result<PathBuf> {
    std::fs::create_dir_all(dir)?;
    for n in tenants {
        let table = tables::webhooks(&name(n), sink.addresses.http, 2);
        std::fs::write(dir.join(format!("{n:06}.toml")), table)?;
    }
    Ok(dir.to_owned())
}

/// Changes a destination of one tenant after another. Answers the sorted times in microseconds.
async fn change(router: &Router, tenants: usize, changes: usize) -> anyhow::Result<Vec<u32>> {
    let mut line = Line::open(router.api()).await?;
    let mut times = Vec::with_capacity(changes);
    for n in 0..changes {
        let began = Instant::now();
        patch(&mut line, n * 7 % tenants, n).await?;
        times.push(u32::try_from(began.elapsed().as_micros()).unwrap_or(u32::MAX));
    }
    times.sort_unstable();
    Ok(times)
}

async fn patch(line: &mut Line, tenant: usize, n: usize) -> anyhow::Result<()> {
    let path = format!("/v1/tenants/{}/destinations/hook-0", name(tenant));
    let settings = format!("{{\"settings\":{{\"rate\":\"{}/s\"}}}}", n % 500 + 1);
    line.send(Method::PATCH, &path, json_headers(), Bytes::from(settings)).await
}

async fn call(router: &Router, method: Method, path: &str, body: &str) -> anyhow::Result<()> {
    let mut line = Line::open(router.api()).await?;
    line.send(method, path, json_headers(), Bytes::from(body.to_owned())).await
}

/// Sends an event of each of the first tenants, and waits until both deliveries of each arrived.
async fn send(router: &Router, tenants: usize, sink: &mut Sink) -> anyhow::Result<()> {
    sink.ask("reset").await?;
    let mut line = Line::open(router.api()).await?;
    for n in 0..tenants {
        let path = format!("/v1/events?tenant={}", name(n));
        let event = Bytes::from(body(&id(0, n)));
        line.send(Method::POST, &path, json_headers(), event).await?;
    }
    let began = Instant::now();
    while sink.ask("count").await?.total < 2 * tenants {
        ensure!(began.elapsed() < LONGEST, "not all events arrived");
        sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

fn json_headers() -> HeaderMap {
    let json = HeaderValue::from_static("application/json");
    HeaderMap::from_iter([(header::CONTENT_TYPE, json)])
}
