//! Following events: for those who missed something, or cannot be called.
//!
//! A cursor is a place in the order in which a tenant's events became visible. No event ever becomes
//! visible before a place that was given out, so whoever goes from cursor to cursor misses nothing.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRequestParts, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use utoipa::{IntoParams, ToSchema};

use super::check_limit;
use super::deliveries::Delivery;
use crate::access::{Action, Principal};
use crate::api::ApiState;
use crate::api::answer::{ApiError, Detail, success};
use crate::api::body::{Params, within};
use crate::api::edit::load;
use crate::api::page;
use fanfare_contract::LaneId;
use fanfare_routing::type_matches;
use fanfare_store::{DeliveryState, EventRecord, EventState};

/// Longest that a request waits for an event.
pub(super) const LONGEST_WAIT: u64 = 60;
/// Between two looks of a request that waits.
const LOOK: Duration = Duration::from_millis(200);
/// Pages of the store that one look goes through when filters leave little.
const PAGES: usize = 20;
/// Requests that wait at once in this process; others are answered as if they did not wait.
pub(super) const WAITERS: usize = 1_000;

/// Which events.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct FollowQuery {
    /// The tenant; a tenant's own key need not say it.
    #[param(pattern = "^[a-z0-9_-]{1,64}$", example = "me")]
    tenant: Option<String>,
    /// `next_cursor` of the answer before; from the oldest that there is when left out.
    #[param(example = "0")]
    after: Option<String>,
    /// Event types, separated by commas; `*` and `**` as in routes.
    #[param(example = "kyc.session.*,kyc.job.completed")]
    types: Option<String>,
    /// Only events that were routed to this destination and are not delivered there.
    undelivered_to: Option<String>,
    /// How many seconds to wait for an event when there is none.
    #[param(minimum = 0, maximum = 60)]
    wait: Option<u64>,
    /// At most so many.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u16>,
}

/// Events, oldest first.
#[derive(Serialize, ToSchema)]
pub(super) struct Followed {
    /// Them.
    data: Vec<FollowedEvent>,
    /// For the next call, also when there was nothing.
    #[schema(example = "17")]
    next_cursor: String,
    /// Whether there may be more right now.
    more: bool,
}

/// An event that was followed.
#[derive(Serialize, ToSchema)]
pub(super) struct FollowedEvent {
    /// The place behind it.
    #[schema(example = "17")]
    pub(super) cursor: String,
    /// The envelope, as receivers get it.
    #[schema(value_type = Object, example = json!({"id": "evt_1", "type": "kyc.session.created", "created": 1_735_228_800, "data": {}}))]
    pub(super) event: Value,
    /// When it was received, in Unix milliseconds.
    pub(super) received_ms: i64,
    /// The delivery that is asked for with `undelivered_to`.
    #[serde(skip_serializing_if = "Option::is_none")]
    delivery: Option<Delivery>,
}

impl FollowedEvent {
    pub(super) fn of(place: u64, record: &EventRecord) -> Self {
        Self {
            cursor: place.to_string(),
            event: record.event.value().clone(),
            received_ms: record.event.received_ms,
            delivery: None,
        }
    }
}

/// What becomes of one event on the way through a filter.
pub(super) enum Verdict {
    /// It is given.
    Take(Box<FollowedEvent>),
    /// It is passed over, for good.
    Pass,
    /// It is not decided yet what it is: nothing behind it is given before.
    Stop,
}

/// Part of the tail, through a filter.
pub(super) struct Part {
    pub(super) data: Vec<FollowedEvent>,
    pub(super) next: u64,
    pub(super) more: bool,
}

/// A place, from text.
pub(super) fn place(field: &str, text: Option<&str>) -> Result<u64, ApiError> {
    let bad = |_| {
        let message = "is no cursor of this list; send `next_cursor` of an answer, or none";
        ApiError::fields(vec![Detail::new(field, message)])
    };
    text.map_or(Ok(0), |text| text.parse().map_err(bad))
}

