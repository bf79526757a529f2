//! The preferences matrix: event types × destinations as one resource. It is a view of the routes.
//!
//! A cell is true if an enabled route without a filter sends the type to the destination,
//! `"filtered"` if only routes with filters do, and false otherwise.
//!
//! Turning a cell on adds the type to the route `preferences-<destination>`. Turning it off removes
//! the type from every route that names it. If a pattern such as `kyc.**` matches the type, the
//! route gets the type as an exception instead, for that destination only: a route with several
//! destinations is split in two. Turning the cell on again removes the exception.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::params::TenantPath;
use super::routes::{as_json, managed};
use crate::api::answer::{ApiError, Detail, success};
use crate::api::body::{Body, QueryParams};
use crate::api::edit::{self, Resource, edit, load};
use crate::api::etag::{IfMatch, tagged};
use crate::api::scope::{Read, Scope, Write};
use crate::api::state::ApiState;
use crate::tenant::TenantSpec;
use fanfare_routing::{RouteSpec, type_matches};

/// One cell of the matrix.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
enum PreferenceCell {
    /// All events of the type are sent to the destination, or none.
    All(bool),
    /// Some events of the type are sent to the destination.
    Some(Filtered),
}

/// Routes with filters decide.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Filtered {
    /// Only events that match a filter are sent.
    Filtered,
}

/// Event type → destination → cell.
type Cells = BTreeMap<String, BTreeMap<String, PreferenceCell>>;

/// Which event types each destination receives.
#[derive(Serialize, ToSchema)]
#[expect(clippy::struct_field_names, reason = "the name of the field in answers")]
pub(super) struct Preferences {
    /// The rows: the event types of the catalog and those that routes name.
    #[schema(example = json!(["kyc.session.created"]))]
    event_types: Vec<String>,
    /// The columns: the ids of the destinations.
    #[schema(example = json!(["backoffice", "support"]))]
    destinations: Vec<String>,
    /// The cells by event type and destination: true, false or `"filtered"`.
    #[schema(value_type = Object, example = json!({"kyc.session.created": {"backoffice": true, "support": "filtered"}}))]
    preferences: Cells,
}

/// Which part of the matrix to return.
#[derive(Deserialize, IntoParams, Default)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct MatrixQuery {
    /// Only these destinations: a comma-separated list of ids.
    #[param(example = "backoffice,support")]
    destinations: Option<String>,
    /// Only these event types: a comma-separated list. `*` and `**` match as in routes.
    #[param(example = "kyc.session.*")]
    types: Option<String>,
}

/// Cells to change.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PreferencesUpdate {
    /// The cells by event type and destination. Cells that you omit keep their values. `"filtered"`
    /// is only valid for a cell that already has this value.
    #[schema(example = json!({"kyc.session.created": {"backoffice": true}}))]
    preferences: Cells,
}

/// The view as a resource, with the event types of the catalog.
struct PreferencesResource(BTreeSet<String>);

impl Resource for PreferencesResource {
    fn name(&self) -> String {
        "preferences".to_owned()
    }

    fn whole(&self, spec: &TenantSpec) -> Option<Value> {
        let ids = spec.destinations.iter().map(|one| Value::from(one.id.as_str()));
        Some(Value::Array(vec![as_json(spec), ids.collect()]))
    }

    fn shown(&self, _: &ApiState, spec: &TenantSpec) -> Option<Value> {
        serde_json::to_value(self.cells(spec)).ok()
    }
}

fn is_pattern(text: &str) -> bool {
    text.contains('*')
}

impl PreferencesResource {
    fn of(state: &ApiState) -> Self {
        Self(state.catalogue.names().into_iter().collect())
    }

    fn types(&self, spec: &TenantSpec) -> BTreeSet<String> {
        let named = spec.routes.iter().flat_map(|route| &route.events);
        self.0.iter().chain(named.filter(|text| !is_pattern(text))).cloned().collect()
    }

    fn cells(&self, spec: &TenantSpec) -> Cells {
        self.answer(spec, &MatrixQuery::default()).preferences
    }

    /// The part of the matrix that a request asks for.
    fn answer(&self, spec: &TenantSpec, query: &MatrixQuery) -> Preferences {
        let list = |text: &Option<String>| -> Option<Vec<String>> {
            let text = text.as_ref()?;
            Some(text.split(',').map(|one| one.trim().to_owned()).collect())
        };
        let wanted: Option<BTreeSet<String>> =
            list(&query.destinations).map(|ids| ids.into_iter().collect());
        let kinds = list(&query.types);
        let ids = spec.destinations.iter().map(|one| one.id.clone());
        let ids = ids.filter(|id| wanted.as_ref().is_none_or(|wanted| wanted.contains(id)));
        let destinations: Vec<String> = ids.collect();
        let is_wanted = |kind: &String| {
            let matches = |pattern: &String| type_matches(pattern, kind);
            kinds.as_ref().is_none_or(|kinds| kinds.iter().any(matches))
        };
        let event_types: Vec<String> = self.types(spec).into_iter().filter(is_wanted).collect();
        let row = |kind: &String| {
            let cells = destinations.iter().map(|id| (id.clone(), cell(spec, kind, id)));
            (kind.clone(), cells.collect())
        };
        let preferences = event_types.iter().map(row).collect();
        Preferences { event_types, destinations, preferences }
    }
}

