//! The audit trail, and entries of the stream that could not be taken.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::{PageQuery, check_limit};
use crate::api::ApiState;
use crate::api::answer::{ApiError, success};
use crate::api::body::Params;
use crate::api::page::{self, Page};
use crate::api::scope::{By, Operate, Read, Scope};
use crate::audit::{self, SERVER};
use crate::tenant::{self, Change};
use fanfare_store::Rejected;

/// One change.
#[derive(Serialize, ToSchema)]
pub(super) struct Line {
    /// Its place in the trail.
    #[schema(example = "aud_fffffe6b…")]
    id: String,
    /// When, in Unix milliseconds.
    at_ms: i64,
    /// The id of the key that did it.
    #[schema(example = "key_4kQ0v8xT2mZr7Lw1Yc9b")]
    by: String,
    /// What was done.
    #[schema(example = "update")]
    action: String,
    /// To what.
    #[schema(example = "destinations/backoffice")]
    resource: String,
    /// As it was, secrets masked; null when it was not there.
    before: Value,
    /// As it is since, secrets masked; null when it is gone.
    after: Value,
    /// `done`; `begun` when a crash left it unknown; `failed`.
    #[schema(example = "done")]
    outcome: String,
}

impl Line {
    fn of(change: Change) -> Self {
        let Change { id, at_ms, by, action, resource, before, after, outcome } = change;
        Self { id, at_ms, by, action, resource, before, after, outcome }
    }
}

/// List a tenant's changes
///
/// Newest first.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/audit", tag = "Audit trail", params(super::TenantPath, PageQuery), security(("key" = ["reader"])),
    responses((status = 200, description = "Who changed what, when.", body = Page<Line>)))]
pub(super) async fn of_tenant(
    scope: Scope<Read>,
    State(state): State<Arc<ApiState>>,
    Params(query): Params<PageQuery>,
) -> Result<Response, ApiError> {
    // A tenant that is gone still has its trail.
    if let Some((spec, _)) = tenant::stored(&state.store, &scope.tenant).await? {
        audit::flush(&state.store, &spec).await?;
    }
    list(&state, &scope.tenant, &query).await
}

/// List the server's changes
///
/// Event types and operators' keys; newest first.
#[utoipa::path(get, path = "/v1/audit", tag = "Audit trail", params(PageQuery), security(("key" = ["operator"])),
    responses((status = 200, description = "Who changed what, when.", body = Page<Line>)))]
pub(super) async fn of_server(
    _: By<Operate>,
    State(state): State<Arc<ApiState>>,
    Params(query): Params<PageQuery>,
) -> Result<Response, ApiError> {
    list(&state, SERVER, &query).await
}

async fn list(state: &ApiState, owner: &str, query: &PageQuery) -> Result<Response, ApiError> {
    check_limit(query.limit)?;
    let limit = page::limit(query.limit);
    let (lines, next_cursor) =
        audit::list(&state.store, owner, query.cursor.as_deref(), limit).await?;
    let data = lines.into_iter().map(Line::of).collect();
    Ok(success(StatusCode::OK, Page::<Line> { data, next_cursor }))
}

/// An entry of the stream that could not be taken as an event.
#[derive(Serialize, ToSchema)]
pub(super) struct RejectedEntry {
    /// Its place in the stream.
    #[schema(example = "1735228800123-0")]
    entry: String,
    /// When, in Unix milliseconds.
    at_ms: i64,
    /// The tenant that it names, if it does so legibly.
    tenant: Option<String>,
    /// Short and stable.
    #[schema(example = "not_json")]
    code: String,
    /// What is wrong and what would be right.
    reason: String,
    /// Its first 64 KiB.
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
/// Entries of the stream that are no events, of all tenants and of none; newest first.
#[utoipa::path(get, path = "/v1/rejected", tag = "Dead letters", params(PageQuery), security(("key" = ["operator"])),
    responses((status = 200, description = "Rejected entries.", body = Page<RejectedEntry>)))]
pub(super) async fn rejected(
    _: By<Operate>,
    State(state): State<Arc<ApiState>>,
    Params(query): Params<PageQuery>,
) -> Result<Response, ApiError> {
    check_limit(query.limit)?;
    let limit = page::limit(query.limit);
    let found = state.store.ledger.rejected(query.cursor.as_deref(), limit).await?;
    Ok(success(StatusCode::OK, Page::of(found, RejectedEntry::of)))
}
