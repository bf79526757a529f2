//! Keys: made, listed, revoked. A key is shown whole in the answer that makes it, and never again.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

use super::{PageQuery, check_limit, success_once};
use crate::access::{self, Environment, MakeError, NewKey, PORTAL_TTL, Principal, Role};
use crate::api::ApiState;
use crate::api::answer::{ApiError, Detail, success};
use crate::api::body::{Body, Ids, Params};
use crate::api::edit::load;
use crate::api::idempotency::MASK;
use crate::api::page::Page;
use crate::api::scope::{By, Keys, Operate, Scope};
use crate::audit::{self, SERVER};

/// What a key is for.
#[derive(Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum RoleWord {
    /// Everything, of all tenants.
    Operator,
    /// Everything of one tenant.
    Admin,
    /// Sends events, and sees nothing.
    Publisher,
    /// Sees everything of one tenant, and changes nothing.
    Reader,
}

impl RoleWord {
    fn role(self) -> Role {
        match self {
            Self::Operator => Role::Operator,
            Self::Admin => Role::Admin,
            Self::Publisher => Role::Publisher,
            Self::Reader => Role::Reader,
        }
    }
}

/// Where a key's events belong.
#[derive(Clone, Copy, Serialize, Deserialize, ToSchema, Default)]
#[serde(rename_all = "lowercase")]
pub(super) enum EnvironmentWord {
    /// To customers.
    #[default]
    Live,
    /// To tests.
    Test,
}

impl EnvironmentWord {
    pub(super) fn environment(self) -> Environment {
        match self {
            Self::Live => Environment::Live,
            Self::Test => Environment::Test,
        }
    }
}

/// A key, but for its text.
#[derive(Serialize, ToSchema)]
pub(super) struct Key {
    /// By which it is revoked.
    #[schema(example = "key_4kQ0v8xT2mZr7Lw1Yc9b")]
    id: String,
    /// Its beginning and end.
    #[schema(example = "sk_live_A1b2…x9Yz")]
    hint: String,
    /// What it is for.
    #[schema(example = "admin")]
    role: &'static str,
    /// Its one tenant; null for all.
    tenant: Option<String>,
    /// `live` or `test`.
    #[schema(example = "live")]
    environment: &'static str,
    /// For people.
    #[schema(example = "deployment")]
    label: String,
    /// When it was made, in Unix milliseconds.
    created_ms: i64,
    /// The key that made it; `cli` for the command line on the store.
    created_by: Option<String>,
    /// When it ends, in Unix milliseconds; null for never.
    expires_ms: Option<i64>,
    /// When it was last used, in Unix milliseconds, to the minute.
    last_used_ms: Option<i64>,
    /// Whether it is a portal link's.
    portal: bool,
    /// The key itself, in the answer that makes it.
    #[serde(rename = "key", skip_serializing_if = "Option::is_none")]
    #[schema(example = "sk_live_…")]
    text: Option<String>,
}

impl Key {
    fn of(key: access::Key) -> Self {
        Self {
            id: key.id,
            hint: key.hint,
            role: key.role.word(),
            tenant: key.tenant.map(|tenant| tenant.to_string()),
            environment: key.environment.word(),
            label: key.label,
            created_ms: key.created_ms,
            created_by: key.created_by.map(|by| by.to_string()),
            expires_ms: key.expires_ms,
            last_used_ms: key.last_used_ms,
            portal: key.portal,
            text: None,
        }
    }
}

/// A key to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyBody {
    /// What it is for. Operators' keys are made at `/v1/keys`.
    #[schema(example = "reader")]
    role: RoleWord,
    /// Where its events belong; `live` when left out.
    #[serde(default)]
    environment: EnvironmentWord,
    /// For people; at most 100 characters.
    #[serde(default)]
    #[schema(max_length = 100, example = "deployment")]
    label: String,
    /// How long it is good; for ever when left out, a portal link's 15 minutes.
    #[schema(minimum = 1, maximum = 315_360_000, example = 7_776_000)]
    expires_in_seconds: Option<u32>,
    /// Makes the key of a portal link: an admin's or a reader's of one tenant, good for 24 hours at
    /// most, which makes no further keys.
    #[serde(default)]
    portal: bool,
}

/// Which keys to list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct KeyQuery {
    /// Those of all tenants as well.
    #[serde(default)]
    all: bool,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// At most so many.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u16>,
}

/// List a tenant's keys
#[utoipa::path(get, path = "/v1/tenants/{tenant}/keys", tag = "Keys", params(super::TenantPath, PageQuery), security(("key" = ["admin"])),
    responses((status = 200, description = "Keys by id.", body = Page<Key>)))]
pub(super) async fn list(
    scope: Scope<Keys>,
    State(state): State<Arc<ApiState>>,
    Params(query): Params<PageQuery>,
) -> Result<Response, ApiError> {
    load(&state, &scope.tenant).await?;
    let keys = access::keys::list(&*state.store.records, Some(&scope.tenant)).await?;
    page_of(keys, query.cursor.as_deref(), query.limit)
}

