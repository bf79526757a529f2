//! The SMTP client: opening connections, one mail's exchange, and the pool of connections.
//!
//! lettre composes the messages, but its transport is not used. Its parser takes a reply without a
//! text, or in another encoding than UTF-8, for a broken connection. Its pool takes a connection
//! back even if a send was dropped halfway. The next mail then reads the reply to the dropped one
//! and can be reported as sent although the server refused it. In this pool, a connection is reused
//! only after a complete exchange.

mod connection;
mod dial;
mod error;
mod pool;
mod reply;
mod wire;

pub(crate) use dial::Dialer;
pub(crate) use error::{SmtpError, Step};
pub(crate) use pool::Pool;
pub(crate) use reply::Reply;
