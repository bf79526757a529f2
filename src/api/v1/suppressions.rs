//! Suppressions: what nothing reaches until somebody mends it, a whole destination or one receiver of
//! it (an address that bounced), and how much was kept back meanwhile. A view on what the tenant's
//! document says of its destinations and on the suppressed deliveries.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::destinations::{enable, is_enabled};
use super::replay::{self, Filter, ReplayReport};
use super::{PageQuery, check_limit};
use crate::api::ApiState;
use crate::api::answer::{ApiError, success};
use crate::api::body::{Ids, Optional, Params};
use crate::api::edit::{Resource, compiled, edit, load};
use crate::api::etag::IfMatch;
use crate::api::page::Page;
use crate::api::scope::{Read, Scope, Write};
use crate::audit;
use crate::tenant::{Disabled, TenantSpec};
use fanfare_contract::{LaneId, Tally};
use fanfare_store::{LaneKey, Reason, StateKind};

/// A destination, or one receiver of it, that nothing reaches until it is lifted.
#[derive(Serialize, ToSchema)]
pub(super) struct Suppression {
    /// The destination's id; with `~` and a suffix for one of its receivers.
    #[schema(example = "desk~4f2a90")]
    id: String,
    /// The destination's id.
    #[schema(example = "desk")]
    destination: String,
    /// Where to, without secrets: a host, a masked address; null where there are several, or where the
    /// receiver is none of the destination's any more.
    #[schema(example = "a***@acme.example")]
    to: Option<String>,
    /// Short and stable: `gone`, `bounces`, `only_failures`; `by its settings` when `enabled` is
    /// false.
    #[schema(example = "bounces")]
    reason: String,
    /// What happened, and what would mend it.
    message: String,
    /// Since when, in Unix milliseconds; null when its settings say so.
    since_ms: Option<i64>,
    /// Deliveries that were kept back. Lifting it can send them.
    kept: u64,
}

/// All that are suppressed, by id: the reason, and none when it is the settings that say so.
fn all(spec: &TenantSpec) -> BTreeMap<&str, Option<&Disabled>> {
    let there = |lane: &LaneId| spec.destinations.iter().any(|one| one.id == lane.destination());
    let mended = spec.disabled.iter().filter(|(lane, _)| there(lane));
    let mut all: BTreeMap<_, _> =
        mended.map(|(lane, disabled)| (lane.as_str(), Some(disabled))).collect();
    for one in spec.destinations.iter().filter(|one| !is_enabled(one)) {
        all.entry(&one.id).or_insert(None);
    }
    all
}

/// One, as the audit trail tells of it.
struct One<'a>(&'a str);

impl Resource for One<'_> {
    fn name(&self) -> String {
        format!("suppressions/{}", self.0)
    }

    fn whole(&self, spec: &TenantSpec) -> Option<Value> {
        let disabled = all(spec).remove(self.0)?;
        Some(json!({"id": self.0, "disabled": disabled}))
    }
}

/// Tells of these, with what was kept back of each.
async fn shown(
    state: &ApiState,
    spec: &TenantSpec,
    ids: impl IntoIterator<Item = (&str, Option<&Disabled>)>,
) -> Result<Vec<Suppression>, ApiError> {
    // A document that cannot be used has no receivers.
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
        let message = || "`enabled` is false".to_owned();
        found.push(Suppression {
            id: id.to_owned(),
            destination: asked.destination().to_owned(),
            to: if let [(_, label)] = lanes[..] { Some(label.to_owned()) } else { None },
            reason: disabled.map_or("by its settings", |disabled| &disabled.reason).to_owned(),
            message: disabled.map_or_else(message, |disabled| disabled.message.clone()),
            since_ms: disabled.map(|disabled| disabled.at_ms),
            kept,
        });
    }
    Ok(found)
}

