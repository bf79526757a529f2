//! What is wrong with a template, found when it is loaded.

use std::fmt;

use fanfare_contract::RenderError;

/// One fault of one template. Loading reports all of them at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateError {
    /// Whose template it is; `None` for the server's own.
    pub tenant: Option<String>,
    /// For example `email/kyc.session.created/html`, or the partial's path.
    pub template: String,
    /// 1-based line in the file, when known.
    pub line: Option<usize>,
    /// The field that was missing or wrong, when known.
    pub field: Option<String>,
    /// What is wrong and what would mend it.
    pub message: String,
}

impl TemplateError {
    /// A fault of a template as such.
    pub(super) fn new(template: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            tenant: None,
            template: template.into(),
            line: None,
            field: None,
            message: message.into(),
        }
    }

    /// At a line.
    #[must_use]
    pub(super) fn at(mut self, line: usize) -> Self {
        self.line = Some(line);
        self
    }

    /// In a tenant's own template.
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
