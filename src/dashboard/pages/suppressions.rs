//! Destinations and addresses that receive nothing until a person lifts the suppression.

use askama::Template;
use axum::extract::{Path, Query};
use axum::http::Method;
use axum::response::Response;
use serde::Deserialize;
use serde_json::json;

use super::{Listed, Paged, done, frame, or_problem};
use crate::dashboard::client::{path, query};
use crate::dashboard::format::{Time, count, number};
use crate::dashboard::frame::{Frame, page};
use crate::dashboard::visit::{Posted, Visit};

#[derive(Deserialize)]
pub(super) struct Suppression {
    pub(super) id: String,
    pub(super) destination: String,
    pub(super) to: Option<String>,
    pub(super) reason: String,
    pub(super) message: String,
    since_ms: Option<i64>,
    pub(super) kept: u64,
}

impl Suppression {
    fn since(&self) -> Option<Time> {
        self.since_ms.map(Time::ms)
    }

    fn kept_text(&self) -> String {
        number(self.kept)
    }

    /// The receiver, or the whole destination.
    fn who(&self) -> &str {
        let to = self.to.as_deref().filter(|_| self.id != self.destination);
        to.unwrap_or("Everything")
    }
}

#[derive(Template)]
#[template(path = "suppressions.html")]
struct Page {
    frame: Frame,
    suppressions: Vec<Suppression>,
    next: Option<String>,
}

/// Lists the suppressions.
pub(in crate::dashboard) async fn list(
    visit: Visit,
    Path(tenant): Path<String>,
    Query(asked): Query<Paged>,
) -> Response {
    let asked = query(&[("limit", Some("50")), ("cursor", asked.cursor.as_deref())]);
    let all = path(&["tenants", &tenant, "suppressions"]) + &asked;
    let shown = visit.api.get::<Listed<Suppression>>(&all).await.map(|found| {
        let frame = frame(&visit, &tenant, "Suppressions", "suppressions");
        let next = found.next_cursor.map(|cursor| query(&[("cursor", Some(&cursor))]));
        page(&Page { frame, suppressions: found.data, next })
    });
    or_problem(&visit, &tenant, shown)
}

/// Lifts a suppression, with or without what was kept.
pub(in crate::dashboard) async fn lift(
    Path((tenant, id)): Path<(String, String)>,
    posted: Posted,
) -> Response {
    let visit = &posted.visit;
    let replay = posted.field("replay") == "yes";
    let resource = path(&["tenants", &tenant, "suppressions", &id, "lift"]);
    let answer = visit.api.send(Method::POST, &resource, Some(&json!({"replay": replay}))).await;
    let text = answer.map(|answer| {
        let sent = answer["replay"]["replayed"].as_u64();
        let sent = sent.map(|n| format!(" {} put back.", count(n, "delivery")));
        format!("{id} receives events again.{}", sent.unwrap_or_default())
    });
    done(visit, &visit.frame(&tenant, "", "").at("suppressions"), text)
}
