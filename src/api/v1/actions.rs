//! What is done to a destination: a new secret, a test, pausing, enabling, sending what it missed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use fanfare_contract::{Content, Delivery, DeliveryId, Event};
use futures::future::join_all;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tower::{Service as _, ServiceExt as _};
use utoipa::ToSchema;

use super::deliveries::Attempt;
use super::destinations::{Destination, One, answer, complete, setting};
use super::replay::{self, Filter, ReplayReport};
use crate::agenda::Lane;
use crate::api::ApiState;
use crate::api::answer::{ApiError, success};
use crate::api::body::{Ids, Optional};
use crate::api::edit::{Resource as _, compiled, edit, load};
use crate::api::etag::{IfMatch, tagged};
use crate::api::scope::{Scope, Write};
use crate::audit;
use crate::delivery::{Stack, Tried, conclude};
use crate::event::{Fill, decode, new_event_id};
use crate::tenant::TenantSpec;

/// Secrets that sign beside the new one, at most, so that the oldest makes room.
const PREVIOUS: usize = 4;

/// How a secret is replaced.
#[derive(Deserialize, ToSchema, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Rotation {
    /// The new secret; made when left out.
    #[schema(min_length = 16, max_length = 256)]
    secret: Option<String>,
    /// How long the old one signs beside it, in seconds; a day when left out.
    #[schema(minimum = 0, maximum = 2_592_000, example = 86400)]
    overlap_seconds: Option<u32>,
}

/// Replace a webhook's secret
///
/// Both secrets sign until the overlap is over, so that the receiver can change in its own time. A
/// secret that was made is shown whole in this one answer.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/destinations/{destination}/rotate-secret", tag = "Destinations",
    params(super::DestinationPath), request_body(content = Option<Rotation>), security(("key" = ["admin"])),
    responses((status = 200, description = "As it is now.", body = Destination)))]
pub(super) async fn rotate_secret(
    scope: Scope<Write>,
    State(state): State<Arc<ApiState>>,
    Ids((_, id)): Ids<(String, String)>,
    Optional(rotation): Optional<Rotation>,
) -> Result<Response, ApiError> {
    let overlap = rotation.overlap_seconds.unwrap_or(24 * 3600);
    let now = state.clock.now_ms() / 1000;
    let channels = state.registry.channels();
    let edited = edit(&state, &scope, One(&id), "rotate_secret", &IfMatch::No, |spec| {
        let found = spec.destinations.iter_mut().find(|there| there.id == id);
        let one = found.ok_or_else(|| ApiError::not_found("destination", &id))?;
        let Some(old) = one.fields.get("secret").filter(|_| one.channel == "webhook").cloned()
        else {
            return Err(ApiError::conflict(
                "no_secret",
                "only webhooks have a secret of their own",
            ));
        };
        let previous = one.fields.shift_remove("previous_secrets");
        let previous = previous.and_then(|list| list.as_array().cloned()).unwrap_or_default();
        let valid = |one: &Value| one["expires"].as_i64().is_some_and(|expires| expires > now);
        let mut kept = vec![json!({"secret": old, "expires": now + i64::from(overlap)})];
        kept.extend(previous.into_iter().filter(valid));
        kept.truncate(if overlap == 0 { 0 } else { PREVIOUS });
        if !kept.is_empty() {
            one.fields.insert("previous_secrets".to_owned(), kept.into());
        }
        one.fields.shift_remove("secret");
        match &rotation.secret {
            Some(given) => {
                if old.as_str() == Some(given) {
                    return Err(setting("secret", "is the one it has already"));
                }
                one.fields.insert("secret".to_owned(), given.clone().into());
                Ok(Map::new())
            }
            None => Ok(complete(channels, one)),
        }
    });
    answer(&state, &id, edited.await?)
}

/// Pause a destination
///
/// Events for it wait until it is resumed.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/destinations/{destination}/pause", tag = "Destinations",
    params(super::DestinationPath), security(("key" = ["admin"])),
    responses((status = 200, description = "As it is now.", body = Destination)))]
