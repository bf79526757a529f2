//! Processes of the measurement: started here, ended by their id, and what they cost.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};

/// Ticks of the CPU times in /proc a second: the same on every Linux, whatever the kernel's own.
const TICKS: f64 = 100.0;

/// CPU seconds so far and the most memory ever held.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    pub(crate) cpu_s: f64,
    pub(crate) peak_mib: f64,
}

/// What a process has used; `self` is this one.
pub(crate) fn usage(pid: &str) -> Option<Usage> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything; what follows are numbers.
    let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
    let ticks = |n: usize| fields.get(n).and_then(|field| field.parse::<f64>().ok());
    let cpu_s = (ticks(11)? + ticks(12)?) / TICKS;
    Some(Usage { cpu_s, peak_mib: status_mib(pid, "VmHWM:")? })
}

/// A line of a process's status that is an amount of memory.
fn status_mib(pid: &str, name: &str) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let amount = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: f64 = amount.trim().trim_end_matches(" kB").parse().ok()?;
    Some(kib / 1024.0)
}

/// What each thread of a process has run, by the scheduler's clock: ticks are too coarse for a process
/// that hardly runs.
#[derive(Debug, Default)]
pub(crate) struct Threads(HashMap<OsString, Duration>);

impl Threads {
    fn of(pid: &str) -> Option<Self> {
        let threads = std::fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten();
        let ran = |path: &Path| {
            let text = std::fs::read_to_string(path.join("schedstat")).ok()?;
            Some(Duration::from_nanos(text.split(' ').next()?.parse().ok()?))
        };
        let ran = threads.filter_map(|thread| Some((thread.file_name(), ran(&thread.path())?)));
        Some(Self(ran.collect()))
    }

    /// What was run since then, by those that are there now.
    pub(crate) fn since(&self, before: &Self) -> Duration {
        let before = |thread: &OsString| before.0.get(thread).copied().unwrap_or_default();
        self.0.iter().map(|(thread, ran)| ran.saturating_sub(before(thread))).sum()
    }
}

/// A child that is ended when it is dropped at the latest.
pub(crate) struct Process {
    pub(crate) child: Child,
    name: &'static str,
}

impl Process {
    /// Starts `command`; what it says on standard error is shown.
    pub(crate) fn start(name: &'static str, mut command: Command) -> anyhow::Result<Self> {
        command.kill_on_drop(true).stderr(Stdio::inherit());
        let child = command.spawn().with_context(|| format!("{name} cannot be started"))?;
        Ok(Self { child, name })
    }

    /// What it has used so far.
    pub(crate) fn usage(&self) -> Usage {
        self.pid().and_then(|pid| usage(&pid)).unwrap_or_default()
    }

    /// The memory that it holds now.
    pub(crate) fn resident_mib(&self) -> f64 {
        self.pid().and_then(|pid| status_mib(&pid, "VmRSS:")).unwrap_or_default()
    }

    /// What its threads have run so far.
    pub(crate) fn threads(&self) -> Threads {
        self.pid().and_then(|pid| Threads::of(&pid)).unwrap_or_default()
    }

    fn pid(&self) -> Option<String> {
        self.child.id().map(|pid| pid.to_string())
    }

    /// Has it ended by itself?
    pub(crate) fn check(&mut self) -> anyhow::Result<()> {
        match self.child.try_wait()? {
            Some(status) => bail!("{} ended early: {status}", self.name),
            None => Ok(()),
        }
    }

    /// Asks it to end, and ends it if it does not.
    pub(crate) async fn stop(mut self) {
        if let Some(pid) = self.child.id().and_then(|pid| i32::try_from(pid).ok()) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
        let ended = tokio::time::timeout(Duration::from_secs(30), self.child.wait()).await;
        if ended.is_err() {
            let _ = self.child.kill().await;
        }
    }
}

/// This program, as another process.
pub(crate) fn ourselves() -> anyhow::Result<Command> {
    Ok(Command::new(std::env::current_exe().context("this program's own path")?))
}

/// Waits until `path` has content.
pub(crate) async fn content(
    path: &Path,
    process: &mut Process,
    within: Duration,
) -> anyhow::Result<String> {
    let began = Instant::now();
    while began.elapsed() < within {
        process.check()?;
        match std::fs::read_to_string(path) {
            Ok(text) if !text.is_empty() => return Ok(text),
            _ => tokio::time::sleep(Duration::from_millis(1)).await,
        }
    }
    bail!("{} was not ready within {} s", process.name, within.as_secs())
}
