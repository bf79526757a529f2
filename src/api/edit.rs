//! The one way in which the API changes a tenant's document: read, compare, change, compile, write
//! if nobody else did meanwhile, else again.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};
use std::sync::Arc;

use serde_json::Value;
use tokio::sync::Mutex;

use super::ApiState;
use super::answer::{ApiError, Detail};
use super::etag::IfMatch;
use super::problem::Part;
use super::scope::Caller;
use crate::access::Denied;
use crate::audit;
use crate::ops::begin_anew;
use crate::tenant::{self, Problem, Tenant, TenantSpec};
use fanfare_store::StoreError;

/// Times that a change is made anew because others of other replicas were faster.
const ROUNDS: usize = 100;

/// One thing in a tenant's document.
pub(super) trait Resource: Sync {
    /// What the audit trail calls it: `destinations/backoffice`.
    fn name(&self) -> String;
    /// All of it, secrets included; `None` when it is not there. Its `ETag` is made of this.
    fn whole(&self, spec: &TenantSpec) -> Option<Value>;
    /// The same as it may be shown.
    fn shown(&self, state: &ApiState, spec: &TenantSpec) -> Option<Value> {
        let _ = state;
        self.whole(spec)
    }
    /// How problems of it are called in its body.
    fn part(&self, spec: &TenantSpec) -> Part {
        let _ = spec;
        Part::NONE
    }
    /// What is wrong with it, in the words of its body.
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
    fn part(&self, spec: &TenantSpec) -> Part {
        (**self).part(spec)
    }
    fn refuse(&self, spec: &TenantSpec, problems: Vec<Problem>) -> ApiError {
        (**self).refuse(spec, problems)
    }
}

/// Writers of one tenant in this process stand in line instead of undoing each other's work.
#[derive(Default)]
pub(super) struct Turns([Mutex<()>; 32]);

impl Turns {
    fn of(&self, tenant: &str) -> &Mutex<()> {
        let mut hash = DefaultHasher::new();
        tenant.hash(&mut hash);
        &self.0[usize::try_from(hash.finish() % 32).unwrap_or(0)]
    }
}

/// A change that is durable.
pub(super) struct Edited<T> {
    /// What the change said.
    pub(super) out: T,
    /// The document now.
    pub(super) spec: Arc<TenantSpec>,
    /// The resource's tag now; none when it is gone.
    pub(super) tag: Option<String>,
    /// Whether the resource was not there before.
    pub(super) created: bool,
}

/// A tenant's document as it is now.
pub(super) async fn load(state: &ApiState, tenant: &str) -> Result<(TenantSpec, u64), ApiError> {
    let stored = tenant::stored(&state.store, tenant).await?;
    stored.ok_or_else(|| Denied::no_tenant(tenant).into())
}

/// The tag of a resource in a document.
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
    let _turn = state.v1.turns.of(&caller.tenant).lock().await;
    let mut written: Option<(String, Edited<T>)> = None;
    for _ in 0..ROUNDS {
        let (old, revision) = load(state, &caller.tenant).await?;
        if let Some((id, edited)) = written.take()
            && old.journal.iter().any(|line| line.id == id)
        {
            // The answer was lost, the change was not.
            return finish(state, resource, edited, revision).await;
        }
        if_match.check(tag(state, resource, &old).await?.as_deref())?;
        let before = resource.shown(state, &old);
        let mut new = old.clone();
        let out = change(&mut new)?;
        let created = before.is_none();
        if new == old {
            let spec = Arc::new(old);
            let tag = tag(state, resource, &spec).await?;
            return Ok(Edited { out, spec, tag, created: false });
        }
        let is_gone = resource.whole(&new).is_none();
        let action = if created {
            "create"
        } else if is_gone {
            "delete"
        } else {
            action
        };
        check(state, resource, &old, &new)?;
        audit::flush(&state.store, &old).await?;
        let after = resource.shown(state, &new);
        let now = state.clock.now_ms();
        let (before, after) = (before.unwrap_or_default(), after.unwrap_or_default());
        let line = audit::line(&caller.principal, now, action, resource.name(), before, after);
        let id = line.id.clone();
        new.journal = vec![line];
        let document = tenant::document(&new);
        let put = state.store.directory.put(&caller.tenant, document, Some(revision)).await;
        let edited = Edited { out, spec: Arc::new(new), tag: None, created };
        match put {
            Ok(revision) => {
                if let Err(error) = begin_anew(&state.store, &old, &edited.spec).await {
                    tracing::warn!(%error, tenant = old.id, "failures from before still count");
                }
                return finish(state, resource, edited, revision).await;
            }
            Err(StoreError::Conflict { .. }) => written = Some((id, edited)),
            Err(error) => return Err(error.into()),
        }
    }
    Err(ApiError::conflict("busy", "too many others change this tenant; try again"))
}

/// After the write: the trail, this process's tables, the new tag. The change stands whatever of
/// this fails; what is missing is made up for later.
async fn finish<T>(
    state: &ApiState,
    resource: &dyn Resource,
    mut edited: Edited<T>,
    revision: u64,
) -> Result<Edited<T>, ApiError> {
    let told = audit::flush(&state.store, &edited.spec).await;
    let taken_up = state.registry.catch_up(&edited.spec.id, revision).await;
    for error in [told.err(), taken_up.err()].into_iter().flatten() {
        tracing::warn!(%error, tenant = edited.spec.id, "a change is written and shows later");
    }
    edited.tag = tag(state, resource, &edited.spec).await?;
    Ok(edited)
}

/// All that is wrong with the new document.
pub(super) fn check(
    state: &ApiState,
    resource: &dyn Resource,
    old: &TenantSpec,
    new: &TenantSpec,
) -> Result<(), ApiError> {
    let refuse = |problems| resource.refuse(new, problems);
    compiled(state, new).map_err(refuse)?;
    if (&new.templates, &new.links, &new.name) != (&old.templates, &old.links, &old.name) {
        let own = (state.v1.engine)(new);
        own.map_err(refuse)?;
    }
    if tenant::document(new).len() > LARGEST {
        let message = format!("with this the tenant has more than {LARGEST} bytes of settings");
        return Err(ApiError::fields(vec![Detail::new("", message)]));
    }
    Ok(())
}

/// Largest document of a tenant.
const LARGEST: usize = 8 * 1024 * 1024;

/// The document, ready to run; for tests and explanations.
pub(super) fn compiled(state: &ApiState, spec: &TenantSpec) -> Result<Tenant, Vec<Problem>> {
    tenant::compile(spec, 0, state.registry.channels(), None)
}
