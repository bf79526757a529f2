//! Sets up logging on standard error: text on a terminal, JSON elsewhere.

use std::borrow::Cow;
use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use super::{Failure, output};
use crate::config::{Log, LogFormat};

/// A level alone applies to Fanfare, whose crates all begin with `fanfare`. Libraries then log
/// warnings only, because at `info` they log each request and connection. The Redis client also
/// warns about every attempt to connect. `fanfare_store` logs once that the store is unreachable.
/// The verifier of certificates logs each one that it refuses, which the ledger shows with its
/// attempt.
fn directives(filter: &str) -> Cow<'_, str> {
    match filter.trim().to_ascii_lowercase().as_str() {
        level @ ("info" | "debug" | "trace") => format!("warn,{QUIET},fanfare={level}").into(),
        _ => filter.into(),
    }
}

/// Libraries that repeat what Fanfare says itself.
const QUIET: &str = "redis=error,rustls_platform_verifier=off";

/// Sets up logging, once per process.
pub(super) fn set_up(log: &Log) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(directives(&log.filter)).map_err(|error| {
        Failure::refused(format!(
            "the log filter `{}` is not valid: {error}; write a level such as \"info\", or a \
             filter such as \"fanfare=debug,warn\"",
            log.filter
        ))
    })?;
    let terminal = std::io::stderr().is_terminal();
    let json = match log.format {
        LogFormat::Auto => !terminal,
        LogFormat::Text => false,
        LogFormat::Json => true,
    };
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(move || output::LogWriter::new(json))
        .with_target(false)
        .with_ansi(terminal && std::env::var_os("NO_COLOR").is_none());
    let set = if json {
        builder.json().flatten_event(true).with_target(true).try_init()
    } else {
        builder.try_init()
    };
    // In tests, another test may have set it up already.
    drop(set);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_alone_applies_to_fanfare() {
        for (level, spelled) in [("info", "info"), ("debug", "DEBUG")] {
            let expected = format!("warn,redis=error,rustls_platform_verifier=off,fanfare={level}");
            assert_eq!(directives(spelled), expected);
        }
        for filter in ["warn", "error", "off", "fanfare=debug,hyper=info,warn"] {
            assert_eq!(directives(filter), filter);
        }
    }
}
