//! Digests: what is collected, and when it goes out.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::agenda::Mode;
use crate::api::ApiState;
use crate::api::answer::{ApiError, success};
use crate::api::body::Ids;
use crate::api::edit::{compiled, load};
use crate::api::problem::Part;
use crate::api::scope::{Read, Scope, Write};
use crate::audit;
use crate::ops;
use crate::tenant::Tenant;

/// Digests to come.
#[derive(Serialize, ToSchema)]
pub(super) struct Digests {
    /// One a receiver: an email destination has several.
    digests: Vec<Upcoming>,
}

/// One digest to come.
#[derive(Serialize, ToSchema)]
struct Upcoming {
    /// The destination's id.
    #[schema(example = "compliance-daily")]
    destination: String,
    /// Where to, without secrets.
    #[schema(example = "c***@acme.example")]
    to: String,
    /// When it goes out, in Unix milliseconds; null when its schedule has no further time.
    next_ms: Option<i64>,
    /// IANA name of its time zone.
    #[schema(example = "Europe/Madrid")]
    timezone: String,
    /// How many events wait for it.
    waiting: u64,
    /// Whether it is held back.
    paused: bool,
}

/// List upcoming digests
#[utoipa::path(get, path = "/v1/tenants/{tenant}/digests", tag = "Digests", params(super::TenantPath), security(("key" = ["reader"])),
    responses((status = 200, description = "What is collected, and when it goes out.", body = Digests)))]
pub(super) async fn list(
    scope: Scope<Read>,
    State(state): State<Arc<ApiState>>,
) -> Result<Response, ApiError> {
    let tenant = tenant(&state, &scope.tenant).await?;
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

async fn tenant(state: &ApiState, id: &str) -> Result<Tenant, ApiError> {
    let (spec, _) = load(state, id).await?;
    compiled(state, &spec).map_err(|problems| Part::NONE.refuse(problems))
}

/// What goes out now.
#[derive(Serialize, ToSchema)]
pub(super) struct SentNow {
    /// How many events were taken out of the wait.
    events: u64,
}

/// Send a digest now
///
/// What has been collected goes out at once, as one message a receiver.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/digests/{destination}/send", tag = "Digests", params(super::DestinationPath), security(("key" = ["admin"])),
    responses((status = 200, description = "It is on its way.", body = SentNow)))]
pub(super) async fn send(
    scope: Scope<Write>,
    State(state): State<Arc<ApiState>>,
    Ids((_, id)): Ids<(String, String)>,
) -> Result<Response, ApiError> {
    let tenant = tenant(&state, &scope.tenant).await?;
    let target = tenant.targets.iter().find(|target| *target.id == *id);
    let target = target.ok_or_else(|| ApiError::not_found("destination", &id))?;
    let collects = target.lanes.iter().any(|lane| matches!(lane.mode, Mode::Digest(_)));
    if !collects {
        return Err(ApiError::conflict("no_digest", "this destination has no digest"));
    }
    let now = state.clock.now_ms();
    let name = format!("digests/{id}");
    let line = audit::line(&scope.principal, now, "send", name, Value::Null, json!({}));
    let events = audit::around(&state.store, &scope.tenant, line, async {
        Ok::<_, ApiError>(ops::send_now(&state.store, &scope.tenant, &id, now).await?)
    });
    Ok(success(StatusCode::OK, SentNow { events: events.await? }))
}
