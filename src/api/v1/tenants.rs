//! Tenants: who has destinations, routes and keys of its own.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

use crate::access::{self, Principal};
use crate::api::ApiState;
use crate::api::answer::{ApiError, success};
use crate::api::body::{Body, Params};
use crate::api::edit::{self, Resource, edit, load};
use crate::api::etag::{IfMatch, tagged};
use crate::api::page::Page;
use crate::api::problem::Part;
use crate::api::scope::{By, Caller, Operate, Read, Scope, Write};
use crate::audit;
use crate::tenant::{self, TenantSpec};
use fanfare_store::StoreError;

/// A tenant.
#[derive(Serialize, ToSchema)]
pub(super) struct Tenant {
    /// 1 to 64 of `a-z 0-9 - _`.
    #[schema(example = "acme")]
    id: String,
    /// For people; in messages.
    #[schema(example = "Acme Bank")]
    name: String,
    /// Addresses in the tenant's own systems, for buttons in messages: name → address.
    #[schema(example = json!({"session": "https://backoffice.acme.example/sessions/{data.session_id}"}))]
    links: BTreeMap<String, String>,
    /// How many destinations it has.
    destinations: usize,
    /// How many routes it has.
    routes: usize,
}

impl Tenant {
    fn of(spec: &TenantSpec) -> Self {
        Self {
            id: spec.id.clone(),
            name: spec.name.clone(),
            links: spec.links.clone(),
            destinations: spec.destinations.len(),
            routes: spec.routes.len(),
        }
    }
}

/// A new tenant.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewTenant {
    /// 1 to 64 of `a-z 0-9 - _`.
    #[schema(pattern = "^[a-z0-9_-]{1,64}$", example = "acme")]
    id: String,
    /// For people; the id when left out.
    #[schema(max_length = 200, example = "Acme Bank")]
    name: Option<String>,
    /// Addresses in the tenant's own systems, for buttons in messages.
    #[serde(default)]
    links: Option<BTreeMap<String, String>>,
}

/// What is to be different of a tenant.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TenantPatch {
    /// For people; in messages.
    #[schema(min_length = 1, max_length = 200, example = "Acme Bank")]
    name: Option<String>,
    /// All of them, in the place of those there are.
    links: Option<BTreeMap<String, String>>,
}

/// Which tenants to list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct TenantQuery {
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// At most so many.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u16>,
}

/// The head of a tenant's document.
struct Head<'a>(&'a str);

impl Resource for Head<'_> {
    fn name(&self) -> String {
        "tenant".to_owned()
    }

    fn whole(&self, spec: &TenantSpec) -> Option<Value> {
        Some(json!({"id": spec.id, "name": spec.name, "links": spec.links}))
    }

    fn part(&self, _: &TenantSpec) -> Part {
        let _ = self.0;
        Part { place: "tenant".to_owned(), prefix: "", bare: &[] }
    }
}

/// List tenants
#[utoipa::path(get, path = "/v1/tenants", tag = "Tenants", params(TenantQuery), security(("key" = ["operator"])),
    responses((status = 200, description = "Tenants by id.", body = Page<Tenant>)))]
pub(super) async fn list(
    _: By<Operate>,
    State(state): State<Arc<ApiState>>,
    Params(query): Params<TenantQuery>,
) -> Result<Response, ApiError> {
    super::check_limit(query.limit)?;
    let (_, stored) = state.store.directory.all().await?;
    let read = |doc: &[u8]| serde_json::from_slice::<TenantSpec>(doc).ok();
    let tenants =
        stored.iter().filter_map(|tenant| read(&tenant.doc)).map(|spec| Tenant::of(&spec));
    let page = Page::cut(tenants, query.cursor.as_deref(), query.limit, |one| one.id.clone());
    Ok(success(StatusCode::OK, page))
}

/// Create a tenant
#[utoipa::path(post, path = "/v1/tenants", tag = "Tenants", request_body = NewTenant, security(("key" = ["operator"])),
    responses((status = 201, description = "It is there.", body = Tenant)))]
