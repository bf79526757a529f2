//! The only way in which the API reads and changes a tenant's document: read it, check the caller's
//! `If-Match`, apply the change, compile the result, and write it if the document has not changed
//! meanwhile. Otherwise start over.
//!
//! A test key reads and changes a reduced document without live things (`environments`).

use std::sync::Arc;

use axum::http::StatusCode;
use serde_json::Value;

use super::answer::{ApiError, Detail};
use super::environments::{seen, written};
use super::etag::IfMatch;
use super::problem::DocumentPart;
use super::quota;
use super::scope::Caller;
use super::state::ApiState;
use crate::access::Denied;
use crate::audit;
use crate::ops::reset_failures;
use crate::tenant::{self, AuditEntry, Problem, Tenant, TenantSpec};
use fanfare_render::{Engine, NotRun};
use fanfare_store::StoreError;

/// How often a change is retried after another process changed the same tenant.
const MAX_ROUNDS: usize = 100;
/// Largest document of a tenant in bytes.
const MAX_DOCUMENT: usize = 8 * 1024 * 1024;

/// Refuses a tenant that does not exist. For lists that found nothing: a deleted tenant's history
/// can be read until its retention ends.
pub(super) async fn check_known(state: &ApiState, caller: &Caller) -> Result<(), ApiError> {
    match state.store.directory.get(&caller.tenant).await? {
        Some(_) => Ok(()),
        None => Err(Denied::no_tenant(&caller.tenant).into()),
    }
}

/// A resource within a tenant's document.
pub(super) trait Resource: Sync {
    /// Its name in the audit trail, such as `destinations/backoffice`.
    fn name(&self) -> String;
    /// All of it, including secrets. `None` if it does not exist. Its `ETag` is computed from this.
    fn whole(&self, spec: &TenantSpec) -> Option<Value>;
    /// All of it, with secrets masked.
    fn shown(&self, state: &ApiState, spec: &TenantSpec) -> Option<Value> {
        let _ = state;
        self.whole(spec)
    }
    /// The part of the document that it is.
    fn part(&self, spec: &TenantSpec) -> DocumentPart {
        let _ = spec;
        DocumentPart::WHOLE
    }
    /// Reports problems by the names of the fields in its request body.
    fn refuse(&self, spec: &TenantSpec, problems: Vec<Problem>) -> ApiError {
        self.part(spec).refuse(problems)
    }
}

impl<R: Resource + ?Sized> Resource for &R {
    fn name(&self) -> String {
        (**self).name()
    }
    fn whole(&self, spec: &TenantSpec) -> Option<Value> {
        (**self).whole(spec)
    }
    fn shown(&self, state: &ApiState, spec: &TenantSpec) -> Option<Value> {
        (**self).shown(state, spec)
    }
    fn part(&self, spec: &TenantSpec) -> DocumentPart {
        (**self).part(spec)
    }
    fn refuse(&self, spec: &TenantSpec, problems: Vec<Problem>) -> ApiError {
        (**self).refuse(spec, problems)
    }
}

/// A durable change.
pub(super) struct Edited<T> {
    /// What the change returned.
    pub(super) out: T,
    /// The document after the change.
    pub(super) spec: Arc<TenantSpec>,
    /// The resource's tag after the change. `None` if the resource no longer exists.
    pub(super) tag: Option<String>,
    /// Whether the change created the resource.
    pub(super) created: bool,
}

/// Loads the document of the caller's tenant as far as the caller's key sees it.
pub(super) async fn load(state: &ApiState, caller: &Caller) -> Result<TenantSpec, ApiError> {
    let (whole, _) = load_whole(state, &caller.tenant).await?;
    Ok(seen(&caller.principal, whole))
}

/// Loads a tenant's whole document and its revision.
pub(super) async fn load_whole(
    state: &ApiState,
    tenant: &str,
) -> Result<(TenantSpec, u64), ApiError> {
    let stored = tenant::stored(&state.store, tenant).await?;
    stored.ok_or_else(|| Denied::no_tenant(tenant).into())
}

