//! How a command ends: success, or one of the failures that decide its exit code.

use std::process::ExitCode;

use fanfare_store::StoreError;

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
        if !matches!(self, Self::Reported) {
            output::error(&self.to_string());
        }
        match self {
            Self::Reported | Self::Refused(_) => ExitCode::from(1),
            Self::Unreachable(_) => ExitCode::from(3),
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::BadQuery(reason) | StoreError::Secrets(reason) => Self::Refused(reason),
            // Its message already contains those of its sources.
            other => Self::unreachable(other.to_string()),
        }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        match error {
            ConfigError::Unreadable { .. } => Self::unreachable(error.to_string()),
            ConfigError::Invalid { .. } => Self::Refused(error.to_string()),
        }
    }
}