pub(super) async fn create(
    By(principal, _): By<Operate>,
    State(state): State<Arc<ApiState>>,
    Body(new): Body<NewTenant>,
) -> Result<Response, ApiError> {
    let spec = TenantSpec {
        name: new.name.unwrap_or_else(|| new.id.clone()),
        links: new.links.unwrap_or_default(),
        ..TenantSpec::empty(&new.id)
    };
    let part = Head(&spec.id).part(&spec);
    edit::compiled(&state, &spec).map_err(|problems| part.refuse(problems))?;
    (state.v1.engine)(&spec).map_err(|problems| part.refuse(problems))?;
    let after = Head(&spec.id).whole(&spec).unwrap_or_default();
    let spec = make(&state, &principal, spec, "tenant", after).await?;
    Ok(success(StatusCode::CREATED, Tenant::of(&spec)))
}

/// Writes a tenant that is not there yet, with its line of the audit trail.
pub(super) async fn make(
    state: &ApiState,
    by: &Principal,
    mut spec: TenantSpec,
    resource: &str,
    after: Value,
) -> Result<TenantSpec, ApiError> {
    let now = state.clock.now_ms();
    spec.journal = vec![audit::line(by, now, "create", resource, Value::Null, after)];
    let document = tenant::document(&spec);
    match state.store.directory.put(&spec.id, document, Some(0)).await {
        Ok(revision) => {
            audit::flush(&state.store, &spec).await?;
            state.registry.catch_up(&spec.id, revision).await?;
        }
        Err(StoreError::Conflict { .. }) => {
            let there = load(state, &spec.id).await?.0;
            // The answer to our own write may have been lost.
            if there.journal != spec.journal {
                let message = format!("there is a tenant `{}` already", spec.id);
                return Err(ApiError::conflict("exists", message));
            }
        }
        Err(error) => return Err(error.into()),
    }
    Ok(spec)
}

/// Get a tenant
#[utoipa::path(get, path = "/v1/tenants/{tenant}", tag = "Tenants", params(super::TenantPath), security(("key" = ["reader"])),
    responses((status = 200, description = "The tenant.", body = Tenant)))]
pub(super) async fn get(
    scope: Scope<Read>,
    State(state): State<Arc<ApiState>>,
) -> Result<Response, ApiError> {
    let (spec, _) = load(&state, &scope.tenant).await?;
    answer(&state, &spec).await
}

/// Change a tenant
///
/// What is left out stays.
#[utoipa::path(patch, path = "/v1/tenants/{tenant}", tag = "Tenants", params(super::TenantPath), request_body = TenantPatch,
    security(("key" = ["admin"])), responses((status = 200, description = "The tenant as it is now.", body = Tenant)))]
pub(super) async fn patch(
    scope: Scope<Write>,
    State(state): State<Arc<ApiState>>,
    if_match: IfMatch,
    Body(patch): Body<TenantPatch>,
) -> Result<Response, ApiError> {
    let head = Head(&scope.tenant);
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
    let tag = edit::tag(state, &Head(&spec.id), spec).await?.unwrap_or_default();
    Ok(tagged(success(StatusCode::OK, Tenant::of(spec)), &tag))
}

/// Delete a tenant
///
/// Its keys, destinations, routes and templates go. What waits for them is suppressed; its events and
/// deliveries stay in the ledger until the retention is over. `POST /v1/tenants/{tenant}/erasures` with
/// `everything` removes these too, then or later.
#[utoipa::path(delete, path = "/v1/tenants/{tenant}", tag = "Tenants", params(super::TenantPath), security(("key" = ["operator"])),
    responses((status = 204, description = "It is gone.")))]
pub(super) async fn delete(
    scope: Scope<Operate>,
    State(state): State<Arc<ApiState>>,
    if_match: IfMatch,
) -> Result<StatusCode, ApiError> {
    let Caller { principal, tenant } = &*scope;
    let (spec, _) = load(&state, tenant).await?;
    if_match.check(edit::tag(&state, &Head(tenant), &spec).await?.as_deref())?;
    audit::flush(&state.store, &spec).await?;
    let before = Head(tenant).whole(&spec).unwrap_or_default();
    let now = state.clock.now_ms();
    let line = audit::line(principal, now, "delete", "tenant", before, Value::Null);
    audit::around(&state.store, tenant, line, async {
        // First: a tenant that is made anew under the same id must not be theirs.
        access::keys::revoke_all_of(&*state.store.records, tenant).await?;
        state.door.keyring.refresh().await?;
        state.store.directory.remove(tenant).await?;
        state.registry.reload().await?;
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}
