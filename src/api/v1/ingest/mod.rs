//! `POST /v1/events` and `POST /v1/ingest/{source}`: accept one event, or a batch with a result for
//! each event. Answer 202 once the events are durable.

mod shapes;
mod split;

use std::sync::Arc;
use std::time::SystemTime;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use fanfare_contract::Event;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use shapes::{PublishRequest, PublishResult};
use split::split;

use crate::access::{Action, Denied, Environment, Principal};
use crate::api::answer::{ApiError, Detail, success};
use crate::api::body::{PathParams, QueryParams, unreadable};
use crate::api::body_memory::Held;
use crate::api::encoding::{coding, decompress};
use crate::api::quota;
use crate::api::scope::named_tenant;
use crate::api::sources::{Parts, SourceLimits, cloud_events, is_cloudevent, with_type};
use crate::api::state::ApiState;
use crate::event::{
    Fill, Refusal, accept, event_id_for_key, new_event_id, tenant_id, trace_parent,
};
use crate::observe::{Accepted, Observe};
use crate::quota::Exceeded;
use crate::tenant::{Tenant, TenantStatus};
use fanfare_store::Appended;

/// Events that are decoded before other requests get a turn: well below a millisecond of work, so
/// that large batches do not delay the small requests of others.
const DECODED_PER_TURN: usize = 32;

/// `?tenant=acme`. The header `Fanfare-Tenant` has the same meaning.
#[derive(Deserialize)]
pub(super) struct IngestQuery {
    tenant: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
}

/// The result for one event of a request.
#[derive(Serialize)]
struct EventResult {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<Arc<str>>,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    flagged: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Value>,
}

/// Send events
///
/// Accepts one event, a JSON array, `{"events": […]}`, or NDJSON with the content type
/// `application/x-ndjson`. Also accepts `CloudEvents` in all three forms. With `type`, the body (or
/// each item of a list) becomes the `data` of an event of this type. The body may be compressed
/// with gzip or zstd. The response is sent once the events are durable. With an `Idempotency-Key`,
/// omitted ids are derived from the key, so that a repeated request creates no further events.
#[utoipa::path(post, path = "/v1/events", operation_id = "send_events", tag = "Events",
    params(
        ("tenant" = Option<String>, Query, description = "The tenant's id. A tenant's own key may omit it.", pattern = "^[a-z0-9_-]{1,64}$"),
        ("type" = Option<String>, Query, description = "The type of all events of the request. The body is then their `data`.", example = "kyc.session.created"),
    ),
    request_body(description = "One event or a batch.", content((PublishRequest = "application/json"), (String = "application/x-ndjson"))),
    extensions(("x-fanfare-environment" = json!("own"))),
    security(("key" = ["publisher"])),
    responses((status = 202, description = "The events are durable.", body = PublishResult)))]
pub(super) async fn post_events(
    State(state): State<Arc<ApiState>>,
    principal: Principal,
    QueryParams(params): QueryParams<IngestQuery>,
    headers: HeaderMap,
    held: Option<Extension<Arc<Held>>>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, ApiError> {
    let sender = Sender { state: &state, principal: &principal, headers: &headers };
    let kind = params.kind.as_deref();
    sender.publish(&params, held, body, |body| split_events(&state, &headers, kind, body)).await
}

/// The events of a body of `/v1/events`.
fn split_events(
    state: &ApiState,
    headers: &HeaderMap,
    kind: Option<&str>,
    body: Bytes,
) -> Result<Parts, ApiError> {
    let Some(kind) = kind else {
        if is_cloudevent(headers) {
            return cloud_events(headers, &body, source_limits(state));
        }
        let parts = split(&body, headers, state.max_batch)?;
        let several = |parts: Vec<Bytes>| Parts::Several(parts.into_iter().map(Ok).collect());
        return Ok(parts.map_or(Parts::One(body), several));
    };
    let parts = split(&body, headers, state.max_batch)?;
    let several = |parts: Vec<Bytes>| {
        Parts::Several(parts.iter().map(|part| with_type(kind, part)).collect())
    };
    parts.map_or_else(|| Ok(Parts::One(with_type(kind, &body)?)), |parts| Ok(several(parts)))
}

fn source_limits(state: &ApiState) -> SourceLimits {
    SourceLimits { max_batch: state.max_batch, max_bytes: state.limits.max_bytes }
}

/// Send what a source sends
///
/// For producers that cannot shape their body. The sources are `alertmanager`, `grafana`, `github`,
/// `cloudevents`, and those of the server's settings. The body becomes the event's `data`. If the
/// source has a secret, its signature is checked. The key may also be the password of HTTP Basic.
#[utoipa::path(post, path = "/v1/ingest/{source}", operation_id = "ingest_events", tag = "Events",
    params(
        ("source" = String, Path, description = "The source's name.", pattern = "^[a-z0-9_-]{1,64}$", example = "alertmanager"),
        ("tenant" = Option<String>, Query, description = "The tenant's id. A tenant's own key may omit it.", pattern = "^[a-z0-9_-]{1,64}$"),
    ),
    request_body(description = "What the source sends.", content((serde_json::Value = "application/json", example = json!({"status": "firing", "alerts": []})))),
    extensions(("x-fanfare-environment" = json!("own"))),
    security(("key" = ["publisher"])),
    responses((status = 202, description = "The events are durable.", body = PublishResult)))]
