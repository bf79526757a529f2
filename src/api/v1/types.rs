//! Event types: the catalog that producers and tenants read and operators write.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use fanfare_contract::check_display_text;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

use crate::access::Principal;
use crate::api::answer::{ApiError, Detail, success};
use crate::api::body::{Body, PathParams, QueryParams};
use crate::api::etag::{IfMatch, tagged};
use crate::api::page::{self, Page, PageQuery, check_limit};
use crate::api::scope::{By, OperateLive, Read};
use crate::api::state::ApiState;
use crate::audit::{self, SERVER};
use crate::catalogue::{Check, EventType};
use fanfare_routing::type_matches;
use fanfare_store::StoreError;

/// An event type in the path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "describes a parameter; handlers take it by position")]
pub(super) struct TypePath {
    /// The event type.
    #[param(pattern = "^[!-.0-~]+$", max_length = 128, example = "kyc.session.created")]
    event_type: String,
}

/// What happens to an event that does not match the schema of its type.
#[derive(Clone, Copy, Serialize, Deserialize, ToSchema, Default)]
#[serde(rename_all = "lowercase")]
enum SchemaCheck {
    /// Events are not checked.
    #[default]
    Off,
    /// The event is accepted, and the response lists the mismatches.
    Flag,
    /// The event is refused.
    Reject,
}

/// An event type.
#[derive(Serialize, ToSchema)]
#[schema(as = EventType)]
pub(super) struct Type {
    /// The event type: words joined by dots.
    #[schema(example = "kyc.session.created")]
    name: String,
    #[serde(flatten)]
    body: EventTypeDefinition,
}

/// The definition of an event type.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EventTypeDefinition {
    /// A description for people.
    #[serde(default)]
    #[schema(max_length = 4000, example = "A session was opened for a customer.")]
    description: String,
    /// An example of an event's `data`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>, example = json!({"session_id": "7f6c2a54"}))]
    example: Option<Value>,
    /// A JSON Schema (2020-12) for an event's `data`. It cannot reference other documents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>, example = json!({"type": "object", "required": ["session_id"]}))]
    schema: Option<Value>,
    /// What happens to an event that does not match the schema. The default is `off`.
    #[serde(default)]
    check: SchemaCheck,
}

impl EventTypeDefinition {
    fn of(kept: EventType) -> Self {
        let check = match kept.check {
            Check::Off => SchemaCheck::Off,
            Check::Flag => SchemaCheck::Flag,
            Check::Reject => SchemaCheck::Reject,
        };
        let EventType { description, example, schema, .. } = kept;
        Self { description, example, schema, check }
    }

    fn kept(self) -> EventType {
        let check = match self.check {
            SchemaCheck::Off => Check::Off,
            SchemaCheck::Flag => Check::Flag,
            SchemaCheck::Reject => Check::Reject,
        };
        let Self { description, example, schema, .. } = self;
        EventType { description, example, schema, check }
    }
}

async fn tag(state: &ApiState, kept: &EventType) -> Result<String, ApiError> {
    Ok(state.v1.tags.of(&state.store, &json!(kept)).await?)
}

/// List event types
#[utoipa::path(get, path = "/v1/event-types", operation_id = "list_event_types", tag = "Event types", params(PageQuery),
    extensions(("x-fanfare-environment" = json!("shared"))),
    security(("key" = ["reader"])),
    responses((status = 200, description = "Event types, sorted by name.", body = Page<Type>)))]
pub(super) async fn list(
    _: By<Read>,
    State(state): State<Arc<ApiState>>,
    QueryParams(query): QueryParams<PageQuery>,
) -> Result<Response, ApiError> {
    check_limit(query.limit)?;
    let limit = page::limit(query.limit);
    let found = state.catalogue.list(query.cursor.as_deref(), limit).await?;
    let next_cursor = (found.len() == limit).then(|| found.last().map(|(name, _)| name.clone()));
    let shown = |(name, kept)| Type { name, body: EventTypeDefinition::of(kept) };
    let data = found.into_iter().map(shown).collect();
    Ok(success(StatusCode::OK, Page { data, next_cursor: next_cursor.flatten() }))
}

/// Get an event type
#[utoipa::path(get, path = "/v1/event-types/{event_type}", operation_id = "get_event_type", tag = "Event types", params(TypePath),
    extensions(("x-fanfare-environment" = json!("shared"))),
    security(("key" = ["reader"])),
    responses((status = 200, description = "The event type.", body = Type)))]
pub(super) async fn get(
    _: By<Read>,
    State(state): State<Arc<ApiState>>,
    PathParams(name): PathParams<String>,
) -> Result<Response, ApiError> {
    let found = state.catalogue.get(&name).await?;
    let (kept, _) = found.ok_or_else(|| ApiError::not_found("event type", ""))?;
    let tag = tag(&state, &kept).await?;
    Ok(tagged(success(StatusCode::OK, Type { name, body: EventTypeDefinition::of(kept) }), &tag))
}

