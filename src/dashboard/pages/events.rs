//! The list of events, with filters in the address.

use askama::Template;
use axum::extract::{Path, Query};
use axum::response::Response;
use serde::Deserialize;

use super::{Listed, frame, or_problem};
use crate::dashboard::client::{Problem, path, query};
use crate::dashboard::format::{Time, tone};
use crate::dashboard::frame::{Frame, page};
use crate::dashboard::visit::Visit;

/// The filters. An empty field of a form is no filter.
#[derive(Deserialize, Clone, Default)]
pub(in crate::dashboard) struct Filter {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    environment: String,
    #[serde(default)]
    cursor: String,
}

/// An event in a list.
#[derive(Deserialize)]
pub(super) struct Line {
    pub(super) id: String,
    #[serde(rename = "type")]
    pub(super) kind: String,
    received_ms: i64,
    state: String,
    environment: String,
    deliveries: Counts,
}

#[derive(Deserialize)]
struct Counts {
    delivered: u64,
    waiting: u64,
    suppressed: u64,
    dead: u64,
}

impl Line {
    pub(super) fn received(&self) -> Time {
        Time::ms(self.received_ms)
    }

    /// What became of it, with the tone of the worst part.
    pub(super) fn outcome(&self) -> (&'static str, String) {
        let Counts { delivered, waiting, suppressed, dead } = &self.deliveries;
        let parts = [
            (delivered, "delivered"),
            (waiting, "waiting"),
            (suppressed, "suppressed"),
            (dead, "dead"),
        ];
        let present: Vec<_> = parts.into_iter().filter(|(n, _)| **n > 0).collect();
        match present.last() {
            None => (tone(&self.state), self.state.clone()),
            Some((_, worst)) => {
                let words: Vec<_> = present.iter().map(|(n, word)| format!("{n} {word}")).collect();
                (tone(worst), words.join(", "))
            }
        }
    }

    pub(super) fn is_test(&self) -> bool {
        self.environment == "test"
    }
}

#[derive(Template)]
#[template(path = "events.html")]
struct Page {
    frame: Frame,
    filter: Filter,
    events: Vec<Line>,
    next: Option<String>,
}

/// Lists events, newest first. An id in the search box leads to its event.
pub(in crate::dashboard) async fn list(
    visit: Visit,
    Path(tenant): Path<String>,
    Query(filter): Query<Filter>,
) -> Response {
    let shown = read(&visit, &tenant, filter).await;
    or_problem(&visit, &tenant, shown)
}

fn given(text: &str) -> Option<&str> {
    Some(text.trim()).filter(|text| !text.is_empty())
}

async fn read(visit: &Visit, tenant: &str, filter: Filter) -> Result<Response, Problem> {
    let asked = [("type", given(&filter.kind)), ("environment", given(&filter.environment))];
    let page_of = |cursor| query(&[&asked[..], &[("cursor", cursor)]].concat());
    let paged = [&asked[..], &[("limit", Some("50")), ("cursor", given(&filter.cursor))]].concat();
    let found: Listed<Line> =
        visit.api.get(&(path(&["tenants", tenant, "events"]) + &query(&paged))).await?;
    let next = found.next_cursor.as_deref().map(|cursor| page_of(Some(cursor)));
    let frame = frame(visit, tenant, "Events", "events");
    Ok(page(&Page { frame, filter, events: found.data, next }))
}
