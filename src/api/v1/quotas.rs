//! A tenant's quotas: the limits and what is used of them. Only an operator may change them.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::params::TenantPath;
use super::words;
use crate::api::answer::{ApiError, success};
use crate::api::body::{Body, given};
use crate::api::edit::{self, Resource, edit, load_whole};
use crate::api::etag::{IfMatch, tagged};
use crate::api::scope::{OperateLive, Read, Scope};
use crate::api::state::ApiState;
use crate::quota::Quota;
use crate::tenant::{TenantSpec, document_usage};

/// The quotas of a tenant.
#[derive(Serialize, ToSchema)]
pub(super) struct TenantQuotas {
    /// Each quota by name.
    quotas: BTreeMap<String, QuotaUsage>,
}

/// A quota.
#[derive(Serialize, ToSchema)]
pub(super) struct QuotaUsage {
    /// The most that the tenant may use. Null for no limit.
    #[schema(example = 20_000)]
    limit: Option<u64>,
    /// What the tenant uses now. For a rate: what this process took in the last full second.
    #[schema(example = 118)]
    used: u64,
    /// Who set it.
    #[schema(value_type = words::QuotaSource, example = "default")]
    source: &'static str,
}

/// Changes of quotas. A number sets a quota (0 means no limit), and null restores the default.
#[derive(Deserialize, ToSchema, Default)]
#[serde(deny_unknown_fields, default)]
#[expect(clippy::option_option, reason = "absent, null, a number")]
pub(super) struct QuotasUpdate {
    /// Events per second that the tenant may send to each process.
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<u64>, maximum = 9_007_199_254_740_991_i64)]
    events_per_second: Option<Option<u64>>,
    /// Bytes per second that the tenant may send to each process.
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<u64>, maximum = 9_007_199_254_740_991_i64)]
    bytes_per_second: Option<Option<u64>>,
    /// Bytes of the tenant's events in the store.
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<u64>, maximum = 9_007_199_254_740_991_i64)]
    stored_bytes: Option<Option<u64>>,
    /// Deliveries that wait.
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<u64>, maximum = 9_007_199_254_740_991_i64)]
    waiting_deliveries: Option<Option<u64>>,
    /// Destinations.
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<u64>, maximum = 9_007_199_254_740_991_i64)]
    destinations: Option<Option<u64>>,
    /// Routes.
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<u64>, maximum = 9_007_199_254_740_991_i64)]
    routes: Option<Option<u64>>,
    /// API keys that have not expired.
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<u64>, maximum = 9_007_199_254_740_991_i64)]
    keys: Option<Option<u64>>,
    /// Values in the filters of all routes.
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<u64>, maximum = 9_007_199_254_740_991_i64)]
    filter_values: Option<Option<u64>>,
    /// Bytes of all templates.
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<u64>, maximum = 9_007_199_254_740_991_i64)]
    template_bytes: Option<Option<u64>>,
}

impl QuotasUpdate {
    #[expect(clippy::option_option, reason = "absent, null, a number")]
    fn changes(&self) -> [(Quota, Option<Option<u64>>); Quota::ALL.len()] {
        [
            (Quota::EventsPerSecond, self.events_per_second),
            (Quota::BytesPerSecond, self.bytes_per_second),
            (Quota::StoredBytes, self.stored_bytes),
            (Quota::WaitingDeliveries, self.waiting_deliveries),
            (Quota::Destinations, self.destinations),
            (Quota::Routes, self.routes),
            (Quota::Keys, self.keys),
            (Quota::FilterValues, self.filter_values),
            (Quota::TemplateBytes, self.template_bytes),
        ]
    }

    fn apply(&self, spec: &mut TenantSpec) {
        let mut quotas = spec.quotas.take().unwrap_or_default();
        for (quota, change) in self.changes() {
            match change {
                Some(Some(value)) => _ = quotas.insert(quota, value),
                Some(None) => _ = quotas.remove(&quota),
                None => {}
            }
        }
        spec.quotas = Some(quotas).filter(|quotas| !quotas.is_empty());
    }
}

/// What an operator set.
struct QuotasResource;

impl Resource for QuotasResource {
    fn name(&self) -> String {
        "quotas".to_owned()
    }

    fn whole(&self, spec: &TenantSpec) -> Option<Value> {
        Some(json!(spec.quotas.clone().unwrap_or_default()))
    }
}

/// Get a tenant's quotas
///
/// Returns each quota with its limit and what the tenant uses now.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/quotas", operation_id = "get_quotas", tag = "Tenants", params(TenantPath),
    extensions(("x-fanfare-environment" = json!("shared"))),
    security(("key" = ["reader"])), responses((status = 200, description = "The quotas.", body = TenantQuotas)))]
pub(super) async fn get(
    scope: Scope<Read>,
    State(state): State<Arc<ApiState>>,
) -> Result<Response, ApiError> {
    let (spec, _) = load_whole(&state, &scope.tenant).await?;
    answer(&state, &spec).await
}

/// Change a tenant's quotas
///
/// A number sets a quota, 0 removes its limit, and null restores the server's default. Quotas that
/// you omit keep their values. A tenant that already uses more than a new quota keeps what it has,
/// and only further increases are refused.
#[utoipa::path(patch, path = "/v1/tenants/{tenant}/quotas", operation_id = "update_quotas", tag = "Tenants", params(TenantPath), request_body = QuotasUpdate,
    extensions(("x-fanfare-environment" = json!("live"))),
    security(("key" = ["operator"])), responses((status = 200, description = "The quotas.", body = TenantQuotas)))]
pub(super) async fn patch(
    scope: Scope<OperateLive>,
    State(state): State<Arc<ApiState>>,
    if_match: IfMatch,
    Body(patch): Body<QuotasUpdate>,
) -> Result<Response, ApiError> {
    let edited = edit(&state, &scope, QuotasResource, "update", &if_match, |spec| {
        patch.apply(spec);
        Ok(())
    });
    answer(&state, &edited.await?.spec).await
}

async fn answer(state: &ApiState, spec: &TenantSpec) -> Result<Response, ApiError> {
    let tag = edit::tag(state, &QuotasResource, spec).await?.unwrap_or_default();
    let quotas = states(state, spec).await;
    Ok(tagged(success(StatusCode::OK, TenantQuotas { quotas }), &tag))
}

/// The state of every quota.
pub(super) async fn states(state: &ApiState, spec: &TenantSpec) -> BTreeMap<String, QuotaUsage> {
    let tenant: Arc<str> = spec.id.as_str().into();
    let limits = state.quotas.limits(spec.quotas.as_ref());
    let usage = state.quotas.usage(&tenant).await;
    let [events, bytes] = state.quotas.rates(&tenant);
    let keys = state.authenticator.keyring.counts().remove(&tenant).unwrap_or(0);
    let own = [
        (Quota::EventsPerSecond, events),
        (Quota::BytesPerSecond, bytes),
        (Quota::StoredBytes, usage.stored_bytes),
        (Quota::WaitingDeliveries, usage.waiting),
        (Quota::Keys, keys),
    ];
    let used = own.into_iter().chain(document_usage(spec));
    let is_set = |quota| spec.quotas.as_ref().is_some_and(|set| set.contains_key(&quota));
    let states = used.map(|(quota, used)| {
        let source = if is_set(quota) { "tenant" } else { "default" };
        (quota.name().to_owned(), QuotaUsage { limit: limits.get(quota), used, source })
    });
    states.collect()
}
