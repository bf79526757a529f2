//! Why an event is refused.

/// A refused event. Codes are stable. The message is for the producer's developer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// `not_json`, `too_large`, `too_deep`, `duplicate_key`, `wrong_type`, `missing_field`,
    /// `bad_id`, `bad_type`, `bad_created`, `bad_tenant`, `unknown_tenant`, `not_utf8`, `no_event`,
    /// `reserved_type`, `reserved_id`.
    pub code: &'static str,
    /// What is wrong, where, and how to fix it.
    pub message: String,
}

impl Refusal {
    /// Creates a refusal.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// The tenant exists, but its document cannot be used.
    pub fn unusable_tenant(tenant: &str) -> Self {
        let message = format!(
            "the document of tenant `{tenant}` cannot be used (see the server's log for why); \
             apply a corrected document, then send the event again"
        );
        Self::new("unusable_tenant", message)
    }
}
