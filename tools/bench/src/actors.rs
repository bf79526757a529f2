//! The other processes of a measurement: the sink, a Redis server, the router, a load.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{ChildStdin, ChildStdout, Command};

use crate::peers;
use crate::peers::message::now_us;
use crate::peers::sink::{Addresses, Arrivals};
use crate::process::{Process, Usage, content, ourselves};

/// Everything is ready well within this time, or something is wrong.
const READY: Duration = Duration::from_mins(1);

/// The receiver.
pub(crate) struct Sink {
    pub(crate) process: Process,
    pub(crate) addresses: Addresses,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Sink {
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let mut command = ourselves()?;
        command.arg("sink").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = Process::start("the sink", command)?;
        let input = process.child.stdin.take().context("the sink's input")?;
        let output = process.child.stdout.take().context("the sink's output")?;
        let mut output = BufReader::new(output).lines();
        let first = output.next_line().await?.context("the sink ended early")?;
        Ok(Self { process, addresses: serde_json::from_str(&first)?, input, output })
    }

    /// `reset`, `count` or `report`.
    pub(crate) async fn ask(&mut self, what: &str) -> anyhow::Result<Arrivals> {
        self.input.write_all(format!("{what}\n").as_bytes()).await?;
        let answer = self.output.next_line().await?.context("the sink ended early")?;
        Ok(serde_json::from_str(&answer)?)
    }
}

/// A program that is not ours, if this machine has it.
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain([concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/test-tools/bin").into()])
        .map(|dir| dir.join(name))
        .find(|program| program.is_file())
}

/// A Redis server of our own with an append-only file.
pub(crate) struct Redis {
    pub(crate) process: Process,
    pub(crate) url: String,
    _dir: TempDir,
}

impl Redis {
    /// The program, if this machine has it.
    pub(crate) fn program() -> Option<PathBuf> {
        program("redis-server")
    }

    pub(crate) async fn start() -> anyhow::Result<Self> {
        let program = Self::program().context("there is no redis-server")?;
        let dir = folder()?;
        // Between the look at a port and Redis taking it, another may: a few tries.
        for _ in 0..5 {
            let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
            let mut command = Command::new(&program);
            command
                .args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", ""])
                .args(["--appendonly", "yes", "--appendfsync", "everysec", "--dir"])
                .arg(dir.path())
                .stdin(Stdio::null())
                .stdout(Stdio::null());
            let mut process = Process::start("redis-server", command)?;
            let url = format!("redis://127.0.0.1:{port}/");
            if answers(&url, &mut process).await? {
                return Ok(Self { process, url, _dir: dir });
            }
        }
        bail!("redis-server does not start")
    }

    pub(crate) async fn connection(&self) -> anyhow::Result<redis::aio::MultiplexedConnection> {
        peers::connect(&self.url).await
    }
}

async fn answers(url: &str, process: &mut Process) -> anyhow::Result<bool> {
    let began = Instant::now();
    while began.elapsed() < READY {
        if process.child.try_wait()?.is_some() {
            return Ok(false);
        }
        if peers::connect(url).await.is_ok() {
            return Ok(true);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(false)
}

/// The router under test: `given`, or the one beside this program.
pub(crate) fn binary(given: Option<PathBuf>) -> anyhow::Result<PathBuf> {
    let binary = match given {
        Some(given) => given,
        None => {
            std::env::current_exe().context("this program's own path")?.with_file_name("fanfare")
        }
    };
    if !binary.is_file() {
        bail!(
            "there is no router at {}; `cargo xtask bench` builds it, or name one with --fanfare",
            binary.display()
        );
    }
    Ok(binary)
}

/// A folder that goes away with the measurement.
pub(crate) fn folder() -> anyhow::Result<TempDir> {
    tempfile::Builder::new().prefix("fanfare-bench-").tempdir().context("a temporary folder")
}

/// The router: the real `fanfare serve`.
pub(crate) struct Router {
    pub(crate) process: Process,
    pub(crate) api: SocketAddr,
    pub(crate) began_us: u64,
    pub(crate) ready_ms: f64,
    _dir: TempDir,
}

impl Router {
    /// Starts it on a store with these tenants.
    pub(crate) async fn start(
        fanfare: &Path,
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
        let ready = dir.path().join("ready");
        let mut command = Command::new(fanfare);
        command
            .args(["serve", "--development", "--listen", "127.0.0.1:0", "--log", "error"])
            .args(["--store", store, "--tenants"])
            .arg(&tables)
            .arg("--config")
            .arg(&settings)
            .arg("--ready-file")
            .arg(&ready)
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let (began, began_us) = (Instant::now(), now_us());
        let mut process = Process::start("fanfare serve", command)?;
        let api = content(&ready, &mut process, READY).await?.parse()?;
        let ready_ms = began.elapsed().as_secs_f64() * 1_000.0;
        Ok(Self { process, api, began_us, ready_ms, _dir: dir })
    }
}

/// Everything is as it comes, but for where mail goes.
fn settings_text(sink: &Addresses) -> String {
    format!(
        "[email]\nhost = \"127.0.0.1\"\nport = {}\nsecurity = \"none\"\nhello_name = \"localhost\"\n",
        sink.smtp.port()
    )
}

/// What a load said at its end.
#[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct Loaded {
    /// How many were sent and answered well.
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
    process: Process,
    output: Lines<BufReader<ChildStdout>>,
    pub(crate) began_us: u64,
}

impl Load {
    pub(crate) fn start(args: &[&str]) -> anyhow::Result<Self> {
        let mut command = ourselves()?;
        command.arg("load").args(args).stdin(Stdio::null()).stdout(Stdio::piped());
        let began_us = now_us();
        let mut process = Process::start("the load", command)?;
        let output = process.child.stdout.take().context("the load's output")?;
        Ok(Self { process, output: BufReader::new(output).lines(), began_us })
    }

    pub(crate) async fn end(mut self) -> anyhow::Result<Loaded> {
        let line = self.output.next_line().await?.context("the load ended early")?;
        let loaded = serde_json::from_str(&line)?;
        self.process.stop().await;
        Ok(loaded)
    }
}

/// A store's folder as text.
pub(crate) fn text(path: &Path) -> String {
    path.display().to_string()
}
