//! The cases: what each puts together, and what it takes from the sink and from /proc.

use std::io::Write as _;
use std::time::{Duration, Instant};

use anyhow::{bail, ensure};
use bytes::Bytes;
use std::sync::Arc;

use super::actors::{self, Load, Redis, Router, Sink, folder, text};
use super::report::{Figures, float};
use crate::event::{Fill, Limits, decode};
use crate::store::{Store, embedded};
use fanfare_peers::message::{TENANT, body, id};
use fanfare_peers::sink::Arrivals;

/// A case by its name in the answer.
pub struct Case {
    /// The name.
    pub name: &'static str,
    /// What it is, for the table.
    pub about: &'static str,
    pub(super) needs: Needs,
    kind: Kind,
}

enum Kind {
    Hyper,
    Reqwest,
    Naive,
    Drain(Shape),
    Live,
    Fsync,
    Smtp,
    Email,
    Rest,
}

/// What a case needs that this machine may not have.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Needs {
    Nothing,
    Redis,
    Postfix,
    RedisAndPostfix,
}

/// What waits when the router starts.
#[derive(Clone, Copy)]
enum Shape {
    /// Events to one webhook.
    One,
    /// Events to ten webhooks each.
    Ten,
    /// Events of many tenants with ten routes each, one of which matches.
    Tenants,
    /// Events to a webhook, Slack and email each.
    Mixed,
}

/// All cases, in the order in which they take turns.
pub const CASES: [Case; 15] = [
    case("limit_hyper", "raw hyper, 64 connections", Needs::Nothing, Kind::Hyper),
    case("limit_reqwest", "a reqwest loop, 64 connections", Needs::Nothing, Kind::Reqwest),
    case("limit_fsync", "100 writes a second to a file", Needs::Nothing, Kind::Fsync),
    case("limit_smtp", "smtp-source to smtp-sink", Needs::Postfix, Kind::Smtp),
    case("naive_redis", "XREADGROUP, sign, reqwest, XACK", Needs::Redis, Kind::Naive),
    case("drain_redis", "a waiting stream to one webhook", Needs::Redis, Kind::Drain(Shape::One)),
    case(
        "drain_embedded",
        "a waiting store to one webhook",
        Needs::Nothing,
        Kind::Drain(Shape::One),
    ),
    case("live_redis", "32 HTTP producers", Needs::Redis, Kind::Live),
    case("live_embedded", "32 HTTP producers", Needs::Nothing, Kind::Live),
    case("fanout_10", "one event to 10 webhooks", Needs::Redis, Kind::Drain(Shape::Ten)),
    case(
        "tenants_1000",
        "1,000 tenants, 10 routes each",
        Needs::Redis,
        Kind::Drain(Shape::Tenants),
    ),
    case(
        "mixed",
        "webhook, Slack and email, a third each",
        Needs::Redis,
        Kind::Drain(Shape::Mixed),
    ),
    case("email", "a waiting stream to one address", Needs::RedisAndPostfix, Kind::Email),
    case("rest_redis", "nothing to do", Needs::Redis, Kind::Rest),
    case("rest_embedded", "nothing to do", Needs::Nothing, Kind::Rest),
];

const fn case(name: &'static str, about: &'static str, needs: Needs, kind: Kind) -> Case {
    Case { name, about, needs, kind }
}

impl Needs {
    /// What of it is missing here.
    pub(super) fn missing(self) -> Option<&'static str> {
        let redis = matches!(self, Self::Redis | Self::RedisAndPostfix);
        let postfix = matches!(self, Self::Postfix | Self::RedisAndPostfix);
        if redis && Redis::program().is_none() {
            return Some("redis-server");
        }
        (postfix && super::mail::programs().is_none()).then_some("smtp-source and smtp-sink")
    }
}

/// How much of everything.
#[derive(Clone, Copy)]
pub(super) struct Sizes {
    deliveries: usize,
    mixed: usize,
    mails: usize,
    tenants: usize,
    live_s: f64,
    open_s: f64,
}

