//! Digests: the next ones, those that were sent, and what is in them.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::Path;
use axum::http::Method;
use axum::response::Response;
use serde::Deserialize;

use super::event::Delivery;
use super::{Listed, done, frame, or_problem};
use crate::dashboard::client::{Problem, path, query};
use crate::dashboard::format::{Time, count, number};
use crate::dashboard::frame::{Frame, page};
use crate::dashboard::visit::{Posted, Visit};

/// Deliveries that are looked at to find past digests.
const SEEN: &str = "500";
/// Collected events that are listed.
const COLLECTED: &str = "100";

#[derive(Deserialize)]
struct Upcoming {
    destination: String,
    to: String,
    next_ms: Option<i64>,
    timezone: String,
    waiting: u64,
    paused: bool,
}

impl Upcoming {
    fn next(&self) -> Option<Time> {
        self.next_ms.map(Time::ms)
    }

    fn waiting_text(&self) -> String {
        number(self.waiting)
    }
}

#[derive(Template)]
#[template(path = "digests.html")]
struct ListPage {
    frame: Frame,
    digests: Vec<Upcoming>,
}

async fn upcoming(visit: &Visit, tenant: &str) -> Result<Vec<Upcoming>, Problem> {
    let found: Listed<Upcoming> = visit.api.get(&path(&["tenants", tenant, "digests"])).await?;
    Ok(found.data)
}

/// Lists the digests that are collected.
pub(in crate::dashboard) async fn list(visit: Visit, Path(tenant): Path<String>) -> Response {
    let shown = upcoming(&visit, &tenant).await.map(|digests| {
        let frame = frame(&visit, &tenant, "Digests", "digests");
        page(&ListPage { frame, digests })
    });
    or_problem(&visit, &tenant, shown)
}

/// A digest that was sent.
struct Past {
    id: String,
    at_ms: i64,
    events: u64,
    result: String,
    tone: &'static str,
}

impl Past {
    fn at(&self) -> Time {
        Time::ms(self.at_ms)
    }

    fn size(&self) -> String {
        count(self.events, "event")
    }
}

#[derive(Template)]
#[template(path = "digest.html")]
struct OnePage {
    frame: Frame,
    destination: String,
    digests: Vec<Upcoming>,
    collected: Vec<Delivery>,
    more_collected: bool,
    past: Vec<Past>,
    /// Events of this destination that ended outside of a digest.
    suppressed: usize,
    dead: usize,
}

impl OnePage {
    fn waiting(&self) -> u64 {
        self.digests.iter().map(|digest| digest.waiting).sum()
    }
}

/// Shows the digests of one destination: what is collected, and what was sent.
pub(in crate::dashboard) async fn show(
    visit: Visit,
    Path((tenant, id)): Path<(String, String)>,
) -> Response {
    let shown = read(&visit, &tenant, &id).await;
    or_problem(&visit, &tenant, shown)
}

async fn read(visit: &Visit, tenant: &str, id: &str) -> Result<Response, Problem> {
    let digests: Vec<_> = upcoming(visit, tenant).await?;
    let digests: Vec<_> = digests.into_iter().filter(|one| one.destination == id).collect();
    let deliveries = path(&["tenants", tenant, "deliveries"]);
    let of = |state, limit| {
        let asked = [("destination", Some(id)), ("state", state), ("limit", Some(limit))];
        deliveries.clone() + &query(&asked)
    };
    let collected: Listed<Delivery> = visit.api.get(&of(Some("waiting"), COLLECTED)).await?;
    let newest: Listed<Delivery> = visit.api.get(&of(None, SEEN)).await?;
    let ended = |state: &str| newest.data.iter().filter(|one| one.state == state).count();
    let (suppressed, dead) = (ended("suppressed"), ended("dead"));
    Ok(page(&OnePage {
        frame: frame(visit, tenant, &format!("Digests of {id}"), "digests"),
        destination: id.to_owned(),
        digests,
        more_collected: collected.next_cursor.is_some(),
        collected: collected.data,
        past: past(&newest.data),
        suppressed,
        dead,
    }))
}

/// The digests that these deliveries were part of, the newest first.
fn past(deliveries: &[Delivery]) -> Vec<Past> {
    let mut found: BTreeMap<&str, Past> = BTreeMap::new();
    for one in deliveries {
        let Some((attempt, id)) =
            one.attempts.iter().rev().find_map(|attempt| Some((attempt, attempt.digest()?)))
        else {
            continue;
        };
        let of = || Past {
            id: id.to_owned(),
            at_ms: attempt.at_ms,
            events: 0,
            result: attempt.result(),
            tone: attempt.tone(),
        };
        found.entry(id).or_insert_with(of).events += 1;
    }
    let mut past: Vec<Past> = found.into_values().collect();
    past.sort_by_key(|one| std::cmp::Reverse(one.at_ms));
    past
}

/// Sends what is collected now.
pub(in crate::dashboard) async fn send(
    Path((tenant, id)): Path<(String, String)>,
    posted: Posted,
) -> Response {
    let visit = &posted.visit;
    let resource = path(&["tenants", &tenant, "digests", &id, "send"]);
    let answer = visit.api.send(Method::POST, &resource, None).await;
    let text = answer.map(|answer| {
        let events = answer["events"].as_u64().unwrap_or_default();
        format!("The digest of {id} is being sent with {}.", count(events, "event"))
    });
    done(visit, &visit.frame(&tenant, "", "").of("digests", &id), text)
}
