//! Destinations: the list, and one with its settings, its history and its actions.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::{Path, Query};
use axum::http::Method;
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::confirm::{self, Question};
use super::destination_fields::channel_name;
use super::destination_form::secrets;
use super::event::Delivery;
use super::{Listed, Paged, done, frame, or_problem};
use crate::dashboard::client::{Problem, escape, path, query};
use crate::dashboard::flash::Flash;
use crate::dashboard::format::{Time, count, duration, number, tone};
use crate::dashboard::frame::{Frame, page};
use crate::dashboard::story;
use crate::dashboard::visit::{Posted, Visit};

/// Waiting deliveries that are looked at to say what they wait for.
const WAITING_SEEN: u64 = 200;
/// Attempts in the chart.
const CHARTED: usize = 60;
/// The height of the chart.
const CHART_HEIGHT: u64 = 48;

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
    at_ms: Option<i64>,
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

    pub(super) fn waiting_text(&self) -> String {
        number(self.waiting())
    }

    /// Its receivers, without secrets.
    pub(super) fn to(&self) -> String {
        let to: Vec<_> = self.lanes.iter().take(3).map(|lane| &*lane.to).collect();
        let more = self.lanes.len().saturating_sub(to.len());
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        to.join(", ") + &more
    }

    pub(super) fn channel_name(&self) -> &str {
        channel_name(&self.channel)
    }

    pub(super) fn tone(&self) -> &'static str {
        tone(&self.state)
    }

    fn disabled_at(&self) -> Option<Time> {
        self.disabled.as_ref()?.at_ms.map(Time::ms)
    }

    pub(super) fn is_test(&self) -> bool {
        self.settings.get("environment").is_some_and(|value| value == "test")
    }

    fn has_secret(&self) -> bool {
        self.channel == "webhook" && self.settings.contains_key("secret")
    }

    pub(super) fn has_digest(&self) -> bool {
        self.settings.contains_key("digest")
    }

    /// The settings, one a line. Secrets are masked by the API.
    fn lines(&self) -> Vec<(&str, String)> {
        let text = |value: &Value| match value {
            Value::String(text) => text.clone(),
            Value::Array(items) if items.iter().all(Value::is_string) => {
                items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
            }
            other => other.to_string(),
        };
        self.settings.iter().map(|(name, value)| (&**name, text(value))).collect()
    }
}

#[derive(Template)]
#[template(path = "destinations.html")]
struct ListPage {
    frame: Frame,
    destinations: Vec<Destination>,
    next: Option<String>,
}

/// Lists the destinations.
pub(in crate::dashboard) async fn list(
    visit: Visit,
    Path(tenant): Path<String>,
    Query(asked): Query<Paged>,
) -> Response {
    let asked = query(&[("limit", Some("100")), ("cursor", asked.cursor.as_deref())]);
    let all = path(&["tenants", &tenant, "destinations"]) + &asked;
    let shown = visit.api.get::<Listed<Destination>>(&all).await.map(|found| {
        let frame = frame(&visit, &tenant, "Destinations", "destinations");
        let next = found.next_cursor.map(|cursor| query(&[("cursor", Some(&cursor))]));
        page(&ListPage { frame, destinations: found.data, next })
    });
    or_problem(&visit, &tenant, shown)
}

/// What waiting deliveries wait for.
struct Hold {
    what: &'static str,
    count: u64,
    /// When the first of them is due.
    until: Option<Time>,
}

/// The newest attempts.
struct History {
    bars: Vec<Bar>,
    accepted: usize,
    of: usize,
    median: String,
    slow: String,
}

/// One attempt in the chart.
struct Bar {
    x: u64,
    y: u64,
    height: u64,
    tone: &'static str,
    title: String,
}

#[derive(Template)]
#[template(path = "destination.html")]
struct OnePage {
    frame: Frame,
    destination: Destination,
    holds: Vec<Hold>,
    more_waiting: bool,
    history: Option<History>,
    deliveries: Vec<Delivery>,
    next: Option<String>,
}

