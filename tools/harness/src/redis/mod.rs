//! A real Redis server.

mod cluster;
mod sentinel;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;
use tempfile::TempDir;

pub use cluster::Cluster;
pub use sentinel::Guarded;

use crate::ports::free_port;
use crate::process::{Process, command, log_file, tail};
use crate::wait::{until, until_async};
use crate::{PATIENCE, programs};

/// How often a start is tried. Another program may take the port before Redis does.
const TRIES: usize = 20;

/// The options of a server.
#[derive(Clone, Debug, Default)]
pub struct RedisLaunch {
    program: Option<PathBuf>,
    dir: Option<PathBuf>,
    args: Vec<String>,
}

impl RedisLaunch {
    /// Options as on the server's command line.
    #[must_use]
    pub fn args(mut self, args: &[&str]) -> Self {
        self.args.extend(args.iter().map(|arg| (*arg).to_owned()));
        self
    }

    /// Keeps its files in `dir`, which is made if need be, rather than in a folder that ends with
    /// the server.
    #[must_use]
    pub fn dir(mut self, dir: &Path) -> Self {
        self.dir = Some(dir.to_owned());
        self
    }

    /// Another server than that of [`programs::redis_server`].
    #[must_use]
    pub fn program(mut self, program: &Path) -> Self {
        self.program = Some(program.to_owned());
        self
    }

    /// Starts the server and waits until it answers.
    pub fn start(self) -> Redis {
        let mut redis = self.prepare().unwrap_or_else(|error| panic!("{error:#}"));
        for _ in 0..TRIES {
            redis.port = free_port();
            if redis.launch() {
                return redis;
            }
        }
        panic!("{:#}", redis.failed("does not start"));
    }

    /// As [`Self::start`], without blocking the thread.
    pub async fn start_async(self) -> Result<Redis> {
        let mut redis = self.prepare()?;
        for _ in 0..TRIES {
            redis.port = free_port();
            if redis.launch_async().await? {
                return Ok(redis);
            }
        }
        Err(redis.failed("does not start"))
    }

    fn prepare(self) -> Result<Redis> {
        let program = match self.program {
            Some(program) => program,
            None => programs::redis_server()?,
        };
        let own = TempDir::new().context("a temporary folder")?;
        let dir = self.dir.unwrap_or_else(|| own.path().to_owned());
        std::fs::create_dir_all(&dir)?;
        Ok(Redis { process: None, program, dir, _own: own, port: 0, args: self.args })
    }
}

/// A `redis-server` on 127.0.0.1 that ends on drop. It keeps its port and its folder when it is
/// killed and restarted.
pub struct Redis {
    process: Option<Process>,
    program: PathBuf,
    dir: PathBuf,
    _own: TempDir,
    port: u16,
    args: Vec<String>,
}

impl Redis {
    /// Options with which Redis loses nothing that it answered: it writes and syncs first.
    pub const DURABLE: [&str; 4] = ["--appendonly", "yes", "--appendfsync", "always"];

    /// The options of a server, to be started.
    pub fn launch_with(args: &[&str]) -> RedisLaunch {
        RedisLaunch::default().args(args)
    }

    /// A server that keeps nothing when it ends.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// A server with [`Self::DURABLE`].
    pub fn start_durable() -> Self {
        Self::start_with(&Self::DURABLE)
    }

    /// A server with more options, as on its command line.
    pub fn start_with(args: &[&str]) -> Self {
        Self::launch_with(args).start()
    }

    /// `redis://127.0.0.1:PORT/`
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The folder of its files.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The process id, while it runs.
    pub fn id(&self) -> Option<u32> {
        self.process.as_ref().map(Process::id)
    }

    /// Sends one command as any client would. The server must accept it.
    pub fn ask<T: redis::FromRedisValue>(&self, words: &[&str]) -> T {
        self.try_ask(words).unwrap_or_else(|error| panic!("{words:?}: {error}"))
    }

    /// As [`Self::ask`], for a server that may be away or refuse it.
    pub fn try_ask<T: redis::FromRedisValue>(&self, words: &[&str]) -> redis::RedisResult<T> {
        ask(self.port, words)
    }

    /// A connection of the blocking client.
    pub fn connection(&self) -> redis::Connection {
        connect(self.port, PATIENCE).expect("the server answers")
    }

