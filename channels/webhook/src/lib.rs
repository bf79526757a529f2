//! Webhooks: signed POSTs of an event's exact bytes.
//!
//! Every request carries two signatures ([`signature`]), goes only to addresses that the [`guard`]
//! lets pass, follows no redirect, and is never repeated behind the router's back.
//!
//! A walk: `settings` turns a destination's JSON into what every attempt needs, `request` adds what
//! changes, `channel` sends it and reads the answer, `failure` makes a verdict of what went wrong.

#![forbid(unsafe_code)]

mod channel;
mod client;
mod config;
mod failure;
pub mod guard;
mod request;
mod resolver;
mod secret;
mod settings;
pub mod signature;

pub use channel::WebhookChannel;
pub use config::{Config, Error};
pub use resolver::Resolve;

/// The settings that are kept encrypted. A URL may hold a password, and many a path or query is one.
pub const SECRET_FIELDS: [&str; 4] = ["url", "secret", "previous_secrets", "headers"];
