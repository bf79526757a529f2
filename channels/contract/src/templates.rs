//! What a channel asks of the template engine, which lives in the router.

use std::fmt;

use crate::Delivery;

/// A part of a message that a template makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Part {
    /// Email: the subject line, one line of text.
    Subject,
    /// Email: the HTML alternative.
    Html,
    /// Email: the text alternative.
    Text,
    /// Slack: a JSON object with `blocks` and the fallback `text`.
    Slack,
}

/// Renders a delivery. Implemented by the router; pure, so it can be called anywhere.
pub trait Templates: Send + Sync {
    /// The parts asked for, in that order, from the tenant's own template or the built-in one.
    fn render(&self, delivery: &Delivery, parts: &[Part]) -> Result<Vec<String>, RenderError>;
}

/// A template that cannot be rendered on this event. Permanent: it will not get better by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenderError {
    /// For example `email/kyc.session.created/html`.
    pub template: String,
    /// 1-based line in the template, when known.
    pub line: Option<usize>,
    /// The field that was missing or wrong, when known.
    pub field: Option<String>,
    /// What happened, for people.
    pub message: String,
}

impl fmt::Display for RenderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "template {}", self.template)?;
        if let Some(line) = self.line {
            write!(f, ", line {line}")?;
        }
        if let Some(field) = &self.field {
            write!(f, ", field `{field}`")?;
        }
        write!(f, ": {}", self.message)
    }
}

impl std::error::Error for RenderError {}
