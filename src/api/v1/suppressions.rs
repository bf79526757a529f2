//! Suppressions: destinations, and single recipients such as an address that bounced, that receive
//! nothing until the suppression is lifted. A view of the disabled destinations in the tenant's
//! document and of the suppressed deliveries.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::deliveries::StateWord;
use super::destinations::{enable, is_enabled};
use super::params::{SuppressionPath, TenantPath};
use super::replay::{self, ReplayReport, ReplayRequest};
use crate::api::answer::{ApiError, success};
use crate::api::body::{OptionalBody, PathParams, QueryParams};
use crate::api::edit::{Resource, compiled, edit, load};
use crate::api::etag::IfMatch;
use crate::api::page::{Page, PageQuery, check_limit};
use crate::api::scope::{Read, Scope, Write};
use crate::api::state::ApiState;
use crate::audit;
use crate::tenant::{Disabled, TenantSpec};
use fanfare_contract::{LaneId, Tally};
use fanfare_store::{LaneKey, Reason, StateKind};

/// A destination or recipient that receives nothing until the suppression is lifted.
#[derive(Serialize, ToSchema)]
pub(super) struct Suppression {
    /// The destination's id, followed by `~` and a suffix for a single recipient.
    #[schema(example = "desk~4f2a90")]
    id: String,
    /// The destination's id.
    #[schema(example = "desk")]
    destination: String,
    /// The recipient without secrets: a host name or a masked address. Null if there are several
    /// recipients, or if the recipient no longer belongs to the destination.
    #[schema(example = "a***@acme.example")]
    to: Option<String>,
    /// The code of the reason, such as `gone`, `bounces` or `only_failures`. `settings` if
    /// `enabled` is false.
    #[schema(example = "bounces")]
    reason: String,
    /// What happened and how to fix it.
    message: String,
    /// Since when, in Unix milliseconds. Null if `enabled` is false.
    since_ms: Option<i64>,
    /// The number of deliveries that were suppressed. You can send them when you lift the
    /// suppression.
    kept: u64,
}

/// All suppressions by id, with the reason. `None` if the destination's settings disable it.
fn all(spec: &TenantSpec) -> BTreeMap<&str, Option<&Disabled>> {
    let exists = |lane: &LaneId| spec.destinations.iter().any(|one| one.id == lane.destination());
    let disabled = spec.disabled.iter().filter(|(lane, _)| exists(lane));
    let mut all: BTreeMap<_, _> =
        disabled.map(|(lane, disabled)| (lane.as_str(), Some(disabled))).collect();
    for one in spec.destinations.iter().filter(|one| !is_enabled(one)) {
        all.entry(&one.id).or_insert(None);
    }
    all
}

/// One suppression by id, for the audit trail.
struct SuppressionResource<'a>(&'a str);

impl Resource for SuppressionResource<'_> {
    fn name(&self) -> String {
        format!("suppressions/{}", self.0)
    }

    fn whole(&self, spec: &TenantSpec) -> Option<Value> {
        let disabled = all(spec).remove(self.0)?;
        Some(json!({"id": self.0, "disabled": disabled}))
    }
}

/// Shows suppressions, with the number of deliveries suppressed by each.
async fn shown(
    state: &ApiState,
    spec: &TenantSpec,
    ids: impl IntoIterator<Item = (&str, Option<&Disabled>)>,
) -> Result<Vec<Suppression>, ApiError> {
    // A document that does not compile has no recipients.
    let tenant = compiled(state, spec).ok();
    let now_ms = state.clock.now_ms();
    let mut found = Vec::new();
    for (id, disabled) in ids {
        let asked = LaneId::from(id);
        let target = tenant.as_ref().and_then(|tenant| {
            tenant.targets.iter().find(|target| *target.id == *asked.destination())
        });
        let lanes: Vec<(&LaneKey, &str)> = target
            .into_iter()
            .flat_map(|target| &target.lanes)
            .filter(|lane| asked.covers(&lane.key.id))
            .map(|lane| (&lane.key, lane.label.as_str()))
            .collect();
        let mut kept = 0;
        for (lane, _) in &lanes {
            let (suppressed, _) = state.store.ledger.tally(lane, 0, now_ms + 1).await?;
            let reason = |tally: &Tally| Reason::parse(StateKind::Suppressed, &tally.reason);
            let here = suppressed.iter().filter(|tally| reason(tally).is_disabled());
            kept += here.map(|tally| tally.count).sum::<u64>();
        }
        let message = || "`enabled` is false in the destination's settings".to_owned();
        found.push(Suppression {
            id: id.to_owned(),
            destination: asked.destination().to_owned(),
            to: if let [(_, label)] = lanes[..] { Some(label.to_owned()) } else { None },
            reason: disabled.map_or("settings", |disabled| &disabled.reason).to_owned(),
            message: disabled.map_or_else(message, |disabled| disabled.message.clone()),
            since_ms: disabled.map(|disabled| disabled.at_ms),
            kept,
        });
    }
    Ok(found)
}