/// Goes through the tail from a place, until there is enough, or nothing more.
pub(super) async fn look(
    state: &ApiState,
    tenant: &str,
    mut after: u64,
    limit: usize,
    verdict: &(dyn Fn(u64, &EventRecord) -> Verdict + Sync),
) -> Result<Part, ApiError> {
    let mut data = Vec::new();
    for _ in 0..PAGES {
        let tail = state.store.ledger.tail(tenant, after, limit.saturating_sub(data.len())).await?;
        for (place, record) in &tail.items {
            match verdict(*place, record) {
                Verdict::Take(event) => data.push(*event),
                Verdict::Pass => {}
                Verdict::Stop => return Ok(Part { data, next: after, more: false }),
            }
            after = *place;
        }
        after = tail.next;
        if !tail.more || data.len() >= limit {
            return Ok(Part { data, next: after, more: tail.more });
        }
    }
    Ok(Part { data, next: after, more: true })
}

/// As [`look`], again and again for up to `wait` while there is nothing.
pub(super) async fn wait_for(
    state: &ApiState,
    tenant: &str,
    after: u64,
    limit: usize,
    wait: Duration,
    verdict: &(dyn Fn(u64, &EventRecord) -> Verdict + Sync),
) -> Result<Part, ApiError> {
    let mut part = look(state, tenant, after, limit, verdict).await?;
    if wait.is_zero() || !part.data.is_empty() {
        return Ok(part);
    }
    let Ok(_waits) = state.v1.waiters.try_acquire() else { return Ok(part) };
    let until = Instant::now() + wait;
    while part.data.is_empty() && Instant::now() < until {
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = state.stop.cancelled() => break,
        }
        part = look(state, tenant, part.next, limit, verdict).await?;
    }
    Ok(part)
}

pub(super) fn waiters() -> Semaphore {
    Semaphore::new(WAITERS)
}

/// Who asks, for paths that name the tenant in the query.
pub(in crate::api) struct Asker(Principal);

impl FromRequestParts<Arc<ApiState>> for Asker {
    type Rejection = ApiError;

    async fn from_request_parts(
        parts: &mut Parts,
        state: &Arc<ApiState>,
    ) -> Result<Self, ApiError> {
        let principal = Principal::from_request_parts(parts, state).await?;
        principal.require(Action::Read)?;
        Ok(Self(principal))
    }
}

/// Follow events
///
/// Oldest first, from a cursor on; nothing is passed over, however events come in. With `wait` the
/// request stays open until there is one. With `undelivered_to` what a destination missed, or has
/// not got yet.
#[utoipa::path(get, path = "/v1/events", tag = "Events", params(FollowQuery), security(("key" = ["reader"])),
    responses((status = 200, description = "Events.", body = Followed)))]
pub(super) async fn follow(
    Asker(principal): Asker,
    State(state): State<Arc<ApiState>>,
    Params(query): Params<FollowQuery>,
) -> Result<Response, ApiError> {
    let tenant = principal.tenant_of(query.tenant.as_deref())?;
    load(&state, &tenant).await?;
    check_limit(query.limit)?;
    let wait = within("wait", query.wait, 0..=LONGEST_WAIT)?.unwrap_or(0);
    let after = place("after", query.after.as_deref())?;
    let types: Vec<&str> =
        query.types.as_deref().unwrap_or_default().split(',').map(str::trim).collect();
    let wanted =
        |kind: &str| types == [""] || types.iter().any(|pattern| type_matches(pattern, kind));
    let verdict = |place: u64, record: &EventRecord| {
        if !wanted(&record.event.kind) {
            return Verdict::Pass;
        }
        let event = FollowedEvent::of(place, record);
        let Some(destination) = &query.undelivered_to else { return Verdict::Take(event.into()) };
        if record.state == EventState::Pending {
            return Verdict::Stop;
        }
        let own = record.deliveries.iter().find(|one| {
            LaneId::from(destination.as_str()).covers(&one.lane)
                && one.state != DeliveryState::Delivered
        });
        own.map_or(Verdict::Pass, |own| {
            let delivery = Some(Delivery::of(own.clone()));
            Verdict::Take(FollowedEvent { delivery, ..event }.into())
        })
    };
    let (limit, wait) = (page::limit(query.limit), Duration::from_secs(wait));
    let part = wait_for(&state, &tenant, after, limit, wait, &verdict).await?;
    let next_cursor = part.next.to_string();
    Ok(success(StatusCode::OK, Followed { data: part.data, next_cursor, more: part.more }))
}
