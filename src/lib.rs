//! Fanfare: events in, every tenant's routing table decides who hears of them, signed webhooks,
//! templated email and rich Slack messages out. See ARCHITECTURE.md for the map.

pub mod agenda;
pub mod api;
pub mod app;
pub mod cli;
pub mod config;
pub mod delivery;
pub mod event;
pub mod ops;
pub mod pipeline;
pub mod render;
pub mod routing;
pub mod store;
pub mod tenant;
