//! Email over SMTP: one message for each recipient of a destination, rendered by the router's
//! templates, put together and signed by lettre, sent over a small pool of connections.
//!
//! | module | what lives there |
//! | --- | --- |
//! | `config` | the operator's settings, checked once at start |
//! | `settings` | a tenant's destination: `to`, `from`, `reply_to` |
//! | `address` | one mailbox as people write it |
//! | `compose` | the headers of a message, its parts, its signature |
//! | `mime` | parts put together |
//! | `body` | the encoding of a part |
//! | `digest` | the CSV file of a digest |
//! | `dkim` | keys in, signature out |
//! | `smtp` | connections, their pool, one exchange |
//! | `verdict` | what an SMTP failure means for the delivery |

#![forbid(unsafe_code)]

mod address;
mod body;
mod channel;
mod compose;
mod config;
mod digest;
mod dkim;
mod mime;
mod settings;
mod smtp;
mod text;
mod verdict;

pub use channel::EmailChannel;
pub use config::{Config, DkimConfig, Error, Security};
