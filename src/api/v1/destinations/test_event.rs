//! Sends a test event to a destination and returns what the receiver answered.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use fanfare_contract::{Content, Delivery, DeliveryError, DeliveryId, Event, Resend};
use futures::future::join_all;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tower::{Service as _, ServiceExt as _};
use utoipa::ToSchema;

use super::document::DestinationResource;
use crate::agenda::Lane;
use crate::api::answer::{ApiError, success};
use crate::api::body::{OptionalBody, PathParams};
use crate::api::edit::{Resource as _, compiled, edit, load};
use crate::api::etag::IfMatch;
use crate::api::scope::{Scope, Write};
use crate::api::state::ApiState;
use crate::api::v1::deliveries::Attempt;
use crate::api::v1::params::DestinationPath;
use crate::delivery::{Stack, Tried, conclude};
use crate::event::{Fill, decode, new_event_id};
use crate::tenant::repaired;

/// Most recipients of one destination that a test is sent to.
const MAX_LANES: usize = 20;
/// Longest time for a test attempt, even if the channel allows longer attempts.
const TIMEOUT: Duration = Duration::from_secs(40);

/// A test event.
#[derive(Deserialize, ToSchema, Default)]
#[serde(deny_unknown_fields, default)]
pub(in crate::api::v1) struct TestEvent {
    /// The event type. The default is `fanfare.test`.
    #[serde(rename = "type")]
    #[schema(example = "kyc.session.created")]
    kind: Option<String>,
    /// The event's data. The default is a short message.
    #[schema(value_type = Option<Object>)]
    data: Option<Map<String, Value>>,
}

/// The result of a test.
#[derive(Serialize, ToSchema)]
pub(in crate::api::v1) struct TestResult {
    /// The id of the event that was sent. The event is not stored.
    #[schema(example = "evt_01k1z0c4q7v0")]
    event: String,
    /// Whether every recipient accepted the event.
    ok: bool,
    /// One attempt per recipient. An email destination has one recipient per address.
    attempts: Vec<TestAttempt>,
}

/// An attempt of a test.
#[derive(Serialize, ToSchema)]
struct TestAttempt {
    /// The recipient without secrets: a host name or a masked address.
    #[schema(example = "hooks.acme.example")]
    to: String,
    /// The attempt and the receiver's answer.
    attempt: Attempt,
}

/// Test a destination
///
/// Sends one event through the channel and returns what the receiver answered. The event is sent
/// even if the destination is paused or disabled. It is not retried and not stored. If every
/// recipient accepts it, deliveries that wait for a retry, an open circuit, or a pause that the
/// receiver asked for are sent at once.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/destinations/{destination}/test", operation_id = "test_destination", tag = "Destinations",
    params(DestinationPath), request_body(content = Option<TestEvent>),
    extensions(("x-fanfare-environment" = json!("own"))),
    security(("key" = ["admin"])),
    responses((status = 200, description = "The receiver's answer.", body = TestResult)))]
pub(in crate::api::v1) async fn test(
    scope: Scope<Write>,
    State(state): State<Arc<ApiState>>,
    PathParams((_, id)): PathParams<(String, String)>,
    OptionalBody(given): OptionalBody<TestEvent>,
) -> Result<Response, ApiError> {
    let spec = load(&state, &scope).await?;
    let compiled = compiled(&state, &spec)
        .map_err(|problems| DestinationResource(&id).part(&spec).refuse(problems))?;
    let target = compiled.targets.iter().find(|target| *target.id == *id);
    let target = target.ok_or_else(|| ApiError::not_found("destination", &id))?;
    let event = test_event(&state, &scope.tenant, given)?;
    let environment = target.lanes.first().map(|lane| lane.environment).unwrap_or_default();
    let event = Arc::new(event.with_environment(environment));
    let lanes = target.lanes.iter().take(MAX_LANES);
    let attempts = join_all(lanes.map(|lane| try_once(&state, lane, event.clone()))).await;
    let ok = attempts.iter().all(|tested| tested.attempt.is_ok());
    if ok {
        lift(&state, &scope, &id, &target.lanes).await?;
    }
    Ok(success(StatusCode::OK, TestResult { event: event.id.to_string(), ok, attempts }))
}

/// The receiver accepts again, so what waits for it is sent now.
async fn lift(
    state: &ApiState,
    scope: &Scope<Write>,
    id: &str,
    lanes: &[Arc<Lane>],
) -> Result<(), ApiError> {
    let mut waiting = 0;
    for lane in lanes {
        waiting += state.store.agenda.waiting(&lane.key).await?;
    }
    if waiting == 0 {
        return Ok(());
    }
    let edited = edit(state, scope, DestinationResource(id), "test", &IfMatch::No, |spec| {
        repaired(spec, id, state.clock.now_ms());
        Ok(())
    });
    edited.await.map(drop)
}

fn test_event(state: &ApiState, tenant: &Arc<str>, given: TestEvent) -> Result<Event, ApiError> {
    let kind = given.kind.unwrap_or_else(|| "fanfare.test".to_owned());
    let message = "This is a test event from Fanfare.";
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
        resend: Resend::Never,
    };
    let began = Instant::now();
    let mut stack = Stack::clone(&lane.stack);
    let call = async { stack.ready().await?.call(delivery).await };
    let late = |_| {
        let message = format!("no answer within {} s", TIMEOUT.as_secs());
        Err(DeliveryError::retry("timeout", message))
    };
    let result = tokio::time::timeout(TIMEOUT, call).await.unwrap_or_else(late);
    let now_ms = state.clock.now_ms();
    let tried = Tried { number: 1, at_ms, took: began.elapsed(), now_ms };
    let concluded = conclude(&lane.policy, tried, &result, 0.5);
    let attempt = concluded.attempt.map_or_else(|| Attempt::none(at_ms), Attempt::of);
    TestAttempt { to: lane.label.clone(), attempt }
}
