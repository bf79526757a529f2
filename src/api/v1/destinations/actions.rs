//! Actions on a destination: replace its secret, pause, resume or enable it, and resend what it
//! missed.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::document::{DestinationResource, complete};
use super::shapes::Destination;
use crate::api::answer::{ApiError, success};
use crate::api::body::{OptionalBody, PathParams};
use crate::api::edit::{Resource as _, edit};
use crate::api::etag::{IfMatch, tagged};
use crate::api::scope::{Scope, Write};
use crate::api::state::ApiState;
use crate::api::v1::params::DestinationPath;
use crate::api::v1::replay::{self, ReplayReport, ReplayRequest};
use crate::audit;
use crate::tenant::{DestinationSpec, TenantSpec, repaired};

/// Most previous secrets that sign beside the new one. The oldest is dropped first.
const MAX_PREVIOUS: usize = 4;
/// How long the old secret signs beside the new one, in seconds, unless the caller says otherwise.
const DEFAULT_OVERLAP: u32 = 24 * 3600;

/// How to replace a secret.
#[derive(Deserialize, ToSchema, Default)]
#[serde(deny_unknown_fields, default)]
pub(in crate::api::v1) struct SecretRotation {
    /// The new secret. Generated if you omit it.
    #[schema(min_length = 16, max_length = 256)]
    secret: Option<String>,
    /// How long the old secret also signs, in seconds. The default is one day.
    #[schema(minimum = 0, maximum = 2_592_000, example = 86400)]
    overlap_seconds: Option<u32>,
}

/// Rotate a webhook's secret
///
/// Requests are signed with both secrets until the overlap ends, so that the receiver has time to
/// switch. If you omit the new secret, one is generated. Only this response shows it.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/destinations/{destination}/rotate-secret", operation_id = "rotate_secret", tag = "Destinations",
    params(DestinationPath), request_body(content = Option<SecretRotation>),
    extensions(("x-fanfare-environment" = json!("own"))),
    security(("key" = ["admin"])),
    responses((status = 200, description = "The updated destination.", body = Destination)))]
pub(in crate::api::v1) async fn rotate_secret(
    scope: Scope<Write>,
    State(state): State<Arc<ApiState>>,
    PathParams((_, id)): PathParams<(String, String)>,
    OptionalBody(rotation): OptionalBody<SecretRotation>,
) -> Result<Response, ApiError> {
    let overlap = rotation.overlap_seconds.unwrap_or(DEFAULT_OVERLAP);
    let now = state.clock.now_ms() / 1000;
    let channels = state.registry.channels();
    let edited =
        edit(&state, &scope, DestinationResource(&id), "rotate_secret", &IfMatch::No, |spec| {
            let found = spec.destinations.iter_mut().find(|there| there.id == id);
            let one = found.ok_or_else(|| ApiError::not_found("destination", &id))?;
            let old = retire_secret(one, now, overlap)?;
            match &rotation.secret {
                Some(given) => {
                    if old.as_str() == Some(given) {
                        let message = "is already the current secret; send a different one";
                        return Err(ApiError::field("secret", message));
                    }
                    one.fields.insert("secret".to_owned(), given.clone().into());
                    Ok(Map::new())
                }
                None => Ok(complete(channels, one)),
            }
        });
    super::answer(&state, &id, edited.await?)
}

/// Moves a webhook's secret to its previous secrets, and returns it.
fn retire_secret(one: &mut DestinationSpec, now: i64, overlap: u32) -> Result<Value, ApiError> {
    let secret = one.fields.get("secret").filter(|_| one.channel == "webhook").cloned();
    let old = secret.ok_or_else(|| {
        let message = "this destination has no secret to rotate; only webhooks have one";
        ApiError::conflict("no_secret", message)
    })?;
    let previous = one.fields.shift_remove("previous_secrets");
    let previous = previous.and_then(|list| list.as_array().cloned()).unwrap_or_default();
    let valid = |one: &Value| one["expires"].as_i64().is_some_and(|expires| expires > now);
    let mut kept = vec![json!({"secret": old, "expires": now + i64::from(overlap)})];
    kept.extend(previous.into_iter().filter(valid));
    kept.truncate(if overlap == 0 { 0 } else { MAX_PREVIOUS });
    if !kept.is_empty() {
        one.fields.insert("previous_secrets".to_owned(), kept.into());
    }
    one.fields.shift_remove("secret");
    Ok(old)
}

/// Pause a destination
///
/// Its events wait until you resume it.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/destinations/{destination}/pause", operation_id = "pause_destination", tag = "Destinations",
    params(DestinationPath),
    extensions(("x-fanfare-environment" = json!("own"))),
    security(("key" = ["admin"])),
    responses((status = 200, description = "The updated destination.", body = Destination)))]