/// List suppressions
///
/// Returns disabled destinations and addresses that bounced repeatedly, with the number of
/// suppressed deliveries. A paused destination is not suppressed: its deliveries wait.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/suppressions", operation_id = "list_suppressions", tag = "Suppressions", params(TenantPath, PageQuery),
    extensions(("x-fanfare-environment" = json!("own"))),
    security(("key" = ["reader"])), responses((status = 200, description = "Suppressions, sorted by id.", body = Page<Suppression>)))]
pub(super) async fn list(
    scope: Scope<Read>,
    State(state): State<Arc<ApiState>>,
    QueryParams(query): QueryParams<PageQuery>,
) -> Result<Response, ApiError> {
    check_limit(query.limit)?;
    let spec = load(&state, &scope).await?;
    let page =
        Page::cut(all(&spec), query.cursor.as_deref(), query.limit, |(id, _)| (*id).to_owned());
    let data = shown(&state, &spec, page.data).await?;
    Ok(success(StatusCode::OK, Page { data, next_cursor: page.next_cursor }))
}

/// Get a suppression
#[utoipa::path(get, path = "/v1/tenants/{tenant}/suppressions/{suppression}", operation_id = "get_suppression", tag = "Suppressions", params(SuppressionPath),
    extensions(("x-fanfare-environment" = json!("own"))),
    security(("key" = ["reader"])), responses((status = 200, description = "The suppression.", body = Suppression)))]
pub(super) async fn get(
    scope: Scope<Read>,
    State(state): State<Arc<ApiState>>,
    PathParams((_, id)): PathParams<(String, String)>,
) -> Result<Response, ApiError> {
    let spec = load(&state, &scope).await?;
    let found = all(&spec).remove_entry(id.as_str());
    let found = shown(&state, &spec, found).await?.pop();
    let found = found.ok_or_else(|| ApiError::not_found("suppression", &id))?;
    Ok(success(StatusCode::OK, found))
}

/// How to lift a suppression.
#[derive(Deserialize, ToSchema, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct LiftRequest {
    /// Also sends suppressed deliveries, oldest first, at most 10,000. The response counts the rest
    /// as `left`. Send those with `deliveries/replay`.
    replay: bool,
    /// With `replay`: only events received at or after this time, in Unix milliseconds.
    from_ms: Option<i64>,
    /// With `replay`: only events received before this time, in Unix milliseconds.
    to_ms: Option<i64>,
}

/// A lifted suppression.
#[derive(Serialize, ToSchema)]
pub(super) struct LiftedSuppression {
    /// The id of the destination or recipient.
    #[schema(example = "desk~4f2a90")]
    id: String,
    /// The deliveries that were put back, if requested.
    #[serde(skip_serializing_if = "Option::is_none")]
    replay: Option<ReplayReport>,
}

/// Lift a suppression
///
/// Call it after you have fixed the problem. Events are then sent again. With `replay`, suppressed
/// deliveries are sent too.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/suppressions/{suppression}/lift", operation_id = "lift_suppression", tag = "Suppressions", params(SuppressionPath),
    request_body(content = Option<LiftRequest>),
    extensions(("x-fanfare-environment" = json!("own"))),
    security(("key" = ["admin"])),
    responses((status = 200, description = "The lifted suppression.", body = LiftedSuppression)))]
pub(super) async fn lift(
    scope: Scope<Write>,
    State(state): State<Arc<ApiState>>,
    PathParams((_, id)): PathParams<(String, String)>,
    OptionalBody(given): OptionalBody<LiftRequest>,
) -> Result<Response, ApiError> {
    let edited = edit(&state, &scope, SuppressionResource(&id), "lift", &IfMatch::No, |spec| {
        if !all(spec).contains_key(id.as_str()) {
            return Err(ApiError::not_found("suppression", &id));
        }
        if LaneId::from(id.as_str()).recipient().is_none() {
            enable(spec, &id);
        } else {
            spec.disabled.remove(id.as_str());
        }
        Ok(())
    });
    edited.await?;
    let replay =
        if given.replay { Some(replay_kept(&scope, &state, &id, &given).await?) } else { None };
    Ok(success(StatusCode::OK, LiftedSuppression { id, replay }))
}

async fn replay_kept(
    scope: &Scope<Write>,
    state: &ApiState,
    id: &str,
    given: &LiftRequest,
) -> Result<ReplayReport, ApiError> {
    let filter = ReplayRequest {
        state: Some(vec![StateWord::Suppressed]),
        destination: Some(id.to_owned()),
        from_ms: given.from_ms,
        to_ms: given.to_ms,
        ..ReplayRequest::default()
    };
    let what = json!({"from_ms": given.from_ms, "to_ms": given.to_ms});
    let name = format!("suppressions/{id}");
    let now = state.clock.now_ms();
    let line = audit::entry(&scope.principal, now, "replay", name, Value::Null, what);
    let work = replay::run_kept(state, scope, filter);
    audit::around(&state.store, &scope.tenant, line, work).await
}
