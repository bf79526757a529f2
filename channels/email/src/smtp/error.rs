//! Why a mail was not accepted, and at which step of the conversation.

use std::fmt;
use std::io;

use super::reply::Reply;

/// A step of the conversation with the mail server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Greeting,
    Tls,
    Hello,
    Auth,
    Sender,
    Recipient,
    Data,
    /// From the first byte of the message on. The server may accept it even if its reply is lost.
    Message,
    Reset,
}

impl Step {
    /// Whether a refusal at this step concerns the mail and not the client.
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

/// Why a mail was not accepted, or is not known to be.
#[derive(Debug)]
pub(crate) enum SmtpError {
    /// The host name does not resolve.
    Dns(io::Error),
    /// The TCP connection failed.
    Connect(io::Error),
    /// TLS failed.
    Tls(String),
    /// The server offers no usable authentication.
    Auth(String),
    /// The server refused the step.
    Refused(Step, Reply),
    /// The server did not reply in time.
    Timeout(Step),
    /// The connection ended, or the reply is unreadable.
    Lost(Step, io::Error),
    /// The reply does not belong to the command.
    Protocol(Step, u16),
    /// The message is larger than the server accepts.
    TooBig { size: usize, limit: usize },
}

impl SmtpError {
    /// Whether the server had closed a reused connection in the meantime. It cannot have accepted
    /// the message, so another connection can be tried at once.
    pub(super) fn is_stale(&self) -> bool {
        match self {
            Self::Lost(step, _) => *step != Step::Message,
            Self::Refused(step, reply) => reply.is_farewell() && *step != Step::Message,
            _ => false,
        }
    }
}
