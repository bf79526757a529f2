//! Why an attempt failed; the verdict on what to do next rides in the error.

use std::error::Error;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use crate::AnswerPart;

/// What a channel says of a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Worth another try, not sooner than the receiver asked for.
    Retry {
        /// From `Retry-After` or its like; the router caps it.
        not_before: Option<Duration>,
    },
    /// The same delivery will fail for ever.
    Permanent,
    /// Nothing can reach this destination until somebody mends it.
    Disable,
}

/// The facts of a failure.
#[derive(Debug)]
pub struct Failure {
    /// What to do next.
    pub verdict: Verdict,
    /// Short and stable, for counting and filters: `timeout`, `http_500`, `blocked_address`.
    pub code: String,
    /// For people: what happened and what would mend it. No payload, address or secret.
    pub message: String,
    /// HTTP status or SMTP code, when there was an answer.
    pub status: Option<u16>,
    /// First part of the answer.
    pub answer: AnswerPart,
    /// The receiver may have taken it all the same: the answer was lost, not the request.
    pub maybe_accepted: bool,
    /// The connection broke before the receiver can have acted: one more try at once is harmless.
    pub retry_at_once: bool,
    /// The address itself was refused, rather than this message: a hard bounce.
    pub bounced: bool,
    /// The underlying error.
    pub source: Option<Box<dyn Error + Send + Sync>>,
}

/// A failed attempt. One pointer wide: the good path does not carry it.
pub struct DeliveryError(Box<Failure>);

impl DeliveryError {
    /// A failure with the given verdict; add the rest with the `with_…` methods.
    pub fn new(verdict: Verdict, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self(Box::new(Failure {
            verdict,
            code: code.into(),
            message: message.into(),
            status: None,
            answer: AnswerPart::default(),
            maybe_accepted: false,
            retry_at_once: false,
            bounced: false,
            source: None,
        }))
    }

    /// Worth another try.
    pub fn retry(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(Verdict::Retry { not_before: None }, code, message)
    }

    /// Not worth another try.
    pub fn permanent(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(Verdict::Permanent, code, message)
    }

    /// The destination itself is gone.
    pub fn disable(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(Verdict::Disable, code, message)
    }

    /// With the receiver's status and the first part of its answer.
    #[must_use]
    pub fn with_answer(mut self, status: u16, answer: AnswerPart) -> Self {
        self.0.status = Some(status);
        self.0.answer = answer;
        self
    }

    /// With the error underneath.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// The receiver may have taken it.
    #[must_use]
    pub fn maybe_accepted(mut self, maybe: bool) -> Self {
        self.0.maybe_accepted = maybe;
        self
    }

    /// The address itself was refused.
    #[must_use]
    pub fn bounced(mut self, bounced: bool) -> Self {
        self.0.bounced = bounced;
        self
    }

    /// One more try at once is harmless.
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
