//! One search box for support staff: ids of events, deliveries, destinations and tenants, and the
//! values by which events are looked up.

use askama::Template;
use axum::extract::{Path, Query};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::events::Line;
use super::{Listed, frame, or_problem};
use crate::dashboard::client::{Problem, path, query};
use crate::dashboard::frame::{Frame, page};
use crate::dashboard::visit::Visit;

/// Tenants in which an operator's search looks for an event.
const TENANTS: &str = "1000";

#[derive(Deserialize)]
pub(in crate::dashboard) struct Asked {
    #[serde(default)]
    q: String,
}

/// Something that was found.
struct Found {
    what: &'static str,
    label: String,
    link: String,
}

#[derive(Template)]
#[template(path = "search.html")]
struct Page {
    frame: Frame,
    q: String,
    found: Vec<Found>,
    events: Vec<Line>,
}

#[derive(Deserialize)]
struct Named {
    id: String,
    #[serde(default)]
    name: String,
}

/// Searches one tenant. A single result is opened at once.
pub(in crate::dashboard) async fn in_tenant(
    visit: Visit,
    Path(tenant): Path<String>,
    Query(asked): Query<Asked>,
) -> Response {
    let q = asked.q.trim().to_owned();
    let frame = frame(&visit, &tenant, "Search", "search");
    let shown = async {
        let found = things(&visit, &frame, &q).await?;
        if let [only] = &found[..] {
            return Ok(Redirect::to(&only.link).into_response());
        }
        let events = of_type(&visit, &tenant, &q).await?;
        Ok(page(&Page { frame, q, found, events }))
    };
    or_problem(&visit, &tenant, shown.await)
}

/// Events, deliveries and destinations of a tenant with this id.
async fn things(visit: &Visit, frame: &Frame, q: &str) -> Result<Vec<Found>, Problem> {
    let mut found = Vec::new();
    if q.is_empty() || q.len() > 256 {
        return Ok(found);
    }
    let below = |list: &str, id: &str| path(&["tenants", &frame.tenant, list, id]);
    // A delivery is shown on the page of its event.
    let event = q.strip_prefix("dlv_").and_then(|rest| rest.rsplit_once('.'));
    let event = event.map_or(q, |(event, _)| event);
    if exists(visit, &below("events", event)).await? {
        let link = frame.of("events", event);
        found.push(Found { what: "Event", label: event.to_owned(), link });
    }
    if exists(visit, &below("destinations", q)).await? {
        let link = frame.of("destinations", q);
        found.push(Found { what: "Destination", label: q.to_owned(), link });
    }
    Ok(found)
}

/// Whether a resource exists. An id that cannot exist does not.
async fn exists(visit: &Visit, resource: &str) -> Result<bool, Problem> {
    match visit.api.get::<IgnoredAny>(resource).await {
        Ok(_) => Ok(true),
        Err(problem) if problem.status == StatusCode::NOT_FOUND || problem.is_about_the_form() => {
            Ok(false)
        }
        Err(problem) => Err(problem),
    }
}

/// The newest events of a type.
async fn of_type(visit: &Visit, tenant: &str, q: &str) -> Result<Vec<Line>, Problem> {
    if q.is_empty() {
        return Ok(Vec::new());
    }
    let asked = query(&[("type", Some(q)), ("limit", Some("20"))]);
    let asked = path(&["tenants", tenant, "events"]) + &asked;
    match visit.api.get::<Listed<Line>>(&asked).await {
        Ok(found) => Ok(found.data),
        Err(problem) if problem.is_about_the_form() => Ok(Vec::new()),
        Err(problem) => Err(problem),
    }
}

/// Searches all tenants: their ids and names, and ids of their events.
pub(in crate::dashboard) async fn everywhere(visit: Visit, Query(asked): Query<Asked>) -> Response {
    let q = asked.q.trim().to_owned();
    let shown = async {
        let mut found = Vec::new();
        if !q.is_empty() {
            let tenants: Listed<Named> =
                visit.api.get(&format!("/tenants?limit={TENANTS}")).await?;
            let wanted = q.to_lowercase();
            for tenant in &tenants.data {
                let named = |text: &str| text.to_lowercase().contains(&wanted);
                let frame = visit.frame(&tenant.id, "", "");
                if named(&tenant.id) || named(&tenant.name) {
                    let (label, link) = (tenant.name.clone(), frame.at("overview"));
                    found.push(Found { what: "Tenant", label, link });
                }
                // The id of an event is searched in each tenant: it is unique in its tenant alone.
                if q.len() > 5 && !q.contains(char::is_whitespace) {
                    for mut one in things(&visit, &frame, &q).await? {
                        one.label = format!("{} of {}", one.label, tenant.name);
                        found.push(one);
                    }
                }
            }
        }
        if let [only] = &found[..] {
            return Ok(Redirect::to(&only.link).into_response());
        }
        let frame = visit.frame("", "Search", "search");
        Ok(page(&Page { frame, q, found, events: Vec::new() }))
    };
    or_problem(&visit, "", shown.await)
}
