//! Creating and editing a route: patterns, conditions, destinations, and a trial on the newest
//! events.

use std::collections::BTreeSet;

use askama::Template;
use axum::extract::{Path, Query};
use axum::http::Method;
use axum::response::Response;
use serde::Deserialize;
use serde_json::json;

use super::destination_form::refused;
use super::route_draft::{Draft, Row};
use super::routes::Route;
use super::{Listed, frame, or_problem};
use crate::dashboard::client::{Problem, path, sentence};
use crate::dashboard::filter::COMPARISONS;
use crate::dashboard::form::{Field, Form, Json};
use crate::dashboard::format::{Time, number};
use crate::dashboard::frame::{Frame, page};
use crate::dashboard::visit::{Posted, Visit};

/// Destinations that are offered as boxes. A tenant with more of them types ids.
const BOXES: usize = 100;
/// Rows for further conditions.
const EMPTY_ROWS: usize = 1;

/// A destination that can be chosen.
struct Choice {
    id: String,
    channel: String,
    chosen: bool,
}

/// What the route would have matched.
#[derive(Deserialize)]
struct Trial {
    tried: u64,
    matched: u64,
    examples: Vec<Example>,
    since_ms: Option<i64>,
}

#[derive(Deserialize)]
struct Example {
    id: String,
    #[serde(rename = "type")]
    kind: String,
    received_ms: i64,
}

impl Trial {
    fn matched(&self) -> String {
        number(self.matched)
    }

    fn tried(&self) -> String {
        number(self.tried)
    }

    fn since(&self) -> Option<Time> {
        self.since_ms.map(Time::ms)
    }
}

impl Example {
    fn received(&self) -> Time {
        Time::ms(self.received_ms)
    }
}

#[derive(Template)]
#[template(path = "route_form.html")]
struct Page {
    frame: Frame,
    /// The route that is edited.
    id: Option<String>,
    form: Form,
    rows: Vec<Row>,
    /// The filter as JSON, if it is edited that way.
    json: Field,
    by_json: bool,
    choices: Vec<Choice>,
    enabled: bool,
    trial: Option<Trial>,
}

impl Page {
    fn back(&self) -> String {
        self.frame.at("routes")
    }
}

/// The page with what was typed or stored.
fn page_of(
    draft: Draft,
    visit: &Visit,
    tenant: &str,
    id: Option<&str>,
    all: &[Destination],
) -> Page {
    let Draft { route, mut rows, json, by_json } = draft;
    let title = if id.is_some() { route.label() } else { "New route" };
    let title = if title.is_empty() { "Route" } else { title };
    let frame = frame(visit, tenant, title, "routes");
    rows.extend((0..EMPTY_ROWS).map(|_| Row::default()));
    let json = Field {
        value: json,
        ..Field::new("when", "Filter as JSON", "An EventBridge event pattern on the whole event.")
            .example("{\"data\": {\"risk_score\": [{\"numeric\": [\">=\", 70]}]}}")
            .lines(Json::Text)
    };
    Page {
        frame,
        id: id.map(str::to_owned),
        form: form(&route, all),
        rows,
        json,
        by_json,
        choices: choices(&route, all),
        enabled: route.enabled,
        trial: None,
    }
}

/// The fields besides the filter and the boxes.
fn form(route: &Route, all: &[Destination]) -> Form {
    let mut fields = vec![
        Field {
            value: route.name.clone().unwrap_or_default(),
            ..Field::new(
                "name",
                "Name",
                "For people. It appears where an event says why it was routed.",
            )
        }
        .example("risky sessions"),
        Field {
            value: route.events.join("\n"),
            ..Field::new(
                "events",
                "Event types",
                "One per line. * is one word, ** is one or more words.",
            )
        }
        .example("kyc.session.*")
        .lines(Json::List)
        .required(),
        Field {
            value: route.except.join("\n"),
            ..Field::new("except", "Except", "Event types that this route leaves out.")
        }
        .lines(Json::List),
    ];
    if all.len() > BOXES {
        let to = Field {
            value: route.to.join("\n"),
            ..Field::new("to", "Destinations", "One id per line.")
        };
        fields.push(to.lines(Json::List).required());
    }
    Form { fields, ..Form::default() }
}

fn choices(route: &Route, all: &[Destination]) -> Vec<Choice> {
    if all.len() > BOXES {
        return Vec::new();
    }
    let chosen: BTreeSet<&str> = route.to.iter().map(String::as_str).collect();
    let choice = |one: &Destination| Choice {
        id: one.id.clone(),
        channel: one.channel.clone(),
        chosen: chosen.contains(&*one.id),
    };
    all.iter().map(choice).collect()
}

#[derive(Deserialize)]
struct Destination {
    id: String,
    channel: String,
}

async fn destinations(visit: &Visit, tenant: &str) -> Result<Vec<Destination>, Problem> {
    let all = path(&["tenants", tenant, "destinations"]) + &format!("?limit={}", BOXES + 1);
    Ok(visit.api.get::<Listed<Destination>>(&all).await?.data)
}