/// The enabled routes that send a type to a destination, with their positions.
fn routes_to<'s>(
    spec: &'s TenantSpec,
    kind: &'s str,
    to: &'s str,
) -> impl Iterator<Item = (usize, &'s RouteSpec)> {
    spec.routes.iter().enumerate().filter(move |(_, route)| {
        route.enabled && route.to.iter().any(|id| id == to) && route.names(kind)
    })
}

fn cell(spec: &TenantSpec, kind: &str, to: &str) -> PreferenceCell {
    let mut cell = PreferenceCell::All(false);
    for (_, route) in routes_to(spec, kind, to) {
        if route.when.is_none() {
            return PreferenceCell::All(true);
        }
        cell = PreferenceCell::Some(Filtered::Filtered);
    }
    cell
}

/// Get the preferences
#[utoipa::path(get, path = "/v1/tenants/{tenant}/preferences", operation_id = "get_preferences", tag = "Preferences", params(TenantPath, MatrixQuery),
    extensions(("x-fanfare-environment" = json!("own"))),
    security(("key" = ["reader"])), responses((status = 200, description = "The preferences matrix.", body = Preferences)))]
pub(super) async fn get(
    scope: Scope<Read>,
    State(state): State<Arc<ApiState>>,
    QueryParams(query): QueryParams<MatrixQuery>,
) -> Result<Response, ApiError> {
    let spec = load(&state, &scope).await?;
    let view = PreferencesResource::of(&state);
    let tag = edit::tag(&state, &view, &spec).await?.unwrap_or_default();
    Ok(tagged(success(StatusCode::OK, view.answer(&spec, &query)), &tag))
}

/// Update the preferences
///
/// Sets all given cells. If one of them is invalid, none is changed.
#[utoipa::path(patch, path = "/v1/tenants/{tenant}/preferences", operation_id = "update_preferences", tag = "Preferences", params(TenantPath),
    request_body = PreferencesUpdate,
    extensions(("x-fanfare-environment" = json!("own"))),
    security(("key" = ["admin"])),
    responses((status = 200, description = "The updated preferences matrix.", body = Preferences)))]
pub(super) async fn patch(
    scope: Scope<Write>,
    State(state): State<Arc<ApiState>>,
    if_match: IfMatch,
    Body(body): Body<PreferencesUpdate>,
) -> Result<Response, ApiError> {
    let view = PreferencesResource::of(&state);
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
    let answer = success(StatusCode::OK, view.answer(&edited.spec, &MatrixQuery::default()));
    Ok(tagged(answer, &edited.tag.unwrap_or_default()))
}

/// Sets one cell, or returns why that is not possible.
fn set(spec: &mut TenantSpec, kind: &str, to: &str, wanted: PreferenceCell) -> Result<(), String> {
    if !spec.destinations.iter().any(|one| one.id == to) {
        return Err(format!("names a destination that does not exist: `{to}`"));
    }
    if is_pattern(kind) || !type_matches(kind, kind) {
        return Err("is not an event type; use words joined by dots, such as kyc.session.created"
            .to_owned());
    }
    match (wanted, cell(spec, kind, to)) {
        (wanted, now) if wanted == now => Ok(()),
        (PreferenceCell::Some(_), _) => {
            Err("cannot be set to \"filtered\"; create a route with a filter instead".to_owned())
        }
        (PreferenceCell::All(true), _) => {
            turn_on(spec, kind, to);
            Ok(())
        }
        (PreferenceCell::All(false), _) => {
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
    if cell(spec, kind, to) == PreferenceCell::All(true) {
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
    let at: Vec<usize> = routes_to(spec, kind, to).map(|(at, _)| at).collect();
    for at in at.into_iter().rev() {
        let route = &mut spec.routes[at];
        let others: Vec<String> = route.to.iter().filter(|id| *id != to).cloned().collect();
        let by_pattern =
            route.events.iter().any(|text| is_pattern(text) && type_matches(text, kind));
        if by_pattern && others.is_empty() {
            route.except.push(kind.to_owned());
        } else if by_pattern {
            // The route stays as it is for the other destinations. This destination gets its own.
            let mut own = RouteSpec { id: None, to: vec![to.to_owned()], ..route.clone() };
            own.except.push(kind.to_owned());
            route.to = others;
            spec.routes.insert(at + 1, own);
        } else if route.events.iter().all(|text| text == kind) {
            route.to = others;
        } else {
            // The route keeps its other types. A second route sends this type to the other
            // destinations.
            route.events.retain(|text| text != kind);
            let rest =
                RouteSpec { id: None, events: vec![kind.to_owned()], to: others, ..route.clone() };
            spec.routes.insert(at + 1, rest);
        }
    }
    spec.routes.retain(|route| !route.to.is_empty());
}
