//! What an error of Redis means for the caller, and whether the connection can still be used.

use redis::{ErrorKind, RedisError, ServerErrorKind};

use crate::StoreError;

/// A failed exchange with the server.
#[derive(Debug)]
pub(super) struct Fault {
    /// The error for the caller.
    pub(super) error: StoreError,
    /// The connection cannot be used any more.
    pub(super) hang_up: bool,
    /// The connection broke; the command may or may not have run.
    pub(super) dropped: bool,
    /// The server does not know a script.
    pub(super) no_script: bool,
    /// The stream or its consumer group is gone.
    pub(super) no_group: bool,
    /// A blocking read was aborted. The next one shows why.
    pub(super) unblocked: bool,
}

impl Fault {
    /// Reads an error of `server` (host and port).
    pub(super) fn read(server: &str, error: RedisError) -> Self {
        let code = error.code().unwrap_or_default().to_owned();
        let text = format!("Redis at {server}: {}", describe(&error));
        let dropped = error.is_connection_dropped();
        let hang_up = error.is_unrecoverable_error() || error.is_io_error() || code == "READONLY";
        let no_group = code == "NOGROUP" || text.contains("NOGROUP");
        Self {
            hang_up,
            dropped,
            no_script: code == "NOSCRIPT",
            no_group,
            unblocked: code == "UNBLOCKED",
            error: meaning(&code, text, error),
        }
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self {
            error,
            hang_up: false,
            dropped: false,
            no_script: false,
            no_group: false,
            unblocked: false,
        }
    }
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        fault.error
    }
}

fn describe(error: &RedisError) -> String {
    if error.is_timeout() { "no answer in time".to_owned() } else { error.to_string() }
}

fn meaning(code: &str, text: String, error: RedisError) -> StoreError {
    match code {
        "OOM" => StoreError::Full(format!("{text}; raise maxmemory or shorten the retention")),
        "MISCONF" if text.contains("No space left") => StoreError::Full(text),
        "MISCONF" | "READONLY" => StoreError::ReadOnly(text),
        "LOADING" | "BUSY" | "MASTERDOWN" | "CLUSTERDOWN" | "TRYAGAIN" | "NOREPLICAS"
        | "UNBLOCKED" => away(text, error),
        "NOAUTH" | "WRONGPASS" | "NOPERM" => refused(text, error),
        _ => match error.kind() {
            ErrorKind::Io
            | ErrorKind::ClusterConnectionNotFound
            | ErrorKind::MasterNameNotFoundBySentinel
            | ErrorKind::NoValidReplicasFoundBySentinel
            | ErrorKind::Server(ServerErrorKind::Moved | ServerErrorKind::Ask) => away(text, error),
            _ => refused(text, error),
        },
    }
}

fn away(message: String, error: RedisError) -> StoreError {
    StoreError::Away { message, source: Some(Box::new(error)) }
}

fn refused(message: String, error: RedisError) -> StoreError {
    StoreError::Other { message, source: Some(Box::new(error)) }
}
