//! Destinations: the places that a tenant can notify.

pub(super) mod actions;
mod document;
mod held;
mod shapes;
pub(super) mod test_event;

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Map, Value};

use document::{DestinationResource, forget_disabled, keep_secrets};
pub(super) use document::{complete, enable, is_enabled, masked, remove};
use shapes::{Destination, DestinationReplacement, DestinationUpdate, NewDestination, Recipient};

use super::params::{DestinationPath, TenantPath};
use crate::api::answer::{ApiError, success};
use crate::api::body::{Body, PathParams, QueryParams};
use crate::api::dry_run::{DryRun, dry_run};
use crate::api::edit::{Edited, Resource as _, compiled, edit, load, tag};
use crate::api::etag::{IfMatch, tagged};
use crate::api::merge_patch::merge;
use crate::api::page::{Page, PageQuery, check_limit};
use crate::api::scope::{Read, Scope, Write};
use crate::api::shown_once::{MASK, success_once};
use crate::api::state::ApiState;
use crate::tenant::{DestinationSpec, Tenant, TenantSpec};

/// List destinations
#[utoipa::path(get, path = "/v1/tenants/{tenant}/destinations", operation_id = "list_destinations", tag = "Destinations", params(TenantPath, PageQuery),
    extensions(("x-fanfare-environment" = json!("own"))),
    security(("key" = ["reader"])), responses((status = 200, description = "Destinations, sorted by id.", body = Page<Destination>)))]
pub(super) async fn list(
    scope: Scope<Read>,
    State(state): State<Arc<ApiState>>,
    QueryParams(query): QueryParams<PageQuery>,
) -> Result<Response, ApiError> {
    check_limit(query.limit)?;
    let spec = load(&state, &scope).await?;
    let mut all: Vec<_> = spec.destinations.iter().collect();
    all.sort_by(|a, b| a.id.cmp(&b.id));
    let channels = state.registry.channels();
    let shown = all.into_iter().map(|one| Destination::of(&spec, one, channels));
    let mut page = Page::cut(shown, query.cursor.as_deref(), query.limit, |one| one.id.clone());
    // A document that does not compile has no recipients.
    if let Ok(tenant) = compiled(&state, &spec) {
        for one in &mut page.data {
            let lanes = lanes(&state, &spec, &tenant, &one.id).await?;
            one.set_lanes(lanes);
        }
    }
    Ok(success(StatusCode::OK, page))
}

async fn lanes(
    state: &ApiState,
    spec: &TenantSpec,
    tenant: &Tenant,
    id: &str,
) -> Result<Vec<Recipient>, ApiError> {
    let target = tenant.targets.iter().find(|target| *target.id == *id);
    let mut lines = Vec::new();
    for lane in target.into_iter().flat_map(|target| &target.lanes) {
        let waiting = state.store.agenda.waiting(&lane.key).await?;
        let id = lane.key.id.to_string();
        let held = held::of_lane(state, spec, lane).await?;
        lines.push(Recipient { id, to: lane.label.clone(), waiting, held });
    }
    Ok(lines)
}

/// Create a destination
///
/// If you omit a webhook's secret, one is generated. Only this response shows it.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/destinations", operation_id = "create_destination", tag = "Destinations", params(TenantPath, DryRun),
    request_body = NewDestination,
    extensions(("x-fanfare-environment" = json!("own"))),
    security(("key" = ["admin"])),
    responses((status = 201, description = "The new destination.", body = Destination), (status = 200, description = "With `dry_run`: the destination as it would be.", body = Destination)))]
