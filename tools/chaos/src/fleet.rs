//! The processes under fire: routers and a Redis server. Each is started from the same folder
//! again, and none outlives this process.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;
use tokio::process::{Child, Command};

/// How long a process may take to be ready on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);
/// How often one looks whether it is.
const LOOK: Duration = Duration::from_millis(10);

/// How routers are started.
pub(crate) struct Launch {
    pub(crate) fanfare: PathBuf,
    pub(crate) store: String,
    pub(crate) tenants: PathBuf,
    pub(crate) config: PathBuf,
    /// For logs.
    pub(crate) dir: PathBuf,
}

/// A running router.
pub(crate) struct Router {
    child: Child,
    pub(crate) pid: u32,
    pub(crate) address: SocketAddr,
}

impl Launch {
    /// Starts router number `place`, whose log goes on where it ended.
    pub(crate) async fn start(&self, place: usize) -> Result<Router> {
        let ready = self.dir.join(format!("router-{place}.ready"));
        let _ = fs::remove_file(&ready);
        let log = self.dir.join(format!("router-{place}.log"));
        let mut command = command(&self.fanfare);
        for (name, _) in std::env::vars_os() {
            if name == "RUST_LOG" || name.as_encoded_bytes().starts_with(b"FANFARE_") {
                command.env_remove(name);
            }
        }
        command.arg("serve").arg("--store").arg(&self.store);
        command.arg("--tenants").arg(&self.tenants).arg("--config").arg(&self.config);
        command.args(["--listen", "127.0.0.1:0", "--development", "--log-format", "text"]);
        command.arg("--ready-file").arg(&ready);
        command.stdout(Stdio::null()).stderr(append(&log)?);
        let mut child = command.spawn().context("the router cannot be started")?;
        let pid = child.id().context("a process that runs has an id")?;
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(address) = fs::read_to_string(&ready).ok().and_then(|a| a.parse().ok()) {
                return Ok(Router { child, pid, address });
            }
            if let Some(status) = child.try_wait()? {
                bail!("the router ended by itself ({status}): see {}", log.display());
            }
            if Instant::now() > until {
                bail!("the router is not ready after {PATIENCE:?}: see {}", log.display());
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

impl Router {
    /// Freezes it, so that one can look at what it had in hand before it dies.
    pub(crate) fn freeze(&self) -> Result<()> {
        send(self.pid, Signal::SIGSTOP)
    }

    /// `kill -9`. Answers the most memory that it had, in KiB.
    pub(crate) async fn kill9(mut self) -> Result<u64> {
        let peak = self.peak_kib();
        self.child.kill().await.context("the router cannot be killed")?;
        Ok(peak)
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) async fn stop(mut self) -> Result<()> {
        send(self.pid, Signal::SIGTERM)?;
        let ended = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        let status = ended.context("a router does not stop")??;
        anyhow::ensure!(status.success(), "a router ended with {status}");
        Ok(())
    }

    /// The most memory that it had so far, in KiB.
    pub(crate) fn peak_kib(&self) -> u64 {
        self.status_kib("VmHWM:")
    }

    /// The memory that it has now, in KiB.
    pub(crate) fn rss_kib(&self) -> u64 {
        self.status_kib("VmRSS:")
    }

    fn status_kib(&self, name: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
    }

    /// Did it end by itself?
    pub(crate) fn ended(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|status| status.is_some())
    }
}

/// A Redis server that writes and syncs before it answers.
pub(crate) struct Redis {
    program: PathBuf,
    dir: PathBuf,
    port: u16,
    child: Option<Child>,
}

impl Redis {
    pub(crate) async fn start(program: &Path, dir: &Path) -> Result<Self> {
        fs::create_dir_all(dir)?;
        let port = free_port().context("there is no free port for Redis")?;
        let mut redis =
            Self { program: program.to_owned(), dir: dir.to_owned(), port, child: None };
        redis.launch().await?;
        Ok(redis)
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// What it uses of memory for data, in bytes.
    pub(crate) async fn used_memory(&self) -> Result<u64> {
        let client = redis::Client::open(self.url())?;
        let mut connection = client.get_multiplexed_async_connection().await?;
        let info: String = redis::cmd("INFO").arg("memory").query_async(&mut connection).await?;
        let line = info.lines().find_map(|line| line.strip_prefix("used_memory:"));
        Ok(line.context("Redis does not tell its memory")?.trim().parse()?)
    }

    /// `kill -9`.
    pub(crate) async fn kill9(&mut self) -> Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill().await.context("Redis cannot be killed")?;
        }
        Ok(())
    }

    /// Starts it on its port and its files, and waits until it has loaded them.
    pub(crate) async fn launch(&mut self) -> Result<()> {
        let log = self.dir.join("redis.log");
        let mut command = command(&self.program);
        command.args(["--bind", "127.0.0.1", "--port", &self.port.to_string(), "--save", ""]);
        command.args(["--appendonly", "yes", "--appendfsync", "always", "--dir"]).arg(&self.dir);
        command.stdout(append(&log)?).stderr(Stdio::null());
        self.child = Some(command.spawn().context("redis-server cannot be started")?);
        let client = redis::Client::open(self.url())?;
        let until = Instant::now() + PATIENCE;
        while !answers(&client).await {
            if Instant::now() > until {
                bail!("Redis is not ready after {PATIENCE:?}: see {}", log.display());
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }
}

/// A free port below those that the kernel gives to outgoing connections: one of these could take
/// it while the server is down.
fn free_port() -> Option<u16> {
    let first = u16::try_from(std::process::id() % 15_000).unwrap_or_default();
    (0..5_000)
        .map(|n| 12_000 + first + n)
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
}

async fn answers(client: &redis::Client) -> bool {
    let Ok(mut connection) = client.get_multiplexed_async_connection().await else { return false };
    let pong: redis::RedisResult<String> = redis::cmd("PING").query_async(&mut connection).await;
    pong.is_ok()
}

/// A command whose process ends with ours, also when ours is killed (util-linux's `setpriv`).
fn command(program: &Path) -> Command {
    let setpriv = Path::new("/usr/bin/setpriv");
    let mut command = if setpriv.exists() {
        let mut command = Command::new(setpriv);
        command.args(["--pdeathsig", "KILL", "--"]).arg(program);
        command
    } else {
        Command::new(program)
    };
    command.stdin(Stdio::null()).kill_on_drop(true);
    command
}

fn append(path: &Path) -> Result<File> {
    File::options()
        .create(true)
        .append(true)
        .open(path)
        .with_context(|| format!("{} cannot be written", path.display()))
}

fn send(pid: u32, signal: Signal) -> Result<()> {
    signal::kill(Pid::from_raw(pid.try_into()?), signal).context("our own child takes a signal")
}
