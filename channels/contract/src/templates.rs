//! What channels need from the template engine, which the router provides.

use std::fmt;

use async_trait::async_trait;

use crate::Delivery;

/// A part of a message that a template renders.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Part {
    /// Email: the subject, one line of text.
    Subject,
    /// Email: the HTML body.
    Html,
    /// Email: the plain text body.
    Text,
    /// Slack: a JSON object with `blocks` and the fallback `text`.
    Slack,
}

/// Renders a delivery's message. Rendering does no I/O, but it can take a while, so it does not hold
/// the caller's thread.
#[async_trait]
pub trait Templates: Send + Sync {
    /// Renders the given parts, in that order, with the tenant's own template or the built-in one.
    async fn render(&self, delivery: &Delivery, parts: &[Part])
    -> Result<Vec<String>, RenderError>;
}

/// A template that fails on this event. The failure is permanent: a retry renders the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenderError {
    /// The template's name, for example `email/kyc.session.created/html`.
    pub template: String,
    /// The 1-based line in the template, if known.
    pub line: Option<usize>,
    /// The field that is missing or wrong, if known.
    pub field: Option<String>,
    /// What is wrong, for people.
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