/// What a new route begins with.
#[derive(Deserialize)]
pub(in crate::dashboard) struct Asked {
    #[serde(default)]
    events: String,
    #[serde(default)]
    to: String,
}

/// Shows an empty form.
pub(in crate::dashboard) async fn new(
    visit: Visit,
    Path(tenant): Path<String>,
    Query(asked): Query<Asked>,
) -> Response {
    let given = |text: &str| if text.is_empty() { vec![] } else { vec![text.to_owned()] };
    let (events, to) = (given(&asked.events), given(&asked.to));
    let route = Route { events, to, enabled: true, ..Route::default() };
    let shown = destinations(&visit, &tenant).await;
    let shown = shown.map(|all| page(&page_of(Draft::of(route), &visit, &tenant, None, &all)));
    or_problem(&visit, &tenant, shown)
}

/// Shows a route in the form.
pub(in crate::dashboard) async fn edit(
    visit: Visit,
    Path((tenant, id)): Path<(String, String)>,
) -> Response {
    let resource = path(&["tenants", &tenant, "routes", &id]);
    let shown = async {
        let (route, version) = visit.api.get_tagged::<Route>(&resource).await?;
        let all = destinations(&visit, &tenant).await?;
        let mut shown = page_of(Draft::of(route), &visit, &tenant, Some(&id), &all);
        shown.form.version = version;
        Ok(page(&shown))
    };
    or_problem(&visit, &tenant, shown.await)
}

/// Creates a route, or tries it.
pub(in crate::dashboard) async fn create(Path(tenant): Path<String>, posted: Posted) -> Response {
    submit(&tenant, None, &posted).await
}

/// Changes a route, or tries it.
pub(in crate::dashboard) async fn update(
    Path((tenant, id)): Path<(String, String)>,
    posted: Posted,
) -> Response {
    submit(&tenant, Some(&id), &posted).await
}

async fn submit(tenant: &str, id: Option<&str>, posted: &Posted) -> Response {
    let (visit, typed) = (&posted.visit, &posted.fields);
    let all = match destinations(visit, tenant).await {
        Ok(all) => all,
        Err(why) => return or_problem(visit, tenant, Err(why)),
    };
    let (draft, readable) = Draft::read(typed);
    let body = json!(draft.route);
    let mut again = page_of(draft, visit, tenant, id, &all);
    typed.get("version").clone_into(&mut again.form.version);
    let wrong = |problem: Problem, mut again: Page| {
        refused(visit, tenant, problem, |_, problem| {
            again.place(problem);
            again
        })
    };
    if let Err(problem) = readable {
        return wrong(problem, again);
    }
    match typed.get("do") {
        "try" => {
            let resource = path(&["tenants", tenant, "route-trials"]);
            let body = json!({"route": body});
            let answer = visit.api.send(Method::POST, &resource, Some(&body)).await;
            match answer
                .and_then(|answer| serde_json::from_value(answer).map_err(Problem::internal))
            {
                Ok(trial) => {
                    again.trial = Some(trial);
                    page(&again)
                }
                Err(problem) => wrong(within_route(problem), again),
            }
        }
        "more" => page(&again),
        _ => {
            let version = typed.given("version");
            let answer = match id {
                Some(id) => {
                    let resource = path(&["tenants", tenant, "routes", id]);
                    visit.api.send_if(Method::PUT, &resource, Some(&body), version).await
                }
                None => {
                    let resource = path(&["tenants", tenant, "routes"]);
                    visit.api.send(Method::POST, &resource, Some(&body)).await
                }
            };
            match answer {
                Ok(_) => {
                    let text = "The route is saved. It applies to events that arrive from now on.";
                    visit.go(&again.back(), text)
                }
                Err(problem) => wrong(problem, again),
            }
        }
    }
}

/// A trial names the fields of its route as `route.…`.
fn within_route(mut problem: Problem) -> Problem {
    for detail in &mut problem.details {
        if detail.field.starts_with("route.") {
            detail.field.drain(.."route.".len());
        }
    }
    problem
}

impl Page {
    /// Puts messages where they belong.
    fn place(&mut self, problem: &Problem) {
        let mut rest = problem.details.clone();
        rest.retain(|detail| {
            let about_filter = detail.field.starts_with("when");
            if about_filter && self.by_json {
                self.json.error.get_or_insert_with(|| sentence(&detail.message));
            }
            !(detail.field.starts_with("condition ") || about_filter && self.by_json)
        });
        let rest = Problem {
            status: problem.status,
            code: problem.code.clone(),
            message: problem.message.clone(),
            details: rest,
        };
        if !rest.details.is_empty() || problem.details.is_empty() {
            self.form = std::mem::take(&mut self.form).refused(&rest);
        }
    }

    /// How many messages it shows.
    fn wrong(&self) -> usize {
        let rows = self.rows.iter().filter(|row| row.error.is_some()).count();
        self.form.wrong() + rows + usize::from(self.json.error.is_some())
    }
}
