//! How the integration tests start what they talk to: real servers, real peers, the real binary.
//!
//! Everything listens on a free port of 127.0.0.1, keeps its files in a folder of its own, and ends
//! with its owner: on drop, on a panic, and when the test process itself is killed. What a test
//! cannot find makes it fail with the command that installs it; nothing is skipped.

#![allow(dead_code, unused_imports, reason = "a harness offers more than today's tests take")]

mod fanfare;
mod http;
mod peer;
mod process;
mod redis;
mod redis_groups;
mod tools;

pub(crate) use fanfare::{Fanfare, Launch, run_fanfare, start_fanfare};
pub(crate) use http::{Answer, request};
pub(crate) use peer::{
    Attachment, Hook, Judgement, Mail, Peer, SlackCall, Verdict, run_peer, run_verifier,
    run_verifier_on_each,
};
pub(crate) use process::{Process, command, until};
pub(crate) use redis::Redis;
pub(crate) use redis_groups::{Cluster, Guarded};
pub(crate) use tools::{bin, node, python};

use std::time::Duration;

/// How long something may take to start on a machine that is busy with other tests.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
