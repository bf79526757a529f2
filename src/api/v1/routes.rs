//! Routes: which events go to which destinations. They are in an order, for people; every route that
//! matches counts.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use utoipa::ToSchema;

use crate::api::ApiState;
use crate::api::answer::{ApiError, Detail, success};
use crate::api::body::{Body, Ids};
use crate::api::edit::{self, Edited, Resource, edit, load};
use crate::api::etag::{IfMatch, tagged};
use crate::api::problem::Part;
use crate::api::scope::{Read, Scope, Write};
use crate::tenant::TenantSpec;
use fanfare_routing::RouteSpec;

/// A route.
#[derive(Serialize, ToSchema)]
pub(super) struct Route {
    /// By which it is addressed. Of a route that has none of its own it is made of what the route
    /// says.
    #[schema(example = "rte_5d41402abc")]
    id: String,
    #[serde(flatten)]
    body: RouteBody,
}

/// What a route says.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RouteBody {
    /// What people call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "risky sessions")]
    name: Option<String>,
    /// Event-type patterns, one of which must match: `*` is one segment, `**` one or more.
    #[schema(example = json!(["kyc.session.processed"]))]
    events: Vec<String>,
    /// Event-type patterns that take types out again: none may match.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false, example = json!(["kyc.session.created"]))]
    except: Vec<String>,
    /// An EventBridge event pattern on the whole envelope; all events without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>, example = json!({"data": {"risk_score": [{"numeric": [">=", 70]}]}}))]
    when: Option<Map<String, Value>>,
    /// Ids of destinations.
    #[schema(example = json!(["support"]))]
    to: Vec<String>,
    /// A disabled route matches nothing; true when left out.
    #[serde(default = "yes")]
    #[schema(default = true)]
    enabled: bool,
}

fn yes() -> bool {
    true
}

/// All routes, in their order.
#[derive(Serialize, ToSchema)]
pub(super) struct Routes {
    /// Them.
    routes: Vec<Route>,
}

/// All routes, in the order that they shall have.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RoutesBody {
    /// Them; one with the `id` of a route that is there is that route.
    #[schema(max_items = 10000)]
    routes: Vec<PlacedRoute>,
}

/// A route among all.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PlacedRoute {
    /// Of a route that is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[A-Za-z0-9_-]{1,64}$")]
    id: Option<String>,
    /// What people call it.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// Event-type patterns.
    events: Vec<String>,
    /// Event-type patterns that take types out again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    except: Vec<String>,
    /// An EventBridge event pattern.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    when: Option<Map<String, Value>>,
    /// Ids of destinations.
    to: Vec<String>,
    /// True when left out.
    #[serde(default = "yes")]
    #[schema(default = true)]
    enabled: bool,
}

impl PlacedRoute {
    /// With the id of its own, if it has one.
    pub(super) fn of(spec: &RouteSpec) -> Self {
        let RouteBody { name, events, except, when, to, enabled } = RouteBody::of(spec);
        Self { id: spec.id.clone(), name, events, except, when, to, enabled }
    }

    pub(super) fn spec(self) -> RouteSpec {
        let Self { id, name, events, except, when, to, enabled } = self;
        RouteBody { name, events, except, when, to, enabled }.spec(id)
    }
}

impl RouteBody {
    pub(super) fn of(spec: &RouteSpec) -> Self {
        Self {
            name: spec.name.clone(),
            events: spec.events.clone(),
            except: spec.except.clone(),
            when: spec.when.as_ref().and_then(Value::as_object).cloned(),
            to: spec.to.clone(),
            enabled: spec.enabled,
        }
    }

    fn spec(self, id: Option<String>) -> RouteSpec {
        let Self { name, events, except, when, to, enabled } = self;
        RouteSpec { id, name, events, except, when: when.map(Value::Object), to, enabled }
    }
}

/// The id of every route: its own, else made of what it says; the second of two that say the same is
/// told apart by a number.
pub(super) fn ids(spec: &TenantSpec) -> Vec<String> {
    let mut seen: HashMap<String, usize> = HashMap::new();
    let id = |route: &RouteSpec| {
        let id = route.id.clone().unwrap_or_else(|| {
            let text = serde_json::to_string(route).unwrap_or_default();
            format!("rte_{}", hex::encode(&Sha256::digest(text)[..6]))
        });
        let nth = seen.entry(id.clone()).and_modify(|nth| *nth += 1).or_insert(1);
        if *nth == 1 { id } else { format!("{id}-{nth}") }
    };
    spec.routes.iter().map(id).collect()
}