pub(super) async fn pause(
    scope: Scope<Write>,
    State(state): State<Arc<ApiState>>,
    Ids((_, id)): Ids<(String, String)>,
) -> Result<Response, ApiError> {
    switch(&scope, &state, &id, "pause", |spec, id| _ = spec.held.insert(id.to_owned())).await
}

/// Resume a destination
///
/// What waited is sent.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/destinations/{destination}/resume", tag = "Destinations",
    params(super::DestinationPath), security(("key" = ["admin"])),
    responses((status = 200, description = "As it is now.", body = Destination)))]
pub(super) async fn resume(
    scope: Scope<Write>,
    State(state): State<Arc<ApiState>>,
    Ids((_, id)): Ids<(String, String)>,
) -> Result<Response, ApiError> {
    let off = |spec: &mut TenantSpec, id: &str| {
        spec.held.remove(id);
        let one = spec.destinations.iter_mut().find(|one| one.id == id);
        one.map(|one| one.fields.shift_remove("paused"));
    };
    switch(&scope, &state, &id, "resume", off).await
}

/// Enable a destination
///
/// It was mended: forget why it was disabled. What was suppressed meanwhile is sent by `recover`.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/destinations/{destination}/enable", tag = "Destinations",
    params(super::DestinationPath), security(("key" = ["admin"])),
    responses((status = 200, description = "As it is now.", body = Destination)))]
pub(super) async fn enable(
    scope: Scope<Write>,
    State(state): State<Arc<ApiState>>,
    Ids((_, id)): Ids<(String, String)>,
) -> Result<Response, ApiError> {
    switch(&scope, &state, &id, "enable", super::destinations::enable).await
}

async fn switch(
    scope: &Scope<Write>,
    state: &ApiState,
    id: &str,
    action: &str,
    change: impl Fn(&mut TenantSpec, &str),
) -> Result<Response, ApiError> {
    let edited = edit(state, scope, One(id), action, &IfMatch::No, |spec| {
        if !spec.destinations.iter().any(|there| there.id == id) {
            return Err(ApiError::not_found("destination", id));
        }
        change(spec, id);
        Ok(())
    });
    let edited = edited.await?;
    let tag = edited.tag.unwrap_or_default();
    Ok(tagged(success(StatusCode::OK, One(id).shown(state, &edited.spec)), &tag))
}

/// What to send as a test.
#[derive(Deserialize, ToSchema, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct TestEvent {
    /// Its type; `fanfare.test` when left out.
    #[serde(rename = "type")]
    #[schema(example = "kyc.session.created")]
    kind: Option<String>,
    /// Its data.
    #[schema(value_type = Option<Object>)]
    data: Option<Map<String, Value>>,
}

/// What came of a test.
#[derive(Serialize, ToSchema)]
pub(super) struct Tested {
    /// The event that was sent; it is in no list.
    #[schema(example = "evt_01k1z0c4q7v0")]
    event: String,
    /// Whether every receiver took it.
    ok: bool,
    /// One a receiver: an email destination has several.
    attempts: Vec<TestAttempt>,
}

/// One attempt of a test.
#[derive(Serialize, ToSchema)]
struct TestAttempt {
    /// Where to, without secrets: a host, a masked address.
    #[schema(example = "hooks.acme.example")]
    to: String,
    /// What was answered.
    attempt: Attempt,
}

/// Test a destination
///
/// Sends one event through the channel, as any other, and answers what the receiver said. It is sent
/// also when the destination is paused or disabled, is not tried again, and is not in the ledger.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/destinations/{destination}/test", tag = "Destinations",
    params(super::DestinationPath), request_body(content = Option<TestEvent>), security(("key" = ["admin"])),
    responses((status = 200, description = "What the receiver said.", body = Tested)))]
