//! The real binary: a running router, and single commands.

use std::ffi::OsStr;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Output, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::http::{Answer, request};
use crate::launch::{Launch, binary};
use crate::process::{Process, tail};

/// A router that runs until it is dropped.
pub struct Fanfare {
    process: Process,
    files: Files,
    address: SocketAddr,
    ready_after: Duration,
}

/// The files of a router.
pub(crate) struct Files {
    pub(crate) dir: PathBuf,
    pub(crate) ready: PathBuf,
    pub(crate) stdout: PathBuf,
    pub(crate) stderr: PathBuf,
    /// The folder, if it ends with the router.
    _own: Option<TempDir>,
}

impl Files {
    pub(crate) fn new(own: Option<TempDir>, dir: PathBuf, name: &str) -> Self {
        let file = |ending: &str| dir.join(format!("{name}.{ending}"));
        let (ready, stdout, stderr) = (file("ready"), file("out"), file("log"));
        Self { dir, ready, stdout, stderr, _own: own }
    }
}

impl Fanfare {
    /// `fanfare serve` on a free port of the loopback, with plain HTTP and loopback receivers
    /// allowed. `store` is a folder or a `redis://` URL.
    pub fn serve(store: impl AsRef<OsStr>, tenants: &Path) -> Launch {
        Launch::new(store, tenants)
    }

    pub(crate) fn new(
        process: Process,
        files: Files,
        address: SocketAddr,
        ready_after: Duration,
    ) -> Self {
        Self { process, files, address, ready_after }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The time from its start until it wrote its ready file.
    pub fn ready_after(&self) -> Duration {
        self.ready_after
    }

    /// `http://ADDRESS` and `path`.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// `GET path`.
    pub fn get(&self, path: &str) -> Answer {
        request(self.address, "GET", path, &[], b"").expect("fanfare answers")
    }

    /// `POST path` with a JSON body.
    pub fn post(&self, path: &str, body: &str) -> Answer {
        let headers = [("content-type", "application/json")];
        request(self.address, "POST", path, &headers, body.as_bytes()).expect("fanfare answers")
    }

    /// `GET path` with a key.
    pub fn get_with(&self, key: &str, path: &str) -> Answer {
        let key = format!("Bearer {key}");
        request(self.address, "GET", path, &[("authorization", &key)], b"")
            .expect("fanfare answers")
    }

    /// `POST path` with a JSON body and a key.
    pub fn post_with(&self, key: &str, path: &str, body: &str) -> Answer {
        let key = format!("Bearer {key}");
        let headers = [("content-type", "application/json"), ("authorization", &key)];
        request(self.address, "POST", path, &headers, body.as_bytes()).expect("fanfare answers")
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// `kill -9`.
    pub fn kill9(&mut self) {
        self.process.kill9();
    }

    /// Stops it where it is, until it is thawed or killed.
    pub fn freeze(&mut self) {
        self.process.signal(Signal::SIGSTOP);
    }

    /// Lets it go on.
    pub fn thaw(&mut self) {
        self.process.signal(Signal::SIGCONT);
    }

    /// Asks it to stop gracefully.
    pub fn sigterm(&mut self) {
        self.process.signal(Signal::SIGTERM);
    }

    /// Asks it to load its tenants again.
    pub fn sighup(&mut self) {
        self.process.signal(Signal::SIGHUP);
    }

    /// How it ended, if it has.
    pub fn exited(&mut self) -> Option<ExitStatus> {
        self.process.exited()
    }

    /// Waits for its end.
    pub fn wait_exit(&mut self, within: Duration) -> ExitStatus {
        let status = self.process.wait_exit(within);
        status.unwrap_or_else(|| panic!("fanfare still runs after {within:?}"))
    }

    /// Asks it to stop, and waits until it has ended successfully.
    pub async fn stop_async(mut self, within: Duration) -> Result<()> {
        let status = self.process.stop_async(within).await;
        let status = status.with_context(|| format!("fanfare still runs after {within:?}"))?;
        ensure!(status.success(), "fanfare ended: {status}\n{}", tail(&self.files.stderr));
        Ok(())
    }

    /// What it has written to standard error.
    pub fn stderr(&self) -> String {
        read(&self.files.stderr)
    }

    /// What it has written to standard output.
    pub fn stdout(&self) -> String {
        read(&self.files.stdout)
    }
}

impl Drop for Fanfare {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("fanfare on {}:\n{}", self.address, tail(&self.files.stderr));
        }
    }
}

/// Runs a command of the binary to its end.
pub fn run_fanfare<S: AsRef<OsStr>>(args: &[S]) -> Output {
    start_fanfare(args).output()
}

/// Starts a command of the binary, with pipes for its output.
pub fn start_fanfare<S: AsRef<OsStr>>(args: &[S]) -> Process {
    let mut command = binary(None, &[]).unwrap_or_else(|error| panic!("{error:#}"));
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Process::spawn(command)
}

fn read(log: &Path) -> String {
    String::from_utf8_lossy(&fs::read(log).unwrap_or_default()).into_owned()
}