fn all(spec: &TenantSpec) -> Vec<Route> {
    let routes = ids(spec).into_iter().zip(&spec.routes);
    routes.map(|(id, route)| Route { id, body: RouteBody::of(route) }).collect()
}

fn position(spec: &TenantSpec, id: &str) -> Option<usize> {
    ids(spec).iter().position(|known| known == id)
}

/// All of them.
pub(super) struct Table;

impl Resource for Table {
    fn name(&self) -> String {
        "routes".to_owned()
    }

    fn whole(&self, spec: &TenantSpec) -> Option<Value> {
        serde_json::to_value(all(spec)).ok()
    }
}

/// One route of the document.
struct One<'a>(&'a str);

impl One<'_> {
    fn find(&self, spec: &TenantSpec) -> Result<usize, ApiError> {
        position(spec, self.0).ok_or_else(|| ApiError::not_found("route", self.0))
    }
}

impl Resource for One<'_> {
    fn name(&self) -> String {
        format!("routes/{}", self.0)
    }

    fn whole(&self, spec: &TenantSpec) -> Option<Value> {
        let at = position(spec, self.0)?;
        serde_json::to_value(all(spec).swap_remove(at)).ok()
    }

    fn part(&self, spec: &TenantSpec) -> Part {
        let place = position(spec, self.0).map(|at| format!("route {}", at + 1));
        Part { place: place.unwrap_or_default(), prefix: "", bare: &[] }
    }
}

/// List routes
#[utoipa::path(get, path = "/v1/tenants/{tenant}/routes", tag = "Routes", params(super::TenantPath),
    security(("key" = ["reader"])), responses((status = 200, description = "All of them, in their order.", body = Routes)))]
pub(super) async fn list(
    scope: Scope<Read>,
    State(state): State<Arc<ApiState>>,
) -> Result<Response, ApiError> {
    let (spec, _) = load(&state, &scope.tenant).await?;
    answer_all(&state, &spec).await
}

async fn answer_all(state: &ApiState, spec: &TenantSpec) -> Result<Response, ApiError> {
    let tag = edit::tag(state, &Table, spec).await?.unwrap_or_default();
    Ok(tagged(success(StatusCode::OK, Routes { routes: all(spec) }), &tag))
}

/// Put all routes
///
/// In the order given. Those that are not among them are deleted.
#[utoipa::path(put, path = "/v1/tenants/{tenant}/routes", tag = "Routes", params(super::TenantPath), request_body = RoutesBody,
    security(("key" = ["admin"])), responses((status = 200, description = "As they are now.", body = Routes)))]
pub(super) async fn put_all(
    scope: Scope<Write>,
    State(state): State<Arc<ApiState>>,
    if_match: IfMatch,
    Body(body): Body<RoutesBody>,
) -> Result<Response, ApiError> {
    let edited = edit(&state, &scope, &Table, "update", &if_match, |spec| {
        let known = ids(spec);
        let mut details = Vec::new();
        let mut routes = Vec::with_capacity(body.routes.len());
        for (n, placed) in body.routes.iter().cloned().enumerate() {
            let PlacedRoute { id, name, events, except, when, to, enabled } = placed;
            if let Some(id) = id.as_ref().filter(|id| !known.contains(id)) {
                let message = format!("there is no route `{id}`; leave the id out to make one");
                details.push(Detail::new(format!("routes.{n}.id"), message));
            }
            let body = RouteBody { name, events, except, when, to, enabled };
            // What says the same as before needs no id of its own.
            let before = id.as_ref().and_then(|id| known.iter().position(|there| there == id));
            let before = before.map(|at| &spec.routes[at]);
            let same = before.filter(|before| before.id.is_none());
            let same = same.filter(|before| **before == body.clone().spec(None));
            let own = if same.is_some() { None } else { id };
            routes.push(body.spec(own));
        }
        spec.routes = routes;
        if details.is_empty() { Ok(()) } else { Err(ApiError::fields(details)) }
    });
    answer_all(&state, &edited.await?.spec).await
}