    /// `kill -9`. The port stays reserved for [`Self::restart`].
    pub fn kill9(&mut self) {
        self.process = None;
    }

    /// Ends it as an operator would: it writes first what it keeps.
    pub fn shutdown(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.signal(Signal::SIGTERM);
            let status = process.wait_exit(PATIENCE);
            assert!(status.is_some(), "{:#}", self.failed("does not end"));
        }
    }

    /// As [`Self::shutdown`], without blocking the thread.
    pub async fn shutdown_async(&mut self) -> Result<()> {
        if let Some(mut process) = self.process.take()
            && process.stop_async(PATIENCE).await.is_none()
        {
            return Err(self.failed("does not end"));
        }
        Ok(())
    }

    /// Starts it again, on the same port and with the same folder; ends it first if it runs.
    pub fn restart(&mut self) {
        self.shutdown();
        let back = until(PATIENCE, || self.launch().then_some(()));
        assert!(back.is_some(), "{:#}", self.failed("does not come back"));
    }

    /// As [`Self::restart`], without blocking the thread.
    pub async fn restart_async(&mut self) -> Result<()> {
        self.shutdown_async().await?;
        let end = Instant::now() + PATIENCE;
        while !self.launch_async().await? {
            ensure!(Instant::now() < end, self.failed("does not come back"));
        }
        Ok(())
    }

    /// Starts the process and waits until it answers; `false` if it ended instead.
    fn launch(&mut self) -> bool {
        let mut process = self.spawn().unwrap_or_else(|error| panic!("{error:#}"));
        let answers = until(PATIENCE, || self.poll(&mut process));
        self.keep(process, answers)
    }

    async fn launch_async(&mut self) -> Result<bool> {
        let mut process = self.spawn()?;
        let answers = until_async(PATIENCE, || self.poll(&mut process)).await;
        Ok(self.keep(process, answers))
    }

    fn spawn(&self) -> Result<Process> {
        let mut server = command(&self.program);
        server
            .args(["--bind", "127.0.0.1", "--port", &self.port.to_string()])
            .args(["--save", "", "--daemonize", "no", "--dir"])
            .arg(&self.dir)
            .args(&self.args)
            .stdin(Stdio::null())
            .stdout(log_file(&self.log())?)
            .stderr(Stdio::null());
        Process::try_spawn(server)
    }

    /// Whether the process answers, or has ended.
    fn poll(&self, process: &mut Process) -> Option<bool> {
        if process.exited().is_some() {
            return Some(false);
        }
        // Another server may have the port: only our own process counts.
        (self.process_id() == Some(process.id())).then_some(true)
    }

    fn keep(&mut self, process: Process, answers: Option<bool>) -> bool {
        let ready = answers == Some(true);
        self.process = ready.then_some(process);
        ready
    }

    /// The id that the server at our port says it has, once it has loaded its data.
    fn process_id(&self) -> Option<u32> {
        let mut connection = connect(self.port, SOON).ok()?;
        let pong: String = redis::cmd("PING").query(&mut connection).ok()?;
        let info: redis::InfoDict = redis::cmd("INFO").arg("server").query(&mut connection).ok()?;
        info.get("process_id").filter(|_| pong == "PONG")
    }

    fn log(&self) -> PathBuf {
        self.dir.join("redis.log")
    }

    fn failed(&self, what: &str) -> anyhow::Error {
        anyhow::anyhow!("redis-server {what}:\n{}", tail(&self.log()))
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("redis-server on {}:\n{}", self.port, tail(&self.log()));
        }
    }
}

/// For a poll: a server that is there answers well within it.
const SOON: Duration = Duration::from_secs(1);

fn ask<T: redis::FromRedisValue>(port: u16, words: &[&str]) -> redis::RedisResult<T> {
    let mut cmd = redis::Cmd::new();
    for word in words {
        cmd.arg(*word);
    }
    cmd.query(&mut connect(port, PATIENCE)?)
}

fn connect(port: u16, within: Duration) -> redis::RedisResult<redis::Connection> {
    let client = redis::Client::open(format!("redis://127.0.0.1:{port}/"))?;
    let connection = client.get_connection_with_timeout(within)?;
    connection.set_read_timeout(Some(within))?;
    Ok(connection)
}