/// Shows one destination.
pub(in crate::dashboard) async fn show(
    visit: Visit,
    Path((tenant, id)): Path<(String, String)>,
    Query(asked): Query<Paged>,
) -> Response {
    let shown = read(&visit, &tenant, &id, asked.cursor.as_deref()).await;
    or_problem(&visit, &tenant, shown)
}

async fn read(
    visit: &Visit,
    tenant: &str,
    id: &str,
    cursor: Option<&str>,
) -> Result<Response, Problem> {
    let resource = path(&["tenants", tenant, "destinations", id]);
    let destination: Destination = visit.api.get(&resource).await?;
    let deliveries = path(&["tenants", tenant, "deliveries"]);
    let of = escape(id);
    let newest = format!("{deliveries}?limit=50&destination={of}");
    let newest = newest + &query(&[("cursor", cursor)]).replace('?', "&");
    let newest: Listed<Delivery> = visit.api.get(&newest).await?;
    let (mut holds, mut more_waiting) = (Vec::new(), false);
    if destination.waiting() > 0 {
        let waiting = format!("{deliveries}?state=waiting&limit={WAITING_SEEN}&destination={of}");
        let waiting: Listed<Delivery> = visit.api.get(&waiting).await?;
        more_waiting = waiting.next_cursor.is_some();
        holds = held_back(&waiting.data);
    }
    let frame = frame(visit, tenant, id, "destinations");
    Ok(page(&OnePage {
        frame,
        destination,
        holds,
        more_waiting,
        history: history(&newest.data),
        deliveries: newest.data,
        next: newest.next_cursor.map(|cursor| query(&[("cursor", Some(&cursor))])),
    }))
}

/// Groups waiting deliveries by what they wait for, the most frequent first.
fn held_back(waiting: &[Delivery]) -> Vec<Hold> {
    let mut found: BTreeMap<&'static str, (u64, Option<i64>)> = BTreeMap::new();
    for one in waiting {
        let (count, due) = found.entry(story::hold(one.reason())).or_default();
        *count += 1;
        *due = (*due).into_iter().chain(one.due_ms()).min();
    }
    let hold = |(what, (count, due)): (_, (_, Option<i64>))| Hold {
        what,
        count,
        until: due.map(Time::ms),
    };
    let mut holds: Vec<Hold> = found.into_iter().map(hold).collect();
    holds.sort_by_key(|hold| std::cmp::Reverse(hold.count));
    holds
}

/// The newest attempts of these deliveries, oldest first. `None` if there are none.
fn history(deliveries: &[Delivery]) -> Option<History> {
    let mut attempts: Vec<_> = deliveries.iter().flat_map(|one| &one.attempts).collect();
    attempts.sort_by_key(|attempt| attempt.at_ms);
    let attempts = &attempts[attempts.len().saturating_sub(CHARTED)..];
    let mut times: Vec<u64> = attempts.iter().map(|attempt| attempt.took_ms).collect();
    times.sort_unstable();
    let longest = *times.last()?;
    let share = |percent: usize| times[(times.len() - 1) * percent / 100];
    let bar = |(attempt, x): (&&super::event::Attempt, u64)| {
        let height = (attempt.took_ms * CHART_HEIGHT / longest.max(1)).clamp(3, CHART_HEIGHT);
        let (took, at) = (duration(attempt.took_ms), Time::ms(attempt.at_ms).text());
        Bar {
            x: x * 8,
            y: CHART_HEIGHT - height,
            height,
            tone: attempt.tone(),
            title: format!("{}: {}, {took}", at, attempt.result()),
        }
    };
    Some(History {
        bars: attempts.iter().zip(0..).map(bar).collect(),
        accepted: attempts.iter().filter(|attempt| attempt.is_ok()).count(),
        of: attempts.len(),
        median: duration(share(50)),
        slow: duration(share(95)),
    })
}