pub(in crate::api::v1) async fn pause(
    scope: Scope<Write>,
    State(state): State<Arc<ApiState>>,
    PathParams((_, id)): PathParams<(String, String)>,
) -> Result<Response, ApiError> {
    switch(&scope, &state, &id, "pause", |spec, id| _ = spec.held.insert(id.to_owned())).await
}

/// Resume a destination
///
/// Sends the events that waited. A pause that the receiver asked for with `Retry-After`, an open
/// circuit and the waits of retries end.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/destinations/{destination}/resume", operation_id = "resume_destination", tag = "Destinations",
    params(DestinationPath),
    extensions(("x-fanfare-environment" = json!("own"))),
    security(("key" = ["admin"])),
    responses((status = 200, description = "The updated destination.", body = Destination)))]
pub(in crate::api::v1) async fn resume(
    scope: Scope<Write>,
    State(state): State<Arc<ApiState>>,
    PathParams((_, id)): PathParams<(String, String)>,
) -> Result<Response, ApiError> {
    let off = |spec: &mut TenantSpec, id: &str| {
        spec.held.remove(id);
        let one = spec.destinations.iter_mut().find(|one| one.id == id);
        one.map(|one| one.fields.shift_remove("paused"));
    };
    switch(&scope, &state, &id, "resume", off).await
}

/// Enable a destination
///
/// Call it after you have fixed the problem that disabled the destination or holds it back. A pause
/// that the receiver asked for with `Retry-After`, an open circuit and the waits of retries end. To
/// also send what was
/// suppressed meanwhile, call `recover`.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/destinations/{destination}/enable", operation_id = "enable_destination", tag = "Destinations",
    params(DestinationPath),
    extensions(("x-fanfare-environment" = json!("own"))),
    security(("key" = ["admin"])),
    responses((status = 200, description = "The updated destination.", body = Destination)))]
pub(in crate::api::v1) async fn enable(
    scope: Scope<Write>,
    State(state): State<Arc<ApiState>>,
    PathParams((_, id)): PathParams<(String, String)>,
) -> Result<Response, ApiError> {
    switch(&scope, &state, &id, "enable", super::enable).await
}

/// Applies a change that returns nothing. Resuming and enabling also lift what holds the
/// destination back.
async fn switch(
    scope: &Scope<Write>,
    state: &ApiState,
    id: &str,
    action: &str,
    change: impl Fn(&mut TenantSpec, &str),
) -> Result<Response, ApiError> {
    let edited = edit(state, scope, DestinationResource(id), action, &IfMatch::No, |spec| {
        if !spec.destinations.iter().any(|there| there.id == id) {
            return Err(ApiError::not_found("destination", id));
        }
        change(spec, id);
        if action != "pause" {
            repaired(spec, id, state.clock.now_ms());
        }
        Ok(())
    });
    let edited = edited.await?;
    let tag = edited.tag.unwrap_or_default();
    Ok(tagged(success(StatusCode::OK, DestinationResource(id).shown(state, &edited.spec)), &tag))
}

/// What to resend.
#[derive(Deserialize, ToSchema, Default)]
#[serde(deny_unknown_fields, default)]
pub(in crate::api::v1) struct RecoveryRequest {
    /// Only events received at or after this time, in Unix milliseconds.
    from_ms: Option<i64>,
    /// Only events received before this time, in Unix milliseconds.
    to_ms: Option<i64>,
}

/// Resend what a destination missed
///
/// Enables the destination and puts its dead and suppressed deliveries back into its queue, oldest
/// first.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/destinations/{destination}/recover", operation_id = "recover_destination", tag = "Destinations",
    params(DestinationPath), request_body(content = Option<RecoveryRequest>),
    extensions(("x-fanfare-environment" = json!("own"))),
    security(("key" = ["admin"])),
    responses((status = 200, description = "The deliveries that were put back.", body = ReplayReport)))]
pub(in crate::api::v1) async fn recover(
    scope: Scope<Write>,
    State(state): State<Arc<ApiState>>,
    PathParams((_, id)): PathParams<(String, String)>,
    OptionalBody(given): OptionalBody<RecoveryRequest>,
) -> Result<Response, ApiError> {
    switch(&scope, &state, &id, "enable", super::enable).await?;
    let filter = ReplayRequest {
        destination: Some(id.clone()),
        from_ms: given.from_ms,
        to_ms: given.to_ms,
        ..ReplayRequest::default()
    };
    let now = state.clock.now_ms();
    let what = json!({"from_ms": given.from_ms, "to_ms": given.to_ms});
    let name = format!("destinations/{id}");
    let line = audit::entry(&scope.principal, now, "recover", name, Value::Null, what);
    let work = replay::run(&state, &scope, filter);
    let replayed = audit::around(&state.store, &scope.tenant, line, work).await?;
    Ok(success(StatusCode::OK, replayed))
}
