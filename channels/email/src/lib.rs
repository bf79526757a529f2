//! The email channel: one message over SMTP for each recipient of a destination.
//!
//! The router's templates render the message. lettre provides headers, encodings and the SMTP protocol.
//!
//! | module | content |
//! | --- | --- |
//! | `config` | the operator's settings, checked at startup |
//! | `settings` | a destination's settings: `to`, `from`, `reply_to` |
//! | `address` | parses a mailbox |
//! | `senders` | the domains that mail can come from |
//! | `channel` | the policy, and one attempt |
//! | `compose` | a message: headers, parts, signature |
//! | `mime`, `body` | the parts of a body, and their text |
//! | `digest`, `cell` | the CSV file of a digest, and its cells |
//! | `dkim` | reads the key and signs |
//! | `smtp` | connections, their pool, and the exchange of one mail |
//! | `verdict` | what an SMTP failure means for the delivery |
//! | `text` | makes untrusted text fit for headers and errors |

#![forbid(unsafe_code)]

mod address;
mod body;
mod cell;
mod channel;
mod compose;
mod config;
mod digest;
mod dkim;
mod mime;
mod senders;
mod settings;
mod smtp;
mod text;
mod verdict;

pub use channel::EmailChannel;
pub use config::{Config, DkimConfig, Error, Security};
