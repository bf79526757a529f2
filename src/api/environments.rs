//! Live and test: what a key sees of a tenant's document and history, and what a test key may not
//! change.
//!
//! For a test key, live things do not exist. A live key sees everything that is configured, because
//! one document holds both environments. Of the history, it sees live events unless it asks for
//! others.

use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::answer::ApiError;
use crate::access::{Environment, Principal};
use crate::tenant::{self, Crossing, TenantSpec};

/// The environments of a request for events or deliveries.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum EnvironmentFilter {
    /// Live events.
    Live,
    /// Test events.
    Test,
    /// The events of both environments, or of all that the key may see.
    All,
}

/// The environment of the events that a request is about. `None` for both. A request that names a
/// destination is about that destination's events.
pub(super) fn history(
    principal: &Principal,
    asked: Option<EnvironmentFilter>,
    names_destination: bool,
) -> Result<Option<Environment>, ApiError> {
    let is_live = principal.environment.is_live();
    match asked {
        Some(EnvironmentFilter::Live) if !is_live => {
            let message = "must be `test` or omitted, because the key is a test key";
            Err(ApiError::field("environment", message))
        }
        _ if !is_live => Ok(Some(Environment::Test)),
        Some(EnvironmentFilter::All) => Ok(None),
        Some(EnvironmentFilter::Test) => Ok(Some(Environment::Test)),
        None if names_destination => Ok(None),
        Some(EnvironmentFilter::Live) | None => Ok(Some(Environment::Live)),
    }
}

/// A document as far as a key sees it.
pub(super) fn seen(principal: &Principal, whole: TenantSpec) -> TenantSpec {
    if principal.environment.is_live() { whole } else { tenant::test_view(&whole) }
}

/// A changed document that a key sees: the whole document, and what the key sees of it.
pub(super) fn written(
    principal: &Principal,
    action: &str,
    whole: &TenantSpec,
    new: TenantSpec,
) -> Result<(TenantSpec, TenantSpec), ApiError> {
    if principal.environment.is_live() {
        return Ok((new.clone(), new));
    }
    let new = tenant::with_test_view(whole, new).map_err(|crossing| crossed(crossing, action))?;
    let view = tenant::test_view(&new);
    Ok((new, view))
}

/// The refusal of a test key's change of something live.
fn crossed(crossing: Crossing, action: &str) -> ApiError {
    let forbidden = |message: String| {
        ApiError::new(StatusCode::FORBIDDEN, "forbidden", "live_key_required", message)
    };
    match crossing {
        Crossing::Shared(what) => forbidden(format!(
            "a test key may not change the tenant's {what}, because live events use it too; use a \
             key of the live environment"
        )),
        Crossing::SharedRoute(events) => forbidden(format!(
            "the route of {} also leads to a live destination, so a test key may not change it; use \
             a key of the live environment",
            events.join(", ")
        )),
        Crossing::Live(id) => ApiError::field(
            "settings.environment",
            format!("of the destination `{id}` must be `test`, because the key is a test key"),
        ),
        // Live things do not exist for a test key, but it cannot create another one with their id.
        Crossing::Taken(id) if action == "create" || action == "apply" => {
            ApiError::conflict("exists", format!("the id `{id}` is taken; choose another one"))
        }
        Crossing::Taken(id) => ApiError::not_found("destination", &id),
    }
}
