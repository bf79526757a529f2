//! API keys: create, list and revoke them. Only the response that creates a key shows it.

mod shapes;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::IntoParams;

use shapes::{EnvironmentWord, Key, KeyBody};

use super::params::{KeyPath, TenantPath};
use crate::access::{self, CreateError, NewKey, PORTAL_TTL, Principal};
use crate::api::answer::{ApiError, Detail, success};
use crate::api::body::{Body, PathParams, QueryParams};
use crate::api::edit::load;
use crate::api::page::{Page, PageQuery, check_limit};
use crate::api::quota;
use crate::api::scope::{By, Keys, Operate, Scope};
use crate::api::shown_once::{MASK, success_once};
use crate::api::state::ApiState;
use crate::audit::{self, SERVER};

/// A key in the path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "describes a parameter; handlers take it by position")]
pub(super) struct OperatorKeyPath {
    /// The key's id.
    #[param(pattern = "^[!-.0-~]+$", max_length = 64, example = "key_4kQ0v8xT2mZr7Lw1Yc9b")]
    key: String,
}

/// Which keys to list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct KeyQuery {
    /// Also list the keys of all tenants.
    #[serde(default)]
    all: bool,
    /// The `next_cursor` of the previous page.
    cursor: Option<String>,
    /// Most items to return. The default is 50.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u16>,
}

/// List a tenant's keys
#[utoipa::path(get, path = "/v1/tenants/{tenant}/keys", operation_id = "list_keys", tag = "Keys", params(TenantPath, PageQuery),
    extensions(("x-fanfare-environment" = json!("own"))),
    security(("key" = ["admin"])),
    responses((status = 200, description = "Keys, sorted by id.", body = Page<Key>)))]
pub(super) async fn list(
    scope: Scope<Keys>,
    State(state): State<Arc<ApiState>>,
    QueryParams(query): QueryParams<PageQuery>,
) -> Result<Response, ApiError> {
    load(&state, &scope).await?;
    let mut keys = access::keys::list(&*state.store.records, Some(&scope.tenant)).await?;
    keys.retain(|key| scope.principal.sees_environment(key.environment));
    page_of(keys, query.cursor.as_deref(), query.limit)
}

/// Create a key for a tenant
///
/// Only this response shows the key.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/keys", operation_id = "create_key", tag = "Keys", params(TenantPath), request_body = KeyBody,
    extensions(("x-fanfare-environment" = json!("own"))),
    security(("key" = ["admin"])),
    responses((status = 201, description = "The new key.", body = Key)))]
pub(super) async fn create(
    scope: Scope<Keys>,
    State(state): State<Arc<ApiState>>,
    Body(body): Body<KeyBody>,
) -> Result<Response, ApiError> {
    // One at a time, so that no two requests take the last place.
    let _lock = state.v1.write_locks.lock(&scope.tenant).await;
    let spec = load(&state, &scope).await?;
    quota::check_keys(&state, &spec)?;
    create_key(&state, &scope.principal, Some(&scope.tenant), body).await
}

/// Revoke a tenant's key
///
/// Every server refuses the key within a second.
#[utoipa::path(delete, path = "/v1/tenants/{tenant}/keys/{key}", operation_id = "revoke_key", tag = "Keys", params(KeyPath),
    extensions(("x-fanfare-environment" = json!("own"))),
    security(("key" = ["admin"])),
    responses((status = 204, description = "The key was revoked.")))]
pub(super) async fn revoke(
    scope: Scope<Keys>,
    State(state): State<Arc<ApiState>>,
    PathParams((_, id)): PathParams<(String, String)>,
) -> Result<StatusCode, ApiError> {
    let own = |key: &access::Key| key.tenant.as_ref() == Some(&scope.tenant);
    revoke_one(&state, &scope.principal, &id, own).await
}

/// List operators' keys
///
/// With `all=true` it also lists the keys of all tenants.
#[utoipa::path(get, path = "/v1/keys", operation_id = "list_operator_keys", tag = "Keys", params(KeyQuery),
    extensions(("x-fanfare-environment" = json!("own"))),
    security(("key" = ["operator"])),
    responses((status = 200, description = "Keys, sorted by id.", body = Page<Key>)))]
pub(super) async fn list_operators(
    By(principal, _): By<Operate>,
    State(state): State<Arc<ApiState>>,
    QueryParams(query): QueryParams<KeyQuery>,
) -> Result<Response, ApiError> {
    let mut keys = access::keys::list(&*state.store.records, None).await?;
    keys.retain(|key| query.all || key.tenant.is_none());
    keys.retain(|key| principal.sees_environment(key.environment));
    page_of(keys, query.cursor.as_deref(), query.limit)
}

