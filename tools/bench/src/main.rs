//! Measures how fast this machine can be, how fast a hand-written consumer is, and how fast Fanfare
//! is, side by side.
//!
//! `cargo xtask bench` builds this program and the router and runs it.
//!
//! Every part of a measurement is a process of its own: the sink that receives and the loads that
//! send (this program again, with a hidden subcommand), a `redis-server`, and the router under test,
//! the `fanfare` binary with everything switched on. All of them stay on 127.0.0.1.
//!
//! - `cases`: what each case starts, sends and measures. `mail`, `many` and `rest` hold the cases
//!   that need most of their own code.
//! - `isolation`: a second question, how much healthy destinations notice of broken ones.
//! - `actors`: the processes. `usage`: what they cost. `tables`: the tenant files that the router
//!   gets.
//! - `load`: the senders. `peers`: the limits, the hand-written consumer and the sink.
//! - `run`: rounds over the cases. `report`: medians and ratios. `print`, `plot`: how they are shown.
//!
//! Build it with the profile `release`, whatever the router under test is built with: at
//! `opt-level = 3` the limits are the machine's and not the compiler's.

#![forbid(unsafe_code)]

mod actors;
mod cases;
mod cli;
mod isolation;
mod load;
mod mail;
mod many;
mod peers;
mod plot;
mod print;
mod report;
mod rest;
mod run;
mod tables;
mod usage;

use std::process::ExitCode;

/// The router's allocator, so that limits and router differ in what they do alone.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // reqwest is built without a TLS provider of its own. Nothing here speaks TLS, but it asks.
    let _ = rustls::crypto::ring::default_provider().install_default();
    cli::main()
}