/// List suppressions
///
/// Destinations that were disabled, and addresses that bounced again and again, with what was kept back
/// of each. What is paused is none: it waits.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/suppressions", tag = "Suppressions", params(super::TenantPath, PageQuery),
    security(("key" = ["reader"])), responses((status = 200, description = "Suppressions by id.", body = Page<Suppression>)))]
pub(super) async fn list(
    scope: Scope<Read>,
    State(state): State<Arc<ApiState>>,
    Params(query): Params<PageQuery>,
) -> Result<Response, ApiError> {
    check_limit(query.limit)?;
    let (spec, _) = load(&state, &scope.tenant).await?;
    let page =
        Page::cut(all(&spec), query.cursor.as_deref(), query.limit, |(id, _)| (*id).to_owned());
    let data = shown(&state, &spec, page.data).await?;
    Ok(success(StatusCode::OK, Page { data, next_cursor: page.next_cursor }))
}

/// Get a suppression
#[utoipa::path(get, path = "/v1/tenants/{tenant}/suppressions/{suppression}", tag = "Suppressions", params(super::SuppressionPath),
    security(("key" = ["reader"])), responses((status = 200, description = "The suppression.", body = Suppression)))]
pub(super) async fn get(
    scope: Scope<Read>,
    State(state): State<Arc<ApiState>>,
    Ids((_, id)): Ids<(String, String)>,
) -> Result<Response, ApiError> {
    let (spec, _) = load(&state, &scope.tenant).await?;
    let found = all(&spec).remove_entry(id.as_str());
    let found = shown(&state, &spec, found).await?.pop();
    let found = found.ok_or_else(|| ApiError::not_found("suppression", &id))?;
    Ok(success(StatusCode::OK, found))
}

/// How it is lifted.
#[derive(Deserialize, ToSchema, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Lifting {
    /// Sends what was kept back, oldest first: 10,000 at once. More is `left`, and sent by
    /// `dead-letters/replay`.
    replay: bool,
    /// Of that only events received at or after, in Unix milliseconds.
    from_ms: Option<i64>,
    /// Of that only events received before, in Unix milliseconds.
    to_ms: Option<i64>,
}

/// A suppression that is gone.
#[derive(Serialize, ToSchema)]
pub(super) struct Lifted {
    /// What is sent to again.
    #[schema(example = "desk~4f2a90")]
    id: String,
    /// What was put back, if that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    replay: Option<ReplayReport>,
}

/// Lift a suppression
///
/// It was mended: events are sent there again. With `replay` also those that were kept back.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/suppressions/{suppression}/lift", tag = "Suppressions", params(super::SuppressionPath),
    request_body(content = Option<Lifting>), security(("key" = ["admin"])),
    responses((status = 200, description = "It is lifted.", body = Lifted)))]
pub(super) async fn lift(
    scope: Scope<Write>,
    State(state): State<Arc<ApiState>>,
    Ids((_, id)): Ids<(String, String)>,
    Optional(given): Optional<Lifting>,
) -> Result<Response, ApiError> {
    let edited = edit(&state, &scope, One(&id), "lift", &IfMatch::No, |spec| {
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
    Ok(success(StatusCode::OK, Lifted { id, replay }))
}

async fn replay_kept(
    scope: &Scope<Write>,
    state: &ApiState,
    id: &str,
    given: &Lifting,
) -> Result<ReplayReport, ApiError> {
    let filter = Filter {
        status: Some(vec![super::deliveries::StateWord::Suppressed]),
        destination: Some(id.to_owned()),
        from_ms: given.from_ms,
        to_ms: given.to_ms,
        ..Filter::default()
    };
    let what = json!({"from_ms": given.from_ms, "to_ms": given.to_ms});
    let name = format!("suppressions/{id}");
    let now = state.clock.now_ms();
    let line = audit::line(&scope.principal, now, "replay", name, Value::Null, what);
    let work = replay::run_kept(state, &scope.tenant, filter);
    audit::around(&state.store, &scope.tenant, line, work).await
}