/// Create an operator's key
///
/// Only this response shows the key.
#[utoipa::path(post, path = "/v1/keys", operation_id = "create_operator_key", tag = "Keys", request_body = KeyBody,
    extensions(("x-fanfare-environment" = json!("own"))),
    security(("key" = ["operator"])),
    responses((status = 201, description = "The new key.", body = Key)))]
pub(super) async fn create_operator(
    By(principal, _): By<Operate>,
    State(state): State<Arc<ApiState>>,
    Body(body): Body<KeyBody>,
) -> Result<Response, ApiError> {
    create_key(&state, &principal, None, body).await
}

/// Revoke any key
///
/// Revokes an operator's key or any tenant's. Every server refuses the key within a second.
#[utoipa::path(delete, path = "/v1/keys/{key}", operation_id = "revoke_operator_key", tag = "Keys", params(OperatorKeyPath),
    extensions(("x-fanfare-environment" = json!("own"))),
    security(("key" = ["operator"])),
    responses((status = 204, description = "The key was revoked.")))]
pub(super) async fn revoke_operator(
    By(principal, _): By<Operate>,
    State(state): State<Arc<ApiState>>,
    PathParams(id): PathParams<String>,
) -> Result<StatusCode, ApiError> {
    revoke_one(&state, &principal, &id, |_| true).await
}

fn page_of(
    mut keys: Vec<access::Key>,
    cursor: Option<&str>,
    limit: Option<u16>,
) -> Result<Response, ApiError> {
    check_limit(limit)?;
    keys.sort_by(|a, b| a.id.cmp(&b.id));
    let page = Page::cut(keys.into_iter().map(Key::of), cursor, limit, |key| key.id.clone());
    Ok(success(StatusCode::OK, page))
}

async fn create_key(
    state: &ApiState,
    by: &Principal,
    tenant: Option<&str>,
    body: KeyBody,
) -> Result<Response, ApiError> {
    let environment = body.environment.map_or(by.environment, EnvironmentWord::environment);
    let default = body.portal.then_some(PORTAL_TTL);
    let given = body.expires_in_seconds.map(|seconds| Duration::from_secs(seconds.into()));
    let new = NewKey {
        environment,
        label: body.label,
        ttl: given.or(default),
        portal: body.portal,
        created_by: Some(by.key_id.clone()),
        ..NewKey::new(body.role.role(), tenant)
    };
    new.allowed_to(by)?;
    let problems = new.problems();
    if !problems.is_empty() {
        return Err(invalid(problems));
    }
    let what = json!({"role": new.role.word(), "label": new.label, "environment": environment.word(), "portal": new.portal});
    let line = audit::entry(by, state.clock.now_ms(), "create", "keys", Value::Null, what);
    let made = audit::around(&state.store, tenant.unwrap_or(SERVER), line, async {
        state.authenticator.keyring.create(new).await.map_err(|error| match error {
            CreateError::Invalid(problems) => invalid(problems),
            CreateError::Store(error) => error.into(),
            error @ CreateError::NoRandomness(_) => {
                ApiError::conflict("no_randomness", error.to_string())
            }
        })
    });
    let made = made.await?;
    let mut shown = Key::of(made.key);
    shown.text = Some(made.secret.reveal().to_owned());
    Ok(success_once(StatusCode::CREATED, &shown, |data| data["key"] = MASK.into()))
}

/// Reports problems by the names of the request's fields.
fn invalid(problems: Vec<(&'static str, String)>) -> ApiError {
    let field = |field| match field {
        "expires" => "expires_in_seconds",
        "tenant" => "role",
        field => field,
    };
    let detail = |(name, message)| Detail::new(field(name), message);
    ApiError::fields(problems.into_iter().map(detail).collect())
}

async fn revoke_one(
    state: &ApiState,
    by: &Principal,
    id: &str,
    may: impl Fn(&access::Key) -> bool,
) -> Result<StatusCode, ApiError> {
    let absent = || ApiError::not_found("key", "");
    let found = access::keys::get(&*state.store.records, id).await?;
    let found = found.filter(|key| by.sees_environment(key.environment));
    let key = found.filter(may).ok_or_else(absent)?;
    let before = json!({"role": key.role.word(), "label": key.label, "hint": key.hint});
    let now = state.clock.now_ms();
    let line = audit::entry(by, now, "revoke", format!("keys/{id}"), before, Value::Null);
    audit::around(&state.store, key.tenant.as_deref().unwrap_or(SERVER), line, async {
        if state.authenticator.keyring.revoke(id).await? {
            Ok(StatusCode::NO_CONTENT)
        } else {
            Err(absent())
        }
    })
    .await
}
