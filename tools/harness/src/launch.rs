//! How a router is started.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use tempfile::TempDir;

use crate::fanfare::{Fanfare, Files};
use crate::http::probe;
use crate::process::{Process, command, log_file, tail};
use crate::wait::{until, until_async};
use crate::{PATIENCE, programs};

/// The options of a router. It can be started many times, on the same store.
#[derive(Clone, Debug)]
pub struct Launch {
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    within: Duration,
    binary: Option<PathBuf>,
    /// A program that becomes the binary, and its own arguments.
    before: Vec<OsString>,
    /// Where its files go, and the beginning of their names.
    files: Option<(PathBuf, String)>,
}

impl Launch {
    /// `fanfare serve` on a free port of the loopback, with plain HTTP and loopback receivers
    /// allowed. `store` is a folder or a `redis://` URL.
    pub(crate) fn new(store: impl AsRef<OsStr>, tenants: &Path) -> Self {
        let launch = Self {
            args: vec![],
            env: vec![],
            within: PATIENCE,
            binary: None,
            before: vec![],
            files: None,
        };
        let launch = launch.arg("serve").arg("--store").arg(store).arg("--tenants").arg(tenants);
        launch.arg("--listen").arg("127.0.0.1:0").arg("--development")
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// Adds an environment variable.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.env.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// As in production: without `--development`.
    #[must_use]
    pub fn for_customers(mut self) -> Self {
        self.args.retain(|arg| arg != "--development");
        self
    }

    /// Listens at this address instead.
    #[must_use]
    pub fn listen(mut self, address: &str) -> Self {
        let at = self.args.iter().position(|arg| arg == "--listen").expect("it is always given");
        self.args[at + 1] = address.into();
        self
    }

    /// Starts another program that then becomes the router, for example `unshare`.
    #[must_use]
    pub fn behind<S: AsRef<OsStr>>(mut self, program: &[S]) -> Self {
        self.before = program.iter().map(|part| part.as_ref().to_owned()).collect();
        self
    }

    /// How long it may take to be ready; by default [`PATIENCE`].
    #[must_use]
    pub fn within(mut self, within: Duration) -> Self {
        self.within = within;
        self
    }

    /// Another binary than [`programs::fanfare`].
    #[must_use]
    pub fn binary(mut self, binary: &Path) -> Self {
        self.binary = Some(binary.to_owned());
        self
    }

    /// Keeps its logs in `dir`, as `NAME.log`, rather than in a folder that ends with the router. A
    /// router of the same name that is started later goes on in the same log.
    #[must_use]
    pub fn logs(mut self, dir: &Path, name: &str) -> Self {
        self.files = Some((dir.to_owned(), name.to_owned()));
        self
    }

    /// Starts the router and waits until it is ready.
    pub fn start(&self) -> Fanfare {
        self.try_start().unwrap_or_else(|error| panic!("{error:#}"))
    }

    /// Starts the router, which must refuse to run. Returns the exit status and the end of its log.
    pub fn refused(&self) -> String {
        match self.try_start() {
            Ok(_) => panic!("fanfare started, and should have refused"),
            Err(error) => format!("{error:#}"),
        }
    }

    fn try_start(&self) -> Result<Fanfare> {
        let mut starting = self.spawn()?;
        let ready = until(self.within, || starting.poll());
        starting.end(ready)
    }

    /// As [`Self::start`], without blocking the thread. The error has the end of the log.
    pub async fn start_async(&self) -> Result<Fanfare> {
        let mut starting = self.spawn()?;
        let ready = until_async(self.within, || starting.poll()).await;
        starting.end(ready)
    }

    fn spawn(&self) -> Result<Starting> {
        let files = match &self.files {
            Some((dir, name)) => Files::new(None, dir.clone(), name),
            None => {
                let dir = TempDir::new().context("a temporary folder")?;
                let path = dir.path().to_owned();
                Files::new(Some(dir), path, "router")
            }
        };
        // A router of the same name may have left it.
        let _ = fs::remove_file(&files.ready);
        let mut serve = binary(self.binary.as_deref(), &self.before)?;
        serve
            .args(&self.args)
            .arg("--ready-file")
            .arg(&files.ready)
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .current_dir(&files.dir)
            .stdin(Stdio::null())
            .stdout(log_file(&files.stdout)?)
            .stderr(log_file(&files.stderr)?);
        let began = Instant::now();
        let process = Process::try_spawn(serve)?;
        Ok(Starting { process, files, began, listening: None })
    }
}

/// A router that is not ready yet.
struct Starting {
    process: Process,
    files: Files,
    began: Instant,
    /// Its address, and how long it took to write its ready file.
    listening: Option<(SocketAddr, Duration)>,
}

impl Starting {
    /// It is ready when its ready file names an address and `/readyz` agrees.
    fn poll(&mut self) -> Option<Result<()>> {
        if let Some(status) = self.process.exited() {
            return Some(Err(anyhow!("it ended: {status}")));
        }
        if self.listening.is_none() {
            let address = fs::read_to_string(&self.files.ready).ok()?.trim().parse().ok()?;
            self.listening = Some((address, self.began.elapsed()));
        }
        let (address, _) = self.listening?;
        let answer = probe(address, "/readyz").ok()?;
        (answer.status == 200).then_some(Ok(()))
    }

    fn end(self, ready: Option<Result<()>>) -> Result<Fanfare> {
        let why = match (ready, self.listening) {
            (Some(Ok(())), Some((address, took))) => {
                return Ok(Fanfare::new(self.process, self.files, address, took));
            }
            (Some(Err(error)), _) => format!("{error}"),
            _ => "it is late".to_owned(),
        };
        Err(anyhow!("fanfare is not ready: {why}\n{}", tail(&self.files.stderr)))
    }
}

/// The binary, without the settings of the person who runs this.
pub(crate) fn binary(given: Option<&Path>, before: &[OsString]) -> Result<Command> {
    let own = match given {
        // It is started in another folder.
        Some(given) => std::path::absolute(given)?,
        None => programs::fanfare()?,
    };
    let own = OsString::from(own);
    let mut line = before.iter().chain([&own]);
    let program = line.next().context("at least the binary")?;
    let mut command = command(Path::new(program));
    command.args(line);
    for (name, _) in env::vars_os() {
        if name == "RUST_LOG" || name.as_encoded_bytes().starts_with(b"FANFARE_") {
            command.env_remove(name);
        }
    }
    Ok(command)
}
