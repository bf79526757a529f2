//! Prints results to standard output, and errors and notes to standard error. Colors only appear on
//! a terminal.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use chrono::{DateTime, Utc};
use comfy_table::{ContentArrangement, Table, presets};
use owo_colors::{OwoColorize, Stream, Style};

use fanfare_store::Ms;

/// Prints an error.
pub(super) fn error(message: &str) {
    let label = "error:";
    anstream::eprintln!("{} {message}", label.if_supports_color(Stream::Stderr, |t| t.red()));
}

/// Prints a note that is not part of the result.
pub(super) fn note(message: impl Display) {
    anstream::eprintln!("{message}");
}

/// Prints a line of the result. A reader that closed the pipe, such as `head`, ends the command.
pub(super) fn line(text: impl Display) {
    if writeln!(anstream::stdout(), "{text}").is_err() {
        std::process::exit(0);
    }
}

/// Prints the result as one JSON document.
pub(super) fn json(value: &impl serde::Serialize) {
    line(serde_json::to_string_pretty(value).unwrap_or_default());
}

/// Whether the result goes to a terminal.
pub(super) fn to_terminal() -> bool {
    io::stdout().is_terminal()
}

/// A table with headings and without lines.
pub(super) fn table(headings: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(headings.to_vec());
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

/// A state in its color.
pub(super) fn state(word: &str) -> String {
    let style = match word {
        "delivered" | "accepted" | "matched" => Style::new().green(),
        "waiting" | "pending" | "retry" => Style::new().yellow(),
        "dead" | "refused" => Style::new().red(),
        _ => Style::new().dimmed(),
    };
    word.if_supports_color(Stream::Stdout, |text| text.style(style)).to_string()
}

/// Less important text.
pub(super) fn dim(text: &str) -> String {
    text.if_supports_color(Stream::Stdout, |text| text.dimmed()).to_string()
}

/// More important text.
pub(super) fn bold(text: &str) -> String {
    text.if_supports_color(Stream::Stdout, |text| text.bold()).to_string()
}

/// Unix milliseconds as RFC 3339.
pub(super) fn time(ms: Ms) -> String {
    DateTime::<Utc>::from_timestamp_millis(ms)
        .map_or_else(|| ms.to_string(), |at| at.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string())
}