/// Create or replace an event type
#[utoipa::path(put, path = "/v1/event-types/{event_type}", operation_id = "replace_event_type", tag = "Event types", params(TypePath), request_body = EventTypeDefinition,
    extensions(("x-fanfare-environment" = json!("live"))),
    security(("key" = ["operator"])),
    responses((status = 200, description = "The replaced event type.", body = Type), (status = 201, description = "The new event type.", body = Type)))]
pub(super) async fn put(
    By(principal, _): By<OperateLive>,
    State(state): State<Arc<ApiState>>,
    if_match: IfMatch,
    PathParams(name): PathParams<String>,
    Body(body): Body<EventTypeDefinition>,
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
        // Another request may have changed the type meanwhile. Then start over.
        if !write(&state, &principal, &name, old.as_ref(), &new).await? {
            continue;
        }
        let status = if old.is_none() { StatusCode::CREATED } else { StatusCode::OK };
        let tag = tag(&state, &new).await?;
        let shown = Type { name, body: EventTypeDefinition::of(new) };
        return Ok(tagged(success(status, shown), &tag));
    }
}

/// Writes a type if it differs from `old`. Returns false if the stored type is no longer `old`. The
/// audit entry is then marked as done although this request changed nothing.
async fn write(
    state: &ApiState,
    principal: &Principal,
    name: &str,
    old: Option<&(EventType, u64)>,
    new: &EventType,
) -> Result<bool, ApiError> {
    let (action, before, revision) = match old {
        Some((kept, _)) if kept == new => return Ok(true),
        Some((kept, revision)) => ("update", json!(kept), *revision),
        None => ("create", Value::Null, 0),
    };
    let (now, resource) = (state.clock.now_ms(), format!("event-types/{name}"));
    let line = audit::entry(principal, now, action, resource, before, json!(new));
    audit::around(&state.store, SERVER, line, async {
        match state.catalogue.put(name, new, Some(revision)).await {
            Ok(_) => Ok(true),
            Err(StoreError::Conflict { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    })
    .await
}

/// Reports everything wrong with a type.
fn check(name: &str, new: &EventType) -> Result<(), ApiError> {
    let mut details = Vec::new();
    if name.contains('*') || name.len() > 128 || !type_matches(name, name) {
        let message =
            "must be words of A-Z, a-z, 0-9, _ and - joined by dots, at most 128 characters";
        details.push(Detail::new("event_type", message));
    }
    // A description may have several lines.
    let lines = new.description.lines().flat_map(|line| line.split('\t'));
    if let Some(message) = lines.map(check_display_text).find_map(Result::err) {
        details.push(Detail::new("description", message));
    }
    match new.checker() {
        Err(message) => details.push(Detail::new("schema", message)),
        Ok(Some(checker)) => {
            if let Some(example) = &new.example {
                let bytes = example.to_string().len();
                match checker.mismatches(example, bytes, 5, false) {
                    Ok(found) => details.extend(found.into_iter().map(|(path, what)| {
                        let field = format!("example{}", path.replace('/', "."));
                        Detail::new(field, format!("does not match the schema: {what}"))
                    })),
                    Err(too_large) => details.push(Detail::new("example", too_large)),
                }
            }
        }
        Ok(None) => {}
    }
    if details.is_empty() { Ok(()) } else { Err(ApiError::fields(details)) }
}

/// Delete an event type
///
/// Events of the type are still accepted, without a check.
#[utoipa::path(delete, path = "/v1/event-types/{event_type}", operation_id = "delete_event_type", tag = "Event types", params(TypePath),
    extensions(("x-fanfare-environment" = json!("live"))),
    security(("key" = ["operator"])),
    responses((status = 204, description = "The event type was deleted.")))]
pub(super) async fn delete(
    By(principal, _): By<OperateLive>,
    State(state): State<Arc<ApiState>>,
    if_match: IfMatch,
    PathParams(name): PathParams<String>,
) -> Result<StatusCode, ApiError> {
    let found = state.catalogue.get(&name).await?;
    let (kept, revision) = found.ok_or_else(|| ApiError::not_found("event type", ""))?;
    if_match.check(Some(&tag(&state, &kept).await?))?;
    let now = state.clock.now_ms();
    let resource = format!("event-types/{name}");
    let line = audit::entry(&principal, now, "delete", resource, json!(kept), Value::Null);
    audit::around(&state.store, SERVER, line, async {
        match state.catalogue.remove(&name, Some(revision)).await {
            Ok(_) => Ok(StatusCode::NO_CONTENT),
            Err(StoreError::Conflict { .. }) => Err(ApiError::conflict(
                "busy",
                "the event type was changed at the same time; nothing was deleted, try again",
            )),
            Err(error) => Err(error.into()),
        }
    })
    .await
}
