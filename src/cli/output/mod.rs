//! Prints results to standard output, and errors and notes to standard error. Colors only appear on
//! a terminal.
//!
//! Every command prints through this module. What it prints can hold text from tenants, producers
//! and receivers, so no character of it reaches a terminal that a terminal would execute: see
//! `escape`.

mod escape;
mod logs;
mod style;
mod table;

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use fanfare_store::Ms;

pub(super) use logs::LogWriter;
pub(super) use style::{bold, dim, state};
pub(super) use table::{print_table, table};

/// The exit code of a command whose output cannot be written, as for everything out of reach.
const UNWRITABLE: i32 = 3;

/// Whether errors are printed as JSON, because the command prints JSON.
static JSON: AtomicBool = AtomicBool::new(false);
/// The errors that were reported one by one, for the JSON document at the end.
static REPORTED: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Prints errors as JSON from now on.
pub(super) fn use_json() {
    JSON.store(true, Ordering::Relaxed);
}

/// Whether errors are printed as JSON.
pub(super) fn is_json() -> bool {
    JSON.load(Ordering::Relaxed)
}

/// The errors that were reported one by one.
pub(super) fn reported() -> Vec<String> {
    REPORTED.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Prints a failure as JSON, where errors go.
pub(super) fn json_error(error: &Value) {
    let text = serde_json::to_string_pretty(error).unwrap_or_default();
    let _ = writeln!(io::stderr(), "{}", escape::json(&text));
}

/// Prints an error.
pub(super) fn error(message: &str) {
    if is_json() {
        REPORTED.lock().unwrap_or_else(PoisonError::into_inner).push(message.to_owned());
        return;
    }
    // Standard error is the last place to report to, so its own errors are ignored.
    let _ = writeln!(anstream::stderr(), "{} {}", style::error_label(), style::shown(message));
}

/// Prints a warning.
pub(super) fn warning(message: &str) {
    if is_json() {
        return;
    }
    let _ = writeln!(anstream::stderr(), "{} {}", style::warning_label(), style::shown(message));
}

/// Prints a note that is not part of the result.
pub(super) fn note(message: impl Display) {
    let _ = writeln!(anstream::stderr(), "{}", style::shown(&message.to_string()));
}

/// Prints a line of the result.
pub(super) fn line(text: impl Display) {
    let text = style::shown(&text.to_string());
    finish(writeln!(anstream::stdout(), "{text}"));
}

/// Prints text for another program or a file, such as a template. It is unchanged unless it goes to
/// a terminal.
pub(super) fn content(text: &str) {
    if to_terminal() { line(text) } else { finish(writeln!(io::stdout(), "{text}")) }
}

/// Prints the result as one JSON document.
pub(super) fn json(value: &impl serde::Serialize) {
    let text = serde_json::to_string_pretty(value).unwrap_or_default();
    finish(writeln!(io::stdout(), "{}", escape::json(&text)));
}

/// Prints one line of JSON.
pub(super) fn json_line(value: &impl serde::Serialize) {
    let text = serde_json::to_string(value).unwrap_or_default();
    finish(writeln!(io::stdout(), "{}", escape::json(&text)));
}

/// Standard output for lines of JSON that come in pieces.
pub(super) fn json_writer() -> impl Write + Send {
    escape::JsonWriter::new(io::BufWriter::new(io::stdout()))
}

/// Ends the command if the output cannot be written. A reader that closed the pipe, such as `head`,
/// has seen enough.
fn finish(written: io::Result<()>) {
    match written.and_then(|()| io::stdout().flush()) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(0),
        Err(failure) => {
            let message = format!("cannot write to standard output: {failure}");
            if is_json() {
                let code = "unwritable";
                let error = json!({"type": "unavailable", "code": code, "message": message});
                json_error(&json!({"status": "error", "error": error}));
            } else {
                error(&message);
            }
            std::process::exit(UNWRITABLE);
        }
    }
}

/// Whether the result goes to a terminal.
pub(super) fn to_terminal() -> bool {
    io::stdout().is_terminal()
}

/// Unix milliseconds as RFC 3339.
pub(super) fn time(ms: Ms) -> String {
    DateTime::<Utc>::from_timestamp_millis(ms)
        .map_or_else(|| ms.to_string(), |at| at.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string())
}
