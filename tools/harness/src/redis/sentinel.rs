//! A Redis master with a replica and a Sentinel.

use std::fs;
use std::process::Stdio;
use std::thread;

use tempfile::TempDir;

use super::{Redis, ask};
use crate::ports::free_port;
use crate::process::{Process, command, log_file, tail};
use crate::wait::until;
use crate::{PATIENCE, programs};

/// A master, a replica of it, and a Sentinel that replaces the one by the other.
pub struct Guarded {
    /// The first master.
    pub master: Redis,
    /// The first replica.
    pub replica: Redis,
    port: u16,
    sentinel: Process,
    dir: TempDir,
}

impl Guarded {
    /// What the Sentinel calls the master.
    pub const NAME: &str = "fanfare";

    /// Starts all three, and waits until the Sentinel knows the replica.
    pub fn start() -> Self {
        let master = Redis::start_durable();
        let of = format!("127.0.0.1 {}", master.port());
        let follow: Vec<&str> = ["--replicaof"].into_iter().chain(of.split(' ')).collect();
        let replica = Redis::start_with(&[&follow[..], &Redis::DURABLE[..]].concat());
        let dir = TempDir::new().expect("a temporary folder");
        let port = free_port();
        let name = Self::NAME;
        let settings = format!(
            "port {port}\nbind 127.0.0.1\ndir {}\nsentinel monitor {name} {of} 1\n\
             sentinel down-after-milliseconds {name} 700\nsentinel failover-timeout {name} 3000\n",
            dir.path().display()
        );
        fs::write(dir.path().join("sentinel.conf"), settings).expect("our own folder");
        let server = programs::redis_server().unwrap_or_else(|error| panic!("{error:#}"));
        let mut program = command(&server);
        program.arg(dir.path().join("sentinel.conf")).arg("--sentinel");
        program.stdin(Stdio::null()).stderr(Stdio::null());
        program.stdout(log_file(&dir.path().join("sentinel.log")).expect("our own folder"));
        let sentinel = Process::spawn(program);
        let guarded = Self { master, replica, port, sentinel, dir };
        let ready = || {
            let known: redis::RedisResult<Vec<redis::Value>> =
                guarded.ask(&["SENTINEL", "REPLICAS", name]);
            known.ok().filter(|replicas| replicas.len() == 1).map(drop)
        };
        until(PATIENCE, ready).expect("the Sentinel finds the replica");
        guarded
    }

    /// `redis+sentinel://…`
    pub fn url(&self) -> String {
        format!("redis+sentinel://127.0.0.1:{}/{}", self.port, Self::NAME)
    }

    /// The port of the master, as the Sentinel tells clients.
    pub fn master_port(&self) -> u16 {
        let told: redis::RedisResult<(String, u16)> =
            self.ask(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", Self::NAME]);
        told.expect("the Sentinel answers").1
    }

    fn ask<T: redis::FromRedisValue>(&self, words: &[&str]) -> redis::RedisResult<T> {
        ask(self.port, words)
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        if thread::panicking() {
            let running = self.sentinel.exited().is_none();
            let log = tail(&self.dir.path().join("sentinel.log"));
            eprintln!("sentinel on {} (running: {running}):\n{log}", self.port);
        }
    }
}
