//! The other processes of a measurement: the sink, a Redis server, the router, a load.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Context;
use fanfare_harness::{Fanfare, Process, Redis, command};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{ChildStdin, ChildStdout};

use crate::peers::message::now_us;
use crate::peers::sink::{Addresses, Arrivals};
use crate::usage::Usage;

/// How long a process may take to start or to stop.
const PATIENCE: Duration = Duration::from_mins(1);

/// The receiver.
pub(crate) struct Sink {
    pub(crate) addresses: Addresses,
    process: Process,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Sink {
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let mut command = ourselves()?;
        command.arg("sink").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = Process::try_spawn(command)?;
        let input = process.child().stdin.take().context("the sink's input")?;
        let input = ChildStdin::from_std(input)?;
        let mut output = lines(&mut process)?;
        let first = output.next_line().await?.context("the sink ended early")?;
        Ok(Self { addresses: serde_json::from_str(&first)?, process, input, output })
    }

    /// `reset`, `count` or `report`.
    pub(crate) async fn ask(&mut self, what: &str) -> anyhow::Result<Arrivals> {
        self.input.write_all(format!("{what}\n").as_bytes()).await?;
        let answer = self.output.next_line().await?.context("the sink ended early")?;
        Ok(serde_json::from_str(&answer)?)
    }

    pub(crate) fn usage(&self) -> Usage {
        Usage::of(self.process.id())
    }
}

/// A Redis server with an append-only file, as in production.
pub(crate) async fn redis() -> anyhow::Result<Redis> {
    let options = ["--appendonly", "yes", "--appendfsync", "everysec"];
    Redis::launch_with(&options).start_async().await
}

/// What Redis has used so far.
pub(crate) fn redis_usage(redis: &Redis) -> Usage {
    redis.id().map(Usage::of).unwrap_or_default()
}

/// A folder that ends with the measurement.
pub(crate) fn folder() -> anyhow::Result<TempDir> {
    tempfile::Builder::new().prefix("fanfare-bench-").tempdir().context("a temporary folder")
}

/// The router: the real `fanfare serve`.
pub(crate) struct Router {
    pub(crate) began_us: u64,
    pub(crate) ready_ms: f64,
    fanfare: Fanfare,
    _dir: TempDir,
}

impl Router {
    /// Starts it on a store with these tenants.
    pub(crate) async fn start(
        binary: &Path,
        store: &str,
        tenants: &[String],
        sink: &Addresses,
    ) -> anyhow::Result<Self> {
        let dir = folder()?;
        let tables = dir.path().join("tenants");
        std::fs::create_dir(&tables)?;
        for (n, table) in tenants.iter().enumerate() {
            std::fs::write(tables.join(format!("{n:06}.toml")), table)?;
        }
        let settings = dir.path().join("fanfare.toml");
        std::fs::write(&settings, settings_text(sink))?;
        let launch = Fanfare::serve(store, &tables).binary(binary).within(PATIENCE);
        let launch = launch.arg("--config").arg(&settings).arg("--log").arg("error");
        let began_us = now_us();
        let fanfare = launch.start_async().await?;
        let ready_ms = fanfare.ready_after().as_secs_f64() * 1_000.0;
        Ok(Self { began_us, ready_ms, fanfare, _dir: dir })
    }

    /// The address of its API.
    pub(crate) fn api(&self) -> SocketAddr {
        self.fanfare.address()
    }

    /// The process id.
    pub(crate) fn id(&self) -> u32 {
        self.fanfare.id()
    }

    pub(crate) fn usage(&self) -> Usage {
        Usage::of(self.id())
    }

    /// An error if it has ended by itself.
    pub(crate) fn check(&mut self) -> anyhow::Result<()> {
        match self.fanfare.exited() {
            Some(status) => anyhow::bail!("the router ended: {status}\n{}", self.fanfare.stderr()),
            None => Ok(()),
        }
    }

    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.fanfare.stop_async(PATIENCE).await
    }
}

/// All settings have their defaults, except where mail goes.
fn settings_text(sink: &Addresses) -> String {
    format!(
        "[email]\nhost = \"127.0.0.1\"\nport = {}\nsecurity = \"none\"\nhello_name = \"localhost\"\n",
        sink.smtp.port()
    )
}

/// What a load reports at its end.
#[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct Loaded {
    /// How many were sent and accepted.
    pub(crate) sent: usize,
    pub(crate) seconds: f64,
    pub(crate) cpu_s: f64,
    pub(crate) peak_mib: f64,
}

impl Loaded {
    pub(crate) fn usage(&self) -> Usage {
        Usage { cpu_s: self.cpu_s, peak_mib: self.peak_mib }
    }
}

/// A sender in a process of its own: `fanfare-bench load …`.
pub(crate) struct Load {
    pub(crate) began_us: u64,
    process: Process,
    output: Lines<BufReader<ChildStdout>>,
}

impl Load {
    pub(crate) fn start(args: &[&str]) -> anyhow::Result<Self> {
        let mut command = ourselves()?;
        command.arg("load").args(args).stdin(Stdio::null()).stdout(Stdio::piped());
        let began_us = now_us();
        let mut process = Process::try_spawn(command)?;
        let output = lines(&mut process)?;
        Ok(Self { began_us, process, output })
    }

    pub(crate) async fn end(mut self) -> anyhow::Result<Loaded> {
        let line = self.output.next_line().await?.context("the load ended early")?;
        drop(self.process);
        Ok(serde_json::from_str(&line)?)
    }
}

/// This program, as another process.
fn ourselves() -> anyhow::Result<Command> {
    Ok(command(&std::env::current_exe().context("the path of this program")?))
}

fn lines(process: &mut Process) -> anyhow::Result<Lines<BufReader<ChildStdout>>> {
    let output = process.child().stdout.take().context("the output of a process")?;
    Ok(BufReader::new(ChildStdout::from_std(output)?).lines())
}

/// A store's folder as text.
pub(crate) fn text(path: &Path) -> String {
    path.display().to_string()
}