impl Sizes {
    pub(super) const FULL: Self = Self {
        deliveries: 100_000,
        mixed: 6_000,
        mails: 20_000,
        tenants: 1_000,
        live_s: 20.0,
        open_s: 5.0,
    };
    pub(super) const QUICK: Self =
        Self { deliveries: 2_000, mixed: 300, mails: 300, tenants: 20, live_s: 0.5, open_s: 0.5 };
}

/// Longest time for a case: beyond it something is lost.
pub(super) const LONGEST: Duration = Duration::from_mins(5);
/// Of the open loops: events a second, and for how many times as long: of 500 the fifth slowest alone
/// would say what the slowest hundredth is.
const RATES: [(&str, f64); 2] = [("100", 2.0), ("1000", 1.0)];
/// Between two looks at the sink; it notes the times itself.
const LOOK: Duration = Duration::from_millis(10);

impl Case {
    pub(super) async fn run(&self, sizes: Sizes) -> anyhow::Result<Figures> {
        let count = sizes.deliveries.to_string();
        match &self.kind {
            Kind::Hyper => limit("hyper", &count, sizes, true).await,
            Kind::Reqwest => limit("reqwest", &count, sizes, false).await,
            Kind::Naive => naive(&count, sizes).await,
            Kind::Drain(shape) if self.on_redis() => drain_redis(*shape, sizes).await,
            Kind::Drain(_) => drain_embedded(sizes).await,
            Kind::Live => live(self.on_redis(), sizes).await,
            Kind::Fsync => fsyncs(sizes).await,
            Kind::Smtp => super::mail::limit(sizes.mails).await,
            Kind::Email => super::mail::drain(sizes.mails).await,
            Kind::Rest => super::rest::rest(self.on_redis(), sizes.tenants, sizes.open_s).await,
        }
    }

    fn on_redis(&self) -> bool {
        self.needs != Needs::Nothing
    }
}

/// So many in the time from the start of the process to the last arrival.
fn rate(figures: &mut Figures, count: usize, began_us: u64, arrivals: &Arrivals) {
    let us = arrivals.last_us.saturating_sub(began_us).max(1);
    #[expect(clippy::cast_precision_loss, reason = "microseconds of minutes")]
    let seconds = us as f64 / 1e6;
    figures.set("seconds", seconds);
    figures.set("per_s", float(count) / seconds);
}

/// All at once, and if asked for the same requests at a steady pace: what this machine takes for one.
async fn limit(kind: &str, count: &str, sizes: Sizes, paced: bool) -> anyhow::Result<Figures> {
    let mut sink = Sink::start().await?;
    let to = sink.addresses.http.to_string();
    let load = Load::start(&[kind, &to, count])?;
    let began_us = load.began_us;
    let loaded = load.end().await?;
    let arrivals = sink.ask("count").await?;
    ensure!(arrivals.distinct == sizes.deliveries, "{} arrived", arrivals.distinct);
    let mut figures = Figures::default();
    rate(&mut figures, sizes.deliveries, began_us, &arrivals);
    let none = super::process::Usage::default();
    figures.used("sender", none, loaded.usage(), sizes.deliveries);
    figures.used("sink", none, sink.process.usage(), sizes.deliveries);
    if paced {
        for (rate, times) in RATES {
            let seconds = times * sizes.open_s;
            let arrivals = open((&mut sink, None), &to, rate, seconds, &["--signed"]).await?;
            figures.times(&format!("open_{rate}_"), &arrivals.latencies_us);
        }
    }
    sink.process.stop().await;
    Ok(figures)
}

