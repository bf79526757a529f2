//! Fanfare: events in, every tenant's routing table decides who hears of them, signed webhooks,
//! templated email and rich Slack messages out. See ARCHITECTURE.md for the map.

#![forbid(unsafe_code)]

// The conformance suite of the stores names the crate as those outside do.
#[cfg(test)]
extern crate self as fanfare;

#[cfg(test)]
#[path = "../tests/it/conformance/mod.rs"]
mod conformance;
#[cfg(test)]
mod testing;

pub mod access;
pub mod agenda;
pub mod api;
pub mod app;
pub mod audit;
pub mod bench;
pub mod catalogue;
pub mod cli;
pub mod config;
pub mod delivery;
pub mod event;
pub mod observe;
pub mod ops;
pub mod pipeline;
pub mod render;
pub mod routing;
pub mod secrets;
pub mod store;
pub mod tenant;