pub(super) async fn post_source(
    State(state): State<Arc<ApiState>>,
    principal: Principal,
    PathParams(source): PathParams<String>,
    QueryParams(params): QueryParams<IngestQuery>,
    headers: HeaderMap,
    held: Option<Extension<Arc<Held>>>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, ApiError> {
    let sender = Sender { state: &state, principal: &principal, headers: &headers };
    principal.require(Action::Publish)?;
    let source = state.sources.get(&source)?;
    let events = |body: Bytes| {
        source.verify(&headers, &body)?;
        source.events(&headers, &body, source_limits(&state))
    };
    sender.publish(&params, held, body, events).await
}

/// The sender of a request.
struct Sender<'r> {
    state: &'r ApiState,
    principal: &'r Principal,
    headers: &'r HeaderMap,
}

impl Sender<'_> {
    /// Makes the events of a body durable. `events` finds them in the body.
    async fn publish(
        &self,
        params: &IngestQuery,
        held: Option<Extension<Arc<Held>>>,
        body: Result<Bytes, BytesRejection>,
        events: impl FnOnce(Bytes) -> Result<Parts, ApiError>,
    ) -> Result<Response, ApiError> {
        let Self { state, principal, headers } = *self;
        principal.require(Action::Publish)?;
        let coding = coding(headers)?;
        let began = SystemTime::now();
        let counted = |error: ApiError| count(state, error);
        let tenant = tenant(state, principal, params, headers).await.map_err(counted)?;
        let body = body.map_err(unreadable)?;
        let limits = state.quotas.limits(tenant.quotas.as_ref());
        let exceeded = |exceeded: Exceeded| counted(quota::exceeded(state, &exceeded));
        // Before anything is parsed: a flood must not cost more than this.
        let sent = body.len();
        state.quotas.enter(&tenant.id, &limits, sent).await.map_err(exceeded)?;
        let held = held.as_ref().map(|held| &*held.0);
        let body = decompress(body, coding, state.max_ingest_body(), held).await?;
        if body.len() > sent {
            let more = body.len() - sent;
            state.quotas.enter(&tenant.id, &limits, more).await.map_err(exceeded)?;
        }
        let trace = headers.get("traceparent").and_then(|value| trace_parent(value.as_bytes()));
        let key = idempotency_key(headers)?;
        let decode = |raw: Bytes, place: Option<usize>| -> Result<Decoded, Refusal> {
            let event = decode_one(state, &tenant.id, principal, raw, key.as_deref(), place)?;
            let flagged = state.catalogue.check(&event)?;
            Ok((Arc::new(event.with_trace(trace.clone())), flagged))
        };
        match events(body).map_err(counted)? {
            Parts::One(raw) => {
                state.quotas.take_events(&tenant.id, &limits, 1).map_err(exceeded)?;
                let (event, flagged) =
                    decode(raw, None).map_err(|refusal: Refusal| counted(refusal.into()))?;
                let appended = append(state, vec![event.clone()], began).await?;
                let outcome = outcome(appended.first().copied());
                let id = Some(event.id.clone());
                let answer = EventResult { id, outcome, flagged, error: None };
                Ok(success(StatusCode::ACCEPTED, answer))
            }
            Parts::Several(parts) => {
                state.quotas.take_events(&tenant.id, &limits, parts.len()).map_err(exceeded)?;
                let mut decoded = Vec::with_capacity(parts.len());
                for (n, raw) in parts.into_iter().enumerate() {
                    if n % DECODED_PER_TURN == DECODED_PER_TURN - 1 {
                        tokio::task::yield_now().await;
                    }
                    decoded.push(raw.and_then(|raw| decode(raw, Some(n))));
                }
                batch(state, decoded, began).await
            }
        }
    }
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let key = headers.get("idempotency-key").map(|value| String::from_utf8_lossy(value.as_bytes()));
    match key {
        Some(key) if key.is_empty() || key.len() > 255 => {
            Err(ApiError::invalid("bad_key", "Idempotency-Key must have 1 to 255 bytes"))
        }
        key => Ok(key.map(std::borrow::Cow::into_owned)),
    }
}

/// The tenant that the request names, or the key's own.
async fn tenant(
    state: &ApiState,
    principal: &Principal,
    params: &IngestQuery,
    headers: &HeaderMap,
) -> Result<Arc<Tenant>, ApiError> {
    let named = named_tenant(params.tenant.as_deref(), headers)?;
    let named = named.map(tenant_id).transpose()?;
    let tenant = principal.tenant_of(named)?;
    match state.registry.find(&tenant).await? {
        TenantStatus::Usable(tenant) => Ok(tenant),
        TenantStatus::Unusable => Err(Refusal::unusable_tenant(&tenant).into()),
        TenantStatus::Unknown => Err(Denied::no_tenant(&tenant).into()),
    }
}

