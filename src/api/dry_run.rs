//! A change that is checked and not made, so that a form can say what is wrong before it is sent.

use serde::Deserialize;
use utoipa::IntoParams;

use super::answer::ApiError;
use super::edit::{Resource, check, load_whole, tag};
use super::environments::{seen, written};
use super::etag::IfMatch;
use super::quota;
use super::scope::Caller;
use super::state::ApiState;
use crate::tenant::TenantSpec;

/// Whether to check a change without making it.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct DryRun {
    /// Only check the request. Nothing is changed.
    #[serde(default)]
    pub(super) dry_run: bool,
}

/// Checks a change of `resource` as [`super::edit::edit`] does, without making it. Returns the
/// document as it would be.
pub(super) async fn dry_run<T>(
    state: &ApiState,
    caller: &Caller,
    resource: impl Resource,
    action: &str,
    if_match: &IfMatch,
    change: impl FnOnce(&mut TenantSpec) -> Result<T, ApiError>,
) -> Result<TenantSpec, ApiError> {
    let resource: &dyn Resource = &resource;
    let (whole, _) = load_whole(state, &caller.tenant).await?;
    let old = seen(&caller.principal, whole.clone());
    if_match.check(tag(state, resource, &old).await?.as_deref())?;
    let mut new = old.clone();
    change(&mut new)?;
    if new != old {
        check(state, resource, &old, &new).await?;
    }
    let (whole_new, new) = written(&caller.principal, action, &whole, new)?;
    quota::check_document(state, &whole, &whole_new)?;
    Ok(new)
}
