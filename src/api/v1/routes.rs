//! Routes: which events go to which destinations. Their order is for people. Every route that
//! matches applies.

mod shapes;
pub(super) mod trial;

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

pub(super) use shapes::{ListedRoute, ids};
use shapes::{NewRoute, Route, RouteTable, all, position};

use super::params::{RoutePath, TenantPath};
use crate::api::answer::{ApiError, Detail, success};
use crate::api::body::{Body, PathParams, QueryParams};
use crate::api::edit::{self, Edited, Resource, edit, load};
use crate::api::etag::{IfMatch, tagged};
use crate::api::page::{self, Page, PageQuery, check_limit};
use crate::api::problem::DocumentPart;
use crate::api::scope::{Read, Scope, Write};
use crate::api::state::ApiState;
use crate::tenant::TenantSpec;
use fanfare_routing::RouteSpec;

/// All routes of a document.
pub(super) struct RoutesResource;

impl Resource for RoutesResource {
    fn name(&self) -> String {
        "routes".to_owned()
    }

    fn whole(&self, spec: &TenantSpec) -> Option<Value> {
        serde_json::to_value(all(spec)).ok()
    }
}

/// One route of a document, by id.
struct RouteResource<'a>(&'a str);

impl RouteResource<'_> {
    fn find(&self, spec: &TenantSpec) -> Result<usize, ApiError> {
        position(spec, self.0).ok_or_else(|| ApiError::not_found("route", self.0))
    }
}

impl Resource for RouteResource<'_> {
    fn name(&self) -> String {
        format!("routes/{}", self.0)
    }

    fn whole(&self, spec: &TenantSpec) -> Option<Value> {
        let at = position(spec, self.0)?;
        serde_json::to_value(all(spec).swap_remove(at)).ok()
    }

    fn part(&self, spec: &TenantSpec) -> DocumentPart {
        let place = position(spec, self.0).map(|at| format!("route {}", at + 1));
        DocumentPart { place: place.unwrap_or_default(), prefix: "", bare: &[] }
    }
}

/// List routes
///
/// Returns the routes in their order. The `ETag` is that of all routes together.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/routes", operation_id = "list_routes", tag = "Routes", params(TenantPath, PageQuery),
    extensions(("x-fanfare-environment" = json!("own"))),
    security(("key" = ["reader"])), responses((status = 200, description = "Routes, in order.", body = Page<Route>)))]
pub(super) async fn list(
    scope: Scope<Read>,
    State(state): State<Arc<ApiState>>,
    QueryParams(query): QueryParams<PageQuery>,
) -> Result<Response, ApiError> {
    check_limit(query.limit)?;
    let spec = load(&state, &scope).await?;
    let tag = edit::tag(&state, &RoutesResource, &spec).await?.unwrap_or_default();
    let page = in_order(all(&spec), query.cursor.as_deref(), page::limit(query.limit))?;
    Ok(tagged(success(StatusCode::OK, page), &tag))
}

/// One page of the routes. A cursor is the number of routes before it.
fn in_order(
    routes: Vec<Route>,
    cursor: Option<&str>,
    limit: usize,
) -> Result<Page<Route>, ApiError> {
    let start: usize = match cursor.map(str::parse) {
        None => 0,
        Some(Ok(start)) => start,
        Some(Err(_)) => {
            let message =
                "is not a cursor; send the `next_cursor` of a previous response, or omit it";
            return Err(ApiError::field("cursor", message));
        }
    };
    let end = start.saturating_add(limit);
    let next_cursor = (end < routes.len()).then(|| end.to_string());
    Ok(Page { data: routes.into_iter().skip(start).take(limit).collect(), next_cursor })
}

/// Replace all routes
///
/// Deletes routes that the list does not contain, and puts the others in the order given.
#[utoipa::path(put, path = "/v1/tenants/{tenant}/routes", operation_id = "replace_routes", tag = "Routes", params(TenantPath), request_body = RouteTable,
    extensions(("x-fanfare-environment" = json!("own"))),
    security(("key" = ["admin"])), responses((status = 200, description = "All routes, in their new order.", body = Page<Route>)))]
