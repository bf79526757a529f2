//! The integration tests: the real binary and crates against real servers, peers and verifiers.

#[path = "../support/mod.rs"]
mod support;

mod chaos;
mod conformance;
mod embedded;
mod peers;
mod processes;
mod redis_store;
mod verifiers;