/// What this machine's disk takes to have an event's commit for sure: of a file beside the stores.
async fn fsyncs(sizes: Sizes) -> anyhow::Result<Figures> {
    /// Pages of one event in the write-ahead log.
    const COMMIT: usize = 6 * 4_096;
    let (dir, (rate, times)) = (folder()?, RATES[0]);
    let mut file = std::fs::File::create(dir.path().join("log"))?;
    let (commit, mut taken) = (vec![0; COMMIT], Vec::new());
    let mut due = tokio::time::interval(Duration::from_millis(10));
    let began = Instant::now();
    while began.elapsed().as_secs_f64() < times * sizes.open_s {
        due.tick().await;
        let asked = Instant::now();
        file.write_all(&commit)?;
        file.sync_all()?;
        taken.push(u32::try_from(asked.elapsed().as_micros()).unwrap_or(u32::MAX));
    }
    let mut figures = Figures::default();
    figures.set("per_s", float(taken.len()) / began.elapsed().as_secs_f64());
    taken.sort_unstable();
    figures.times(&format!("open_{rate}_"), &taken);
    Ok(figures)
}

/// Requests at so many a second, all of which arrive.
async fn open(
    (sink, router): (&mut Sink, Option<&mut Router>),
    to: &str,
    rate: &str,
    seconds: f64,
    how: &[&str],
) -> anyhow::Result<Arrivals> {
    sink.ask("reset").await?;
    let seconds = seconds.to_string();
    let loaded = Load::start(&[&["open", to, &seconds, rate], how].concat())?.end().await?;
    arrived(sink, router, loaded.sent).await?;
    sink.ask("report").await
}

async fn naive(count: &str, sizes: Sizes) -> anyhow::Result<Figures> {
    let (mut sink, redis) = (Sink::start().await?, Redis::start().await?);
    preload_stream(&redis, sizes.deliveries, |_| TENANT.to_owned()).await?;
    let (sink_before, redis_before) = (sink.process.usage(), redis.process.usage());
    let to = sink.addresses.http.to_string();
    let load = Load::start(&["naive", &to, count, &redis.url])?;
    let began_us = load.began_us;
    let loaded = load.end().await?;
    let arrivals = sink.ask("count").await?;
    ensure!(arrivals.distinct == sizes.deliveries, "{} arrived", arrivals.distinct);
    let mut figures = Figures::default();
    rate(&mut figures, sizes.deliveries, began_us, &arrivals);
    figures.used("sender", super::process::Usage::default(), loaded.usage(), sizes.deliveries);
    figures.used("redis", redis_before, redis.process.usage(), sizes.deliveries);
    figures.used("sink", sink_before, sink.process.usage(), sizes.deliveries);
    redis.process.stop().await;
    sink.process.stop().await;
    Ok(figures)
}

/// Writes events as a foreign producer does.
pub(super) async fn preload_stream(
    redis: &Redis,
    count: usize,
    tenant: impl Fn(usize) -> String,
) -> anyhow::Result<()> {
    let mut connection = redis.connection().await?;
    for first in (0..count).step_by(1_000) {
        let mut pipe = redis::pipe();
        for n in first..count.min(first + 1_000) {
            let event = body(&id(0, n));
            pipe.cmd("XADD").arg(fanfare_peers::STREAM).arg("*").arg("tenant").arg(tenant(n));
            pipe.arg("event").arg(event).ignore();
        }
        let () = pipe.query_async(&mut connection).await?;
    }
    until_rested(&mut connection).await
}

/// Waits until the server is done with what was written: it rewrites its file when that has grown, in a
/// process of its own, which is no part of what is measured next.
async fn until_rested(connection: &mut redis::aio::MultiplexedConnection) -> anyhow::Result<()> {
    let began = Instant::now();
    loop {
        let told: String = redis::cmd("INFO").arg("persistence").query_async(connection).await?;
        let is_busy = |what: &str| told.contains(&format!("{what}:1"));
        if !is_busy("aof_rewrite_in_progress") && !is_busy("aof_rewrite_scheduled") {
            return Ok(());
        }
        ensure!(began.elapsed() < LONGEST, "Redis still rewrites its file");
        tokio::time::sleep(LOOK).await;
    }
}