/// An accepted event, and where it does not match the schema of its type.
type Decoded = (Arc<Event>, Vec<String>);

fn decode_one(
    state: &ApiState,
    tenant: &Arc<str>,
    principal: &Principal,
    raw: Bytes,
    key: Option<&str>,
    place: Option<usize>,
) -> Result<Event, Refusal> {
    let now = state.clock.now_ms();
    // A test event must not have the same id as a live event with the same key.
    let key = key.map(|key| match principal.environment {
        Environment::Live => key.to_owned(),
        Environment::Test => format!("test\0{key}"),
    });
    let id = || match (&key, place) {
        (Some(key), None) => event_id_for_key(tenant, key),
        // The same batch with the same key gets the same ids.
        (Some(key), Some(place)) => event_id_for_key(tenant, &format!("{key}#{place}")),
        (None, _) => new_event_id(now, rand::random()),
    };
    let event = accept(tenant, raw, state.limits, &Fill { id: &id, received_ms: now })?;
    Ok(event.with_environment(principal.environment))
}

/// Counts a refused request as one rejected event.
fn count(state: &ApiState, error: ApiError) -> ApiError {
    state.observe.metrics.http(Accepted::Rejected(error.code));
    error
}

/// Makes events durable, and returns the result for each.
async fn append(
    state: &ApiState,
    events: Vec<Arc<Event>>,
    began: SystemTime,
) -> Result<Vec<Appended>, ApiError> {
    if events.is_empty() {
        return Ok(Vec::new());
    }
    let Observe { metrics, spans, .. } = &*state.observe;
    let appended = state.store.log.append(events.clone()).await.inspect_err(|_| {
        for _ in &events {
            metrics.http(Accepted::Failed);
        }
    })?;
    let is_new = |appended: &&Appended| **appended == Appended::Accepted;
    let new = events.iter().zip(&appended).filter(|(_, appended)| is_new(appended));
    let bytes = new.map(|(event, _)| event.body.len() as u64).sum();
    let count = appended.iter().filter(is_new).count();
    state.quotas.accepted(&events[0].tenant, count, bytes);
    for (event, appended) in events.iter().zip(&appended) {
        match appended {
            Appended::Duplicate => metrics.http(Accepted::Duplicate),
            Appended::Accepted => {
                metrics.http(Accepted::Accepted);
                if let Some(spans) = spans {
                    spans.ingested(event, began);
                }
            }
        }
    }
    Ok(appended)
}

/// Answers a batch: with a result for each event, or with an error if none was accepted.
async fn batch(
    state: &ApiState,
    decoded: Vec<Result<Decoded, Refusal>>,
    began: SystemTime,
) -> Result<Response, ApiError> {
    let good = decoded.iter().filter_map(|event| Some(event.as_ref().ok()?.0.clone())).collect();
    for refusal in decoded.iter().filter_map(|event| event.as_ref().err()) {
        state.observe.metrics.http(Accepted::Rejected(refusal.code));
    }
    let appended = append(state, good, began).await?;
    let mut appended = appended.into_iter();
    let answers: Vec<EventResult> = decoded
        .into_iter()
        .map(|event| match event {
            Ok((event, flagged)) => EventResult {
                id: Some(event.id.clone()),
                outcome: outcome(appended.next()),
                flagged,
                error: None,
            },
            Err(refusal) => EventResult {
                id: None,
                outcome: "refused",
                flagged: Vec::new(),
                error: Some(json!({"code": refusal.code, "message": refusal.message})),
            },
        })
        .collect();
    let refused = answers.iter().filter(|answer| answer.outcome == "refused").count();
    let data = json!({
        "accepted": answers.iter().filter(|answer| answer.outcome == "accepted").count(),
        "duplicates": answers.iter().filter(|answer| answer.outcome == "duplicate").count(),
        "refused": refused,
        "events": answers,
    });
    if refused == answers.len() {
        return Err(all_refused(&answers));
    }
    Ok(success(StatusCode::ACCEPTED, data))
}

fn all_refused(answers: &[EventResult]) -> ApiError {
    let message = "no event of the batch was accepted; see `details` for each event";
    let mut error = ApiError::invalid("all_refused", message);
    let refusals = answers.iter().filter_map(|answer| answer.error.as_ref()).enumerate();
    let text = |error: &Value, key| error[key].as_str().unwrap_or_default().to_owned();
    let detail = |(n, error)| {
        let message = format!("{}: {}", text(error, "code"), text(error, "message"));
        Detail::new(format!("events[{n}]"), message)
    };
    error.details = refusals.map(detail).collect();
    error
}

fn outcome(appended: Option<Appended>) -> &'static str {
    match appended {
        Some(Appended::Duplicate) => "duplicate",
        _ => "accepted",
    }
}
