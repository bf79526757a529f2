//! Destinations: the list, and one with its settings, its actions and its newest deliveries.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::http::Method;
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::event::Delivery;
use super::{Listed, done, frame, or_problem};
use crate::dashboard::Ui;
use crate::dashboard::client::{Problem, escape, path};
use crate::dashboard::format::tone;
use crate::dashboard::frame::{Frame, page};
use crate::dashboard::visit::{Posted, Visit};

/// A destination as the API shows it.
#[derive(Deserialize)]
pub(in crate::dashboard) struct Destination {
    pub(super) id: String,
    pub(super) channel: String,
    settings: Map<String, Value>,
    pub(super) state: String,
    pub(super) disabled: Option<Disabled>,
    #[serde(default)]
    lanes: Vec<Lane>,
}

#[derive(Deserialize)]
pub(super) struct Disabled {
    pub(super) message: String,
}

#[derive(Deserialize)]
struct Lane {
    to: String,
    waiting: u64,
}

impl Destination {
    /// How many deliveries wait for it.
    pub(super) fn waiting(&self) -> u64 {
        self.lanes.iter().map(|lane| lane.waiting).sum()
    }

    /// Its receivers, without secrets.
    pub(super) fn to(&self) -> String {
        let to: Vec<_> = self.lanes.iter().map(|lane| &*lane.to).collect();
        to.join(", ")
    }

    pub(super) fn tone(&self) -> &'static str {
        tone(&self.state)
    }

    /// The settings, one a line. Secrets are masked by the API.
    fn lines(&self) -> Vec<(String, String)> {
        let text = |value: &Value| match value {
            Value::String(text) => text.clone(),
            Value::Array(items) if items.iter().all(Value::is_string) => {
                items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
            }
            other => other.to_string(),
        };
        self.settings.iter().map(|(name, value)| (name.clone(), text(value))).collect()
    }
}

#[derive(Template)]
#[template(path = "destinations.html")]
struct ListPage {
    frame: Frame,
    destinations: Vec<Destination>,
}

#[derive(Template)]
#[template(path = "destination.html")]
struct OnePage {
    frame: Frame,
    destination: Destination,
    deliveries: Vec<Delivery>,
}

/// Lists the destinations.
pub(in crate::dashboard) async fn list(visit: Visit, Path(tenant): Path<String>) -> Response {
    let all = path(&["tenants", &tenant, "destinations"]) + "?limit=1000";
    let shown = visit.api.get::<Listed<Destination>>(&all).await.map(|found| {
        let frame = frame(&visit, &tenant, "Destinations", "destinations");
        page(&ListPage { frame, destinations: found.data })
    });
    or_problem(&visit, &tenant, shown)
}

/// Shows one destination.
pub(in crate::dashboard) async fn show(
    visit: Visit,
    Path((tenant, id)): Path<(String, String)>,
) -> Response {
    let shown = read(&visit, &tenant, &id).await;
    or_problem(&visit, &tenant, shown)
}

async fn read(visit: &Visit, tenant: &str, id: &str) -> Result<Response, Problem> {
    let destination = visit.api.get(&path(&["tenants", tenant, "destinations", id])).await?;
    let deliveries = path(&["tenants", tenant, "deliveries"]);
    let deliveries = format!("{deliveries}?limit=20&destination={}", escape(id));
    let deliveries: Listed<Delivery> = visit.api.get(&deliveries).await?;
    let frame = frame(visit, tenant, id, "destinations");
    Ok(page(&OnePage { frame, destination, deliveries: deliveries.data }))
}

/// Pauses, resumes, enables, tests or recovers a destination.
pub(in crate::dashboard) async fn act(
    State(ui): State<Arc<Ui>>,
    Path((tenant, id, action)): Path<(String, String, String)>,
    posted: Posted,
) -> Response {
    let visit = &posted.visit;
    let to = visit.frame(&tenant, "", "").at(&format!("destinations/{}", escape(&id)));
    let resource = path(&["tenants", &tenant, "destinations", &id, &action]);
    let answer = visit.api.send(Method::POST, &resource, None).await;
    done(&ui, &to, answer.map(|answer| happened(&id, &action, &answer)))
}

fn happened(id: &str, action: &str, answer: &Value) -> String {
    match action {
        "pause" => format!("{id} is paused. Its events wait until you resume it."),
        "resume" => format!("{id} is resumed."),
        "enable" => format!("{id} is enabled."),
        "test" => tested(id, answer),
        "recover" => format!("{id} is sent what it missed."),
        _ => format!("Done: {action}."),
    }
}

/// The receiver's own answer to a test event.
fn tested(id: &str, answer: &Value) -> String {
    let attempts = answer["attempts"].as_array().map(Vec::as_slice).unwrap_or_default();
    let one = |attempt: &Value| {
        let (to, attempt) = (&attempt["to"], &attempt["attempt"]);
        let word = attempt["message"].as_str().or_else(|| attempt["answer"].as_str());
        let status = attempt["status"].as_u64().map(|status| format!("{status} "));
        let took = attempt["took_ms"].as_u64().unwrap_or_default();
        let (status, word) = (status.unwrap_or_default(), word.unwrap_or("accepted"));
        format!("{}: {status}{word} ({took} ms)", to.as_str().unwrap_or_default())
    };
    let answers: Vec<_> = attempts.iter().map(one).collect();
    let verdict = if answer["ok"] == true { "accepted" } else { "did not accept" };
    format!("{id} {verdict} a test event. {}", answers.join("; "))
}
