//! What an error of Redis means for the caller, and whether the connection can still be used.

use redis::{ErrorKind, RedisError};

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
        // After these, a new connection may reach another server or be let in.
        let renew = ["READONLY", "NOAUTH", "WRONGPASS", "UNKILLABLE"].contains(&&*code)
            || text.contains("max number of clients")
            || text.contains("Protocol error");
        let hang_up = error.is_unrecoverable_error() || error.is_io_error() || renew;
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

/// What an error says something about. Everything that is not known to be an error of the data
/// means that the server is away: then nothing is given up, and work continues by itself.
fn meaning(code: &str, text: String, error: RedisError) -> StoreError {
    match code {
        "OOM" => StoreError::Full(format!("{text}; raise maxmemory or shorten the retention")),
        "MISCONF" if text.contains("No space left") => StoreError::Full(text),
        "MISCONF" | "READONLY" => StoreError::ReadOnly(text),
        "NOAUTH" | "WRONGPASS" | "NOPERM" => denied(text, error),
        "ERR" if text.contains("ACL failure") => denied(text, error),
        "WRONGTYPE" => refused(text, error),
        "ERR" if is_about_data(&text) => refused(text, error),
        _ => match error.kind() {
            ErrorKind::AuthenticationFailed => denied(text, error),
            ErrorKind::InvalidClientConfig => StoreError::Address(text),
            _ => away(text, error),
        },
    }
}

/// Whether an answer without a code of its own is about the arguments of the command. Such an
/// answer can also be about the connection (`max number of clients reached`), the protocol, the
/// state of the stream, or a command that the server does not have.
fn is_about_data(text: &str) -> bool {
    const ABOUT_ARGUMENTS: [&str; 7] = [
        "Error running script",
        "user_script",
        "value is not",
        "not a valid",
        "syntax error",
        "wrong number of arguments",
        "exceeds maximum allowed size",
    ];
    const ABOUT_THE_SERVER: [&str; 9] = [
        "max number of clients",
        "Protocol error",
        "unknown command",
        "Unknown Redis command",
        "not allowed",
        "non local key",
        "The ID specified in XADD",
        "has exhausted the last possible ID",
        "Script killed",
    ];
    !ABOUT_THE_SERVER.iter().any(|part| text.contains(part))
        && ABOUT_ARGUMENTS.iter().any(|part| text.contains(part))
}

fn away(message: String, error: RedisError) -> StoreError {
    StoreError::Away { message, source: Some(Box::new(error)) }
}

fn denied(message: String, error: RedisError) -> StoreError {
    StoreError::Denied { message, source: Some(Box::new(error)) }
}

fn refused(message: String, error: RedisError) -> StoreError {
    StoreError::Refused { message, source: Some(Box::new(error)) }
}

#[cfg(test)]
mod tests;
