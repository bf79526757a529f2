//! One event: its path from arrival to each receiver, as a story that reads from top to bottom.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::Path;
use axum::http::{HeaderValue, Method, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{done, frame, or_problem};
use crate::dashboard::client::{Problem, path};
use crate::dashboard::format::{Time, bytes, destination, duration, heading, tone};
use crate::dashboard::frame::{Frame, page};
use crate::dashboard::json::{CLOSE, OPEN, Piece, pieces};
use crate::dashboard::story::{self, Step};
use crate::dashboard::visit::{Posted, Visit};

/// Webhooks whose requests are shown.
const REQUESTS: usize = 10;
/// Routes that do not match and are shown. A tenant can have thousands.
const UNMATCHED: usize = 30;

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
    /// The request that is sent, if it is a webhook.
    #[serde(skip)]
    request: Option<Request>,
}

#[derive(Deserialize)]
pub(super) struct Attempt {
    number: u32,
    pub(super) at_ms: i64,
    pub(super) took_ms: u64,
    code: String,
    status: Option<u16>,
    #[serde(default)]
    message: String,
    #[serde(default)]
    answer: String,
    remote_id: Option<String>,
    digest: Option<String>,
}

/// What is sent to a webhook. Signatures need the secret, so they are not shown.
struct Request {
    url: String,
    headers: Vec<(String, String)>,
}

impl Delivery {
    pub(super) fn destination(&self) -> &str {
        destination(&self.destination)
    }

    pub(super) fn tone(&self) -> &'static str {
        tone(&self.state)
    }

    pub(super) fn reason(&self) -> &str {
        self.reason.as_deref().unwrap_or_default()
    }

    pub(super) fn due_ms(&self) -> Option<i64> {
        self.due_ms
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

    /// When it is tried next. A paused delivery has a time beyond any calendar.
    fn due(&self) -> Option<Time> {
        let far_ms = self.updated_ms.saturating_add(366 * 24 * 3_600_000);
        self.due_ms.filter(|due| self.state == "waiting" && *due < far_ms).map(Time::ms)
    }

    /// Whether it can be sent again.
    fn has_ended(&self) -> bool {
        self.state != "waiting"
    }

    /// What the receiver did, in a sentence.
    fn told(&self) -> String {
        let steps = self
            .attempts
            .iter()
            .map(|attempt| Step { code: &attempt.code, status: attempt.status });
        story::told(&self.channel, steps)
    }

    /// Why it is in its state, in words.
    fn why(&self) -> String {
        story::why(&self.state, self.reason())
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

    pub(super) fn is_ok(&self) -> bool {
        self.code == "ok"
    }

    pub(super) fn tone(&self) -> &'static str {
        if self.is_ok() { "ok" } else { "bad" }
    }

    /// The digest that it sent.
    pub(super) fn digest(&self) -> Option<&str> {
        self.digest.as_deref()
    }

    /// What the receiver said, or what went wrong, on one line.
    pub(super) fn said(&self) -> &str {
        let said = if self.message.is_empty() { &self.answer } else { &self.message };
        said.lines().next().unwrap_or_default()
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
struct Page<'r> {
    frame: Frame,
    id: String,
    head: Head,
    received: Time,
    state: String,
    environment: String,
    routes: Vec<Route>,
    deliveries: Vec<Delivery>,
    body: Vec<Piece>,
    raw: &'r str,
    size: String,
}

impl Page<'_> {
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
                let noun = if all == 1 { "destination" } else { "destinations" };
                let ended = format!("Delivered to {} of {all} {noun}.", of("delivered"));
                let rest = ["waiting", "suppressed", "dead"].map(|state| (of(state), state));
                let rest = rest.into_iter().filter(|(n, _)| *n > 0);
                let rest: Vec<_> = rest.map(|(n, state)| format!(" {n} {state}.")).collect();
                ended + &rest.concat()
            }
        }
    }

    /// The deliveries that need attention, in words.
    fn troubled(&self) -> impl Iterator<Item = &Delivery> {
        self.deliveries.iter().filter(|one| one.state == "dead" || one.state == "waiting").take(5)
    }

    fn created(&self) -> Time {
        Time::ms(self.head.created.saturating_mul(1_000))
    }

    /// The routes that match come first.
    fn matched(&self) -> impl Iterator<Item = &Route> {
        self.routes.iter().filter(|route| route.matched)
    }

    fn unmatched(&self) -> impl Iterator<Item = &Route> {
        self.routes.iter().filter(|route| !route.matched).take(UNMATCHED)
    }

    fn unmatched_left_out(&self) -> usize {
        let unmatched = self.routes.iter().filter(|route| !route.matched).count();
        unmatched.saturating_sub(UNMATCHED)
    }

    /// The request to a webhook as a command.
    fn curl(&self, request: &Request) -> String {
        let quoted = |text: &str| format!("'{}'", text.replace('\'', "'\\''"));
        let headers = request.headers.iter();
        let headers = headers.map(|(name, value)| quoted(&format!("{name}: {value}")));
        let headers: String =
            headers.flat_map(|header| [" \\\n  -H ".to_owned(), header]).collect();
        let (url, body) = (quoted(&request.url), quoted(self.raw));
        format!("curl -i {url}{headers} \\\n  --data-binary {body}")
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
    let (mut record, head) = record.map_err(Problem::internal)?;
    add_requests(visit, tenant, &head, &id, &mut record.deliveries).await;
    let raw = record.event.get();
    Ok(page(&Page {
        frame: frame(visit, tenant, &id, "events"),
        id,
        head,
        received: Time::ms(record.received_ms),
        state: record.state,
        environment: record.environment,
        routes: record.routes,
        deliveries: record.deliveries,
        size: bytes(raw.len() as u64),
        body: pieces(raw),
        raw,
    }))
}

