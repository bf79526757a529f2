//! What the integration tests start: the router and Redis servers of `fanfare-harness`, and the
//! receivers, producers and verifiers of `tests/peers`.
//!
//! What a test cannot find makes it fail with the command that installs it; nothing is skipped.

mod peer;

use std::path::PathBuf;

pub(crate) use fanfare_harness::{
    Answer, Cluster, Fanfare, Guarded, Launch, PATIENCE, Process, Redis, command, programs,
    request, run_fanfare, start_fanfare, until, usage,
};
pub(crate) use peer::{
    Hook, Mail, Peer, SlackCall, Verdict, node, python, run_peer, run_peer_lines, run_verifier,
    run_verifier_on_each,
};

/// A program that `cargo xtask tools` installs.
pub(crate) fn bin(name: &str) -> PathBuf {
    programs::require(name).unwrap_or_else(|error| panic!("{error:#}"))
}
