//! The preferences matrix: event type × destination, as one resource. It is a view on the routes.
//!
//! A cell is true when an enabled route without a filter takes the type to the destination,
//! `"filtered"` when only routes with filters do, else false. Turning a cell on adds the type to the
//! route `preferences-<destination>`; turning it off takes it out of every route that names the type.
//! Where a pattern (`kyc.**`) gives it, the route gets the type as an exception, for that destination
//! alone: a route that leads to others as well is parted in two. Turning it on again takes the
//! exception away.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::routes::{managed, said};
use crate::api::ApiState;
use crate::api::answer::{ApiError, Detail, success};
use crate::api::body::Body;
use crate::api::edit::{self, Resource, edit, load};
use crate::api::etag::{IfMatch, tagged};
use crate::api::scope::{Read, Scope, Write};
use crate::tenant::TenantSpec;
use fanfare_routing::{RouteSpec, type_matches};

/// One cell.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
enum Cell {
    /// Every event of the type goes there, or none does.
    All(bool),
    /// Some do.
    Some(Filtered),
}

/// By filters of routes.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Filtered {
    /// Only those that a filter lets through.
    Filtered,
}

/// Event type → destination → cell.
type Cells = BTreeMap<String, BTreeMap<String, Cell>>;

/// Which events go where.
#[derive(Serialize, ToSchema)]
pub(super) struct Matrix {
    /// The rows: types of the catalogue, and those that routes name.
    #[schema(example = json!(["kyc.session.created"]))]
    event_types: Vec<String>,
    /// The columns.
    #[schema(example = json!(["backoffice", "support"]))]
    destinations: Vec<String>,
    /// The cells by type and destination: true, false, or `"filtered"`.
    #[schema(value_type = Object, example = json!({"kyc.session.created": {"backoffice": true, "support": "filtered"}}))]
    preferences: Cells,
}

/// Cells as they shall be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PreferencesBody {
    /// By type and destination; those that are left out stay as they are. `"filtered"` keeps a cell
    /// that is so.
    #[schema(example = json!({"kyc.session.created": {"backoffice": true}}))]
    preferences: Cells,
}

/// The view, with the types of the catalogue.
struct View(BTreeSet<String>);

impl Resource for View {
    fn name(&self) -> String {
        "preferences".to_owned()
    }

    fn whole(&self, spec: &TenantSpec) -> Option<Value> {
        let ids = spec.destinations.iter().map(|one| Value::from(one.id.as_str()));
        Some(Value::Array(vec![said(spec), ids.collect()]))
    }

    fn shown(&self, _: &ApiState, spec: &TenantSpec) -> Option<Value> {
        serde_json::to_value(self.cells(spec)).ok()
    }
}

fn is_pattern(text: &str) -> bool {
    text.contains('*')
}

impl View {
    fn of(state: &ApiState) -> Self {
        Self(state.catalogue.names().into_iter().collect())
    }

    fn types(&self, spec: &TenantSpec) -> BTreeSet<String> {
        let named = spec.routes.iter().flat_map(|route| &route.events);
        self.0.iter().chain(named.filter(|text| !is_pattern(text))).cloned().collect()
    }

    fn cells(&self, spec: &TenantSpec) -> Cells {
        let row = |kind: String| {
            let cells = spec.destinations.iter();
            let cells = cells.map(|one| (one.id.clone(), cell(spec, &kind, &one.id)));
            let cells = cells.collect();
            (kind, cells)
        };
        self.types(spec).into_iter().map(row).collect()
    }

    fn answer(&self, spec: &TenantSpec) -> Matrix {
        Matrix {
            event_types: self.types(spec).into_iter().collect(),
            destinations: spec.destinations.iter().map(|one| one.id.clone()).collect(),
            preferences: self.cells(spec),
        }
    }
}

fn leads<'s>(
    spec: &'s TenantSpec,
    kind: &'s str,
    to: &'s str,
) -> impl Iterator<Item = (usize, &'s RouteSpec)> {
    spec.routes.iter().enumerate().filter(move |(_, route)| {
        route.enabled && route.to.iter().any(|id| id == to) && route.names(kind)
    })
}

fn cell(spec: &TenantSpec, kind: &str, to: &str) -> Cell {
    let mut cell = Cell::All(false);
    for (_, route) in leads(spec, kind, to) {
        if route.when.is_none() {
            return Cell::All(true);
        }
        cell = Cell::Some(Filtered::Filtered);
    }
    cell
}

/// Get the preferences matrix
#[utoipa::path(get, path = "/v1/tenants/{tenant}/preferences", tag = "Preferences", params(super::TenantPath),
    security(("key" = ["reader"])), responses((status = 200, description = "Which events go where.", body = Matrix)))]
