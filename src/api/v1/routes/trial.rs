//! Tries a route on events that were received, without storing it.

use std::future::ready;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::RouteResource;
use super::shapes::NewRoute;
use crate::api::answer::{ApiError, success};
use crate::api::body::{Body, within};
use crate::api::edit::{Resource as _, compiled, load};
use crate::api::environments::history;
use crate::api::scope::{Read, Scope};
use crate::api::state::ApiState;
use crate::api::v1::params::TenantPath;
use fanfare_routing::Table;
use fanfare_store::{EventQuery, EventRecord, EventSummary};

/// Most events that a route is tried on, and the default.
const MAX_EVENTS: u16 = 1_000;
/// Most matching events in the answer.
const MAX_EXAMPLES: usize = 10;
/// Events that are read from the store at once.
const READS: usize = 16;

/// A route to try.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::api::v1) struct Trial {
    /// The route. It need not exist.
    route: NewRoute,
    /// The number of newest events to try it on. The default is 1,000.
    #[schema(minimum = 1, maximum = 1000)]
    last: Option<u16>,
}

/// What a route would have matched.
#[derive(Serialize, ToSchema)]
pub(in crate::api::v1) struct TrialResult {
    /// The number of events that the route was tried on. Fewer than `last` if there are not as many.
    tried: usize,
    /// The number of these events that it matches.
    matched: usize,
    /// The newest matching events, at most 10.
    examples: Vec<Example>,
    /// When the oldest of these events was received, in Unix milliseconds.
    since_ms: Option<i64>,
}

/// An event that a route matches.
#[derive(Serialize, ToSchema)]
struct Example {
    /// The event's id.
    #[schema(example = "evt_04flagged")]
    id: String,
    /// The event's type.
    #[serde(rename = "type")]
    #[schema(example = "kyc.session.processed")]
    kind: String,
    /// When the event was received, in Unix milliseconds.
    received_ms: i64,
}

/// Try a route
///
/// Counts how many of the newest events the route matches, without storing it. A disabled route is
/// tried as if it were enabled.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/route-trials", operation_id = "try_route", tag = "Routes", params(TenantPath), request_body = Trial,
    extensions(("x-fanfare-environment" = json!("own"))),
    security(("key" = ["reader"])), responses((status = 200, description = "What the route matches.", body = TrialResult)))]
pub(in crate::api::v1) async fn try_out(
    scope: Scope<Read>,
    State(state): State<Arc<ApiState>>,
    Body(trial): Body<Trial>,
) -> Result<Response, ApiError> {
    let last = within("last", trial.last.map(u64::from), 1..=MAX_EVENTS.into())?;
    let mut spec = load(&state, &scope).await?;
    let id = format!("rte_{:012x}", rand::random::<u64>() >> 16);
    let mut route = trial.route.spec(Some(id.clone()));
    route.enabled = true;
    spec.routes.push(route.clone());
    let refuse = |problems| {
        let mut error = RouteResource(&id).part(&spec).refuse(problems);
        for detail in &mut error.details {
            detail.field = format!("route.{}", detail.field);
        }
        error
    };
    compiled(&state, &spec).map_err(refuse)?;
    let destinations: Vec<&str> = spec.destinations.iter().map(|one| &*one.id).collect();
    let table = Table::compile(std::slice::from_ref(&route), &destinations);
    let table = table.map_err(|_| ApiError::field("route", "cannot be compiled"))?;

    let query = EventQuery {
        tenant: scope.tenant.to_string(),
        environment: history(&scope.principal, None, false)?,
        limit: last.map_or(MAX_EVENTS.into(), |last| usize::try_from(last).unwrap_or(1)),
        ..EventQuery::default()
    };
    let newest = newest(&state, query).await?;
    let (tried, since_ms) = (newest.len(), newest.last().map(|event| event.received_ms));
    // Events of other types are not read.
    let named = newest.into_iter().filter(|event| route.names(&event.kind));
    let (ledger, unfiltered) = (&state.store.ledger, route.when.is_none());
    let verdicts = named.map(|event| {
        let (scope, table) = (&scope, &table);
        async move {
            let matched = unfiltered || {
                let record = ledger.event(&scope.tenant, &event.id).await?;
                record.is_some_and(|record| matches(table, &record))
            };
            Ok::<_, ApiError>(matched.then(|| Example::of(event)))
        }
    });
    let found = stream::iter(verdicts).buffered(READS);
    let mut found: Vec<Example> = found.try_filter_map(|one| ready(Ok(one))).try_collect().await?;
    let matched = found.len();
    found.truncate(MAX_EXAMPLES);
    Ok(success(StatusCode::OK, TrialResult { tried, matched, examples: found, since_ms }))
}

/// The newest events. A page of the store may be short, so this reads several.
async fn newest(state: &ApiState, mut query: EventQuery) -> Result<Vec<EventSummary>, ApiError> {
    let wanted = query.limit;
    let mut newest = Vec::with_capacity(wanted);
    loop {
        query.limit = wanted - newest.len();
        let page = state.store.ledger.events(&query).await?;
        newest.extend(page.items);
        query.cursor = page.next;
        if query.cursor.is_none() || newest.len() >= wanted {
            return Ok(newest);
        }
    }
}

fn matches(table: &Table, record: &EventRecord) -> bool {
    table.explain(&record.event).iter().any(|route| route.matched)
}

impl Example {
    fn of(event: EventSummary) -> Self {
        let EventSummary { id, kind, received_ms, .. } = event;
        Self { id, kind, received_ms }
    }
}
