//! The matrix of event types and destinations. A click is saved at once and can be undone.

use std::collections::{BTreeMap, HashMap};

use askama::Template;
use axum::extract::{Path, Query};
use axum::http::Method;
use axum::response::Response;
use fanfare_routing::type_matches;
use serde::Deserialize;
use serde_json::{Value, json};

use super::routes::{self, Route};
use super::{Listed, done, frame, or_problem};
use crate::dashboard::client::{Problem, path, query};
use crate::dashboard::filter;
use crate::dashboard::flash::{Flash, Undo};
use crate::dashboard::format::cut;
use crate::dashboard::frame::{Frame, page};
use crate::dashboard::visit::{Posted, Visit};

/// Columns of the matrix at once. More destinations are on further pages.
const COLUMNS: usize = 12;
/// Rows of the matrix at once.
const ROWS: usize = 200;
/// Longest example of an event's data, in characters.
const EXAMPLE_SHOWN: usize = 2_000;

#[derive(Deserialize)]
struct Matrix {
    event_types: Vec<String>,
    preferences: BTreeMap<String, BTreeMap<String, Value>>,
}

#[derive(Deserialize)]
struct Destination {
    id: String,
}

#[derive(Deserialize)]
struct Tenant {
    destinations: u64,
}

/// An event type of the catalog.
#[derive(Deserialize)]
struct Type {
    name: String,
    #[serde(default)]
    description: String,
    example: Option<Value>,
}

/// One cell.
struct Cell {
    destination: String,
    /// `on`, `off` or `filtered`.
    state: &'static str,
    /// The routes with filters that decide, if it is filtered.
    filters: Vec<Filter>,
}

/// A route with a filter.
struct Filter {
    id: String,
    label: String,
    short: String,
    words: String,
}

/// One event type.
struct Row {
    kind: String,
    description: String,
    example: String,
    cells: Vec<Cell>,
}

/// The event types that begin with the same words.
struct Group {
    name: String,
    rows: Vec<Row>,
}

/// What is shown.
#[derive(Deserialize, Clone, Default)]
pub(in crate::dashboard) struct Asked {
    /// Part of an event type or of its description.
    #[serde(default)]
    q: String,
    /// The destination after which the columns begin.
    #[serde(default)]
    after: String,
}

#[derive(Template)]
#[template(path = "preferences.html")]
struct Page {
    frame: Frame,
    q: String,
    after: String,
    destinations: Vec<String>,
    all_destinations: u64,
    groups: Vec<Group>,
    left_out: usize,
    next: Option<String>,
}

impl Matrix {
    /// The rows that the search finds, in groups, and how many more there are.
    fn groups(
        &self,
        shown: &[String],
        q: &str,
        routes: &[Route],
        catalog: &HashMap<&str, &Type>,
    ) -> (Vec<Group>, usize) {
        let wanted = q.to_lowercase();
        let (mut groups, mut rows, mut left_out): (Vec<Group>, _, _) = (Vec::new(), 0, 0);
        for kind in &self.event_types {
            let known = catalog.get(&**kind);
            let description = known.map_or("", |known| &known.description);
            let found = |text: &str| text.to_lowercase().contains(&wanted);
            if !found(kind) && !found(description) {
                continue;
            }
            if rows == ROWS {
                left_out += 1;
                continue;
            }
            rows += 1;
            let name = kind.rsplit_once('.').map_or("Others", |(group, _)| group).to_owned();
            let example = known.and_then(|known| known.example.as_ref());
            let example = example.and_then(|data| serde_json::to_string_pretty(data).ok());
            let row = Row {
                kind: kind.clone(),
                description: description.to_owned(),
                example: cut(&example.unwrap_or_default(), EXAMPLE_SHOWN),
                cells: self.cells(kind, shown, routes),
            };
            match groups.last_mut() {
                Some(last) if last.name == name => last.rows.push(row),
                _ => groups.push(Group { name, rows: vec![row] }),
            }
        }
        (groups, left_out)
    }