pub(super) async fn create(
    scope: Scope<Write>,
    State(state): State<Arc<ApiState>>,
    QueryParams(query): QueryParams<DryRun>,
    Body(new): Body<NewDestination>,
) -> Result<Response, ApiError> {
    let id = new.id.unwrap_or_else(|| format!("{}-{:08x}", new.channel, rand::random::<u32>()));
    let given = DestinationSpec { id: id.clone(), channel: new.channel, fields: new.settings };
    let channels = state.registry.channels();
    let create = |spec: &mut TenantSpec| {
        if spec.destinations.iter().any(|one| one.id == id) {
            let message = format!("the destination `{id}` already exists; choose another id");
            return Err(ApiError::conflict("exists", message));
        }
        let mut one = given.clone();
        let made = complete(channels, &mut one);
        spec.destinations.push(one);
        Ok(made)
    };
    let resource = DestinationResource(&id);
    if query.dry_run {
        let spec = dry_run(&state, &scope, &resource, "create", &IfMatch::No, create).await?;
        return Ok(success(StatusCode::OK, resource.shown(&state, &spec)));
    }
    let edited = edit(&state, &scope, &resource, "create", &IfMatch::No, create);
    answer(&state, &id, edited.await?)
}

/// Get a destination
#[utoipa::path(get, path = "/v1/tenants/{tenant}/destinations/{destination}", operation_id = "get_destination", tag = "Destinations", params(DestinationPath),
    extensions(("x-fanfare-environment" = json!("own"))),
    security(("key" = ["reader"])), responses((status = 200, description = "The destination.", body = Destination)))]
pub(super) async fn get(
    scope: Scope<Read>,
    State(state): State<Arc<ApiState>>,
    PathParams((_, id)): PathParams<(String, String)>,
) -> Result<Response, ApiError> {
    let spec = load(&state, &scope).await?;
    let Some(tag) = tag(&state, &DestinationResource(&id), &spec).await? else {
        return Err(ApiError::not_found("destination", &id));
    };
    let one = DestinationResource(&id).find(&spec);
    let one = one.ok_or_else(|| ApiError::not_found("destination", &id))?;
    Ok(tagged(success(StatusCode::OK, with_lanes(&state, &spec, one).await?), &tag))
}

/// A destination with its lanes, and what holds it back.
async fn with_lanes(
    state: &ApiState,
    spec: &TenantSpec,
    one: &DestinationSpec,
) -> Result<Destination, ApiError> {
    let mut shown = Destination::of(spec, one, state.registry.channels());
    if let Ok(tenant) = compiled(state, spec) {
        let mut holds = Vec::new();
        let target = tenant.targets.iter().find(|target| *target.id == *one.id);
        for lane in target.into_iter().flat_map(|target| &target.lanes) {
            holds.push(held::of_lane(state, spec, lane).await?);
        }
        shown.set_held(held::of_all(&holds));
        shown.lanes = lanes(state, spec, &tenant, &one.id).await?;
    }
    Ok(shown)
}

/// Create or replace a destination
///
/// A masked secret keeps its value, unless the URL gets another scheme, host or port: secrets must
/// then be given again.
#[utoipa::path(put, path = "/v1/tenants/{tenant}/destinations/{destination}", operation_id = "replace_destination", tag = "Destinations", params(DestinationPath),
    request_body = DestinationReplacement,
    extensions(("x-fanfare-environment" = json!("own"))),
    security(("key" = ["admin"])),
    responses((status = 200, description = "The replaced destination.", body = Destination), (status = 201, description = "The new destination.", body = Destination)))]
pub(super) async fn put(
    scope: Scope<Write>,
    State(state): State<Arc<ApiState>>,
    if_match: IfMatch,
    PathParams((_, id)): PathParams<(String, String)>,
    Body(body): Body<DestinationReplacement>,
) -> Result<Response, ApiError> {
    let channels = state.registry.channels();
    let edited = edit(&state, &scope, DestinationResource(&id), "update", &if_match, |spec| {
        let (id, channel) = (id.clone(), body.channel.clone());
        let mut new = DestinationSpec { id, channel, fields: body.settings.clone() };
        let at = spec.destinations.iter().position(|old| old.id == new.id);
        let old = at.map(|at| &spec.destinations[at]).filter(|old| old.channel == new.channel);
        if let Some(old) = old {
            keep_secrets(channels, old, None, &mut new)?;
        }
        let made = complete(channels, &mut new);
        match at {
            Some(at) if spec.destinations[at] != new => {
                // As in tenant files: a change is assumed to fix what disabled the destination.
                forget_disabled(spec, &new.id);
                spec.destinations[at] = new;
            }
            Some(_) => {}
            None => spec.destinations.push(new),
        }
        Ok(made)
    });
    let edited = edited.await?;
    answer(&state, &id, edited)
}

