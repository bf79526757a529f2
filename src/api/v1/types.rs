//! Event types: the catalogue that producers and tenants read, and operators write.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::{PageQuery, check_limit};
use crate::api::ApiState;
use crate::api::answer::{ApiError, Detail, success};
use crate::api::body::{Body, Ids, Params};
use crate::api::etag::{IfMatch, tagged};
use crate::api::page::{self, Page};
use crate::api::scope::{By, Operate, Read};
use crate::audit::{self, SERVER};
use crate::catalogue::{Check, EventType};
use fanfare_routing::type_matches;
use fanfare_store::StoreError;

/// What happens with an event that does not fit its type's schema.
#[derive(Clone, Copy, Serialize, Deserialize, ToSchema, Default)]
#[serde(rename_all = "lowercase")]
enum CheckWord {
    /// It is not looked at.
    #[default]
    Off,
    /// It is taken, and the answer says so.
    Flag,
    /// It is refused.
    Reject,
}

/// An event type.
#[derive(Serialize, ToSchema)]
pub(super) struct Type {
    /// Words joined by full stops.
    #[schema(example = "kyc.session.created")]
    name: String,
    #[serde(flatten)]
    body: TypeBody,
}

/// What is said of an event type.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TypeBody {
    /// For people.
    #[serde(default)]
    #[schema(max_length = 4000, example = "A session was opened for a customer.")]
    description: String,
    /// An event's `data` as it may be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>, example = json!({"session_id": "7f6c2a54"}))]
    example: Option<Value>,
    /// A JSON Schema (2020-12) of an event's `data`. It may not refer to other documents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>, example = json!({"type": "object", "required": ["session_id"]}))]
    schema: Option<Value>,
    /// What happens with an event that does not fit; `off` when left out.
    #[serde(default)]
    check: CheckWord,
}

impl TypeBody {
    fn of(kept: EventType) -> Self {
        let check = match kept.check {
            Check::Off => CheckWord::Off,
            Check::Flag => CheckWord::Flag,
            Check::Reject => CheckWord::Reject,
        };
        let EventType { description, example, schema, .. } = kept;
        Self { description, example, schema, check }
    }

    fn kept(self) -> EventType {
        let check = match self.check {
            CheckWord::Off => Check::Off,
            CheckWord::Flag => Check::Flag,
            CheckWord::Reject => Check::Reject,
        };
        let Self { description, example, schema, .. } = self;
        EventType { description, example, schema, check }
    }
}

async fn tag(state: &ApiState, kept: &EventType) -> Result<String, ApiError> {
    Ok(state.v1.tags.of(&state.store, &json!(kept)).await?)
}

/// List event types
#[utoipa::path(get, path = "/v1/event-types", tag = "Event types", params(PageQuery), security(("key" = ["reader"])),
    responses((status = 200, description = "Event types by name.", body = Page<Type>)))]
pub(super) async fn list(
    _: By<Read>,
    State(state): State<Arc<ApiState>>,
    Params(query): Params<PageQuery>,
) -> Result<Response, ApiError> {
    check_limit(query.limit)?;
    let limit = page::limit(query.limit);
    let found = state.catalogue.list(query.cursor.as_deref(), limit).await?;
    let next_cursor = (found.len() == limit).then(|| found.last().map(|(name, _)| name.clone()));
    let shown = |(name, kept)| Type { name, body: TypeBody::of(kept) };
    let data = found.into_iter().map(shown).collect();
    Ok(success(StatusCode::OK, Page { data, next_cursor: next_cursor.flatten() }))
}

/// Get an event type
#[utoipa::path(get, path = "/v1/event-types/{event_type}", tag = "Event types", params(super::TypePath), security(("key" = ["reader"])),
    responses((status = 200, description = "The event type.", body = Type)))]
pub(super) async fn get(
    _: By<Read>,
    State(state): State<Arc<ApiState>>,
    Ids(name): Ids<String>,
) -> Result<Response, ApiError> {
    let found = state.catalogue.get(&name).await?;
    let (kept, _) = found.ok_or_else(|| ApiError::not_found("event type", ""))?;
    let tag = tag(&state, &kept).await?;
    Ok(tagged(success(StatusCode::OK, Type { name, body: TypeBody::of(kept) }), &tag))
}

