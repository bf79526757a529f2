//! Starts what Fanfare is tested with: the real binary, Redis servers, and other programs.
//!
//! The integration tests, `fanfare-chaos` and `fanfare-bench` share this crate, so that starting,
//! waiting, killing and reading logs is written once. Every server listens on a free port of
//! 127.0.0.1, keeps its files in a folder of its own, and ends with its owner: on drop, on a panic,
//! and when the owner's process is killed.
//!
//! - `process`: a child process that cannot outlive this process.
//! - `launch`, `fanfare`: the options of a router, and the running router.
//! - `redis`: a server, a Cluster, and a master with a replica and a Sentinel.
//! - `programs`: where the programs are. `ports`: free ports. `wait`: polling with a limit.
//! - `usage`: the CPU time and the memory of a process. `http`: a minimal HTTP client.
//!
//! The core is plain `std`, so that tests need no runtime. A start is a loop around a poll, and each
//! start has two forms: the plain one blocks the thread, the one named `…_async` waits on tokio's
//! clock and can be cancelled by dropping it.

#![forbid(unsafe_code)]

mod fanfare;
mod http;
mod launch;
mod ports;
mod process;
pub mod programs;
mod redis;
pub mod usage;
mod wait;

use std::time::Duration;

pub use fanfare::{Fanfare, run_fanfare, start_fanfare};
pub use http::{Answer, request};
pub use launch::Launch;
pub use ports::free_port;
pub use process::{Process, command, log_file, tail};
pub use redis::{Cluster, Guarded, Redis, RedisLaunch};
pub use wait::{until, until_async};

/// How long a program may take to start on a machine that is busy with other tests.
pub const PATIENCE: Duration = Duration::from_secs(30);
