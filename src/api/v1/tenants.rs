//! Tenants: isolated customers with their own destinations, routes, keys and templates.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::params::TenantPath;
use super::quotas::{self, QuotaUsage};
use crate::access::{self, Principal};
use crate::api::answer::{ApiError, success};
use crate::api::body::{Body, QueryParams};
use crate::api::edit::{self, Resource, edit, load, load_whole};
use crate::api::environments::seen;
use crate::api::etag::{IfMatch, tagged};
use crate::api::page::{self, Page, PageQuery, check_limit};
use crate::api::problem::DocumentPart;
use crate::api::scope::{By, Caller, Operate, OperateLive, Read, Scope, WriteShared};
use crate::api::state::ApiState;
use crate::audit;
use crate::event::reserved_tenant_id;
use crate::tenant::{self, TenantSpec};
use fanfare_store::StoreError;

/// A tenant.
#[derive(Serialize, ToSchema)]
pub(super) struct Tenant {
    /// The tenant's id.
    #[schema(example = "acme")]
    id: String,
    /// The tenant's name, shown in messages.
    #[schema(example = "Acme Bank")]
    name: String,
    /// URLs in the tenant's own systems, for buttons in messages. The keys are names that templates
    /// use.
    #[schema(example = json!({"session": "https://backoffice.acme.example/sessions/{data.session_id}"}))]
    links: BTreeMap<String, String>,
    /// Number of destinations.
    destinations: usize,
    /// Number of routes.
    routes: usize,
    /// The tenant's quotas and what it uses of them. Left out in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    quotas: Option<BTreeMap<String, QuotaUsage>>,
}

impl Tenant {
    fn of(spec: &TenantSpec) -> Self {
        Self {
            id: spec.id.clone(),
            name: spec.name.clone(),
            links: spec.links.clone(),
            destinations: spec.destinations.len(),
            routes: spec.routes.len(),
            quotas: None,
        }
    }
}

/// A tenant to create.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewTenant {
    /// 1 to 64 characters of a-z, 0-9, - and _.
    #[schema(pattern = "^[a-z0-9_-]{1,64}$", example = "acme")]
    id: String,
    /// The tenant's name, shown in messages. The default is the id.
    #[schema(max_length = 200, example = "Acme Bank")]
    name: Option<String>,
    /// URLs in the tenant's own systems, for buttons in messages.
    #[serde(default)]
    links: Option<BTreeMap<String, String>>,
}

/// Changes of a tenant.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TenantUpdate {
    /// The tenant's name, shown in messages.
    #[schema(min_length = 1, max_length = 200, example = "Acme Bank")]
    name: Option<String>,
    /// URLs in the tenant's own systems. Replaces all existing links.
    links: Option<BTreeMap<String, String>>,
}

/// The tenant itself: the part of its document that is not about other resources.
struct TenantResource<'a>(&'a str);

impl Resource for TenantResource<'_> {
    fn name(&self) -> String {
        "tenant".to_owned()
    }

    fn whole(&self, spec: &TenantSpec) -> Option<Value> {
        Some(json!({"id": spec.id, "name": spec.name, "links": spec.links}))
    }

    fn part(&self, _: &TenantSpec) -> DocumentPart {
        let _ = self.0;
        DocumentPart { place: "tenant".to_owned(), prefix: "", bare: &[] }
    }
}

/// List tenants
#[utoipa::path(get, path = "/v1/tenants", operation_id = "list_tenants", tag = "Tenants", params(PageQuery),
    extensions(("x-fanfare-environment" = json!("shared"))),
    security(("key" = ["operator"])),
    responses((status = 200, description = "Tenants, sorted by id.", body = Page<Tenant>)))]
pub(super) async fn list(
    By(principal, _): By<Operate>,
    State(state): State<Arc<ApiState>>,
    QueryParams(query): QueryParams<PageQuery>,
) -> Result<Response, ApiError> {
    check_limit(query.limit)?;
    let limit = page::limit(query.limit);
    let mut found = Vec::new();
    let mut after = query.cursor;
    while found.len() <= limit {
        let more = limit + 1 - found.len();
        let stored = state.store.directory.list(after.as_deref(), more).await?;
        let Some(last) = stored.last() else { break };
        after = Some(last.id.clone());
        found.extend(stored);
    }
    let next_cursor = (found.len() > limit).then(|| {
        found.truncate(limit);
        found.last().map(|last| last.id.clone())
    });
    let read = |doc: &[u8]| serde_json::from_slice::<TenantSpec>(doc).ok();
    let specs = found.iter().filter_map(|tenant| read(&tenant.doc));
    let data: Vec<_> = specs.map(|spec| Tenant::of(&seen(&principal, spec))).collect();
    Ok(success(StatusCode::OK, Page { data, next_cursor: next_cursor.flatten() }))
}

/// Create a tenant
#[utoipa::path(post, path = "/v1/tenants", operation_id = "create_tenant", tag = "Tenants", request_body = NewTenant,
    extensions(("x-fanfare-environment" = json!("live"))),
    security(("key" = ["operator"])),
    responses((status = 201, description = "The new tenant.", body = Tenant)))]
