//! One event: its path from arrival to each receiver, as a story that reads from top to bottom.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::http::Method;
use axum::response::Response;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{done, frame, or_problem};
use crate::dashboard::Ui;
use crate::dashboard::client::{Problem, path};
use crate::dashboard::format::{Time, destination, duration, heading, tone};
use crate::dashboard::frame::{Frame, page};
use crate::dashboard::json::{Piece, pieces};
use crate::dashboard::visit::{Posted, Visit};

/// A delivery with its attempts.
#[derive(Deserialize)]
pub(super) struct Delivery {
    pub(super) id: String,
    pub(super) event: String,
    #[serde(rename = "type")]
    pub(super) kind: String,
    destination: String,
    pub(super) channel: String,
    pub(super) state: String,
    reason: Option<String>,
    due_ms: Option<i64>,
    #[serde(default)]
    pub(super) attempts: Vec<Attempt>,
    updated_ms: i64,
}

#[derive(Deserialize)]
pub(super) struct Attempt {
    number: u32,
    at_ms: i64,
    took_ms: u64,
    code: String,
    status: Option<u16>,
    message: Option<String>,
    answer: Option<String>,
}

impl Delivery {
    pub(super) fn destination(&self) -> &str {
        destination(&self.destination)
    }

    pub(super) fn tone(&self) -> &'static str {
        tone(&self.state)
    }

    /// The mark of its step in the story.
    fn step(&self) -> &'static str {
        match self.tone() {
            "ok" => "done",
            "wait" => "open",
            "bad" => "fail",
            _ => "",
        }
    }

    pub(super) fn updated(&self) -> Time {
        Time::ms(self.updated_ms)
    }

    fn due(&self) -> Option<Time> {
        self.due_ms.map(Time::ms)
    }

    /// Whether it can be sent again.
    fn has_ended(&self) -> bool {
        self.state != "waiting"
    }

    /// Why it is in its state, in words.
    fn why(&self) -> String {
        let reason = self.reason.as_deref().unwrap_or_default();
        let known = match reason {
            "retry" => "The last attempt failed. It is tried again at the time below.",
            "retry_after" => "The receiver asked Fanfare to wait.",
            "digest" => "It is part of the next digest.",
            "rate_limit" => "The destination's rate is used up for now.",
            "paused" => "The destination is paused.",
            "circuit_open" => {
                "The receiver failed repeatedly, so it is tried with single events first."
            }
            "order" | "fifo" => "It waits for earlier events of this destination.",
            "replay" => "It was sent again by a person.",
            "cancelled" => "A person cancelled it.",
            "destination_disabled" => "The destination was disabled.",
            "destination_removed" => "The destination no longer exists.",
            "" => return String::new(),
            other => return format!("Reason: {}.", other.replace('_', " ")),
        };
        known.to_owned()
    }
}

impl Attempt {
    fn at(&self) -> Time {
        Time::ms(self.at_ms)
    }

    fn took(&self) -> String {
        duration(self.took_ms)
    }

    /// The status that the receiver answered, or the code of the failure.
    pub(super) fn result(&self) -> String {
        self.status.map_or_else(|| self.code.clone(), |status| status.to_string())
    }

    fn tone(&self) -> &'static str {
        if self.code == "ok" { "ok" } else { "bad" }
    }

    /// What the receiver said, or what went wrong.
    pub(super) fn said(&self) -> &str {
        let said = self.message.as_deref().or(self.answer.as_deref());
        said.unwrap_or_default().lines().next().unwrap_or_default()
    }
}

/// One route of the tenant, and whether it matches.
#[derive(Deserialize)]
struct Route {
    #[serde(rename = "route")]
    id: String,
    name: Option<String>,
    matched: bool,
    matched_by: Option<String>,
    to: Vec<String>,
    reason: Option<Mismatch>,
}

#[derive(Deserialize)]
struct Mismatch {
    field: String,
    expected: String,
    found: String,
}

