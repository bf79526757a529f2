//! Email beside Postfix's own load generator: `smtp-source` to `smtp-sink`, and Fanfare to it.

use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::actors::{self, Router, redis_usage};
use crate::cases::{LONGEST, Setup, preload_stream};
use crate::peers::message::{TENANT, now_us};
use crate::peers::sink::Addresses;
use crate::report::{Figures, float};
use crate::tables;
use crate::usage::Usage;
use anyhow::{Context, anyhow, ensure};
use fanfare_harness::{Process, command, free_port, programs, request, until_async};

/// What the router opens to its relay by default.
const CONNECTIONS: &str = "8";
/// About what the mail of the measured event is, with both of its parts.
const MAIL_BYTES: &str = "20000";
const READY: Duration = Duration::from_secs(10);
/// Between two looks at the router's own count.
const LOOK: Duration = Duration::from_millis(50);

/// Both programs, if this machine has them.
pub(crate) fn postfix() -> Option<(PathBuf, PathBuf)> {
    Some((programs::find("smtp-sink")?, programs::find("smtp-source")?))
}

/// Postfix's receiver, which throws everything away.
struct Relay {
    process: Process,
    address: SocketAddr,
}

impl Relay {
    async fn start() -> anyhow::Result<Self> {
        let (sink, _) = postfix().context("there is no smtp-sink")?;
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let mut command = command(&sink);
        if nix::unistd::Uid::effective().is_root() {
            command.args(["-u", "nobody"]);
        }
        command.arg(address.to_string()).arg("256").stdin(Stdio::null()).stdout(Stdio::null());
        let mut process = Process::try_spawn(command)?;
        let listens = || match process.exited() {
            Some(status) => Some(Err(anyhow!("smtp-sink ended: {status}"))),
            None => TcpStream::connect(address).ok().map(|_| Ok(())),
        };
        until_async(READY, listens).await.context("smtp-sink does not listen")??;
        Ok(Self { process, address })
    }
}

/// As fast as Postfix's own client is, over connections that stay open.
pub(crate) async fn limit(count: usize) -> anyhow::Result<Figures> {
    let (_, source) = postfix().context("there is no smtp-source")?;
    let relay = Relay::start().await?;
    let mut command = command(&source);
    command
        .args(["-d", "-s", CONNECTIONS, "-l", MAIL_BYTES, "-m", &count.to_string()])
        .args(["-f", "notifications@localhost", "-t", "jane@example.com"])
        .arg(relay.address.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    let began = Instant::now();
    let mut sending = Process::try_spawn(command)?;
    let status = until_async(LONGEST, || sending.exited()).await.context("smtp-source hangs")?;
    ensure!(status.success(), "smtp-source ended with {status}");
    let mut figures = Figures::default();
    figures.set("per_s", float(count) / began.elapsed().as_secs_f64());
    figures.used("sink", Usage::default(), Usage::of(relay.process.id()), count);
    Ok(figures)
}

/// A waiting stream to one address: rendered, both parts, settled.
pub(crate) async fn drain(setup: &Setup) -> anyhow::Result<Figures> {
    let count = setup.sizes.mails;
    let (relay, redis) = (Relay::start().await?, actors::redis().await?);
    preload_stream(&redis, count, |_| TENANT.to_owned()).await?;
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 9));
    let addresses = Addresses { http: nowhere, smtp: relay.address };
    let before = redis_usage(&redis);
    let router =
        Router::start(&setup.fanfare, &redis.url(), &[tables::one_address()], &addresses).await?;
    let began = Instant::now();
    // An outcome is counted once it is durable. What finds no connection free waits in its queue.
    while delivered(router.api())? < count {
        ensure!(began.elapsed() < LONGEST, "not delivered in {} s", LONGEST.as_secs());
        tokio::time::sleep(LOOK).await;
    }
    let us = now_us().saturating_sub(router.began_us).max(1);
    let mut figures = Figures::default();
    #[expect(clippy::cast_precision_loss, reason = "microseconds of minutes")]
    figures.set("per_s", float(count) * 1e6 / us as f64);
    figures.used("fanfare", Usage::default(), router.usage(), count);
    figures.used("redis", before, redis_usage(&redis), count);
    figures.used("sink", Usage::default(), Usage::of(relay.process.id()), count);
    router.stop().await?;
    Ok(figures)
}

/// Mails that the router has delivered, by its own metrics.
fn delivered(api: SocketAddr) -> anyhow::Result<usize> {
    let metrics = request(api, "GET", "/metrics", &[], b"")?.body;
    let line = "fanfare_deliveries_total{channel=\"email\",state=\"delivered\"} ";
    let value = metrics.lines().find_map(|text| text.strip_prefix(line));
    Ok(value.context("the metrics have no count of mails")?.parse()?)
}