    fn cells(&self, kind: &str, shown: &[String], routes: &[Route]) -> Vec<Cell> {
        let of = |destination: &String| {
            let state = match self.preferences.get(kind).and_then(|row| row.get(destination)) {
                Some(Value::Bool(true)) => "on",
                Some(Value::String(_)) => "filtered",
                _ => "off",
            };
            let filters =
                if state == "filtered" { filters(kind, destination, routes) } else { Vec::new() };
            Cell { destination: destination.clone(), state, filters }
        };
        shown.iter().map(of).collect()
    }
}

/// The routes with filters that send a type to a destination.
fn filters(kind: &str, destination: &str, routes: &[Route]) -> Vec<Filter> {
    let names = |patterns: &[String]| patterns.iter().any(|one| type_matches(one, kind));
    let leads = |route: &&Route| {
        route.enabled
            && route.to.iter().any(|id| id == destination)
            && names(&route.events)
            && !names(&route.except)
    };
    let filter = |route: &Route| {
        let when = route.when.as_ref()?;
        Some(Filter {
            id: route.id.clone(),
            label: route.label().to_owned(),
            short: cut(&filter::label(when), 22),
            words: filter::words(when),
        })
    };
    routes.iter().filter(leads).filter_map(filter).collect()
}

/// Shows the matrix.
pub(in crate::dashboard) async fn show(
    visit: Visit,
    Path(tenant): Path<String>,
    Query(asked): Query<Asked>,
) -> Response {
    let shown = read(&visit, &tenant, asked).await;
    or_problem(&visit, &tenant, shown)
}

async fn read(visit: &Visit, tenant: &str, asked: Asked) -> Result<Response, Problem> {
    let below = |rest: &str| path(&["tenants", tenant, rest]);
    let about: Tenant = visit.api.get(&path(&["tenants", tenant])).await?;
    let (limit, after) = (COLUMNS.to_string(), Some(&*asked.after).filter(|id| !id.is_empty()));
    let columns = query(&[("limit", Some(&*limit)), ("cursor", after)]);
    let columns: Listed<Destination> = visit.api.get(&(below("destinations") + &columns)).await?;
    let shown: Vec<String> = columns.data.into_iter().map(|one| one.id).collect();
    let wanted = query(&[("destinations", Some(&*shown.join(",")))]);
    let matrix: Matrix = visit.api.get(&(below("preferences") + &wanted)).await?;
    let routes = routes::all(visit, tenant).await?;
    let catalog: Listed<Type> = visit.api.get("/event-types?limit=1000").await?;
    let catalog = catalog.data.iter().map(|known| (&*known.name, known)).collect();
    let (groups, left_out) = matrix.groups(&shown, &asked.q, &routes, &catalog);
    let q = Some(&*asked.q).filter(|q| !q.is_empty());
    Ok(page(&Page {
        frame: frame(visit, tenant, "Preferences", "preferences"),
        next: columns.next_cursor.map(|cursor| query(&[("q", q), ("after", Some(&cursor))])),
        destinations: shown,
        all_destinations: about.destinations,
        groups,
        left_out,
        after: asked.after,
        q: asked.q.clone(),
    }))
}

/// Changes one cell.
pub(in crate::dashboard) async fn change(Path(tenant): Path<String>, posted: Posted) -> Response {
    let visit = &posted.visit;
    let (kind, destination) = (posted.field("type"), posted.field("destination"));
    let on = posted.field("to") == "on";
    let body = json!({"preferences": {kind: {destination: on}}});
    let resource = path(&["tenants", &tenant, "preferences"]);
    let answer = visit.api.send(Method::PATCH, &resource, Some(&body)).await;
    let verb = if on { "now goes" } else { "no longer goes" };
    let text = format!("{kind} {verb} to {destination}.");
    let place = query(&[("q", posted.fields.given("q")), ("after", posted.fields.given("after"))]);
    let to = visit.frame(&tenant, "", "").at("preferences") + &place;
    let undone = posted.field("undo") == "yes";
    let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let undo = (!undone).then(|| Undo {
        to: visit.frame(&tenant, "", "").at("preferences"),
        fields: vec![
            field("type", kind),
            field("destination", destination),
            field("to", if on { "off" } else { "on" }),
            field("q", posted.field("q")),
            field("after", posted.field("after")),
            field("undo", "yes"),
        ],
    });
    done(visit, &to, answer.map(|_| Flash { undo, ..Flash::from(text) }))
}