impl Route {
    fn label(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.id)
    }

    fn to(&self) -> String {
        self.to.join(", ")
    }
}

/// The answer of the API.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    data: Record<'a>,
}

#[derive(Deserialize)]
struct Record<'a> {
    /// As its producer wrote it.
    #[serde(borrow)]
    event: &'a RawValue,
    received_ms: i64,
    state: String,
    environment: String,
    routes: Vec<Route>,
    deliveries: Vec<Delivery>,
}

/// What the page needs to know of the envelope.
#[derive(Deserialize)]
struct Head {
    #[serde(rename = "type")]
    kind: String,
    created: i64,
}

#[derive(Template)]
#[template(path = "event.html")]
struct Page {
    frame: Frame,
    id: String,
    head: Head,
    received: Time,
    state: String,
    environment: String,
    routes: Vec<Route>,
    deliveries: Vec<Delivery>,
    body: Vec<Piece>,
    bytes: usize,
}

impl Page {
    fn heading(&self) -> String {
        heading(&self.head.kind)
    }

    /// The story in one sentence.
    fn summary(&self) -> String {
        let of = |state: &str| self.deliveries.iter().filter(|one| one.state == state).count();
        match (&*self.state, self.deliveries.len()) {
            ("pending", _) => "Received. It is not processed yet.".to_owned(),
            (_, 0) => "No route matches this event, so it has no receivers.".to_owned(),
            (_, all) => {
                let ended = format!("Delivered to {} of {all}.", of("delivered"));
                let rest = ["waiting", "suppressed", "dead"].map(|state| (of(state), state));
                let rest = rest.into_iter().filter(|(n, _)| *n > 0);
                let rest: Vec<_> = rest.map(|(n, state)| format!(" {n} {state}.")).collect();
                ended + &rest.concat()
            }
        }
    }

    fn created(&self) -> Time {
        Time::ms(self.head.created.saturating_mul(1_000))
    }

    /// The routes that match come first.
    fn matched(&self) -> impl Iterator<Item = &Route> {
        self.routes.iter().filter(|route| route.matched)
    }

    fn unmatched(&self) -> impl Iterator<Item = &Route> {
        self.routes.iter().filter(|route| !route.matched)
    }
}

/// Shows one event.
pub(in crate::dashboard) async fn show(
    visit: Visit,
    Path((tenant, id)): Path<(String, String)>,
) -> Response {
    let shown = read(&visit, &tenant, id).await;
    or_problem(&visit, &tenant, shown)
}

async fn read(visit: &Visit, tenant: &str, id: String) -> Result<Response, Problem> {
    let answer = visit.api.get_bytes(&path(&["tenants", tenant, "events", &id])).await?;
    let record = serde_json::from_slice(&answer).and_then(|Envelope { data }| {
        let head = serde_json::from_str::<Head>(data.event.get())?;
        Ok((data, head))
    });
    let (record, head) = record.map_err(Problem::internal)?;
    Ok(page(&Page {
        frame: frame(visit, tenant, &id, "events"),
        id,
        head,
        received: Time::ms(record.received_ms),
        state: record.state,
        environment: record.environment,
        routes: record.routes,
        deliveries: record.deliveries,
        bytes: record.event.get().len(),
        body: pieces(record.event.get()),
    }))
}

/// Replays or cancels a delivery, and goes back to its event.
pub(in crate::dashboard) async fn act(
    State(ui): State<Arc<Ui>>,
    Path((tenant, delivery, action)): Path<(String, String, String)>,
    posted: Posted,
) -> Response {
    let visit = &posted.visit;
    let resource = path(&["tenants", &tenant, "deliveries", &delivery, &action]);
    let answer = visit.api.send(Method::POST, &resource, None).await;
    let event = format!("events/{}", crate::dashboard::client::escape(posted.field("event")));
    let word = if action == "cancel" { "cancelled" } else { "queued to be sent again" };
    let message = answer.map(|_| format!("The delivery is {word}."));
    done(&ui, &visit.frame(&tenant, "", "").at(&event), message)
}
