//! The CSV file of a digest: one row for each event.
//!
//! Cells hold untrusted data, see `cell`. The file starts with a byte-order mark, without which Excel reads UTF-8 as Latin-1.

use std::borrow::Cow;
use std::collections::HashMap;

use chrono::{DateTime, SecondsFormat};
use chrono_tz::Tz;
use csv::{QuoteStyle, Terminator, WriterBuilder};
use fanfare_contract::{Digest, Event, Json};

use crate::cell::{cell, guarded, is_scalar};

/// Maximum number of columns from the events' `data`.
const MOST_COLUMNS: usize = 64;
/// Maximum depth of objects within `data` that become columns.
const DEEPEST: usize = 4;
/// Maximum size of the file, in bytes. Many relays refuse mail of more than 10 to 25 MB.
const LARGEST_FILE: usize = 6 * 1024 * 1024;

const FIXED: [&str; 4] = ["received_at", "event_id", "type", "created"];

/// The file, and a remark if something is missing.
pub(crate) struct File {
    pub(crate) name: String,
    pub(crate) content: Vec<u8>,
    /// A remark for the receipt, if something did not fit.
    pub(crate) remark: Option<String>,
}

/// Writes the digest's events.
pub(crate) fn file(digest: &Digest) -> File {
    let zone: Tz = digest.timezone.parse().unwrap_or(Tz::UTC);
    let columns = Columns::of(&digest.events);
    let mut table = Table::new();
    let data = columns.names.iter().map(|name| guarded(&format!("data.{name}")).into_owned());
    table.append(FIXED.into_iter().map(str::to_owned).chain(data));
    let mut listed = 0;
    for event in &digest.events {
        if table.len() > LARGEST_FILE {
            break;
        }
        table.append(row(event, &columns, zone));
        listed += 1;
    }
    let left_out = digest.events.len() - listed;
    if left_out > 0 {
        table.append([format!("{left_out} more events are not in this file")]);
    }
    let remark = remark(left_out, columns.left_out);
    File { name: name(digest, zone), content: table.finish(), remark }
}

fn name(digest: &Digest, zone: Tz) -> String {
    let time = DateTime::from_timestamp_millis(digest.to_ms).unwrap_or_default();
    format!("events-{}.csv", time.with_timezone(&zone).format("%Y-%m-%d"))
}

fn remark(events: usize, columns: bool) -> Option<String> {
    match (events, columns) {
        (0, false) => None,
        (0, true) => Some(format!("the CSV file has only the first {MOST_COLUMNS} fields")),
        (events, _) => Some(format!(
            "the CSV file lacks the last {events} events, because it would be too large"
        )),
    }
}

/// CSV in memory.
struct Table(csv::Writer<Vec<u8>>);

impl Table {
    fn new() -> Self {
        let mut builder = WriterBuilder::new();
        // A program that splits the file at another separator must not find one inside a text.
        builder.quote_style(QuoteStyle::NonNumeric).terminator(Terminator::CRLF).flexible(true);
        Self(builder.from_writer(Vec::from("\u{feff}")))
    }

    fn append<C: AsRef<str>>(&mut self, cells: impl IntoIterator<Item = C>) {
        let mut cells = cells.into_iter();
        let written = cells.try_for_each(|cell| self.0.write_field(cell.as_ref()));
        let ended = written.and_then(|()| self.0.write_record(None::<&[u8]>));
        ended.expect("writing to memory cannot fail, and rows can differ in length");
    }

    /// The size so far, without the bytes that the writer still buffers.
    fn len(&self) -> usize {
        self.0.get_ref().len()
    }

    fn finish(self) -> Vec<u8> {
        self.0.into_inner().expect("flushing to memory cannot fail")
    }
}

fn row<'a>(event: &'a Event, columns: &Columns, zone: Tz) -> Vec<Cow<'a, str>> {
    let mut cells = vec![Cow::from(""); FIXED.len() + columns.names.len()];
    cells[0] = time(event.received_ms, zone, SecondsFormat::Millis).into();
    cells[1] = guarded(&event.id);
    cells[2] = guarded(&event.kind);
    cells[3] = time(event.created.saturating_mul(1000), zone, SecondsFormat::Secs).into();
    visit(&event.json()["data"], &mut String::new(), 0, &mut |path, value| {
        if let Some(column) = columns.index.get(path) {
            cells[FIXED.len() + column] = cell(value);
        }
    });
    cells
}

fn time(ms: i64, zone: Tz, precision: SecondsFormat) -> String {
    let time = DateTime::from_timestamp_millis(ms);
    time.map(|time| time.with_timezone(&zone).to_rfc3339_opts(precision, true)).unwrap_or_default()
}

/// The columns of `data`, in the order of their first appearance.
struct Columns {
    names: Vec<String>,
    index: HashMap<String, usize>,
    left_out: bool,
}

impl Columns {
    fn of(events: &[std::sync::Arc<Event>]) -> Self {
        let mut columns = Self { names: Vec::new(), index: HashMap::new(), left_out: false };
        for event in events {
            visit(&event.json()["data"], &mut String::new(), 0, &mut |path, _| columns.see(path));
        }
        columns
    }

    fn see(&mut self, path: &str) {
        if self.index.contains_key(path) {
            return;
        }
        if self.names.len() == MOST_COLUMNS {
            self.left_out = true;
            return;
        }
        self.index.insert(path.to_owned(), self.names.len());
        self.names.push(path.to_owned());
    }
}

/// Calls `see` with the dotted path and the value of everything that becomes a cell.
fn visit<'a>(
    value: &'a Json,
    path: &mut String,
    depth: usize,
    see: &mut impl FnMut(&str, &'a Json),
) {
    match value {
        Json::Object(fields) if depth < DEEPEST => {
            for (key, value) in fields.iter() {
                let length = path.len();
                if depth > 0 {
                    path.push('.');
                }
                path.push_str(key);
                visit(value, path, depth + 1, see);
                path.truncate(length);
            }
        }
        Json::Object(_) | Json::Null => {}
        Json::List(elements) if !elements.iter().any(is_scalar) => {}
        _ if depth > 0 => see(path, value),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::cell::LONGEST_CELL;

    #[test]
    fn a_file_is_bounded_and_names_the_missing_events() {
        let body = format!(r#"{{"data":{{"text":"{}"}}}}"#, "x".repeat(LONGEST_CELL));
        let event = Event::new("acme".into(), "evt".into(), "a.b".into(), 0, 0, body.into());
        let event = Arc::new(event);
        let events = vec![Arc::clone(&event); LARGEST_FILE / LONGEST_CELL + 100];
        let total = events.len();
        let timezone = "UTC".to_owned();
        let (suppressed, failed) = (Vec::new(), Vec::new());
        let digest =
            Digest { id: "dig".into(), from_ms: 0, to_ms: 0, timezone, events, suppressed, failed };
        let file = file(&digest);
        assert!(file.content.len() < LARGEST_FILE + 4 * LONGEST_CELL);
        let text = String::from_utf8(file.content).unwrap();
        let left_out = total - (text.lines().count() - 2);
        assert!(left_out > 0);
        let last = text.lines().last().unwrap();
        assert_eq!(last, format!("\"{left_out} more events are not in this file\""));
        assert!(file.remark.unwrap().contains(&format!("lacks the last {left_out} events")));
    }
}
