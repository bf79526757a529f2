//! Scripted receivers over real sockets.
//!
//! Tests use them to see what truly leaves the process; `fanfare demo` and `fanfare-bench` use them
//! as the other end of the wire. Each listens on a free port of 127.0.0.1, does to each message
//! what its script says, and stops when it is dropped.

#![forbid(unsafe_code)]

pub mod http;
pub mod smtp;

pub use crate::http::{HttpReceiver, Received, Reply};
pub use crate::smtp::{Mail, SmtpReceiver, SmtpReply, Stage};
