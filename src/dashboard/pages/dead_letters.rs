//! Deliveries that failed for good, and sending them again.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::http::Method;
use axum::response::Response;
use serde::Deserialize;
use serde_json::json;

use super::event::Delivery;
use super::{Listed, done, frame, or_problem};
use crate::dashboard::Ui;
use crate::dashboard::client::{path, query};
use crate::dashboard::frame::{Frame, page};
use crate::dashboard::visit::{Posted, Visit};

#[derive(Deserialize)]
pub(in crate::dashboard) struct Asked {
    cursor: Option<String>,
}

#[derive(Template)]
#[template(path = "dead_letters.html")]
struct Page {
    frame: Frame,
    deliveries: Vec<Delivery>,
    next: Option<String>,
}

/// Lists the dead letters.
pub(in crate::dashboard) async fn list(
    visit: Visit,
    Path(tenant): Path<String>,
    Query(asked): Query<Asked>,
) -> Response {
    let asked = query(&[
        ("state", Some("dead")),
        ("limit", Some("50")),
        ("cursor", asked.cursor.as_deref()),
    ]);
    let all = path(&["tenants", &tenant, "deliveries"]) + &asked;
    let shown = visit.api.get::<Listed<Delivery>>(&all).await.map(|found| {
        let frame = frame(&visit, &tenant, "Dead letters", "dead-letters");
        let next = found.next_cursor.map(|cursor| query(&[("cursor", Some(&cursor))]));
        page(&Page { frame, deliveries: found.data, next })
    });
    or_problem(&visit, &tenant, shown)
}

/// Sends all dead letters again.
pub(in crate::dashboard) async fn replay(
    State(ui): State<Arc<Ui>>,
    Path(tenant): Path<String>,
    posted: Posted,
) -> Response {
    let visit = &posted.visit;
    let resource = path(&["tenants", &tenant, "deliveries", "replay"]);
    let answer = visit.api.send(Method::POST, &resource, Some(&json!({"state": ["dead"]}))).await;
    let message = answer.map(|answer| {
        let n = answer["replayed"].as_u64().unwrap_or_default();
        format!("{n} deliveries are queued to be sent again.")
    });
    done(&ui, &visit.frame(&tenant, "", "").at("dead-letters"), message)
}
