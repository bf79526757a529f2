//! Fanfare: events in, every tenant's routing table decides who hears of them, signed webhooks,
//! templated email and rich Slack messages out. See ARCHITECTURE.md for the map.

#![forbid(unsafe_code)]

#[cfg(test)]
mod testing;

pub mod access;
pub mod agenda;
pub mod api;
pub mod app;
pub mod audit;
pub mod catalogue;
pub mod cli;
pub mod config;
pub mod delivery;
pub mod event;
mod flow;
pub mod observe;
pub mod ops;
pub mod persist;
pub mod pipeline;
pub mod secrets;
pub mod tenant;
