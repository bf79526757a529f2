//! How things look on a terminal: colour only there, errors on standard error.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use chrono::{DateTime, Utc};
use comfy_table::{ContentArrangement, Table, presets};
use owo_colors::{OwoColorize, Stream, Style};

use fanfare_store::Ms;

/// An error, where errors go.
pub(super) fn error(message: &str) {
    let head = "error:";
    anstream::eprintln!("{} {message}", head.if_supports_color(Stream::Stderr, |t| t.red()));
}

/// A remark that is not the answer: standard error too.
pub(super) fn note(message: impl Display) {
    anstream::eprintln!("{message}");
}

/// A line of the answer. A reader that went away (`| head`) ends the command quietly.
pub(super) fn line(text: impl Display) {
    if writeln!(anstream::stdout(), "{text}").is_err() {
        std::process::exit(0);
    }
}

/// The answer as JSON, one document.
pub(super) fn json(value: &impl serde::Serialize) {
    line(serde_json::to_string_pretty(value).unwrap_or_default());
}

/// Is the answer read by a person?
pub(super) fn to_terminal() -> bool {
    io::stdout().is_terminal()
}

/// A plain table with a head.
pub(super) fn table(head: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(head.to_vec());
    table.set_content_arrangement(ContentArrangement::Dynamic);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table
}

/// Prints a table without trailing spaces.
pub(super) fn print_table(table: &Table) {
    for row in table.to_string().lines() {
        line(row.trim_end());
    }
}

/// A state in its colour.
pub(super) fn state(word: &str) -> String {
    let style = match word {
        "delivered" | "accepted" | "matched" => Style::new().green(),
        "waiting" | "pending" | "retry" => Style::new().yellow(),
        "dead" | "refused" => Style::new().red(),
        _ => Style::new().dimmed(),
    };
    word.if_supports_color(Stream::Stdout, |text| text.style(style)).to_string()
}

/// Something less important.
pub(super) fn dim(text: &str) -> String {
    text.if_supports_color(Stream::Stdout, |text| text.dimmed()).to_string()
}

/// Something more important.
pub(super) fn bold(text: &str) -> String {
    text.if_supports_color(Stream::Stdout, |text| text.bold()).to_string()
}

/// Unix milliseconds as RFC 3339.
pub(super) fn time(ms: Ms) -> String {
    DateTime::<Utc>::from_timestamp_millis(ms)
        .map_or_else(|| ms.to_string(), |at| at.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string())
}
