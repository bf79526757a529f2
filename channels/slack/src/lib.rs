//! The Slack channel: incoming webhooks and bot tokens, Block Kit, threads.
//!
//! A template makes the message (a JSON object of `blocks` and a fallback `text`); this crate brings
//! it within Slack's limits ([`limits`], [`fit`], [`cut`]), posts it through slack-morphism over one
//! reqwest client, and says of every refusal what it means and what would mend it. What Slack
//! refuses for its form is sent again as plain text rather than lost.
//!
//! Settings of a destination: `url` of an incoming webhook, or a bot's `token` and `slack_channel`;
//! `group_by`, a path in the envelope whose value tells threads apart (bot tokens only, a webhook
//! does not learn the ids of its messages); `updates`, `thread` or `edit`.

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

/// The settings that are kept encrypted: whoever knows an incoming webhook's URL can post to it.
pub const SECRET_FIELDS: [&str; 2] = ["url", "token"];
