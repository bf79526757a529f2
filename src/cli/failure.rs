//! How a command ends: success, or one of the failures that decide its exit code.

use std::process::ExitCode;

use fanfare_store::StoreError;
use serde_json::{Value, json};

use super::output;
use crate::config::ConfigError;

/// What every command returns.
pub(super) type CommandResult = Result<(), Failure>;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The answer is no, and the command has already printed why.
    #[error("")]
    Reported,
    /// The answer is no, for this reason.
    #[error("{0}")]
    Refused(String),
    /// The API refused a request. This is its `error`.
    #[error("{}", super::remote::reason(.0))]
    Api(Value),
    /// The store, the server, or a file cannot be reached or read.
    #[error("{0:#}")]
    Unreachable(#[from] anyhow::Error),
}

impl Failure {
    /// The answer is no, for this reason.
    pub(super) fn refused(reason: impl Into<String>) -> Self {
        Self::Refused(reason.into())
    }

    /// Something cannot be reached, for this reason.
    pub(super) fn unreachable(reason: impl Into<String>) -> Self {
        Self::Unreachable(anyhow::Error::msg(reason.into()))
    }

    /// Prints the reason, unless the command has done so, and returns the exit code.
    pub(super) fn report(&self) -> ExitCode {
        if output::is_json() {
            output::json_error(&self.json());
        } else {
            self.print();
        }
        match self {
            Self::Reported | Self::Refused(_) | Self::Api(_) => ExitCode::from(1),
            Self::Unreachable(_) => ExitCode::from(3),
        }
    }

    fn print(&self) {
        let details = match self {
            Self::Reported => return,
            Self::Api(error) => error["details"].as_array().map(Vec::as_slice).unwrap_or_default(),
            _ => &[],
        };
        for detail in details {
            let [field, message] = ["field", "message"].map(|name| detail[name].as_str());
            let (field, message) = (field.unwrap_or_default(), message.unwrap_or_default());
            output::error(format!("{field} {message}").trim());
        }
        if details.is_empty() {
            output::error(&self.to_string());
        }
    }

    /// The failure in the form of the API's errors.
    fn json(&self) -> Value {
        let (kind, message) = match self {
            Self::Api(error) => return json!({"status": "error", "error": error}),
            Self::Reported => {
                let reported = output::reported();
                let message = reported.first().cloned().unwrap_or_default();
                let detail = |message: &String| json!({"field": "", "message": message});
                let details: Vec<_> = reported.iter().map(detail).collect();
                let error = json!({
                    "type": "invalid_request", "code": "problems", "message": message,
                    "details": details,
                });
                return json!({"status": "error", "error": error});
            }
            Self::Refused(message) => ("invalid_request", message.clone()),
            Self::Unreachable(error) => ("unavailable", format!("{error:#}")),
        };
        let code = if kind == "unavailable" { "unreachable" } else { "refused" };
        json!({"status": "error", "error": {"type": kind, "code": code, "message": message}})
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotIndexed(reason)
            | StoreError::BadQuery(reason)
            | StoreError::Secrets(reason) => Self::Refused(reason),
            // Its message already contains those of its sources.
            other => Self::unreachable(other.to_string()),
        }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        match error {
            ConfigError::Unreadable { .. } => Self::unreachable(error.to_string()),
            ConfigError::Invalid(_) => Self::Refused(error.to_string()),
        }
    }
}