pub(super) async fn create(
    By(principal, _): By<OperateLive>,
    State(state): State<Arc<ApiState>>,
    Body(new): Body<NewTenant>,
) -> Result<Response, ApiError> {
    let spec = TenantSpec {
        name: new.name.unwrap_or_else(|| new.id.clone()),
        links: new.links.unwrap_or_default(),
        ..TenantSpec::empty(&new.id)
    };
    check_new_id(&spec.id)?;
    let part = TenantResource(&spec.id).part(&spec);
    edit::compiled(&state, &spec).map_err(|problems| part.refuse(problems))?;
    let made = edit::make_engine(&state, &spec).await?;
    made.map_err(|problems| part.refuse(problems))?;
    let problems = tenant::review(&spec, None, state.registry.channels());
    if !problems.is_empty() {
        return Err(part.refuse(problems));
    }
    let after = TenantResource(&spec.id).whole(&spec).unwrap_or_default();
    let spec = insert(&state, &principal, spec, "tenant", after).await?;
    Ok(success(StatusCode::CREATED, Tenant::of(&spec)))
}

/// Refuses an id that no new tenant may have.
pub(super) fn check_new_id(id: &str) -> Result<(), ApiError> {
    reserved_tenant_id(id).map_or(Ok(()), |message| Err(ApiError::field("id", message)))
}

/// Writes a new tenant together with its entry in the audit trail.
pub(super) async fn insert(
    state: &ApiState,
    by: &Principal,
    mut spec: TenantSpec,
    resource: &str,
    after: Value,
) -> Result<TenantSpec, ApiError> {
    let now = state.clock.now_ms();
    spec.journal = vec![audit::entry(by, now, "create", resource, Value::Null, after)];
    if state.store.directory.get(&spec.id).await?.is_none() {
        tenant::suppress_former(&state.store, None, &spec, now).await?;
    }
    let document = tenant::document(&spec);
    match state.store.directory.put(&spec.id, document, Some(0)).await {
        Ok(revision) => {
            audit::flush(&state.store, &spec).await?;
            state.registry.catch_up(&spec.id, revision).await?;
        }
        Err(StoreError::Conflict { .. }) => {
            let stored = load_whole(state, &spec.id).await?.0;
            // If the entries are equal, the tenant is ours: the store's answer was lost and the
            // write was repeated.
            if stored.journal != spec.journal {
                let message = format!("the tenant `{}` already exists; choose another id", spec.id);
                return Err(ApiError::conflict("exists", message));
            }
        }
        Err(error) => return Err(error.into()),
    }
    Ok(spec)
}

/// Get a tenant
#[utoipa::path(get, path = "/v1/tenants/{tenant}", operation_id = "get_tenant", tag = "Tenants", params(TenantPath),
    extensions(("x-fanfare-environment" = json!("shared"))),
    security(("key" = ["reader"])),
    responses((status = 200, description = "The tenant.", body = Tenant)))]
pub(super) async fn get(
    scope: Scope<Read>,
    State(state): State<Arc<ApiState>>,
) -> Result<Response, ApiError> {
    let spec = load(&state, &scope).await?;
    answer(&state, &spec).await
}

/// Update a tenant
///
/// Fields that you omit keep their values.
#[utoipa::path(patch, path = "/v1/tenants/{tenant}", operation_id = "update_tenant", tag = "Tenants", params(TenantPath), request_body = TenantUpdate,
    extensions(("x-fanfare-environment" = json!("live"))),
    security(("key" = ["admin"])), responses((status = 200, description = "The updated tenant.", body = Tenant)))]
pub(super) async fn patch(
    scope: Scope<WriteShared>,
    State(state): State<Arc<ApiState>>,
    if_match: IfMatch,
    Body(patch): Body<TenantUpdate>,
) -> Result<Response, ApiError> {
    let head = TenantResource(&scope.tenant);
    let edited = edit(&state, &scope, &head, "update", &if_match, |spec| {
        if let Some(name) = &patch.name {
            spec.name.clone_from(name);
        }
        if let Some(links) = &patch.links {
            spec.links.clone_from(links);
        }
        Ok(())
    });
    answer(&state, &edited.await?.spec).await
}

async fn answer(state: &ApiState, spec: &TenantSpec) -> Result<Response, ApiError> {
    let tag = edit::tag(state, &TenantResource(&spec.id), spec).await?.unwrap_or_default();
    let quotas = Some(quotas::states(state, spec).await);
    Ok(tagged(success(StatusCode::OK, Tenant { quotas, ..Tenant::of(spec) }), &tag))
}

/// Delete a tenant
///
/// Deletes its keys, destinations, routes and templates, and suppresses waiting deliveries. Its
/// events and deliveries can be looked up until the retention period ends. To remove them too, call
/// `POST /v1/tenants/{tenant}/erasures` with `everything`, before or after you delete the tenant.
#[utoipa::path(delete, path = "/v1/tenants/{tenant}", operation_id = "delete_tenant", tag = "Tenants", params(TenantPath),
    extensions(("x-fanfare-environment" = json!("live"))),
    security(("key" = ["operator"])),
    responses((status = 204, description = "The tenant was deleted.")))]
pub(super) async fn delete(
    scope: Scope<OperateLive>,
    State(state): State<Arc<ApiState>>,
    if_match: IfMatch,
) -> Result<StatusCode, ApiError> {
    let Caller { principal, tenant } = &*scope;
    let (spec, _) = load_whole(&state, tenant).await?;
    if_match.check(edit::tag(&state, &TenantResource(tenant), &spec).await?.as_deref())?;
    audit::flush(&state.store, &spec).await?;
    let before = TenantResource(tenant).whole(&spec).unwrap_or_default();
    let now = state.clock.now_ms();
    let line = audit::entry(principal, now, "delete", "tenant", before, Value::Null);
    audit::around(&state.store, tenant, line, async {
        // Keys first: they must not give access to a new tenant with the same id.
        access::keys::revoke_all_of(&*state.store.records, tenant).await?;
        state.authenticator.keyring.refresh().await?;
        state.store.directory.remove(tenant).await?;
        state.registry.catch_up_removed(tenant).await?;
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}