#[derive(Deserialize)]
struct Webhook {
    settings: WebhookSettings,
}

#[derive(Deserialize)]
struct WebhookSettings {
    url: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
}

/// Adds the request to each webhook, with the destination's present settings.
async fn add_requests(
    visit: &Visit,
    tenant: &str,
    head: &Head,
    id: &str,
    deliveries: &mut [Delivery],
) {
    let webhooks = deliveries.iter_mut().filter(|one| one.channel == "webhook").take(REQUESTS);
    for one in webhooks {
        let resource = path(&["tenants", tenant, "destinations", one.destination()]);
        // A destination that was deleted has no settings.
        let Ok(found) = visit.api.get::<Webhook>(&resource).await else { continue };
        let attempted = one.attempts.last().map_or(0, |attempt| attempt.at_ms / 1_000);
        let (created, attempted) = (head.created.to_string(), attempted.to_string());
        let fixed = [
            ("content-type", "application/json"),
            ("x-webhook-id", id),
            ("x-webhook-timestamp", &created),
            ("webhook-id", id),
            ("webhook-timestamp", &attempted),
        ];
        let fixed = fixed.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let WebhookSettings { url, headers } = found.settings;
        one.request = Some(Request { url, headers: fixed.into_iter().chain(headers).collect() });
    }
}

/// The event's bytes, exactly as every webhook gets them.
pub(in crate::dashboard) async fn body(
    visit: Visit,
    Path((tenant, id)): Path<(String, String)>,
) -> Response {
    let answer = visit.api.get_bytes(&path(&["tenants", &tenant, "events", &id])).await;
    let shown = answer.and_then(|answer| {
        let Envelope { data } = serde_json::from_slice(&answer).map_err(Problem::internal)?;
        let json = HeaderValue::from_static("application/json");
        let attachment = HeaderValue::from_static("attachment; filename=\"event.json\"");
        let headers = [(header::CONTENT_TYPE, json), (header::CONTENT_DISPOSITION, attachment)];
        Ok((headers, data.event.get().to_owned()).into_response())
    });
    or_problem(&visit, &tenant, shown)
}

/// Sends a delivery again, or cancels it.
pub(in crate::dashboard) async fn act(
    Path((tenant, delivery, action)): Path<(String, String, String)>,
    posted: Posted,
) -> Response {
    let visit = &posted.visit;
    let verb = if action == "cancel" { "cancel" } else { "replay" };
    let resource = path(&["tenants", &tenant, "deliveries", &delivery, verb]);
    let answer = visit.api.send(Method::POST, &resource, None).await;
    let word = if verb == "cancel" { "cancelled" } else { "queued to be sent again" };
    let text = answer.map(|_| format!("The delivery is {word}."));
    let to = visit.frame(&tenant, "", "").of("events", posted.field("event"));
    done(visit, &to, text)
}
