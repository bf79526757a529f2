//! The audit trail, and entries of the stream that were rejected.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::destinations;
use super::params::TenantPath;
use super::words;
use crate::access::Principal;
use crate::api::answer::{ApiError, success};
use crate::api::body::QueryParams;
use crate::api::page::{self, Page, PageQuery, check_limit};
use crate::api::scope::{By, OperateLive, Read, Scope};
use crate::api::state::ApiState;
use crate::audit::{self, SERVER};
use crate::tenant::{self, AuditEntry, DestinationSpec};
use fanfare_store::Rejected;

/// An entry of the audit trail: one change.
#[derive(Serialize, ToSchema)]
#[schema(as = AuditEntry)]
pub(super) struct Line {
    /// The entry's id.
    #[schema(example = "aud_fffffe6b…")]
    id: String,
    /// When, in Unix milliseconds.
    at_ms: i64,
    /// The id of the key that made the change.
    #[schema(example = "key_4kQ0v8xT2mZr7Lw1Yc9b")]
    by: String,
    /// The environment of the key that made the change.
    #[schema(value_type = words::Environment, example = "live")]
    environment: &'static str,
    /// What was done.
    #[schema(example = "update")]
    action: String,
    /// The resource that was changed.
    #[schema(example = "destinations/backoffice")]
    resource: String,
    /// The resource before the change, with secrets masked. Null if it did not exist.
    before: Value,
    /// The resource after the change, with secrets masked. Null if it was deleted.
    after: Value,
    /// The outcome.
    #[schema(value_type = words::AuditOutcome, example = "done")]
    outcome: String,
}

impl Line {
    fn of(entry: AuditEntry) -> Self {
        let AuditEntry { id, at_ms, by, environment, action, resource, before, after, outcome } =
            entry;
        let environment = environment.word();
        Self { id, at_ms, by, environment, action, resource, before, after, outcome }
    }
}

/// List a tenant's audit trail
///
/// Returns the newest changes first.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/audit", operation_id = "list_audit_entries", tag = "Audit trail", params(TenantPath, PageQuery),
    extensions(("x-fanfare-environment" = json!("own"))),
    security(("key" = ["reader"])),
    responses((status = 200, description = "Changes, newest first.", body = Page<Line>)))]
pub(super) async fn of_tenant(
    scope: Scope<Read>,
    State(state): State<Arc<ApiState>>,
    QueryParams(query): QueryParams<PageQuery>,
) -> Result<Response, ApiError> {
    // A deleted tenant keeps its trail.
    if let Some((spec, _)) = tenant::stored(&state.store, &scope.tenant).await? {
        audit::flush(&state.store, &spec).await?;
    }
    list(&state, &scope.principal, &scope.tenant, &query).await
}

/// List the server's audit trail
///
/// Returns changes of event types and of operators' keys, newest first.
#[utoipa::path(get, path = "/v1/audit", operation_id = "list_server_audit_entries", tag = "Audit trail", params(PageQuery),
    extensions(("x-fanfare-environment" = json!("live"))),
    security(("key" = ["operator"])),
    responses((status = 200, description = "Changes, newest first.", body = Page<Line>)))]
pub(super) async fn of_server(
    By(principal, _): By<OperateLive>,
    State(state): State<Arc<ApiState>>,
    QueryParams(query): QueryParams<PageQuery>,
) -> Result<Response, ApiError> {
    list(&state, &principal, SERVER, &query).await
}

async fn list(
    state: &ApiState,
    principal: &Principal,
    owner: &str,
    query: &PageQuery,
) -> Result<Response, ApiError> {
    check_limit(query.limit)?;
    let limit = page::limit(query.limit);
    let (lines, next_cursor) =
        audit::list(&state.store, owner, query.cursor.as_deref(), limit).await?;
    let channels = state.registry.channels();
    let masking = |one: &DestinationSpec| destinations::masked(channels, one);
    // What a live key changed may be live, so a test key gets only the changes of test keys.
    let seen = |line: &AuditEntry| principal.sees_environment(line.environment);
    let lines = lines.into_iter().filter(seen);
    let lines = lines.map(|line| Line::of(audit::masked(line, &masking)));
    Ok(success(StatusCode::OK, Page { data: lines.collect::<Vec<_>>(), next_cursor }))
}

/// An entry of the stream that is not a valid event.
#[derive(Serialize, ToSchema)]
pub(super) struct RejectedEntry {
    /// The id of the entry in the stream.
    #[schema(example = "1735228800123-0")]
    entry: String,
    /// When it was rejected, in Unix milliseconds.
    at_ms: i64,
    /// The tenant that the entry names. Null if it names none that is readable.
    tenant: Option<String>,
    /// The code of the reason. Codes are stable.
    #[schema(example = "not_json")]
    code: String,
    /// What is wrong and how to fix it.
    reason: String,
    /// The first 64 KiB of the entry.
    raw: String,
}

impl RejectedEntry {
    fn of(rejected: Rejected) -> Self {
        let Rejected { entry, at_ms, tenant, code, reason, raw } = rejected;
        Self { entry, at_ms, tenant, code, reason, raw }
    }
}

/// List rejected entries
///
/// Returns stream entries that are not valid events, newest first. Includes entries of all tenants,
/// and entries without a tenant.
#[utoipa::path(get, path = "/v1/rejected", operation_id = "list_rejected_entries", tag = "Rejected entries", params(PageQuery),
    extensions(("x-fanfare-environment" = json!("live"))),
    security(("key" = ["operator"])),
    responses((status = 200, description = "Rejected entries, newest first.", body = Page<RejectedEntry>)))]
pub(super) async fn rejected(
    _: By<OperateLive>,
    State(state): State<Arc<ApiState>>,
    QueryParams(query): QueryParams<PageQuery>,
) -> Result<Response, ApiError> {
    check_limit(query.limit)?;
    let limit = page::limit(query.limit);
    let found = state.store.ledger.rejected(query.cursor.as_deref(), limit).await?;
    Ok(success(StatusCode::OK, Page::of(found, RejectedEntry::of)))
}
