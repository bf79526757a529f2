//! What a process uses, as `/proc` reports it.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::time::Duration;

/// Ticks of the CPU times in /proc a second: the same on every Linux, whatever the kernel's own rate.
const TICKS: f64 = 100.0;

/// CPU seconds so far of process `id`, or `None` if there is no such process.
pub fn cpu_s(id: u32) -> Option<f64> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name in parentheses may hold anything; what follows are numbers.
    let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
    let ticks = |n: usize| fields.get(n).and_then(|field| field.parse::<f64>().ok());
    Some((ticks(11)? + ticks(12)?) / TICKS)
}

/// The memory that a process holds now, in KiB.
pub fn resident_kib(id: u32) -> Option<u64> {
    status_kib(id, "VmRSS:")
}

/// The most memory that a process has held so far, in KiB.
pub fn peak_kib(id: u32) -> Option<u64> {
    status_kib(id, "VmHWM:")
}

fn status_kib(id: u32, name: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let amount = status.lines().find_map(|line| line.strip_prefix(name))?;
    amount.trim().trim_end_matches(" kB").parse().ok()
}

/// How long each thread of a process has run, by the scheduler's clock: ticks are too coarse for a
/// process that hardly runs.
#[derive(Debug, Default)]
pub struct Threads(HashMap<OsString, Duration>);

impl Threads {
    /// The threads of process `id`.
    pub fn of(id: u32) -> Option<Self> {
        let threads = fs::read_dir(format!("/proc/{id}/task")).ok()?.flatten();
        let ran = |path: &Path| {
            let text = fs::read_to_string(path.join("schedstat")).ok()?;
            Some(Duration::from_nanos(text.split(' ').next()?.parse().ok()?))
        };
        let ran = threads.filter_map(|thread| Some((thread.file_name(), ran(&thread.path())?)));
        Some(Self(ran.collect()))
    }

    /// The time since `before` of the threads that run now.
    pub fn since(&self, before: &Self) -> Duration {
        let before = |thread: &OsString| before.0.get(thread).copied().unwrap_or_default();
        self.0.iter().map(|(thread, ran)| ran.saturating_sub(before(thread))).sum()
    }
}