/// The tag of a resource. `None` if the resource does not exist.
pub(super) async fn tag(
    state: &ApiState,
    resource: &dyn Resource,
    spec: &TenantSpec,
) -> Result<Option<String>, ApiError> {
    match resource.whole(spec) {
        Some(value) => Ok(Some(state.v1.tags.of(&state.store, &value).await?)),
        None => Ok(None),
    }
}

/// Changes `resource` of the caller's tenant. `change` may run several times.
pub(super) async fn edit<T>(
    state: &ApiState,
    caller: &Caller,
    resource: impl Resource,
    action: &str,
    if_match: &IfMatch,
    mut change: impl FnMut(&mut TenantSpec) -> Result<T, ApiError>,
) -> Result<Edited<T>, ApiError> {
    let resource: &dyn Resource = &resource;
    let _lock = state.v1.write_locks.lock(&caller.tenant).await;
    let mut written_before: Option<(String, Edited<T>)> = None;
    for _ in 0..MAX_ROUNDS {
        let (whole, revision) = load_whole(state, &caller.tenant).await?;
        if let Some((id, edited)) = written_before.take()
            && whole.journal.iter().any(|line| line.id == id)
        {
            // The previous round's write succeeded, although its answer was a conflict: the store's
            // first answer was lost and the write was repeated.
            return finish(state, resource, edited, revision).await;
        }
        let old = seen(&caller.principal, whole.clone());
        if_match.check(tag(state, resource, &old).await?.as_deref())?;
        let mut new = old.clone();
        let out = change(&mut new)?;
        if new != old {
            check(state, resource, &old, &new).await?;
        }
        let (mut whole_new, mut new) = written(&caller.principal, action, &whole, new)?;
        if new == old {
            let spec = Arc::new(old);
            let tag = tag(state, resource, &spec).await?;
            return Ok(Edited { out, spec, tag, created: false });
        }
        if !caller.principal.environment.is_live() && compiled(state, &whole_new).is_err() {
            let message = "the tenant's live settings are invalid, so nothing can be changed; correct \
                           them with a key of the live environment";
            return Err(ApiError::conflict("invalid_settings", message));
        }
        // A test key's own things may be within a quota that all things together exceed.
        quota::check_document(state, &whole, &whole_new)?;
        audit::flush(&state.store, &whole).await?;
        let (line, created) = audit_line(state, caller, resource, action, (&old, &new));
        let id = line.id.clone();
        whole_new.journal = vec![line];
        new.journal.clone_from(&whole_new.journal);
        let now_ms = state.clock.now_ms();
        tenant::mark_repaired(&whole, &mut whole_new, now_ms);
        new.repaired.clone_from(&whole_new.repaired);
        tenant::remember(&state.store, &whole, &whole_new).await?;
        tenant::suppress_former(&state.store, Some(&whole), &whole_new, now_ms).await?;
        let document = tenant::document(&whole_new);
        let put = state.store.directory.put(&caller.tenant, document, Some(revision)).await;
        let edited = Edited { out, spec: Arc::new(new), tag: None, created };
        match put {
            Ok(revision) => {
                if let Err(error) = reset_failures(&state.store, &old, &edited.spec).await {
                    tracing::warn!(%error, tenant = old.id, "failure counts were not reset");
                }
                return finish(state, resource, edited, revision).await;
            }
            Err(StoreError::Conflict { .. }) => written_before = Some((id, edited)),
            Err(error) => return Err(error.into()),
        }
    }
    let message = "other requests keep changing this tenant; nothing was changed, try again";
    Err(ApiError::conflict("busy", message))
}

