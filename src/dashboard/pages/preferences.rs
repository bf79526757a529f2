//! The matrix of event types and destinations. A click is saved at once and can be undone.

use std::collections::BTreeMap;
use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::http::Method;
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{done, frame, or_problem};
use crate::dashboard::Ui;
use crate::dashboard::client::path;
use crate::dashboard::frame::{Frame, page};
use crate::dashboard::visit::{Posted, Visit};

#[derive(Deserialize)]
struct Matrix {
    event_types: Vec<String>,
    destinations: Vec<String>,
    preferences: BTreeMap<String, BTreeMap<String, Value>>,
}

/// One cell.
struct Cell {
    destination: String,
    /// `on`, `off` or `filtered`.
    state: &'static str,
}

/// The event types that begin with the same words.
struct Group {
    name: String,
    rows: Vec<(String, Vec<Cell>)>,
}

#[derive(Template)]
#[template(path = "preferences.html")]
struct Page {
    frame: Frame,
    destinations: Vec<String>,
    groups: Vec<Group>,
}

impl Matrix {
    fn groups(&self) -> Vec<Group> {
        let mut groups: Vec<Group> = Vec::new();
        for kind in &self.event_types {
            let name = kind.rsplit_once('.').map_or("Others", |(group, _)| group).to_owned();
            let row = (kind.clone(), self.cells(kind));
            match groups.last_mut() {
                Some(last) if last.name == name => last.rows.push(row),
                _ => groups.push(Group { name, rows: vec![row] }),
            }
        }
        groups
    }

    fn cells(&self, kind: &str) -> Vec<Cell> {
        let of = |destination: &String| {
            let state = match self.preferences.get(kind).and_then(|row| row.get(destination)) {
                Some(Value::Bool(true)) => "on",
                Some(Value::String(_)) => "filtered",
                _ => "off",
            };
            Cell { destination: destination.clone(), state }
        };
        self.destinations.iter().map(of).collect()
    }
}

/// Shows the matrix.
pub(in crate::dashboard) async fn show(visit: Visit, Path(tenant): Path<String>) -> Response {
    let found = visit.api.get::<Matrix>(&path(&["tenants", &tenant, "preferences"])).await;
    let shown = found.map(|matrix| {
        let frame = frame(&visit, &tenant, "Preferences", "preferences");
        page(&Page { frame, groups: matrix.groups(), destinations: matrix.destinations })
    });
    or_problem(&visit, &tenant, shown)
}

/// Changes one cell.
pub(in crate::dashboard) async fn change(
    State(ui): State<Arc<Ui>>,
    Path(tenant): Path<String>,
    posted: Posted,
) -> Response {
    let visit = &posted.visit;
    let (kind, destination) = (posted.field("type"), posted.field("destination"));
    let on = posted.field("to") == "on";
    let body = json!({"preferences": {kind: {destination: on}}});
    let resource = path(&["tenants", &tenant, "preferences"]);
    let answer = visit.api.send(Method::PATCH, &resource, Some(&body)).await;
    let verb = if on { "now goes" } else { "no longer goes" };
    let message = answer.map(|_| format!("{kind} {verb} to {destination}."));
    done(&ui, &visit.frame(&tenant, "", "").at("preferences"), message)
}
