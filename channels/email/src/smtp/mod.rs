//! The SMTP client: opening connections, one mail's exchange, and the pool of connections.
//!
//! lettre implements the protocol, but its pool is not used. lettre's pool takes a connection back
//! even if a send was dropped halfway. The next mail then reads the reply to the dropped one and
//! can be reported as sent although the server refused it. In this pool, a connection is reused
//! only after a complete exchange.

mod connection;
mod dial;
mod error;
mod pool;
mod reply;

pub(crate) use dial::Dialer;
pub(crate) use error::{SmtpError, Step};
pub(crate) use pool::Pool;
pub(crate) use reply::Reply;
