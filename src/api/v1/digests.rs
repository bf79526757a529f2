//! Digests: what is being collected, and when it is sent.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::params::{DestinationPath, TenantPath};
use crate::agenda::Mode;
use crate::api::answer::{ApiError, success};
use crate::api::body::PathParams;
use crate::api::edit::{compiled, load};
use crate::api::problem::DocumentPart;
use crate::api::scope::{Caller, Read, Scope, Write};
use crate::api::state::ApiState;
use crate::audit;
use crate::ops;
use crate::tenant::Tenant;

/// Upcoming digests.
#[derive(Serialize, ToSchema)]
pub(super) struct Digests {
    /// One digest per recipient. An email destination has one recipient per address.
    digests: Vec<Upcoming>,
}

/// An upcoming digest.
#[derive(Serialize, ToSchema)]
struct Upcoming {
    /// The destination's id.
    #[schema(example = "compliance-daily")]
    destination: String,
    /// The recipient without secrets.
    #[schema(example = "c***@acme.example")]
    to: String,
    /// When it will be sent, in Unix milliseconds. Null if its schedule has no further time.
    next_ms: Option<i64>,
    /// The IANA name of its time zone.
    #[schema(example = "Europe/Madrid")]
    timezone: String,
    /// The number of events collected so far.
    waiting: u64,
    /// Whether its destination is paused.
    paused: bool,
}

/// List upcoming digests
#[utoipa::path(get, path = "/v1/tenants/{tenant}/digests", operation_id = "list_upcoming_digests", tag = "Digests", params(TenantPath),
    extensions(("x-fanfare-environment" = json!("own"))),
    security(("key" = ["reader"])),
    responses((status = 200, description = "The digests being collected.", body = Digests)))]
pub(super) async fn list(
    scope: Scope<Read>,
    State(state): State<Arc<ApiState>>,
) -> Result<Response, ApiError> {
    let tenant = tenant(&state, &scope).await?;
    let now = state.clock.now_ms();
    let mut digests = Vec::new();
    for target in &tenant.targets {
        for lane in &target.lanes {
            let Mode::Digest(calendar) = &lane.mode else { continue };
            digests.push(Upcoming {
                destination: target.id.to_string(),
                to: lane.label.clone(),
                next_ms: calendar.after(now),
                timezone: calendar.zone().to_owned(),
                waiting: state.store.agenda.waiting(&lane.key).await?,
                paused: lane.paused,
            });
        }
    }
    Ok(success(StatusCode::OK, Digests { digests }))
}

async fn tenant(state: &ApiState, caller: &Caller) -> Result<Tenant, ApiError> {
    let spec = load(state, caller).await?;
    compiled(state, &spec).map_err(|problems| DocumentPart::WHOLE.refuse(problems))
}

/// A digest that is being sent.
#[derive(Serialize, ToSchema)]
pub(super) struct SentNow {
    /// The number of deliveries that were waiting for it.
    events: u64,
}

/// Send a digest now
///
/// Sends everything collected so far at once, as one message per recipient.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/digests/{destination}/send", operation_id = "send_digest_now", tag = "Digests", params(DestinationPath),
    extensions(("x-fanfare-environment" = json!("own"))),
    security(("key" = ["admin"])),
    responses((status = 200, description = "The digest is being sent.", body = SentNow)))]
pub(super) async fn send(
    scope: Scope<Write>,
    State(state): State<Arc<ApiState>>,
    PathParams((_, id)): PathParams<(String, String)>,
) -> Result<Response, ApiError> {
    let tenant = tenant(&state, &scope).await?;
    let target = tenant.targets.iter().find(|target| *target.id == *id);
    let target = target.ok_or_else(|| ApiError::not_found("destination", &id))?;
    let collects = target.lanes.iter().any(|lane| matches!(lane.mode, Mode::Digest(_)));
    if !collects {
        return Err(ApiError::conflict(
            "no_digest",
            "this destination has no digest; set `digest` in its settings",
        ));
    }
    let now = state.clock.now_ms();
    let name = format!("digests/{id}");
    let line = audit::entry(&scope.principal, now, "send", name, Value::Null, json!({}));
    let events = audit::around(&state.store, &scope.tenant, line, async {
        Ok::<_, ApiError>(ops::send_now(&state.store, &scope.tenant, &id, now).await?)
    });
    Ok(success(StatusCode::OK, SentNow { events: events.await? }))
}