/// The audit trail's line for a change, and whether the change created the resource.
fn audit_line(
    state: &ApiState,
    caller: &Caller,
    resource: &dyn Resource,
    action: &str,
    (old, new): (&TenantSpec, &TenantSpec),
) -> (AuditEntry, bool) {
    let before = resource.shown(state, old);
    let created = before.is_none();
    let action = if created {
        "create"
    } else if resource.whole(new).is_none() {
        "delete"
    } else {
        action
    };
    let after = resource.shown(state, new).unwrap_or_default();
    let (before, now) = (before.unwrap_or_default(), state.clock.now_ms());
    let line = audit::entry(&caller.principal, now, action, resource.name(), before, after);
    (line, created)
}

/// Runs after the write: updates the audit trail, this process's tables and the resource's tag. The
/// change is durable even if one of these fails, and the failed step is repeated later.
async fn finish<T>(
    state: &ApiState,
    resource: &dyn Resource,
    mut edited: Edited<T>,
    revision: u64,
) -> Result<Edited<T>, ApiError> {
    let audited = audit::flush(&state.store, &edited.spec).await;
    let loaded = state.registry.catch_up(&edited.spec.id, revision).await;
    for error in [audited.err(), loaded.err()].into_iter().flatten() {
        tracing::warn!(%error, tenant = edited.spec.id, "a change was written but takes effect later");
    }
    edited.tag = tag(state, resource, &edited.spec).await?;
    Ok(edited)
}

/// Reports everything wrong with the new document.
pub(super) async fn check(
    state: &ApiState,
    resource: &dyn Resource,
    old: &TenantSpec,
    new: &TenantSpec,
) -> Result<(), ApiError> {
    let refuse = |problems| resource.refuse(new, problems);
    compiled(state, new).map_err(refuse)?;
    let problems = tenant::review(new, Some(old), state.registry.channels());
    if !problems.is_empty() {
        return Err(refuse(problems));
    }
    if (&new.templates, &new.links, &new.name) != (&old.templates, &old.links, &old.name) {
        make_engine(state, new).await?.map_err(refuse)?;
    }
    let bytes = tenant::document(new).len();
    if bytes > MAX_DOCUMENT {
        let message = format!(
            "the tenant's settings would have {bytes} bytes; the limit is {MAX_DOCUMENT} bytes"
        );
        return Err(ApiError::field("", message));
    }
    quota::check_document(state, old, new)
}

/// The compiled document, for checks and explanations.
pub(super) fn compiled(state: &ApiState, spec: &TenantSpec) -> Result<Tenant, Vec<Problem>> {
    tenant::compile(spec, 0, state.registry.channels(), None)
}

/// The document's compiled templates.
pub(super) async fn engine(state: &ApiState, spec: &TenantSpec) -> Result<Engine, ApiError> {
    make_engine(state, spec).await?.map_err(unusable)
}

/// The error for templates that do not compile.
pub(super) fn unusable(problems: Vec<Problem>) -> ApiError {
    let detail = |problem: Problem| Detail::new(problem.field, problem.message);
    ApiError::fields(problems.into_iter().map(detail).collect())
}

/// Compiles the document's templates, or returns everything wrong with them.
pub(super) async fn make_engine(
    state: &ApiState,
    spec: &TenantSpec,
) -> Result<Result<Engine, Vec<Problem>>, ApiError> {
    let (make, spec) = (state.v1.engine.clone(), spec.clone());
    on_pool(state, &spec.id.clone(), move || make(&spec)).await
}

/// Most requests of one tenant that wait for their templates.
const WAITING: usize = 16;

/// Runs what takes a while, such as compiling templates, on threads of its own. Tenants take turns.
pub(super) async fn on_pool<T: Send + 'static>(
    state: &ApiState,
    tenant: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ApiError> {
    state.v1.pool.run_unless(tenant, WAITING, work).await.map_err(|not_run| match not_run {
        NotRun::Full => ApiError::new(
            StatusCode::TOO_MANY_REQUESTS,
            "rate_limited",
            "too_many_templates",
            not_run.to_string(),
        ),
        NotRun::Panicked => ApiError::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "internal",
            not_run.to_string(),
        ),
    })
}
