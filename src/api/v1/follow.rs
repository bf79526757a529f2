//! Following a tenant's events, for clients that missed events or cannot receive webhooks.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::{Deserialize, Serialize};

use utoipa::{IntoParams, ToSchema};

use super::deliveries::Delivery;
use super::feed::{FeedEvent, MAX_WAIT, Verdict, parse_cursor, read_or_wait};
use crate::api::answer::{ApiError, success};
use crate::api::body::{QueryParams, within};
use crate::api::edit::load;
use crate::api::environments::{EnvironmentFilter, history};
use crate::api::page::{self, check_limit};
use crate::api::scope::{By, Caller, Read, named_tenant};
use crate::api::state::ApiState;
use fanfare_contract::LaneId;
use fanfare_routing::type_matches;
use fanfare_store::{DeliveryState, EventRecord, EventState};

/// Which events to follow.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct FollowQuery {
    /// The tenant's id. A tenant's own key may omit it.
    #[param(pattern = "^[a-z0-9_-]{1,64}$", example = "acme")]
    tenant: Option<String>,
    /// The `next_cursor` of the previous response. Without it, the list begins with the oldest
    /// event.
    #[param(example = "0")]
    after: Option<String>,
    /// Event types, separated by commas. `*` and `**` match as in routes.
    #[param(example = "kyc.session.*,kyc.job.completed")]
    types: Option<String>,
    /// Only events that were routed to this destination and are not delivered there.
    undelivered_to: Option<String>,
    /// The environment. Without it, a live key gets live events, or the events of the destination
    /// that it names. A test key gets test events.
    environment: Option<EnvironmentFilter>,
    /// How many seconds to wait for an event if there is none.
    #[param(minimum = 0, maximum = 60)]
    wait: Option<u64>,
    /// Most events to return. The default is 50.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u16>,
}

/// Events, oldest first.
#[derive(Serialize, ToSchema)]
pub(super) struct EventFeed {
    /// The events.
    data: Vec<FeedEvent>,
    /// Pass it as `after` in the next request. It is present even if there are no events.
    #[schema(example = "17")]
    next_cursor: String,
    /// Whether there may be more events right now.
    more: bool,
}

/// Follow events
///
/// Returns events in order of arrival, after a cursor. A client that always continues from the last
/// cursor misses no event. With `wait` the request stays open until there is an event. With
/// `undelivered_to` it returns the events that a destination missed or has not received yet.
#[utoipa::path(get, path = "/v1/events", operation_id = "follow_events", tag = "Events", params(FollowQuery),
    extensions(("x-fanfare-environment" = json!("own"))),
    security(("key" = ["reader"])),
    responses((status = 200, description = "Events, oldest first.", body = EventFeed)))]
pub(super) async fn follow(
    By(principal, _): By<Read>,
    State(state): State<Arc<ApiState>>,
    headers: HeaderMap,
    QueryParams(query): QueryParams<FollowQuery>,
) -> Result<Response, ApiError> {
    let named = named_tenant(query.tenant.as_deref(), &headers)?;
    let named = named.map(String::from_utf8_lossy);
    let tenant = principal.tenant_of(named.as_deref())?;
    let caller = Caller { principal, tenant };
    let spec = load(&state, &caller).await?;
    let destination = query.undelivered_to.as_deref().map(LaneId::from);
    if let Some(lane) = destination.as_ref().filter(|_| !caller.principal.environment.is_live()) {
        let id = lane.destination();
        let found = spec.destinations.iter().any(|one| one.id == id);
        found.then_some(()).ok_or_else(|| ApiError::not_found("destination", id))?;
    }
    let environment = history(&caller.principal, query.environment, destination.is_some())?;
    check_limit(query.limit)?;
    let wait = within("wait", query.wait, 0..=MAX_WAIT)?.unwrap_or(0);
    let after = parse_cursor("after", query.after.as_deref())?;
    let types: Vec<&str> =
        query.types.as_deref().unwrap_or_default().split(',').map(str::trim).collect();
    let wanted =
        |kind: &str| types == [""] || types.iter().any(|pattern| type_matches(pattern, kind));
    let verdict = |place: u64, record: &EventRecord| {
        let other = environment.is_some_and(|wanted| wanted != record.event.environment);
        if other || !wanted(&record.event.kind) {
            return Verdict::Skip;
        }
        let event = FeedEvent::of(place, record);
        let Some(destination) = &destination else { return Verdict::Take(event.into()) };
        if record.state == EventState::Pending {
            return Verdict::Stop;
        }
        let own = record
            .deliveries
            .iter()
            .find(|one| destination.covers(&one.lane) && one.state != DeliveryState::Delivered);
        own.map_or(Verdict::Skip, |own| {
            let delivery = Some(Delivery::of(own.clone()));
            Verdict::Take(FeedEvent { delivery, ..event }.into())
        })
    };
    let (limit, wait) = (page::limit(query.limit), Duration::from_secs(wait));
    let batch = read_or_wait(&state, &caller, after, limit, wait, &verdict).await?;
    let next_cursor = batch.next.to_string();
    Ok(success(StatusCode::OK, EventFeed { data: batch.data, next_cursor, more: batch.more }))
}