/// Waits until every entry of the stream is settled.
async fn until_empty(redis: &Redis) -> anyhow::Result<()> {
    let mut connection = redis.connection().await?;
    let began = Instant::now();
    loop {
        let left: usize =
            redis::cmd("XLEN").arg(fanfare_peers::STREAM).query_async(&mut connection).await?;
        if left == 0 {
            return Ok(());
        }
        ensure!(began.elapsed() < LONGEST, "not settled in {} s", LONGEST.as_secs());
        tokio::time::sleep(LOOK).await;
    }
}

async fn drain_redis(shape: Shape, sizes: Sizes) -> anyhow::Result<Figures> {
    let (mut sink, redis) = (Sink::start().await?, Redis::start().await?);
    let http = sink.addresses.http;
    let (events, deliveries, tenants) = match shape {
        Shape::One => (sizes.deliveries, sizes.deliveries, vec![actors::table(TENANT, http, 1)]),
        Shape::Ten => {
            (sizes.deliveries / 10, sizes.deliveries, vec![actors::table(TENANT, http, 10)])
        }
        Shape::Tenants => {
            let names = (0..sizes.tenants).map(|n| actors::ten_routes(&numbered(n), http));
            (sizes.deliveries, sizes.deliveries, names.collect())
        }
        Shape::Mixed => (sizes.mixed / 3, sizes.mixed, vec![actors::mixed(&sink.addresses)]),
    };
    let many = matches!(shape, Shape::Tenants).then_some(sizes.tenants);
    let tenant = |n| many.map_or_else(|| TENANT.to_owned(), |tenants| numbered(n % tenants));
    preload_stream(&redis, events, tenant).await?;
    let (sink_before, redis_before) = (sink.process.usage(), redis.process.usage());
    let mut router = Router::start(&redis.url, &tenants, &sink.addresses).await?;
    let arrivals = arrived(&mut sink, Some(&mut router), deliveries).await?;
    let mut figures = Figures::default();
    until_empty(&redis).await?;
    note_settled(&mut figures, &router, deliveries);
    rate(&mut figures, deliveries, router.began_us, &arrivals);
    figures.set("ready_ms", router.ready_ms);
    let fresh = super::process::Usage::default();
    figures.used("fanfare", fresh, router.process.usage(), deliveries);
    figures.used("redis", redis_before, redis.process.usage(), deliveries);
    figures.used("sink", sink_before, sink.process.usage(), deliveries);
    router.process.stop().await;
    redis.process.stop().await;
    sink.process.stop().await;
    Ok(figures)
}

fn numbered(n: usize) -> String {
    format!("{TENANT}-{n}")
}

