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
use crate::api::body::{PathParams, QueryParams};
use crate::api::edit::{compiled, load};
use crate::api::page::{Page, PageQuery, check_limit};
use crate::api::problem::DocumentPart;
use crate::api::scope::{Caller, Read, Scope, Write};
use crate::api::state::ApiState;
use crate::audit;
use crate::ops;
use crate::tenant::Tenant;

/// An upcoming digest.
#[derive(Serialize, ToSchema)]
pub(super) struct Digest {
    /// The id of the recipient: the destination's id, followed by `~` and a suffix if the
    /// destination has several recipients.
    #[schema(example = "compliance-daily~4f2a90")]
    id: String,
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

/// List digests
///
/// Returns the digests that are being collected, one for each recipient.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/digests", operation_id = "list_digests", tag = "Digests", params(TenantPath, PageQuery),
    extensions(("x-fanfare-environment" = json!("own"))),
    security(("key" = ["reader"])),
    responses((status = 200, description = "Digests, sorted by id.", body = Page<Digest>)))]
pub(super) async fn list(
    scope: Scope<Read>,
    State(state): State<Arc<ApiState>>,
    QueryParams(query): QueryParams<PageQuery>,
) -> Result<Response, ApiError> {
    check_limit(query.limit)?;
    let tenant = tenant(&state, &scope).await?;
    let now = state.clock.now_ms();
    let mut lanes: Vec<_> = tenant
        .targets
        .iter()
        .flat_map(|target| target.lanes.iter().map(move |lane| (target, lane)))
        .filter_map(|(target, lane)| match &lane.mode {
            Mode::Digest(calendar) => Some((lane.key.id.to_string(), target, lane, calendar)),
            _ => None,
        })
        .collect();
    lanes.sort_by(|a, b| a.0.cmp(&b.0));
    let page = Page::cut(lanes, query.cursor.as_deref(), query.limit, |(id, ..)| id.clone());
    let mut data = Vec::with_capacity(page.data.len());
    for (id, target, lane, calendar) in page.data {
        data.push(Digest {
            id,
            destination: target.id.to_string(),
            to: lane.label.clone(),
            next_ms: calendar.after(now),
            timezone: calendar.zone().to_owned(),
            waiting: state.store.agenda.waiting(&lane.key).await?,
            paused: lane.paused,
        });
    }
    Ok(success(StatusCode::OK, Page { data, next_cursor: page.next_cursor }))
}

async fn tenant(state: &ApiState, caller: &Caller) -> Result<Tenant, ApiError> {
    let spec = load(state, caller).await?;
    compiled(state, &spec).map_err(|problems| DocumentPart::WHOLE.refuse(problems))
}

/// A digest that is being sent.
#[derive(Serialize, ToSchema)]
pub(super) struct SentDigest {
    /// The number of deliveries that were waiting for it.
    events: u64,
}

/// Send a digest
///
/// Sends everything collected so far at once, as one message per recipient.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/digests/{destination}/send", operation_id = "send_digest", tag = "Digests", params(DestinationPath),
    extensions(("x-fanfare-environment" = json!("own"))),
    security(("key" = ["admin"])),
    responses((status = 200, description = "The digest is being sent.", body = SentDigest)))]
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
    Ok(success(StatusCode::OK, SentDigest { events: events.await? }))
}
