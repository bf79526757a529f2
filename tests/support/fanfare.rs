//! The real binary, as a process.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use tempfile::TempDir;

use super::PATIENCE;
use super::http::{Answer, request};
use super::process::{Process, command, log_file, tail, until};

/// How a router is to be started; may be started again and again, on the same store.
#[derive(Clone)]
pub(crate) struct Launch {
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    within: Duration,
    /// A program that becomes the binary, and its own arguments.
    before: Vec<OsString>,
}

impl Launch {
    /// One more argument.
    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// One more environment variable.
    pub(crate) fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.env.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// As for customers: without `--development`.
    pub(crate) fn for_customers(mut self) -> Self {
        self.args.retain(|arg| arg != "--development");
        self
    }

    /// Listens there instead.
    pub(crate) fn listen(mut self, address: &str) -> Self {
        let at = self.args.iter().position(|arg| arg == "--listen").expect("it is always given");
        self.args[at + 1] = address.into();
        self
    }

    /// Started by another program that then becomes it: `unshare`, say.
    pub(crate) fn behind<S: AsRef<OsStr>>(mut self, program: &[S]) -> Self {
        self.before = program.iter().map(|part| part.as_ref().to_owned()).collect();
        self
    }

    /// How long it may take to be ready.
    pub(crate) fn within(mut self, within: Duration) -> Self {
        self.within = within;
        self
    }

    /// Starts it and waits until it says that it is ready.
    pub(crate) fn start(&self) -> Fanfare {
        self.try_start().unwrap_or_else(|reason| panic!("fanfare is not ready: {reason}"))
    }

    /// As [`Self::start`], for a start that may be refused: the exit status and what it said.
    pub(crate) fn try_start(&self) -> Result<Fanfare, String> {
        let dir = TempDir::new().expect("a temporary folder");
        let ready_file = dir.path().join("ready");
        let mut serve = binary(&self.before);
        serve
            .args(&self.args)
            .arg("--ready-file")
            .arg(&ready_file)
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .current_dir(dir.path())
            .stdin(Stdio::null())
            .stdout(log_file(&dir.path().join("stdout.log")))
            .stderr(log_file(&dir.path().join("stderr.log")));
        let mut process = Process::spawn(serve);
        let address = until(self.within, || match process.exited() {
            Some(status) => Some(Err(format!("it ended: {status}"))),
            None => ready(&ready_file).map(Ok),
        });
        match address {
            Some(Ok(address)) => Ok(Fanfare { process, dir, address }),
            failed => {
                let why = failed.and_then(Result::err).unwrap_or_else(|| "it is late".to_owned());
                Err(format!("{why}\n{}", tail(&dir.path().join("stderr.log"))))
            }
        }
    }
}

/// A router that runs until it is dropped.
pub(crate) struct Fanfare {
    process: Process,
    dir: TempDir,
    address: SocketAddr,
}

impl Fanfare {
    /// `fanfare serve` on a free port of the loopback, with plain HTTP and loopback receivers
    /// allowed; `store` is a folder or a `redis://` URL.
    pub(crate) fn serve(store: impl AsRef<OsStr>, tenants: &Path) -> Launch {
        let launch = Launch { args: vec![], env: vec![], within: PATIENCE, before: vec![] };
        let launch = launch.arg("serve").arg("--store").arg(store).arg("--tenants").arg(tenants);
        launch.arg("--listen").arg("127.0.0.1:0").arg("--development")
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://ADDRESS` and `path`.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// `GET path`.
    pub(crate) fn get(&self, path: &str) -> Answer {
        request(self.address, "GET", path, &[], b"").expect("fanfare answers")
    }

    /// `POST path` with a JSON body.
    pub(crate) fn post(&self, path: &str, body: &str) -> Answer {
        let headers = [("content-type", "application/json")];
        request(self.address, "POST", path, &headers, body.as_bytes()).expect("fanfare answers")
    }

    /// `GET path` with a key.
    pub(crate) fn get_with(&self, key: &str, path: &str) -> Answer {
        let key = format!("Bearer {key}");
        request(self.address, "GET", path, &[("authorization", &key)], b"")
            .expect("fanfare answers")
    }

    /// `POST path` with a JSON body and a key.
    pub(crate) fn post_with(&self, key: &str, path: &str, body: &str) -> Answer {
        let key = format!("Bearer {key}");
        let headers = [("content-type", "application/json"), ("authorization", &key)];
        request(self.address, "POST", path, &headers, body.as_bytes()).expect("fanfare answers")
    }

    /// The process id.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// `kill -9`.
    pub(crate) fn kill9(&mut self) {
        self.process.kill9();
    }

    /// Lets it do nothing until it is thawed.
    pub(crate) fn freeze(&mut self) {
        self.process.signal(Signal::SIGSTOP);
    }

    /// Lets it go on.
    pub(crate) fn thaw(&mut self) {
        self.process.signal(Signal::SIGCONT);
    }

    /// Asks it to stop gracefully.
    pub(crate) fn sigterm(&mut self) {
        self.process.signal(Signal::SIGTERM);
    }

    /// Asks it to load its tenants again.
    pub(crate) fn sighup(&mut self) {
        self.process.signal(Signal::SIGHUP);
    }

    /// Waits for its end.
    pub(crate) fn wait_exit(&mut self, within: Duration) -> ExitStatus {
        let status = self.process.wait_exit(within);
        status.unwrap_or_else(|| panic!("fanfare still runs after {within:?}"))
    }

    /// What it has written to standard error.
    pub(crate) fn stderr(&self) -> String {
        self.log("stderr.log")
    }

    /// What it has written to standard output.
    pub(crate) fn stdout(&self) -> String {
        self.log("stdout.log")
    }

    fn log(&self, name: &str) -> String {
        let bytes = fs::read(self.dir.path().join(name)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Drop for Fanfare {
    fn drop(&mut self) {
        if thread::panicking() {
            let log = self.dir.path().join("stderr.log");
            eprintln!("fanfare on {}:\n{}", self.address, tail(&log));
        }
    }
}

/// Runs a command of the binary to its end.
pub(crate) fn run_fanfare<S: AsRef<OsStr>>(args: &[S]) -> Output {
    start_fanfare(args).output()
}

/// Starts a command of the binary, with pipes for what it says.
pub(crate) fn start_fanfare<S: AsRef<OsStr>>(args: &[S]) -> Process {
    let mut command = binary(&[]);
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Process::spawn(command)
}

/// The binary, without the settings of whoever runs the tests.
fn binary(before: &[OsString]) -> Command {
    let own = OsString::from(env!("CARGO_BIN_EXE_fanfare"));
    let mut line = before.iter().chain([&own]);
    let program = line.next().expect("at least the binary");
    let mut command = command(&PathBuf::from(program));
    command.args(line);
    for (name, _) in env::vars_os() {
        if name == "RUST_LOG" || name.as_encoded_bytes().starts_with(b"FANFARE_") {
            command.env_remove(name);
        }
    }
    command
}

/// The address in the ready file, once something there says that it is ready.
fn ready(file: &Path) -> Option<SocketAddr> {
    let text = fs::read_to_string(file).ok()?;
    let address = text.trim().trim_start_matches("http://").parse().ok()?;
    let answer = request(address, "GET", "/readyz", &[], b"").ok()?;
    (answer.status == 200).then_some(address)
}