/// Waits until everything has arrived.
async fn arrived(
    sink: &mut Sink,
    mut router: Option<&mut Router>,
    count: usize,
) -> anyhow::Result<Arrivals> {
    let began = Instant::now();
    loop {
        let arrivals = sink.ask("count").await?;
        if arrivals.distinct >= count {
            return Ok(arrivals);
        }
        if let Some(router) = &mut router {
            router.process.check()?;
        }
        if began.elapsed() > LONGEST {
            bail!("only {} of {count} arrived in {} s", arrivals.distinct, LONGEST.as_secs());
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// The rate up to now, when nothing is left to be written.
fn note_settled(figures: &mut Figures, router: &Router, count: usize) {
    let us = fanfare_peers::message::now_us().saturating_sub(router.began_us).max(1);
    #[expect(clippy::cast_precision_loss, reason = "microseconds of minutes")]
    figures.set("settled_per_s", float(count) * 1e6 / us as f64);
}

/// Writes events as the API does, without the API.
async fn preload_store(dir: &std::path::Path, count: usize) -> anyhow::Result<Store> {
    let store = embedded::open(dir, embedded::Options { role: embedded::Role::Tool, readers: 1 })?;
    let tenant: Arc<str> = TENANT.into();
    let now = crate::agenda::Clock::System.now_ms();
    let fill = Fill { id: &|| String::new(), received_ms: now };
    for first in (0..count).step_by(4_000) {
        let events = (first..count.min(first + 4_000))
            .map(|n| decode(&tenant, Bytes::from(body(&id(0, n))), Limits::default(), &fill))
            .map(|event| event.map(Arc::new).map_err(|refusal| anyhow::anyhow!("{refusal}")))
            .collect::<anyhow::Result<_>>()?;
        store.log.append(events).await?;
    }
    Ok(store)
}

async fn drain_embedded(sizes: Sizes) -> anyhow::Result<Figures> {
    let mut sink = Sink::start().await?;
    let dir = folder()?;
    let store = preload_store(dir.path(), sizes.deliveries).await?;
    let before = sink.process.usage();
    let tenants = [actors::table(TENANT, sink.addresses.http, 1)];
    let mut router = Router::start(&text(dir.path()), &tenants, &sink.addresses).await?;
    let arrivals = arrived(&mut sink, Some(&mut router), sizes.deliveries).await?;
    let began = Instant::now();
    loop {
        let counts = store.ledger.counts(TENANT, 0, i64::MAX).await?;
        if counts.pending == 0 && counts.waiting == 0 {
            break;
        }
        ensure!(began.elapsed() < LONGEST, "not settled in {} s", LONGEST.as_secs());
        tokio::time::sleep(LOOK).await;
    }
    let mut figures = Figures::default();
    note_settled(&mut figures, &router, sizes.deliveries);
    rate(&mut figures, sizes.deliveries, router.began_us, &arrivals);
    figures.set("ready_ms", router.ready_ms);
    let fresh = super::process::Usage::default();
    figures.used("fanfare", fresh, router.process.usage(), sizes.deliveries);
    figures.used("sink", before, sink.process.usage(), sizes.deliveries);
    router.process.stop().await;
    sink.process.stop().await;
    Ok(figures)
}

async fn live(on_redis: bool, sizes: Sizes) -> anyhow::Result<Figures> {
    let mut sink = Sink::start().await?;
    let dir = folder()?;
    let redis = if on_redis { Some(Redis::start().await?) } else { None };
    let store = redis.as_ref().map_or_else(|| text(dir.path()), |redis| redis.url.clone());
    let tenants = [actors::table(TENANT, sink.addresses.http, 1)];
    let mut router = Router::start(&store, &tenants, &sink.addresses).await?;
    let mut figures = Figures::default();
    let before = [router.process.usage(), sink.process.usage()];
    let redis_before = redis.as_ref().map(|redis| redis.process.usage());
    let sent = closed(&mut figures, &mut sink, &mut router, sizes).await?;
    figures.used("fanfare", before[0], router.process.usage(), sent);
    figures.used("sink", before[1], sink.process.usage(), sent);
    if let (Some(redis), Some(before)) = (&redis, redis_before) {
        figures.used("redis", before, redis.process.usage(), sent);
    }
    for (rate, times) in RATES {
        let (to, seconds) = (router.api.to_string(), times * sizes.open_s);
        let arrivals = open((&mut sink, Some(&mut router)), &to, rate, seconds, &[]).await?;
        figures.times(&format!("open_{rate}_"), &arrivals.latencies_us);
    }
    router.process.stop().await;
    if let Some(redis) = redis {
        redis.process.stop().await;
    }
    sink.process.stop().await;
    Ok(figures)
}

/// Producers that send the next event when the one before was taken.
async fn closed(
    figures: &mut Figures,
    sink: &mut Sink,
    router: &mut Router,
    sizes: Sizes,
) -> anyhow::Result<usize> {
    let to = router.api.to_string();
    let load = Load::start(&["closed", &to, &sizes.live_s.to_string()])?;
    let began_us = load.began_us;
    let loaded = load.end().await?;
    arrived(sink, Some(router), loaded.sent).await?;
    let arrivals = sink.ask("report").await?;
    ensure!(arrivals.distinct == loaded.sent, "{} arrived", arrivals.distinct);
    rate(figures, loaded.sent, began_us, &arrivals);
    figures.set("ingest_per_s", float(loaded.sent) / loaded.seconds);
    figures.times("", &arrivals.latencies_us);
    let none = super::process::Usage::default();
    figures.used("producers", none, loaded.usage(), loaded.sent);
    Ok(loaded.sent)
}