pub(super) async fn put_all(
    scope: Scope<Write>,
    State(state): State<Arc<ApiState>>,
    if_match: IfMatch,
    Body(body): Body<RouteTable>,
) -> Result<Response, ApiError> {
    let edited = edit(&state, &scope, &RoutesResource, "update", &if_match, |spec| {
        let known = ids(spec);
        let mut details = Vec::new();
        let mut routes = Vec::with_capacity(body.routes.len());
        for (n, placed) in body.routes.iter().cloned().enumerate() {
            let (id, body) = placed.split();
            if let Some(id) = id.as_ref().filter(|id| !known.contains(id)) {
                let message = format!(
                    "is not the id of an existing route (`{id}`); omit it to create a route"
                );
                details.push(Detail::new(format!("routes.{n}.id"), message));
            }
            // A route that has no id of its own and did not change needs none now.
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
    let spec = edited.await?.spec;
    let tag = edit::tag(&state, &RoutesResource, &spec).await?.unwrap_or_default();
    let data = all(&spec);
    Ok(tagged(success(StatusCode::OK, Page { data, next_cursor: None }), &tag))
}

/// Create a route
///
/// Adds the route after the existing ones.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/routes", operation_id = "create_route", tag = "Routes", params(TenantPath), request_body = NewRoute,
    extensions(("x-fanfare-environment" = json!("own"))),
    security(("key" = ["admin"])), responses((status = 201, description = "The new route.", body = Route)))]
pub(super) async fn create(
    scope: Scope<Write>,
    State(state): State<Arc<ApiState>>,
    Body(body): Body<NewRoute>,
) -> Result<Response, ApiError> {
    let id = format!("rte_{:012x}", rand::random::<u64>() >> 16);
    let edited = edit(&state, &scope, RouteResource(&id), "create", &IfMatch::No, |spec| {
        spec.routes.push(body.clone().spec(Some(id.clone())));
        Ok(())
    });
    answer(&id, StatusCode::CREATED, edited.await?)
}

fn answer(id: &str, status: StatusCode, edited: Edited<()>) -> Result<Response, ApiError> {
    let route =
        RouteResource(id).whole(&edited.spec).ok_or_else(|| ApiError::not_found("route", id))?;
    Ok(tagged(success(status, route), &edited.tag.unwrap_or_default()))
}

/// Get a route
#[utoipa::path(get, path = "/v1/tenants/{tenant}/routes/{route}", operation_id = "get_route", tag = "Routes", params(RoutePath),
    extensions(("x-fanfare-environment" = json!("own"))),
    security(("key" = ["reader"])), responses((status = 200, description = "The route.", body = Route)))]
pub(super) async fn get(
    scope: Scope<Read>,
    State(state): State<Arc<ApiState>>,
    PathParams((_, id)): PathParams<(String, String)>,
) -> Result<Response, ApiError> {
    let spec = load(&state, &scope).await?;
    let Some(tag) = edit::tag(&state, &RouteResource(&id), &spec).await? else {
        return Err(ApiError::not_found("route", &id));
    };
    Ok(tagged(success(StatusCode::OK, RouteResource(&id).whole(&spec)), &tag))
}

/// Replace a route
///
/// The route keeps its position.
#[utoipa::path(put, path = "/v1/tenants/{tenant}/routes/{route}", operation_id = "replace_route", tag = "Routes", params(RoutePath), request_body = NewRoute,
    extensions(("x-fanfare-environment" = json!("own"))),
    security(("key" = ["admin"])), responses((status = 200, description = "The replaced route.", body = Route)))]
pub(super) async fn put(
    scope: Scope<Write>,
    State(state): State<Arc<ApiState>>,
    if_match: IfMatch,
    PathParams((_, id)): PathParams<(String, String)>,
    Body(body): Body<NewRoute>,
) -> Result<Response, ApiError> {
    let edited = edit(&state, &scope, RouteResource(&id), "update", &if_match, |spec| {
        let at = RouteResource(&id).find(spec)?;
        // If its id was derived from its content, it keeps the id although the content changes.
        let old = RouteSpec { id: None, ..spec.routes[at].clone() };
        if old != body.clone().spec(None) {
            spec.routes[at] = body.clone().spec(Some(id.clone()));
        }
        Ok(())
    });
    answer(&id, StatusCode::OK, edited.await?)
}

/// Delete a route
#[utoipa::path(delete, path = "/v1/tenants/{tenant}/routes/{route}", operation_id = "delete_route", tag = "Routes", params(RoutePath),
    extensions(("x-fanfare-environment" = json!("own"))),
    security(("key" = ["admin"])), responses((status = 204, description = "The route was deleted.")))]
pub(super) async fn delete(
    scope: Scope<Write>,
    State(state): State<Arc<ApiState>>,
    if_match: IfMatch,
    PathParams((_, id)): PathParams<(String, String)>,
) -> Result<StatusCode, ApiError> {
    let edited = edit(&state, &scope, RouteResource(&id), "delete", &if_match, |spec| {
        let at = RouteResource(&id).find(spec)?;
        spec.routes.remove(at);
        Ok(())
    });
    edited.await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A route that another resource manages.
pub(super) fn managed(id: &str, events: Vec<String>, to: Vec<String>) -> RouteSpec {
    let id = Some(id.to_owned());
    RouteSpec { id, name: None, events, except: Vec::new(), when: None, to, enabled: true }
}

/// All routes as JSON.
pub(super) fn as_json(spec: &TenantSpec) -> Value {
    json!(all(spec))
}
