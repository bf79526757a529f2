//! The webhook channel: signed POST requests with an event's exact bytes.
//!
//! Every request carries two signatures ([`signature`]) and goes only to addresses that the
//! [`guard`] allows. Redirects are not followed, and the channel never retries by itself.
//!
//! | module | content |
//! | --- | --- |
//! | `config` | the operator's settings |
//! | `settings` | a destination's settings, from JSON to what every attempt needs |
//! | `request` | the signed request of one attempt |
//! | `channel` | sends the request and reads the answer |
//! | `failure` | the verdict on a failed attempt |
//! | `client`, `resolver`, `guard` | connections, names and addresses |
//! | `secret`, `signature` | keys and the two signature schemes |

#![forbid(unsafe_code)]

mod channel;
mod client;
mod config;
mod connection;
mod failure;
pub mod guard;
mod request;
mod resolver;
mod secret;
mod settings;
pub mod signature;

pub use channel::WebhookChannel;
pub use config::{Config, Error};

/// The settings that are stored encrypted. A URL can hold a secret in its user, path or query.
pub const SECRET_FIELDS: [&str; 4] = ["url", "secret", "previous_secrets", "headers"];
/// The secrets among them that sign requests and are never sent.
pub const SIGNING_FIELDS: [&str; 2] = ["secret", "previous_secrets"];
