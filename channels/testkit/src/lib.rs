//! x

pub mod smtp;

pub use crate::smtp::{Mail, SmtpReceiver, SmtpReply, Stage};
