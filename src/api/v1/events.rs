//! Events of a tenant: listed, or one event with everything that happened to it.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use utoipa::{IntoParams, ToSchema};

use super::deliveries::Delivery;
use super::params::{EventIdPath, Order, TenantPath};
use super::stats::types;
use super::words;
use crate::api::answer::{ApiError, success};
use crate::api::body::{MatchParams, PathParams};
use crate::api::edit::{check_known, compiled, load};
use crate::api::environments::{EnvironmentFilter, history};
use crate::api::page::{self, Page, check_limit};
use crate::api::scope::{Read, Scope};
use crate::api::state::ApiState;
use fanfare_contract::LaneId;
use fanfare_routing::Explanation;
use fanfare_store::{Counts, EventQuery, EventState, EventStatus, EventSummary, StateKind};

/// An event in a list.
#[derive(Serialize, ToSchema)]
#[schema(as = EventSummary)]
pub(super) struct EventLine {
    /// The event's id.
    #[schema(example = "evt_04flagged")]
    id: String,
    /// The event's type.
    #[serde(rename = "type")]
    #[schema(example = "kyc.session.processed")]
    kind: String,
    /// When the event was created according to its producer, in Unix seconds.
    created: i64,
    /// When the event was received, in Unix milliseconds.
    received_ms: i64,
    /// The state.
    #[schema(value_type = words::EventState, example = "routed")]
    state: &'static str,
    /// The environment.
    #[schema(value_type = words::Environment, example = "live")]
    environment: &'static str,
    /// The number of its deliveries by state.
    deliveries: DeliveryCounts,
}

/// The number of deliveries by state.
#[derive(Serialize, ToSchema)]
struct DeliveryCounts {
    delivered: u64,
    waiting: u64,
    suppressed: u64,
    dead: u64,
}

impl DeliveryCounts {
    fn of(counts: Counts) -> Self {
        let Counts { delivered, waiting, suppressed, dead, .. } = counts;
        Self { delivered, waiting, suppressed, dead }
    }
}

impl EventLine {
    fn of(event: EventSummary) -> Self {
        Self {
            id: event.id,
            kind: event.kind,
            created: event.created,
            received_ms: event.received_ms,
            state: event.state.as_str(),
            environment: event.environment.word(),
            deliveries: DeliveryCounts::of(event.deliveries),
        }
    }
}

/// Which events to list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct EventQueryParams {
    /// The event types: a comma-separated list of types and patterns.
    #[serde(rename = "type")]
    #[param(example = "kyc.**")]
    kind: Option<String>,
    /// The state of the event, or of at least one of its deliveries.
    #[param(inline)]
    state: Option<EventStatusWord>,
    /// The id of a destination, or of one of its recipients, to which the event has a delivery.
    destination: Option<String>,
    /// The environment. Without it, a live key gets live events. A test key gets test events.
    environment: Option<EnvironmentFilter>,
    /// Only events received at or after this time, in Unix milliseconds.
    from_ms: Option<i64>,
    /// Only events received before this time, in Unix milliseconds.
    to_ms: Option<i64>,
    /// Whether the newest events come first, or the oldest. The default is `newest`.
    #[param(inline)]
    order: Option<Order>,
    /// The `next_cursor` of the previous page.
    cursor: Option<String>,
    /// Most items to return. The default is 50.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u16>,
}

/// The states by which events are listed.
#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum EventStatusWord {
    /// Not settled yet.
    Pending,
    /// No route matched.
    Unrouted,
    /// It has deliveries.
    Routed,
    /// It has a delivery that the receiver accepted.
    Delivered,
    /// It has a delivery that waits.
    Waiting,
    /// It has a delivery that was deliberately not sent.
    Suppressed,
    /// It has a delivery that was given up.
    Dead,
}

impl From<EventStatusWord> for EventStatus {
    fn from(word: EventStatusWord) -> Self {
        match word {
            EventStatusWord::Pending => Self::Event(EventState::Pending),
            EventStatusWord::Unrouted => Self::Event(EventState::Unrouted),
            EventStatusWord::Routed => Self::Event(EventState::Routed),
            EventStatusWord::Delivered => Self::Delivery(StateKind::Delivered),
            EventStatusWord::Waiting => Self::Delivery(StateKind::Waiting),
            EventStatusWord::Suppressed => Self::Delivery(StateKind::Suppressed),
            EventStatusWord::Dead => Self::Delivery(StateKind::Dead),
        }
    }
}

/// Values that events must have.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes a parameter; the handler gets it from `MatchParams`")]
pub(super) struct MatchFilter {
    /// Only events with this value at an indexed path: `match[data.session_id]=7f6c2a54`. Repeat it
    /// for several values, of which an event must have all. The settings say which paths are indexed
    /// (`[search] paths`). A UUID is also found by its first part. The order is that in which events
    /// were stored.
    #[param(style = DeepObject, explode, value_type = Option<Object>, example = json!({"data.session_id": "7f6c2a54"}))]
    r#match: Option<String>,
}

