//! SMTP as a client: dialling, one connection's conversation, the pool of connections.
//!
//! lettre speaks the protocol; its pool is not used. A connection goes back to ours only after a
//! complete exchange, so no mail can ever read the answer to another; or it goes over to the mail that
//! was announced behind the last message.

mod connection;
mod dial;
mod line;
mod pool;
mod reply;

use std::fmt;
use std::io;

pub(crate) use dial::Dialer;
pub(crate) use pool::Pool;
pub(crate) use reply::Reply;

/// Where in the conversation something happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Greeting,
    Tls,
    Hello,
    Auth,
    Sender,
    Recipient,
    Data,
    /// From the first byte of the message on: the server may have taken it.
    Message,
    Reset,
}

impl Step {
    /// Whether a refusal here is of this mail, not of the client.
    pub(crate) fn is_about_the_mail(self) -> bool {
        matches!(self, Self::Sender | Self::Recipient | Self::Data | Self::Message)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Greeting => "the greeting",
            Self::Tls => "STARTTLS",
            Self::Hello => "EHLO",
            Self::Auth => "AUTH",
            Self::Sender => "the sender",
            Self::Recipient => "the recipient",
            Self::Data => "DATA",
            Self::Message => "the message",
            Self::Reset => "RSET",
        })
    }
}

/// Why a mail was not taken, or is not known to be.
#[derive(Debug)]
pub(crate) enum SmtpError {
    /// The host name does not resolve.
    Dns(io::Error),
    /// No TCP connection.
    Connect(io::Error),
    /// No TLS.
    Tls(String),
    /// No way to authenticate was found.
    Auth(String),
    /// The server said no.
    Refused(Step, Reply),
    /// No answer in time.
    Timeout(Step),
    /// The connection ended or the answer could not be read.
    Lost(Step),
    /// An answer that does not belong to the question.
    Protocol(Step, u16),
    /// More than the server said it takes.
    TooBig { size: usize, limit: usize },
}

impl SmtpError {
    /// Whether a kept connection had merely been closed by the server in the meantime: nothing was
    /// sent that it could have taken, so another connection may be tried at once.
    fn is_stale(&self) -> bool {
        match self {
            Self::Lost(step) => *step != Step::Message,
            Self::Refused(step, reply) => reply.is_farewell() && *step != Step::Message,
            _ => false,
        }
    }
}