/// Update a destination
///
/// Changes settings by a JSON merge patch. If the URL gets another scheme, host or port, the patch
/// must give every secret that is sent to it again, such as the values of `headers`. A signing
/// secret that it omits is replaced by a new one, which only this response shows.
#[utoipa::path(patch, path = "/v1/tenants/{tenant}/destinations/{destination}", operation_id = "update_destination", tag = "Destinations", params(DestinationPath, DryRun),
    request_body = DestinationUpdate,
    extensions(("x-fanfare-environment" = json!("own"))),
    security(("key" = ["admin"])),
    responses((status = 200, description = "The updated destination.", body = Destination)))]
pub(super) async fn patch(
    scope: Scope<Write>,
    State(state): State<Arc<ApiState>>,
    if_match: IfMatch,
    PathParams((_, id)): PathParams<(String, String)>,
    QueryParams(query): QueryParams<DryRun>,
    Body(body): Body<DestinationUpdate>,
) -> Result<Response, ApiError> {
    let channels = state.registry.channels();
    let update = |spec: &mut TenantSpec| {
        let found = spec.destinations.iter_mut().find(|one| one.id == id);
        let one = found.ok_or_else(|| ApiError::not_found("destination", &id))?;
        let old = one.clone();
        // What the patch omits stays as it is shown: masked, until its receiver is known.
        one.fields = masked(channels, &old);
        merge(&mut one.fields, &body.settings);
        keep_secrets(channels, &old, Some(&body.settings), one)?;
        let made = complete(channels, one);
        if *one != old {
            forget_disabled(spec, &id);
        }
        Ok(made)
    };
    let resource = DestinationResource(&id);
    if query.dry_run {
        let spec = dry_run(&state, &scope, &resource, "update", &if_match, update).await?;
        return Ok(success(StatusCode::OK, resource.shown(&state, &spec)));
    }
    let edited = edit(&state, &scope, &resource, "update", &if_match, update);
    answer(&state, &id, edited.await?)
}

/// Delete a destination
///
/// Also removes it from all routes, deletes routes that have no other destination, and suppresses
/// its waiting deliveries.
#[utoipa::path(delete, path = "/v1/tenants/{tenant}/destinations/{destination}", operation_id = "delete_destination", tag = "Destinations", params(DestinationPath),
    extensions(("x-fanfare-environment" = json!("own"))),
    security(("key" = ["admin"])), responses((status = 204, description = "The destination was deleted.")))]
pub(super) async fn delete(
    scope: Scope<Write>,
    State(state): State<Arc<ApiState>>,
    if_match: IfMatch,
    PathParams((_, id)): PathParams<(String, String)>,
) -> Result<StatusCode, ApiError> {
    let edited = edit(&state, &scope, DestinationResource(&id), "delete", &if_match, |spec| {
        if DestinationResource(&id).find(spec).is_none() {
            return Err(ApiError::not_found("destination", &id));
        }
        remove(spec, &id);
        Ok(())
    });
    edited.await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Answers with the destination and with what was generated for it. A repeated answer for the same
/// idempotency key has the generated values masked.
fn answer(
    state: &ApiState,
    id: &str,
    edited: Edited<Map<String, Value>>,
) -> Result<Response, ApiError> {
    let one = DestinationResource(id)
        .find(&edited.spec)
        .ok_or_else(|| ApiError::not_found("destination", id))?;
    let mut shown = Destination::of(&edited.spec, one, state.registry.channels());
    shown.shown_once = edited.out;
    let status = if edited.created { StatusCode::CREATED } else { StatusCode::OK };
    let response = success_once(status, &shown, |data| {
        let once = data.get_mut("shown_once").and_then(Value::as_object_mut);
        once.into_iter().flat_map(Map::values_mut).for_each(|value| *value = MASK.into());
    });
    Ok(tagged(response, &edited.tag.unwrap_or_default()))
}