pub(super) async fn test(
    scope: Scope<Write>,
    State(state): State<Arc<ApiState>>,
    Ids((_, id)): Ids<(String, String)>,
    Optional(given): Optional<TestEvent>,
) -> Result<Response, ApiError> {
    let (spec, _) = load(&state, &scope.tenant).await?;
    let compiled =
        compiled(&state, &spec).map_err(|problems| One(&id).part(&spec).refuse(problems))?;
    let target = compiled.targets.iter().find(|target| *target.id == *id);
    let target = target.ok_or_else(|| ApiError::not_found("destination", &id))?;
    let event = test_event(&state, &scope.tenant, given)?;
    let environment = target.lanes.first().map(|lane| lane.environment).unwrap_or_default();
    let event = Arc::new(event.with_environment(environment));
    let lanes = target.lanes.iter().take(MOST_LANES);
    let attempts = join_all(lanes.map(|lane| try_once(&state, lane, event.clone()))).await;
    let ok = attempts.iter().all(|tested| tested.attempt.is_ok());
    Ok(success(StatusCode::OK, Tested { event: event.id.to_string(), ok, attempts }))
}

/// Receivers of one destination that a test goes to.
const MOST_LANES: usize = 20;
/// The longest that a test takes, whatever the channel allows an attempt.
const LONGEST: Duration = Duration::from_secs(40);

fn test_event(state: &ApiState, tenant: &Arc<str>, given: TestEvent) -> Result<Event, ApiError> {
    let kind = given.kind.unwrap_or_else(|| "fanfare.test".to_owned());
    let message = "This is a test. Nothing happened.";
    let data = given.data.map_or_else(|| json!({"message": message}), Value::Object);
    let raw = json!({"type": kind, "data": data}).to_string();
    let now = state.clock.now_ms();
    let fill = Fill { id: &|| new_event_id(now, rand::random()), received_ms: now };
    Ok(decode(tenant, raw.into(), state.limits, &fill)?)
}

async fn try_once(state: &ApiState, lane: &Lane, event: Arc<Event>) -> TestAttempt {
    let at_ms = state.clock.now_ms();
    let delivery = Delivery {
        id: DeliveryId::derive(&event.id, &lane.key.id),
        destination: lane.destination.clone(),
        content: Content::Event(event),
        attempt: 1,
        at_ms,
    };
    let began = Instant::now();
    let mut stack = Stack::clone(&lane.stack);
    let call = async { stack.ready().await?.call(delivery).await };
    let late = |_| Err(fanfare_contract::DeliveryError::retry("timeout", "no answer in time"));
    let result = tokio::time::timeout(LONGEST, call).await.unwrap_or_else(late);
    let now_ms = state.clock.now_ms();
    let tried = Tried { number: 1, at_ms, took: began.elapsed(), now_ms };
    let concluded = conclude(&lane.policy, tried, &result, 0.5);
    let attempt = concluded.attempt.map_or_else(|| Attempt::none(at_ms), Attempt::of);
    TestAttempt { to: lane.label.clone(), attempt }
}

/// What to send again.
#[derive(Deserialize, ToSchema, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Recovery {
    /// Only events received at or after, in Unix milliseconds.
    from_ms: Option<i64>,
    /// Only events received before, in Unix milliseconds.
    to_ms: Option<i64>,
}

/// Send what a destination missed
///
/// Enables it, and puts everything that died or was suppressed back into its queue, oldest first.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/destinations/{destination}/recover", tag = "Destinations",
    params(super::DestinationPath), request_body(content = Option<Recovery>), security(("key" = ["admin"])),
    responses((status = 200, description = "What was put back.", body = ReplayReport)))]
pub(super) async fn recover(
    scope: Scope<Write>,
    State(state): State<Arc<ApiState>>,
    Ids((_, id)): Ids<(String, String)>,
    Optional(given): Optional<Recovery>,
) -> Result<Response, ApiError> {
    switch(&scope, &state, &id, "enable", super::destinations::enable).await?;
    let filter = Filter {
        destination: Some(id.clone()),
        from_ms: given.from_ms,
        to_ms: given.to_ms,
        ..Filter::default()
    };
    let now = state.clock.now_ms();
    let what = json!({"from_ms": given.from_ms, "to_ms": given.to_ms});
    let name = format!("destinations/{id}");
    let line = audit::line(&scope.principal, now, "recover", name, Value::Null, what);
    let work = replay::run(&state, &scope.tenant, filter);
    let replayed = audit::around(&state.store, &scope.tenant, line, work).await?;
    Ok(success(StatusCode::OK, replayed))
}
