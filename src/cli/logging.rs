//! Sets up logging: text on a terminal, JSON elsewhere, always on standard error.

use std::borrow::Cow;
use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use super::Failure;
use crate::config::{Log, LogFormat};

/// A bare level is Fanfare's own; libraries then tell warnings only, for what they do at `info` and
/// below is each request and connection. The client of Redis warns of every try to connect, too;
/// that the store is away is told once, by `store::condition`. Our crates' names all begin with `fanfare`.
fn directives(filter: &str) -> Cow<'_, str> {
    match filter.trim().to_ascii_lowercase().as_str() {
        level @ ("info" | "debug" | "trace") => format!("warn,redis=error,fanfare={level}").into(),
        _ => filter.into(),
    }
}

/// Called once, by commands that run for a while.
pub(super) fn set_up(log: &Log) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(directives(&log.filter)).map_err(|error| {
        Failure::Because(format!(
            "log filter `{}` is wrong: {error}; write for example \"info\" or \"fanfare=debug,warn\"",
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
        .with_writer(std::io::stderr)
        .with_target(false)
        .with_ansi(terminal && std::env::var_os("NO_COLOR").is_none());
    let set = if json {
        builder.json().flatten_event(true).with_target(true).try_init()
    } else {
        builder.try_init()
    };
    // Tests may have set one up already.
    drop(set);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_level_is_fanfares_own() {
        assert_eq!(directives("info"), "warn,redis=error,fanfare=info");
        assert_eq!(directives("DEBUG"), "warn,redis=error,fanfare=debug");
        for as_it_is in ["warn", "error", "off", "fanfare=debug,hyper=info,warn"] {
            assert_eq!(directives(as_it_is), as_it_is);
        }
    }
}
