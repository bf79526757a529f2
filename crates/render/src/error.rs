//! A mistake in a template, found when the template is loaded.

use std::fmt;

use fanfare_contract::RenderError;

/// One mistake in one template. Loading reports all of them at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateError {
    /// The tenant that owns the template, or `None` for a template of the server.
    pub tenant: Option<String>,
    /// The template's name, for example `email/kyc.session.created/html`, or a partial's path.
    pub template: String,
    /// The 1-based line in the file, if known.
    pub line: Option<usize>,
    /// The field that is missing or wrong, if known.
    pub field: Option<String>,
    /// What is wrong, and what to do about it.
    pub message: String,
}

impl TemplateError {
    /// A mistake in the template as a whole.
    pub(super) fn new(template: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            tenant: None,
            template: template.into(),
            line: None,
            field: None,
            message: message.into(),
        }
    }

    /// The same mistake, at a line.
    #[must_use]
    pub(super) fn at(mut self, line: usize) -> Self {
        self.line = Some(line);
        self
    }

    /// The same mistake, in a template of this tenant.
    #[must_use]
    pub(super) fn of_tenant(mut self, tenant: Option<&str>) -> Self {
        self.tenant = tenant.map(str::to_owned);
        self
    }
}

impl From<RenderError> for TemplateError {
    fn from(error: RenderError) -> Self {
        let RenderError { template, line, field, message } = error;
        Self { tenant: None, template, line, field, message }
    }
}

impl From<TemplateError> for RenderError {
    fn from(error: TemplateError) -> Self {
        let TemplateError { tenant: _, template, line, field, message } = error;
        Self { template, line, field, message }
    }
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(tenant) = &self.tenant {
            write!(f, "tenant {tenant}, ")?;
        }
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

impl std::error::Error for TemplateError {}
