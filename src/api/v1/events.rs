//! Events of a tenant: listed, and each with its whole path.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::{IntoParams, ToSchema};

use super::check_limit;
use super::deliveries::Delivery;
use super::keys::EnvironmentWord;
use crate::api::ApiState;
use crate::api::answer::{ApiError, success};
use crate::api::body::{Ids, Params};
use crate::api::edit::{compiled, load};
use crate::api::page::{self, Page};
use crate::api::scope::{Read, Scope};
use fanfare_routing::Explanation;
use fanfare_store::{Counts, EventQuery, EventState, EventSummary};

/// A line of a list of events.
#[derive(Serialize, ToSchema)]
pub(super) struct EventLine {
    /// Its id.
    #[schema(example = "evt_04flagged")]
    id: String,
    /// Its type.
    #[serde(rename = "type")]
    #[schema(example = "kyc.session.processed")]
    kind: String,
    /// Unix seconds, the producer's.
    created: i64,
    /// Unix milliseconds, ours.
    received_ms: i64,
    /// `pending`, `unrouted` or `routed`.
    #[schema(example = "routed")]
    state: &'static str,
    /// `live` or `test`.
    #[schema(example = "live")]
    environment: &'static str,
    /// Its deliveries by where they stand.
    deliveries: DeliveryCounts,
}

/// Deliveries by where they stand.
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

fn word(state: EventState) -> &'static str {
    match state {
        EventState::Pending => "pending",
        EventState::Unrouted => "unrouted",
        EventState::Routed => "routed",
    }
}

impl EventLine {
    fn of(event: EventSummary) -> Self {
        Self {
            id: event.id,
            kind: event.kind,
            created: event.created,
            received_ms: event.received_ms,
            state: word(event.state),
            environment: event.environment.word(),
            deliveries: DeliveryCounts::of(event.deliveries),
        }
    }
}

/// Which events to list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct EventFilter {
    /// Exact type.
    #[serde(rename = "type")]
    kind: Option<String>,
    /// Of this environment.
    environment: Option<EnvironmentWord>,
    /// Received at or after, in Unix milliseconds.
    from_ms: Option<i64>,
    /// Received before, in Unix milliseconds.
    to_ms: Option<i64>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// At most so many.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u16>,
}

/// List events
///
/// Newest first.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/events", tag = "Events", params(super::TenantPath, EventFilter),
    security(("key" = ["reader"])), responses((status = 200, description = "Events.", body = Page<EventLine>)))]
pub(super) async fn list(
    scope: Scope<Read>,
    State(state): State<Arc<ApiState>>,
    Params(filter): Params<EventFilter>,
) -> Result<Response, ApiError> {
    check_limit(filter.limit)?;
    let query = EventQuery {
        tenant: scope.tenant.to_string(),
        kind: filter.kind,
        environment: filter.environment.map(EnvironmentWord::environment),
        from_ms: filter.from_ms,
        to_ms: filter.to_ms,
        cursor: filter.cursor,
        limit: page::limit(filter.limit),
    };
    let found = state.store.ledger.events(&query).await?;
    Ok(success(StatusCode::OK, Page::of(found, EventLine::of)))
}

/// One event with its whole path.
#[derive(Serialize, ToSchema)]
pub(super) struct EventPath {
    /// The envelope, as receivers get it.
    #[schema(value_type = Object, example = json!({"id": "evt_1", "type": "kyc.session.created", "created": 1_735_228_800, "data": {}}))]
    event: Value,
    /// When it was received, in Unix milliseconds.
    received_ms: i64,
    /// `pending`, `unrouted` or `routed`.
    #[schema(example = "routed")]
    state: &'static str,
    /// `live` or `test`.
    #[schema(example = "live")]
    environment: &'static str,
    /// Why it went where it went: every route as it is now.
    routes: Vec<RouteAnswer>,
    /// Its deliveries with their attempts.
    deliveries: Vec<Delivery>,
}

/// How one route fares on an event.
#[derive(Serialize, ToSchema)]
struct RouteAnswer {
    /// The route's id.
    route: String,
    /// The route's name, if it has one.
    name: Option<String>,
    /// Whether the event goes to its destinations.
    matched: bool,
    /// The event-type pattern that matched.
    matched_by: Option<String>,
    /// Its destinations.
    to: Vec<String>,
    /// Why it did not match: the first field that failed, what was expected there, what was found.
    #[schema(value_type = Option<Object>)]
    reason: Option<Map<String, Value>>,
}

impl RouteAnswer {
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
/// With its whole path: why it was routed where, its deliveries, their attempts.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/events/{event}", tag = "Events", params(super::EventIdPath),
    security(("key" = ["reader"])), responses((status = 200, description = "The event.", body = EventPath)))]
pub(super) async fn get(
    scope: Scope<Read>,
    State(state): State<Arc<ApiState>>,
    Ids((_, id)): Ids<(String, String)>,
) -> Result<Response, ApiError> {
    let record = state.store.ledger.event(&scope.tenant, &id).await?;
    let record = record.ok_or_else(|| ApiError::not_found("event", ""))?;
    let routes = match load(&state, &scope.tenant).await {
        Ok((spec, _)) => {
            let ids = super::routes::ids(&spec);
            let tenant = compiled(&state, &spec).ok();
            let explained = tenant.map(|tenant| tenant.table.explain(&record.event));
            let explained = explained.unwrap_or_default().into_iter();
            explained.map(|one| RouteAnswer::of(one, &ids)).collect()
        }
        Err(_) => Vec::new(),
    };
    let answer = EventPath {
        event: record.event.value().clone(),
        received_ms: record.event.received_ms,
        state: word(record.state),
        environment: record.event.environment.word(),
        routes,
        deliveries: record.deliveries.into_iter().map(Delivery::of).collect(),
    };
    Ok(success(StatusCode::OK, answer))
}