/// Put an event type
#[utoipa::path(put, path = "/v1/event-types/{event_type}", tag = "Event types", params(super::TypePath), request_body = TypeBody,
    security(("key" = ["operator"])),
    responses((status = 200, description = "As it is now.", body = Type), (status = 201, description = "It was made.", body = Type)))]
pub(super) async fn put(
    By(principal, _): By<Operate>,
    State(state): State<Arc<ApiState>>,
    if_match: IfMatch,
    Ids(name): Ids<String>,
    Body(body): Body<TypeBody>,
) -> Result<Response, ApiError> {
    let new = body.kept();
    check(&name, &new)?;
    loop {
        let old = state.catalogue.get(&name).await?;
        let before = match &old {
            Some((kept, _)) => Some(tag(&state, kept).await?),
            None => None,
        };
        if_match.check(before.as_deref())?;
        let revision = old.as_ref().map_or(0, |(_, revision)| *revision);
        let now = state.clock.now_ms();
        let (action, was) = match &old {
            Some((kept, _)) => ("update", json!(kept)),
            None => ("create", Value::Null),
        };
        if old.as_ref().is_none_or(|(kept, _)| *kept != new) {
            let line = audit::line(
                &principal,
                now,
                action,
                format!("event-types/{name}"),
                was,
                json!(new),
            );
            let put = state.catalogue.put(&name, &new, Some(revision));
            let work = async {
                match put.await {
                    Ok(_) => Ok(true),
                    Err(StoreError::Conflict { .. }) => Ok(false),
                    Err(error) => Err(ApiError::from(error)),
                }
            };
            // Another was faster: look again. The line says that this one did nothing new.
            if !audit::around(&state.store, SERVER, line, work).await? {
                continue;
            }
        }
        let status = if old.is_none() { StatusCode::CREATED } else { StatusCode::OK };
        let tag = tag(&state, &new).await?;
        let shown = Type { name, body: TypeBody::of(new) };
        return Ok(tagged(success(status, shown), &tag));
    }
}

/// All that is wrong with a type.
fn check(name: &str, new: &EventType) -> Result<(), ApiError> {
    let mut details = Vec::new();
    if name.contains('*') || name.len() > 128 || !type_matches(name, name) {
        let message = "must be words of A-Z, a-z, 0-9, _ and - joined by full stops";
        details.push(Detail::new("event_type", message));
    }
    match new.validator() {
        Err(message) => details.push(Detail::new("schema", message)),
        Ok(Some(validator)) => {
            if let Some(example) = &new.example {
                let faults = validator.iter_errors(example).take(5);
                details.extend(faults.map(|fault| {
                    let path = fault.instance_path().to_string().replace('/', ".");
                    Detail::new(
                        format!("example{path}"),
                        format!("does not fit the schema: {fault}"),
                    )
                }));
            }
        }
        Ok(None) => {}
    }
    if details.is_empty() { Ok(()) } else { Err(ApiError::fields(details)) }
}

/// Delete an event type
///
/// Events of the type are taken as before, without a check.
#[utoipa::path(delete, path = "/v1/event-types/{event_type}", tag = "Event types", params(super::TypePath), security(("key" = ["operator"])),
    responses((status = 204, description = "It is gone.")))]
pub(super) async fn delete(
    By(principal, _): By<Operate>,
    State(state): State<Arc<ApiState>>,
    if_match: IfMatch,
    Ids(name): Ids<String>,
) -> Result<StatusCode, ApiError> {
    let found = state.catalogue.get(&name).await?;
    let (kept, revision) = found.ok_or_else(|| ApiError::not_found("event type", ""))?;
    if_match.check(Some(&tag(&state, &kept).await?))?;
    let now = state.clock.now_ms();
    let resource = format!("event-types/{name}");
    let line = audit::line(&principal, now, "delete", resource, json!(kept), Value::Null);
    audit::around(&state.store, SERVER, line, async {
        match state.catalogue.remove(&name, Some(revision)).await {
            Ok(_) => Ok(StatusCode::NO_CONTENT),
            Err(StoreError::Conflict { .. }) => {
                Err(ApiError::conflict("busy", "it was changed just now; try again"))
            }
            Err(error) => Err(error.into()),
        }
    })
    .await
}
