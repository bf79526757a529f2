//! Authorization. Every handler states in its arguments what it does, and gets only a tenant that
//! the caller's key may access.
//!
//! The extension `x-fanfare-access` of each operation says the same in the API's description
//! (`openapi::access`), and a test compares both over HTTP for every key.

use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::Arc;

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue};

use super::answer::ApiError;
use super::state::ApiState;
use crate::access::{Action, Denied, Principal};
use crate::event;

const TENANT: HeaderName = HeaderName::from_static("fanfare-tenant");

/// What a handler does.
pub(super) trait Does: Send + Sync {
    /// The actions of which the caller's role must allow one.
    const ANY_OF: &'static [Action];
    /// Whether live events use what it changes, so that it requires a live key.
    const LIVE: bool;
}

macro_rules! does {
    ($($name:ident: $actions:expr, $live:literal, $what:literal;)*) => {$(
        #[doc = $what]
        pub(super) struct $name;
        impl Does for $name {
            const ANY_OF: &'static [Action] = &$actions;
            const LIVE: bool = $live;
        }
    )*};
}

does! {
    Read: [Action::Read], false, "Reads a tenant's data. Requires the role reader.";
    ReadMailbox: [Action::Read, Action::Consume], false, "Reads a mailbox. Requires the role reader or consumer.";
    Consume: [Action::Consume], false, "Commits messages of a mailbox. Requires the role consumer.";
    Write: [Action::Write], false, "Changes a tenant. Requires the role admin.";
    WriteShared: [Action::Write], true, "Changes what both environments of a tenant use. Requires the role admin and a live key.";
    Keys: [Action::Keys], false, "Creates and revokes a tenant's keys. Requires the role admin and not a portal link.";
    Operate: [Action::Operate], false, "Concerns all tenants. Requires the role operator.";
    OperateLive: [Action::Operate], true, "Concerns all tenants and live events. Requires the role operator and a live key.";
}

/// The caller and the tenant of the path.
#[derive(Clone)]
pub(super) struct Caller {
    /// The caller's key.
    pub(super) principal: Principal,
    /// The tenant of the path.
    pub(super) tenant: Arc<str>,
}

/// A caller that may do `D` to the tenant of the path. The tenant `me` is the key's own.
pub(super) struct Scope<D>(pub(super) Caller, PhantomData<D>);

impl<D> Deref for Scope<D> {
    type Target = Caller;
    fn deref(&self) -> &Caller {
        &self.0
    }
}

impl<D: Does> FromRequestParts<Arc<ApiState>> for Scope<D> {
    type Rejection = ApiError;

    async fn from_request_parts(
        parts: &mut Parts,
        state: &Arc<ApiState>,
    ) -> Result<Self, ApiError> {
        let By(principal, _) = By::<D>::from_request_parts(parts, state).await?;
        let params = RawPathParams::from_request_parts(parts, state).await;
        let params = params.map_err(|_| ApiError::not_found("path", ""))?;
        let named = params.iter().find(|(name, _)| *name == "tenant").map(|(_, value)| value);
        let tenant = principal.tenant_of(named)?;
        check_named(&parts.headers, &tenant, named)?;
        if event::tenant_id(tenant.as_bytes()).is_err() {
            return Err(Denied::no_tenant(&tenant).into());
        }
        Ok(Self(Caller { principal, tenant }, PhantomData))
    }
}

/// The tenant that a request names as a query parameter or in `Fanfare-Tenant`.
pub(super) fn named_tenant<'r>(
    query: Option<&'r str>,
    headers: &'r HeaderMap,
) -> Result<Option<&'r [u8]>, ApiError> {
    let in_headers = headers.get_all(TENANT).iter().map(HeaderValue::as_bytes);
    let mut named = query.map(str::as_bytes).into_iter().chain(in_headers);
    let first = named.next();
    if named.all(|other| Some(other) == first) { Ok(first) } else { Err(conflicting()) }
}

/// Checks that `Fanfare-Tenant` names the tenant of the path, if it names one.
fn check_named(headers: &HeaderMap, tenant: &str, path: Option<&str>) -> Result<(), ApiError> {
    let is_same = |value: &HeaderValue| value == tenant || path.is_some_and(|path| value == path);
    if headers.get_all(TENANT).iter().all(is_same) { Ok(()) } else { Err(conflicting()) }
}

fn conflicting() -> ApiError {
    let message = "the request names two tenants; name one, in the path, as `?tenant=` or in the \
                   header `Fanfare-Tenant`";
    ApiError::invalid("conflicting_tenants", message)
}

/// A caller that may do `D`, on a path without a tenant.
pub(super) struct By<D>(pub(super) Principal, pub(super) PhantomData<D>);

impl<D: Does> FromRequestParts<Arc<ApiState>> for By<D> {
    type Rejection = ApiError;

    async fn from_request_parts(
        parts: &mut Parts,
        state: &Arc<ApiState>,
    ) -> Result<Self, ApiError> {
        let principal = Principal::from_request_parts(parts, state).await?;
        if !D::ANY_OF.iter().any(|action| principal.may(*action)) {
            return Err(Denied::Forbidden(principal.role).into());
        }
        if D::LIVE {
            principal.require_live()?;
        }
        Ok(Self(principal, PhantomData))
    }
}