/// List events
///
/// Returns the newest events first, or the oldest with `order=oldest`.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/events", operation_id = "list_events", tag = "Events", params(TenantPath, EventQueryParams, MatchFilter),
    extensions(("x-fanfare-environment" = json!("own"))),
    security(("key" = ["reader"])), responses((status = 200, description = "Events.", body = Page<EventLine>)))]
pub(super) async fn list(
    scope: Scope<Read>,
    State(state): State<Arc<ApiState>>,
    MatchParams(filter, matches): MatchParams<EventQueryParams>,
) -> Result<Response, ApiError> {
    check_limit(filter.limit)?;
    let names_destination = filter.destination.is_some();
    let query = EventQuery {
        tenant: scope.tenant.to_string(),
        kind: types(filter.kind.as_deref())?,
        status: filter.state.map(EventStatus::from),
        lane: filter.destination.map(LaneId::from),
        matches,
        environment: history(&scope.principal, filter.environment, names_destination)?,
        from_ms: filter.from_ms,
        to_ms: filter.to_ms,
        oldest_first: filter.order == Some(Order::Oldest),
        cursor: filter.cursor,
        limit: page::limit(filter.limit),
    };
    let found = state.store.ledger.events(&query).await?;
    if found.items.is_empty() && found.next.is_none() && query.cursor.is_none() {
        check_known(&state, &scope).await?;
    }
    Ok(success(StatusCode::OK, Page::of(found, EventLine::of)))
}

/// An event and everything that happened to it.
#[derive(Serialize, ToSchema)]
pub(super) struct EventDetails {
    /// The event as receivers get it.
    #[schema(value_type = Object, example = json!({"id": "evt_1", "type": "kyc.session.created", "created": 1_735_228_800, "data": {}}))]
    event: Box<RawValue>,
    /// When the event was received, in Unix milliseconds.
    received_ms: i64,
    /// The state.
    #[schema(value_type = words::EventState, example = "routed")]
    state: &'static str,
    /// The environment.
    #[schema(value_type = words::Environment, example = "live")]
    environment: &'static str,
    /// Which of the tenant's routes match the event. This evaluates the routes as they are now.
    routes: Vec<RouteMatch>,
    /// The event's deliveries with their attempts.
    deliveries: Vec<Delivery>,
}

/// Whether one route matches an event.
#[derive(Serialize, ToSchema)]
struct RouteMatch {
    /// The route's id.
    route: String,
    /// The route's name, if it has one.
    name: Option<String>,
    /// Whether the route matches the event.
    matched: bool,
    /// The event type pattern that matched.
    matched_by: Option<String>,
    /// The route's destinations.
    to: Vec<String>,
    /// Why the route did not match: the first field that failed, what was expected and what was
    /// found.
    #[schema(value_type = Option<Object>)]
    reason: Option<Map<String, Value>>,
}

impl RouteMatch {
    fn of(explained: Explanation, ids: &[String]) -> Self {
        let reason = explained.reason.map(|why| {
            let why = json!({"field": why.field, "expected": why.expected, "found": why.found});
            why.as_object().cloned().unwrap_or_default()
        });
        Self {
            route: ids.get(explained.route).cloned().unwrap_or_default(),
            name: explained.name,
            matched: explained.matched,
            matched_by: explained.matched_by,
            to: explained.to,
            reason,
        }
    }
}

/// Get an event
///
/// Returns the event, the routes that match it, its deliveries and their attempts.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/events/{event}", operation_id = "get_event", tag = "Events", params(EventIdPath),
    extensions(("x-fanfare-environment" = json!("own"))),
    security(("key" = ["reader"])), responses((status = 200, description = "The event.", body = EventDetails)))]
pub(super) async fn get(
    scope: Scope<Read>,
    State(state): State<Arc<ApiState>>,
    PathParams((_, id)): PathParams<(String, String)>,
) -> Result<Response, ApiError> {
    let record = state.store.ledger.event(&scope.tenant, &id).await?;
    let record = record.filter(|one| scope.principal.sees_environment(one.event.environment));
    let record = record.ok_or_else(|| ApiError::not_found("event", ""))?;
    let routes = match load(&state, &scope).await {
        Ok(spec) => {
            let ids = super::routes::ids(&spec);
            let tenant = compiled(&state, &spec).ok();
            let explained = tenant.map(|tenant| tenant.table.explain(&record.event));
            let explained = explained.unwrap_or_default().into_iter();
            explained.map(|one| RouteMatch::of(one, &ids)).collect()
        }
        Err(_) => Vec::new(),
    };
    let answer = EventDetails {
        event: record.event.raw().to_owned(),
        received_ms: record.event.received_ms,
        state: record.state.as_str(),
        environment: record.event.environment.word(),
        routes,
        deliveries: record.deliveries.into_iter().map(Delivery::of).collect(),
    };
    Ok(success(StatusCode::OK, answer))
}
