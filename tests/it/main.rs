//! The integration tests: the real binary and crates against real servers, peers and verifiers.

#[path = "../support/mod.rs"]
mod support;

mod access;
mod api;
mod audited;
mod backup;
mod bad_input;
mod chaos;
mod cli;
mod conformance;
mod crash;
mod delivery_states;
mod docs;
mod earlier_data;
mod embedded;
mod environments;
mod erasure;
mod examples;
mod failover;
mod forgery;
mod main_path;
mod memory;
mod observed;
mod packaging;
mod peers;
mod processes;
mod recovery;
mod redis_faults;
mod redis_store;
mod retention;
mod safety;
mod scene;
mod secrets;
mod supervised;
mod verifiers;
