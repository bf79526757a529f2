//! The Slack channel: incoming webhooks and bot tokens, Block Kit messages, threads.
//!
//! A template renders the message: a JSON object with `blocks` and a fallback `text`. The channel
//! brings it within Slack's limits, posts it, and turns every refusal into a verdict with a message
//! that says how to fix it. If Slack refuses the blocks, the message is sent as plain text instead
//! of being lost.
//!
//! | module | content |
//! | --- | --- |
//! | `settings` | a destination's settings |
//! | `payload` | from the template's output to a message |
//! | [`limits`], [`fit`], [`cut`] | Slack's limits, and how blocks and texts are made to fit |
//! | `send` | one attempt, and the simpler forms of a refused message |
//! | `thread` | the first message of each group of events |
//! | `connector` | slack-morphism's requests over one reqwest client |
//! | `fault` | the verdict on a failed call |

#![forbid(unsafe_code)]

mod channel;
mod connector;
pub mod cut;
mod fault;
pub mod fit;
pub mod limits;
mod payload;
mod send;
mod settings;
mod thread;

pub use channel::{Config, Error, SlackChannel};
pub use payload::{Message, PayloadError, preview};

/// The settings that are stored encrypted. The URL of an incoming webhook is a secret.
pub const SECRET_FIELDS: [&str; 2] = ["url", "token"];
