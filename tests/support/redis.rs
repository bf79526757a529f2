//! A real Redis server.

use std::hash::{BuildHasher as _, RandomState};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use tempfile::TempDir;

use super::PATIENCE;
use super::process::{Process, command, log_file, tail, until};
use super::tools::bin;

/// A `redis-server` of its own, on 127.0.0.1, ended on drop. It keeps its port and its folder when
/// it is killed and restarted.
pub(crate) struct Redis {
    process: Option<Process>,
    dir: TempDir,
    port: u16,
    args: Vec<String>,
}

impl Redis {
    /// Options with which nothing that was answered is lost: written and synced before the answer.
    pub(crate) const DURABLE: [&str; 4] = ["--appendonly", "yes", "--appendfsync", "always"];

    /// A server that keeps nothing when it ends.
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// A server with [`Self::DURABLE`].
    pub(crate) fn start_durable() -> Self {
        Self::start_with(&Self::DURABLE)
    }

    /// A server with more options, as on its command line.
    pub(crate) fn start_with(args: &[&str]) -> Self {
        let dir = TempDir::new().expect("a temporary folder");
        let args = args.iter().map(|arg| (*arg).to_owned()).collect();
        let mut redis = Self { process: None, dir, port: 0, args };
        // Between our look at a port and Redis taking it, someone else may.
        for _ in 0..20 {
            redis.port = free_port();
            if redis.launch() {
                return redis;
            }
        }
        panic!("redis-server does not start:\n{}", tail(&redis.log()));
    }

    /// `redis://127.0.0.1:PORT/`
    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// Where it keeps what it keeps.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The port.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The folder that its files are in.
    pub(crate) fn folder(&self) -> &Path {
        self.dir.path()
    }

    /// Sends one command as any client would; it must be taken.
    pub(crate) fn ask<T: redis::FromRedisValue>(&self, words: &[&str]) -> T {
        self.try_ask(words).unwrap_or_else(|error| panic!("{words:?}: {error}"))
    }

    /// As [`Self::ask`], of a server that may be away or refuse it.
    pub(crate) fn try_ask<T: redis::FromRedisValue>(
        &self,
        words: &[&str],
    ) -> redis::RedisResult<T> {
        let mut cmd = redis::Cmd::new();
        for word in words {
            cmd.arg(*word);
        }
        cmd.query(&mut self.connect()?)
    }

    /// A connection of the blocking client, for looking into the server.
    pub(crate) fn connection(&self) -> redis::Connection {
        self.connect().expect("the server answers")
    }

    /// `kill -9`. The port stays ours for [`Self::restart`].
    pub(crate) fn kill9(&mut self) {
        self.process = None;
    }

    /// Ends it as an operator would: what is to be kept is written first.
    pub(crate) fn shutdown(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.signal(Signal::SIGTERM);
            let status = process.wait_exit(PATIENCE);
            assert!(status.is_some(), "redis-server does not end:\n{}", tail(&self.log()));
        }
    }

    /// Starts it again, on the same port and with the same folder; ends it first if it runs.
    pub(crate) fn restart(&mut self) {
        self.shutdown();
        let back = until(PATIENCE, || self.launch().then_some(()));
        assert!(back.is_some(), "redis-server does not come back:\n{}", tail(&self.log()));
    }

    /// Starts the process and waits until it answers; `false` if it ended instead.
    fn launch(&mut self) -> bool {
        let mut server = command(&bin("redis-server"));
        server
            .args(["--bind", "127.0.0.1", "--port", &self.port.to_string()])
            .args(["--save", "", "--daemonize", "no", "--dir"])
            .arg(self.dir.path())
            .args(&self.args)
            .stdin(Stdio::null())
            .stdout(log_file(&self.log()))
            .stderr(Stdio::null());
        let mut process = Process::spawn(server);
        let answers = until(PATIENCE, || {
            if process.exited().is_some() {
                return Some(false);
            }
            // Another server may have the port: only our own process counts.
            (self.process_id() == Some(process.id())).then_some(true)
        });
        let ready = answers == Some(true);
        self.process = ready.then_some(process);
        ready
    }

    /// The id that the server at our port says it has, once it has loaded its data.
    fn process_id(&self) -> Option<u32> {
        let mut connection = self.connect().ok()?;
        let pong: String = redis::cmd("PING").query(&mut connection).ok()?;
        let info: redis::InfoDict = redis::cmd("INFO").arg("server").query(&mut connection).ok()?;
        info.get("process_id").filter(|_| pong == "PONG")
    }

    fn connect(&self) -> redis::RedisResult<redis::Connection> {
        let client = redis::Client::open(self.url())?;
        let connection = client.get_connection_with_timeout(Duration::from_secs(5))?;
        connection.set_read_timeout(Some(PATIENCE))?;
        Ok(connection)
    }

    fn log(&self) -> PathBuf {
        self.dir.path().join("redis.log")
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("redis-server on {}:\n{}", self.port, tail(&self.log()));
        }
    }
}

/// A port that is free now, from below the range that the kernel gives to outgoing connections: one
/// of those could otherwise take it while the server is down.
pub(super) fn free_port() -> u16 {
    const FIRST: u16 = 12_000;
    const COUNT: u16 = 20_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let seed = RandomState::new().hash_one(std::process::id()) % u64::from(COUNT);
    let seed = u16::try_from(seed).expect("less than a u16");
    loop {
        let port = FIRST + seed.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
