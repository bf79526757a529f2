//! What the filters of the list of events select, as a file: CSV for spreadsheets, NDJSON for
//! programs.
//!
//! The file is written while it is read, one page of the API at a time.

use std::convert::Infallible;
use std::fmt::Write as _;

use axum::body::{Body, Bytes};
use axum::extract::{Path, RawQuery};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures::stream;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::events::Filter;
use super::or_problem;
use crate::dashboard::client::Problem;
use crate::dashboard::visit::Visit;

/// Lines that are read at once.
const PAGE: &str = "1000";
/// Most pages of one file.
const MAX_PAGES: u32 = 1_000;

/// The columns of a table of events, and of one of deliveries: fields of the API's answer.
const OF_EVENTS: [&str; 10] = [
    "id",
    "type",
    "created",
    "received_ms",
    "environment",
    "state",
    "deliveries.delivered",
    "deliveries.waiting",
    "deliveries.suppressed",
    "deliveries.dead",
];
const OF_DELIVERIES: [&str; 9] = [
    "event",
    "type",
    "destination",
    "channel",
    "state",
    "reason",
    "environment",
    "received_ms",
    "updated_ms",
];

/// How lines are written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Format {
    Csv,
    Ndjson,
}

/// A page of the API, whose lines stay as they are.
#[derive(Deserialize)]
struct Page {
    data: Vec<Box<RawValue>>,
    next_cursor: Option<String>,
}

/// The filtered events as CSV.
pub(in crate::dashboard) async fn csv(
    visit: Visit,
    Path(tenant): Path<String>,
    RawQuery(raw): RawQuery,
) -> Response {
    export(visit, tenant, raw.as_deref(), Format::Csv).await
}

/// The filtered events as NDJSON.
pub(in crate::dashboard) async fn ndjson(
    visit: Visit,
    Path(tenant): Path<String>,
    RawQuery(raw): RawQuery,
) -> Response {
    export(visit, tenant, raw.as_deref(), Format::Ndjson).await
}

async fn export(visit: Visit, tenant: String, raw: Option<&str>, format: Format) -> Response {
    let filter = Filter::read(raw);
    let by_deliveries = match filter.resource(&tenant, PAGE, None) {
        Ok((_, by_deliveries)) => by_deliveries,
        Err(why) => return or_problem(&visit, &tenant, Err(why)),
    };
    let columns: &[&str] = if by_deliveries { &OF_DELIVERIES } else { &OF_EVENTS };
    let (cursor, pages, ended) = (None, 0, false);
    let mut export = Export { visit, tenant, filter, format, columns, cursor, pages, ended };
    // The first page decides the status. After that, a failure cuts the file off.
    let first = match export.page().await {
        Ok(first) => first,
        Err(why) => return or_problem(&export.visit, &export.tenant, Err(why)),
    };
    let name = format!("events-{}.{}", export.tenant, export.extension());
    let kind =
        if format == Format::Csv { "text/csv; charset=utf-8" } else { "application/x-ndjson" };
    let disposition = HeaderValue::try_from(format!("attachment; filename=\"{name}\""));
    let disposition = disposition.unwrap_or(HeaderValue::from_static("attachment"));
    let head =
        if format == Format::Csv { export.columns.join(",") + "\r\n" } else { String::new() };
    let pages = stream::unfold((Some(head + &first), export), |(ready, mut export)| async move {
        let text = match ready {
            Some(text) => Ok(text),
            None if export.ended => return None,
            None => export.page().await,
        };
        let text = text.unwrap_or_else(|problem| {
            export.ended = true;
            tracing::warn!(message = problem.message, "an export of the dashboard was cut off");
            String::new()
        });
        Some((Ok::<_, Infallible>(Bytes::from(text)), (None, export)))
    });
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::CONTENT_DISPOSITION, disposition),
    ];
    (headers, Body::from_stream(pages)).into_response()
}

/// An export that is being written.
struct Export {
    visit: Visit,
    tenant: String,
    filter: Filter,
    format: Format,
    columns: &'static [&'static str],
    cursor: Option<String>,
    pages: u32,
    ended: bool,
}

impl Export {
    fn extension(&self) -> &'static str {
        if self.format == Format::Csv { "csv" } else { "ndjson" }
    }

    /// The next lines.
    async fn page(&mut self) -> Result<String, Problem> {
        let (resource, _) = self.filter.resource(&self.tenant, PAGE, self.cursor.as_deref())?;
        let page: Page = self.visit.api.get(&resource).await?;
        self.cursor = page.next_cursor;
        self.pages += 1;
        self.ended = self.cursor.is_none() || self.pages >= MAX_PAGES;
        let mut text = String::new();
        for line in &page.data {
            match self.format {
                Format::Ndjson => _ = writeln!(text, "{}", line.get()),
                Format::Csv => self.row(&mut text, line.get()),
            }
        }
        Ok(text)
    }

    fn row(&self, text: &mut String, line: &str) {
        let line: Value = serde_json::from_str(line).unwrap_or_default();
        for (at, column) in self.columns.iter().enumerate() {
            let value = column.split('.').fold(&line, |value, part| &value[part]);
            let value = match value {
                Value::Null => String::new(),
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            let comma = if at == 0 { "" } else { "," };
            let _ = write!(text, "{comma}{}", cell(&value));
        }
        text.push_str("\r\n");
    }
}

/// A cell of a CSV file (RFC 4180). A spreadsheet must not take a text for a formula.
fn cell(text: &str) -> String {
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let guarded = if is_formula { format!("'{text}") } else { text.to_owned() };
    if guarded.contains(['"', ',', '\n', '\r']) {
        format!("\"{}\"", guarded.replace('"', "\"\""))
    } else {
        guarded
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_quoted_and_never_a_formula() {
        assert_eq!(cell("plain"), "plain");
        assert_eq!(cell("a,\"b\"\n"), "\"a,\"\"b\"\"\n\"");
        assert_eq!(cell("=1+1"), "'=1+1");
        assert_eq!(cell("@x,y"), "\"'@x,y\"");
    }
}