impl History {
    fn width(&self) -> usize {
        (self.bars.len() * 8).max(8)
    }
}

/// Tests, pauses, resumes, enables, recovers or deletes a destination, or rotates its secret.
pub(in crate::dashboard) async fn act(
    Path((tenant, id, action)): Path<(String, String, String)>,
    posted: Posted,
) -> Response {
    let visit = &posted.visit;
    let frame = visit.frame(&tenant, "", "");
    let to = frame.of("destinations", &id);
    if action == "delete" {
        return delete(&tenant, &id, &posted).await;
    }
    let verb = match &*action {
        "test" | "pause" | "resume" | "enable" | "recover" => &action,
        "rotate" => "rotate-secret",
        _ => {
            let missing = Err::<Response, _>(Problem::field("", "There is no such action"));
            return or_problem(visit, &tenant, missing);
        }
    };
    let resource = path(&["tenants", &tenant, "destinations", &id, verb]);
    let answer = visit.api.send(Method::POST, &resource, None).await;
    done(visit, &to, answer.map(|answer| happened(&id, &action, &answer)))
}

async fn delete(tenant: &str, id: &str, posted: &Posted) -> Response {
    let frame = posted.visit.frame(tenant, "", "");
    if !confirm::is_sure(posted) {
        let consequence = "Routes no longer lead to it, routes that have no other destination are \
                           deleted, and what waits for it is suppressed. Its history stays.";
        let question = Question {
            heading: format!("Delete the destination {id}?"),
            consequence: consequence.to_owned(),
            label: "Delete it",
            current: "destinations",
            back: frame.of("destinations", id),
        };
        return confirm::ask(posted, tenant, question);
    }
    let resource = path(&["tenants", tenant, "destinations", id]);
    let answer = posted.visit.api.send(Method::DELETE, &resource, None).await;
    let text = answer.map(|_| format!("The destination {id} is deleted."));
    done(&posted.visit, &frame.at("destinations"), text)
}

fn happened(id: &str, action: &str, answer: &Value) -> Flash {
    let replayed = || answer["replayed"].as_u64().unwrap_or_default();
    match action {
        "pause" => format!("{id} is paused. Its events wait until you resume it.").into(),
        "resume" => format!("{id} is resumed. What waited is sent now.").into(),
        "enable" => format!("{id} is enabled. What waits is tried now.").into(),
        "test" => tested(id, answer),
        "recover" => {
            format!("{id} is enabled, and {} put back.", count(replayed(), "delivery")).into()
        }
        "rotate" => Flash {
            text: format!(
                "{id} has a new secret. The old one also signs for one day, so that the receiver \
                 has time to switch."
            ),
            secrets: secrets(answer),
            ..Flash::default()
        },
        _ => format!("Done: {action}.").into(),
    }
}

/// The receiver's own answer to a test event.
fn tested(id: &str, answer: &Value) -> Flash {
    let attempts = answer["attempts"].as_array().map(Vec::as_slice).unwrap_or_default();
    let one = |attempt: &Value| {
        let (to, attempt) = (&attempt["to"], &attempt["attempt"]);
        let word = attempt["message"].as_str().or_else(|| attempt["answer"].as_str());
        let status = attempt["status"].as_u64().map(|status| format!("{status} "));
        let took = attempt["took_ms"].as_u64().unwrap_or_default();
        let (status, word) = (status.unwrap_or_default(), word.unwrap_or("accepted"));
        format!("{}: {status}{word} ({})", to.as_str().unwrap_or_default(), duration(took))
    };
    let answers: Vec<_> = attempts.iter().map(one).collect();
    let accepted = answer["ok"] == true;
    let verdict = if accepted { "accepted" } else { "did not accept" };
    let text = format!("{id} {verdict} a test event. {}", answers.join("; "));
    Flash { text, bad: !accepted, ..Flash::default() }
}
