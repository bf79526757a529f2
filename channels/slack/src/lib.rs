//! The Slack channel: incoming webhooks and bot tokens, Block Kit, threads.

pub mod cut;
pub mod fit;
pub mod limits;
mod payload;
pub use payload::{Message, PayloadError, preview};
