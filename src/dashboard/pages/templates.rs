//! The list of templates: what each type of message is made of, and whose version applies.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::Path;
use axum::response::Response;
use serde::Deserialize;

use super::{Listed, frame, or_problem};
use crate::dashboard::client::{Problem, path, query};
use crate::dashboard::frame::{Frame, page};
use crate::dashboard::visit::Visit;

/// Most pages of the list that are read.
const MAX_PAGES: usize = 10;

#[derive(Deserialize)]
struct Line {
    event_type: String,
    part: String,
    origin: String,
}

/// The templates of one type of message: the origin of each part. A part that has no template of
/// its own has an empty origin, and the default applies.
struct Row {
    kind: String,
    parts: [(&'static str, String); 4],
}

impl Row {
    fn is_own(&self) -> bool {
        self.parts.iter().any(|(_, origin)| origin == "tenant")
    }

    /// What the type is, if it is not the type of an event.
    fn meaning(&self) -> &'static str {
        match &*self.kind {
            "_default" => "For types without a template of their own",
            "_digest" => "For digests",
            _ => "",
        }
    }
}

/// The parts of a message: name in the API, and words.
pub(super) const PARTS: [(&str, &str); 4] =
    [("subject", "Subject"), ("html", "HTML"), ("text", "Text"), ("slack", "Slack")];

#[derive(Template)]
#[template(path = "templates.html")]
struct Page {
    frame: Frame,
    rows: Vec<Row>,
}

/// Lists the templates that apply to the tenant.
pub(in crate::dashboard) async fn list(visit: Visit, Path(tenant): Path<String>) -> Response {
    let shown = read(&visit, &tenant).await;
    or_problem(&visit, &tenant, shown)
}

async fn read(visit: &Visit, tenant: &str) -> Result<Response, Problem> {
    let mut by_kind: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    let mut cursor = None;
    for _ in 0..MAX_PAGES {
        let asked = query(&[("limit", Some("1000")), ("cursor", cursor.as_deref())]);
        let all = path(&["tenants", tenant, "templates"]) + &asked;
        let found: Listed<Line> = visit.api.get(&all).await?;
        for Line { event_type, part, origin } in found.data {
            by_kind.entry(event_type).or_default().insert(part, origin);
        }
        cursor = found.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    let row = |(kind, mut parts): (String, BTreeMap<String, String>)| Row {
        kind,
        parts: PARTS.map(|(part, _)| (part, parts.remove(part).unwrap_or_default())),
    };
    let rows = by_kind.into_iter().map(row).collect();
    Ok(page(&Page { frame: frame(visit, tenant, "Templates", "templates"), rows }))
}
