//! The catalog of event types, with descriptions, examples and schemas.

use askama::Template;
use axum::extract::{Path, Query};
use axum::response::Response;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Listed, Paged, or_problem};
use crate::dashboard::client::{path, query};
use crate::dashboard::frame::{Frame, page};
use crate::dashboard::json::{CLOSE, OPEN, Piece, pieces};
use crate::dashboard::visit::Visit;

#[derive(Deserialize)]
struct Line {
    name: String,
    #[serde(default)]
    description: String,
    check: String,
    schema: Option<Box<RawValue>>,
}

#[derive(Template)]
#[template(path = "types.html")]
struct ListPage {
    frame: Frame,
    types: Vec<Line>,
    next: Option<String>,
}

/// Lists the event types.
pub(in crate::dashboard) async fn list(visit: Visit, Query(asked): Query<Paged>) -> Response {
    let asked = query(&[("limit", Some("100")), ("cursor", asked.cursor.as_deref())]);
    let found = visit.api.get::<Listed<Line>>(&format!("/event-types{asked}")).await;
    let shown = found.map(|found| {
        let frame = visit.frame("", "Event types", "types");
        let next = found.next_cursor.map(|cursor| query(&[("cursor", Some(&cursor))]));
        page(&ListPage { frame, types: found.data, next })
    });
    or_problem(&visit, "", shown)
}

#[derive(Deserialize)]
struct Type {
    #[serde(default)]
    description: String,
    check: String,
    schema: Option<Box<RawValue>>,
    example: Option<Box<RawValue>>,
}

#[derive(Template)]
#[template(path = "type.html")]
struct OnePage {
    frame: Frame,
    kind: String,
    description: String,
    check: String,
    schema: Option<Vec<Piece>>,
    example: Option<Vec<Piece>>,
}

/// Shows one event type.
pub(in crate::dashboard) async fn show(visit: Visit, Path(kind): Path<String>) -> Response {
    let found = visit.api.get::<Type>(&path(&["event-types", &kind])).await;
    let shown = found.map(|found| {
        let frame = visit.frame("", &kind, "types");
        let shown = |json: Option<Box<RawValue>>| json.map(|json| pieces(json.get()));
        let Type { description, check, schema, example } = found;
        let (schema, example) = (shown(schema), shown(example));
        page(&OnePage { frame, kind, description, check, schema, example })
    });
    or_problem(&visit, "", shown)
}