/// Make a key of a tenant
///
/// It is shown whole in this one answer.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/keys", tag = "Keys", params(super::TenantPath), request_body = KeyBody, security(("key" = ["admin"])),
    responses((status = 201, description = "The key.", body = Key)))]
pub(super) async fn create(
    scope: Scope<Keys>,
    State(state): State<Arc<ApiState>>,
    Body(body): Body<KeyBody>,
) -> Result<Response, ApiError> {
    load(&state, &scope.tenant).await?;
    make(&state, &scope.principal, Some(&scope.tenant), body).await
}

/// Revoke a key of a tenant
///
/// Within a second no server takes it.
#[utoipa::path(delete, path = "/v1/tenants/{tenant}/keys/{key}", tag = "Keys", params(super::KeyPath), security(("key" = ["admin"])),
    responses((status = 204, description = "It is revoked.")))]
pub(super) async fn revoke(
    scope: Scope<Keys>,
    State(state): State<Arc<ApiState>>,
    Ids((_, id)): Ids<(String, String)>,
) -> Result<StatusCode, ApiError> {
    let own = |key: &access::Key| key.tenant.as_ref() == Some(&scope.tenant);
    revoke_one(&state, &scope.principal, &id, own).await
}

/// List operators' keys
///
/// With `all=true` those of tenants as well.
#[utoipa::path(get, path = "/v1/keys", tag = "Keys", params(KeyQuery), security(("key" = ["operator"])),
    responses((status = 200, description = "Keys by id.", body = Page<Key>)))]
pub(super) async fn list_operators(
    _: By<Operate>,
    State(state): State<Arc<ApiState>>,
    Params(query): Params<KeyQuery>,
) -> Result<Response, ApiError> {
    let mut keys = access::keys::list(&*state.store.records, None).await?;
    keys.retain(|key| query.all || key.tenant.is_none());
    page_of(keys, query.cursor.as_deref(), query.limit)
}

/// Make an operator's key
///
/// It is shown whole in this one answer.
#[utoipa::path(post, path = "/v1/keys", tag = "Keys", request_body = KeyBody, security(("key" = ["operator"])),
    responses((status = 201, description = "The key.", body = Key)))]
pub(super) async fn create_operator(
    By(principal, _): By<Operate>,
    State(state): State<Arc<ApiState>>,
    Body(body): Body<KeyBody>,
) -> Result<Response, ApiError> {
    make(&state, &principal, None, body).await
}

/// Revoke an operator's key
///
/// Or any tenant's. Within a second no server takes it.
#[utoipa::path(delete, path = "/v1/keys/{key}", tag = "Keys", params(super::OperatorKeyPath), security(("key" = ["operator"])),
    responses((status = 204, description = "It is revoked.")))]
pub(super) async fn revoke_operator(
    By(principal, _): By<Operate>,
    State(state): State<Arc<ApiState>>,
    Ids(id): Ids<String>,
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

async fn make(
    state: &ApiState,
    by: &Principal,
    tenant: Option<&str>,
    body: KeyBody,
) -> Result<Response, ApiError> {
    let environment = body.environment.environment();
    let usual = body.portal.then_some(PORTAL_TTL);
    let given = body.expires_in_seconds.map(|seconds| Duration::from_secs(seconds.into()));
    let new = NewKey {
        environment,
        label: body.label,
        ttl: given.or(usual),
        portal: body.portal,
        created_by: Some(by.key_id.clone()),
        ..NewKey::new(body.role.role(), tenant)
    };
    new.allowed_to(by)?;
    let problems = new.problems();
    if !problems.is_empty() {
        return Err(wrong(problems));
    }
    let what = json!({"role": new.role.word(), "label": new.label, "environment": environment.word(), "portal": new.portal});
    let line = audit::line(by, state.clock.now_ms(), "create", "keys", Value::Null, what);
    let made = audit::around(&state.store, tenant.unwrap_or(SERVER), line, async {
        state.door.keyring.create(new).await.map_err(|error| match error {
            MakeError::Wrong(problems) => wrong(problems),
            MakeError::Store(error) => error.into(),
            MakeError::NoRandomness(error) => ApiError::conflict(
                "no_randomness",
                format!("the system gives no random numbers: {error}"),
            ),
        })
    });
    let made = made.await?;
    let mut shown = Key::of(made.key);
    shown.text = Some(made.secret.reveal().to_owned());
    Ok(success_once(StatusCode::CREATED, &shown, |data| data["key"] = MASK.into()))
}

fn wrong(problems: Vec<(&'static str, String)>) -> ApiError {
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
    let key = found.filter(may).ok_or_else(absent)?;
    let before = json!({"role": key.role.word(), "label": key.label, "hint": key.hint});
    let now = state.clock.now_ms();
    let line = audit::line(by, now, "revoke", format!("keys/{id}"), before, Value::Null);
    audit::around(&state.store, key.tenant.as_deref().unwrap_or(SERVER), line, async {
        if state.door.keyring.revoke(id).await? {
            Ok(StatusCode::NO_CONTENT)
        } else {
            Err(absent())
        }
    })
    .await
}
