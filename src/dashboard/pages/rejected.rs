//! Stream entries that are not valid events, for operators.

use askama::Template;
use axum::extract::Query;
use axum::response::Response;
use serde::Deserialize;

use super::{Listed, Paged, or_problem};
use crate::dashboard::client::query;
use crate::dashboard::format::{Time, cut};
use crate::dashboard::frame::{Frame, page};
use crate::dashboard::visit::Visit;

/// Longest part of an entry that is shown, in characters.
const RAW_SHOWN: usize = 4_000;

#[derive(Deserialize)]
struct Rejected {
    entry: String,
    at_ms: i64,
    tenant: Option<String>,
    code: String,
    reason: String,
    raw: String,
}

impl Rejected {
    fn at(&self) -> Time {
        Time::ms(self.at_ms)
    }

    fn raw(&self) -> String {
        cut(&self.raw, RAW_SHOWN)
    }
}

#[derive(Template)]
#[template(path = "rejected.html")]
struct Page {
    frame: Frame,
    entries: Vec<Rejected>,
    next: Option<String>,
}

/// Lists the entries, newest first.
pub(in crate::dashboard) async fn list(visit: Visit, Query(asked): Query<Paged>) -> Response {
    let asked = query(&[("limit", Some("50")), ("cursor", asked.cursor.as_deref())]);
    let found = visit.api.get::<Listed<Rejected>>(&format!("/rejected{asked}")).await;
    let shown = found.map(|found| {
        let frame = visit.frame("", "Rejected entries", "rejected");
        let next = found.next_cursor.map(|cursor| query(&[("cursor", Some(&cursor))]));
        page(&Page { frame, entries: found.data, next })
    });
    or_problem(&visit, "", shown)
}