/// Create a route
///
/// Behind those there are.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/routes", tag = "Routes", params(super::TenantPath), request_body = RouteBody,
    security(("key" = ["admin"])), responses((status = 201, description = "It is there.", body = Route)))]
pub(super) async fn create(
    scope: Scope<Write>,
    State(state): State<Arc<ApiState>>,
    Body(body): Body<RouteBody>,
) -> Result<Response, ApiError> {
    let id = format!("rte_{:012x}", rand::random::<u64>() >> 16);
    let edited = edit(&state, &scope, One(&id), "create", &IfMatch::No, |spec| {
        spec.routes.push(body.clone().spec(Some(id.clone())));
        Ok(())
    });
    answer(&id, StatusCode::CREATED, edited.await?)
}

fn answer(id: &str, status: StatusCode, edited: Edited<()>) -> Result<Response, ApiError> {
    let route = One(id).whole(&edited.spec).ok_or_else(|| ApiError::not_found("route", id))?;
    Ok(tagged(success(status, route), &edited.tag.unwrap_or_default()))
}

/// Get a route
#[utoipa::path(get, path = "/v1/tenants/{tenant}/routes/{route}", tag = "Routes", params(super::RoutePath),
    security(("key" = ["reader"])), responses((status = 200, description = "The route.", body = Route)))]
pub(super) async fn get(
    scope: Scope<Read>,
    State(state): State<Arc<ApiState>>,
    Ids((_, id)): Ids<(String, String)>,
) -> Result<Response, ApiError> {
    let (spec, _) = load(&state, &scope.tenant).await?;
    let Some(tag) = edit::tag(&state, &One(&id), &spec).await? else {
        return Err(ApiError::not_found("route", &id));
    };
    Ok(tagged(success(StatusCode::OK, One(&id).whole(&spec)), &tag))
}

/// Put a route
///
/// All of it; it keeps its place.
#[utoipa::path(put, path = "/v1/tenants/{tenant}/routes/{route}", tag = "Routes", params(super::RoutePath), request_body = RouteBody,
    security(("key" = ["admin"])), responses((status = 200, description = "As it is now.", body = Route)))]
pub(super) async fn put(
    scope: Scope<Write>,
    State(state): State<Arc<ApiState>>,
    if_match: IfMatch,
    Ids((_, id)): Ids<(String, String)>,
    Body(body): Body<RouteBody>,
) -> Result<Response, ApiError> {
    let edited = edit(&state, &scope, One(&id), "update", &if_match, |spec| {
        let at = One(&id).find(spec)?;
        // Its id was made of what it said; it keeps it though it says something else.
        let old = RouteSpec { id: None, ..spec.routes[at].clone() };
        if old != body.clone().spec(None) {
            spec.routes[at] = body.clone().spec(Some(id.clone()));
        }
        Ok(())
    });
    answer(&id, StatusCode::OK, edited.await?)
}

/// Delete a route
#[utoipa::path(delete, path = "/v1/tenants/{tenant}/routes/{route}", tag = "Routes", params(super::RoutePath),
    security(("key" = ["admin"])), responses((status = 204, description = "It is gone.")))]
pub(super) async fn delete(
    scope: Scope<Write>,
    State(state): State<Arc<ApiState>>,
    if_match: IfMatch,
    Ids((_, id)): Ids<(String, String)>,
) -> Result<StatusCode, ApiError> {
    let edited = edit(&state, &scope, One(&id), "delete", &if_match, |spec| {
        let at = One(&id).find(spec)?;
        spec.routes.remove(at);
        Ok(())
    });
    edited.await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A route for tests of other resources.
pub(super) fn managed(id: &str, events: Vec<String>, to: Vec<String>) -> RouteSpec {
    let id = Some(id.to_owned());
    RouteSpec { id, name: None, events, except: Vec::new(), when: None, to, enabled: true }
}

/// Said in a body, for the audit trail.
pub(super) fn said(spec: &TenantSpec) -> Value {
    json!(all(spec))
}