pub(super) async fn get(
    scope: Scope<Read>,
    State(state): State<Arc<ApiState>>,
) -> Result<Response, ApiError> {
    let (spec, _) = load(&state, &scope.tenant).await?;
    let view = View::of(&state);
    let tag = edit::tag(&state, &view, &spec).await?.unwrap_or_default();
    Ok(tagged(success(StatusCode::OK, view.answer(&spec)), &tag))
}

/// Put the preferences matrix
///
/// Sets all cells that are given, or none of them.
#[utoipa::path(put, path = "/v1/tenants/{tenant}/preferences", tag = "Preferences", params(super::TenantPath),
    request_body = PreferencesBody, security(("key" = ["admin"])),
    responses((status = 200, description = "As it is now.", body = Matrix)))]
pub(super) async fn put(
    scope: Scope<Write>,
    State(state): State<Arc<ApiState>>,
    if_match: IfMatch,
    Body(body): Body<PreferencesBody>,
) -> Result<Response, ApiError> {
    let view = View::of(&state);
    let edited = edit(&state, &scope, &view, "update", &if_match, |spec| {
        let mut details = Vec::new();
        for (kind, row) in &body.preferences {
            for (to, wanted) in row {
                if let Err(message) = set(spec, kind, to, *wanted) {
                    details.push(Detail::new(format!("preferences.{kind}.{to}"), message));
                }
            }
        }
        if details.is_empty() { Ok(()) } else { Err(ApiError::fields(details)) }
    });
    let edited = edited.await?;
    let answer = success(StatusCode::OK, view.answer(&edited.spec));
    Ok(tagged(answer, &edited.tag.unwrap_or_default()))
}

/// Sets one cell, or says why that is not possible here.
fn set(spec: &mut TenantSpec, kind: &str, to: &str, wanted: Cell) -> Result<(), String> {
    if !spec.destinations.iter().any(|one| one.id == to) {
        return Err(format!("there is no destination `{to}`"));
    }
    if is_pattern(kind) || !type_matches(kind, kind) {
        return Err("is no event type: words joined by full stops".to_owned());
    }
    match (wanted, cell(spec, kind, to)) {
        (wanted, now) if wanted == now => Ok(()),
        (Cell::Some(_), _) => {
            Err("cannot be made \"filtered\" here; make a route with a filter".to_owned())
        }
        (Cell::All(true), _) => {
            turn_on(spec, kind, to);
            Ok(())
        }
        (Cell::All(false), _) => {
            turn_off(spec, kind, to);
            Ok(())
        }
    }
}

fn turn_on(spec: &mut TenantSpec, kind: &str, to: &str) {
    let own = |route: &&mut RouteSpec| {
        route.enabled
            && route.when.is_none()
            && route.to == [to]
            && route.except.contains(&kind.to_owned())
    };
    for route in spec.routes.iter_mut().filter(own) {
        route.except.retain(|text| text != kind);
    }
    if cell(spec, kind, to) == Cell::All(true) {
        return;
    }
    let id = format!("preferences-{to}");
    match spec.routes.iter_mut().find(|route| route.id.as_deref() == Some(&id)) {
        Some(route) => {
            route.enabled = true;
            route.events.push(kind.to_owned());
        }
        None => spec.routes.push(managed(&id, vec![kind.to_owned()], vec![to.to_owned()])),
    }
}

fn turn_off(spec: &mut TenantSpec, kind: &str, to: &str) {
    let at: Vec<usize> = leads(spec, kind, to).map(|(at, _)| at).collect();
    for at in at.into_iter().rev() {
        let route = &mut spec.routes[at];
        let others: Vec<String> = route.to.iter().filter(|id| *id != to).cloned().collect();
        let by_pattern =
            route.events.iter().any(|text| is_pattern(text) && type_matches(text, kind));
        if by_pattern && others.is_empty() {
            route.except.push(kind.to_owned());
        } else if by_pattern {
            // The route goes on for the others; this destination gets one of its own.
            let mut own = RouteSpec { id: None, to: vec![to.to_owned()], ..route.clone() };
            own.except.push(kind.to_owned());
            route.to = others;
            spec.routes.insert(at + 1, own);
        } else if route.events.iter().all(|text| text == kind) {
            route.to = others;
        } else {
            // The route goes on for its other types; for this one, to the others.
            route.events.retain(|text| text != kind);
            let rest =
                RouteSpec { id: None, events: vec![kind.to_owned()], to: others, ..route.clone() };
            spec.routes.insert(at + 1, rest);
        }
    }
    spec.routes.retain(|route| !route.to.is_empty());
}
