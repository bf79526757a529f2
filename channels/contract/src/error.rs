//! Why an attempt failed. The error carries the verdict on what happens next.

use std::error::Error;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use crate::{AnswerPart, Resent};

/// What happens after a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The attempt is worth a retry, but not before the time that the receiver asked for.
    Retry {
        /// The wait that the receiver asked for, for example in `Retry-After`. The router caps it.
        not_before: Option<Duration>,
    },
    /// Every further attempt of this delivery would fail too.
    Permanent,
    /// Nothing reaches this destination until its settings or its receiver are fixed.
    Disable,
}

/// Statuses of refusals that mean "later" and not "never".
pub const REFUSED_FOR_NOW: [u16; 3] = [408, 425, 429];

/// Whether an HTTP status says that the receiver is up and refuses this message.
pub fn is_refusal(status: u16) -> bool {
    (400..500).contains(&status) && !REFUSED_FOR_NOW.contains(&status)
}

/// The facts of a failure.
#[derive(Debug)]
pub struct Failure {
    /// What happens next.
    pub verdict: Verdict,
    /// A short and stable word for metrics and filters: `timeout`, `http_500`, `blocked_address`.
    pub code: String,
    /// What happened and how to fix it, for people. Holds no payload, address or secret.
    pub message: String,
    /// HTTP status or SMTP code, if there was an answer.
    pub status: Option<u16>,
    /// The first part of the answer.
    pub answer: AnswerPart,
    /// The receiver may have accepted the message: the request was sent, but its answer was lost.
    pub maybe_accepted: bool,
    /// A connection that was kept open turned out to be dead: an immediate retry is worthwhile.
    pub retry_at_once: bool,
    /// The receiver answered that it refuses this message. So it is up, and the failure says
    /// nothing about its health.
    pub refused: bool,
    /// Requests that failed before this one in the same attempt.
    pub resent: Vec<Resent>,
    /// The receiver refused the address itself, not this message: a hard bounce.
    pub bounced: bool,
    /// The underlying error.
    pub source: Option<Box<dyn Error + Send + Sync>>,
}

/// A failed attempt. The facts are boxed, so that a successful result stays small.
pub struct DeliveryError(Box<Failure>);

impl DeliveryError {
    /// A failure with the given verdict. The other methods add further facts.
    pub fn new(verdict: Verdict, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self(Box::new(Failure {
            verdict,
            code: code.into(),
            message: message.into(),
            status: None,
            answer: AnswerPart::default(),
            maybe_accepted: false,
            retry_at_once: false,
            refused: false,
            resent: Vec::new(),
            bounced: false,
            source: None,
        }))
    }

    /// A failure that is worth a retry.
    pub fn retry(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(Verdict::Retry { not_before: None }, code, message)
    }

    /// A failure that a retry cannot fix.
    pub fn permanent(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(Verdict::Permanent, code, message)
    }

    /// A failure that disables the destination.
    pub fn disable(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(Verdict::Disable, code, message)
    }

    /// Adds the receiver's status and the first part of its answer.
    #[must_use]
    pub fn with_answer(mut self, status: u16, answer: AnswerPart) -> Self {
        self.0.status = Some(status);
        self.0.answer = answer;
        self
    }

    /// Adds the underlying error.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Sets whether the receiver may have accepted the message.
    #[must_use]
    pub fn maybe_accepted(mut self, maybe: bool) -> Self {
        self.0.maybe_accepted = maybe;
        self
    }

    /// Sets whether the receiver refused the address itself.
    #[must_use]
    pub fn bounced(mut self, bounced: bool) -> Self {
        self.0.bounced = bounced;
        self
    }

    /// Sets whether the receiver is up and refuses this message.
    #[must_use]
    pub fn refused(mut self, refused: bool) -> Self {
        self.0.refused = refused;
        self
    }

    /// Sets whether an immediate retry is worthwhile.
    #[must_use]
    pub fn retry_at_once(mut self, at_once: bool) -> Self {
        self.0.retry_at_once = at_once;
        self
    }
}

impl Deref for DeliveryError {
    type Target = Failure;
    fn deref(&self) -> &Failure {
        &self.0
    }
}

impl DerefMut for DeliveryError {
    fn deref_mut(&mut self) -> &mut Failure {
        &mut self.0
    }
}

impl fmt::Display for DeliveryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.code, self.0.message)
    }
}

impl fmt::Debug for DeliveryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl Error for DeliveryError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_a_4xx_that_does_not_mean_later() {
        for status in [400, 401, 404, 410, 422, 451, 499] {
            assert!(is_refusal(status), "{status}");
        }
        for status in [302, 408, 425, 429, 500, 503] {
            assert!(!is_refusal(status), "{status}");
        }
    }
}
