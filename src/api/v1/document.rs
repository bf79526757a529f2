//! A tenant's whole configuration as one document, as in a tenant file. It is replaced as a whole,
//! and a dry run shows what would change.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use utoipa::{IntoParams, ToSchema};

use super::destinations::masked;
use super::params::TenantPath;
use super::routes::ListedRoute;
use super::{tenants, words};
use crate::access::{Action, Denied};
use crate::api::answer::{ApiError, success};
use crate::api::body::{Body, QueryParams};
use crate::api::edit::{self, Resource, edit, load};
use crate::api::environments::{seen, written};
use crate::api::etag::{IfMatch, tagged};
use crate::api::problem::DocumentPart;
use crate::api::scope::{Caller, Read, Scope, Write};
use crate::api::shown_once::{MASK, success_once};
use crate::api::state::ApiState;
use crate::quota::Overrides;
use crate::tenant::{
    self, Channels, DestinationSpec, MadeValue, Problem, SecretsChange, TenantSpec,
};
use fanfare_contract::FieldError;

/// A tenant's whole configuration.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TenantDocument {
    /// The tenant's name, shown in messages. The default is the id.
    #[serde(default)]
    #[schema(max_length = 200, example = "Acme Bank")]
    name: Option<String>,
    /// The tenant's destinations. Secrets are masked. A secret that you send back masked keeps its
    /// value.
    #[serde(default)]
    #[schema(required = false)]
    destinations: Vec<DocumentDestination>,
    /// The tenant's routes, in order.
    #[serde(default)]
    #[schema(required = false, max_items = 10000)]
    routes: Vec<ListedRoute>,
    /// URLs in the tenant's own systems, for buttons in messages. The keys are names that templates
    /// use.
    #[serde(default)]
    #[schema(required = false)]
    links: BTreeMap<String, String>,
    /// The tenant's own templates, by path.
    #[serde(default)]
    #[schema(required = false)]
    templates: BTreeMap<String, String>,
    /// The quotas that an operator set for this tenant: numbers by name, 0 for no limit. Only an
    /// operator's key may change them. If you leave them out, they stay as they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<BTreeMap<String, u64>>, example = json!({"events_per_second": 500}))]
    quotas: Option<Overrides>,
}

/// A destination in a document.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct DocumentDestination {
    /// 1 to 64 characters of a-z, 0-9, - and _.
    #[schema(example = "backoffice")]
    id: String,
    /// The channel.
    #[schema(value_type = words::Channel, example = "webhook")]
    channel: String,
    /// The channel's settings and the options that every destination has, as in tenant files.
    #[schema(value_type = Object, example = json!({"url": "https://hooks.acme.example/kyc"}))]
    settings: Map<String, Value>,
}

/// The effect of a document.
#[derive(Serialize, ToSchema)]
pub(super) struct DocumentResult {
    /// The tenant's id.
    #[schema(example = "acme")]
    id: String,
    /// What the document did.
    #[schema(value_type = words::DocumentOutcome, example = "changed")]
    outcome: &'static str,
    /// The changes, one line each, without values.
    #[schema(example = json!(["~ destination backoffice: url"]))]
    changes: Vec<String>,
    /// Values that were generated, such as secrets. Only this response shows them.
    shown_once: Vec<GeneratedValue>,
}

/// A generated value.
#[derive(Serialize, ToSchema)]
struct GeneratedValue {
    /// The destination's id.
    #[schema(example = "backoffice")]
    destination: String,
    /// The field.
    #[schema(example = "secret")]
    field: String,
    /// The value.
    value: String,
}

/// How to apply a document.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct DocumentQuery {
    /// Only return what would change.
    #[serde(default)]
    dry_run: bool,
}

impl TenantDocument {
    fn of(spec: &TenantSpec, channels: &Channels) -> Self {
        let destination = |one: &DestinationSpec| DocumentDestination {
            id: one.id.clone(),
            channel: one.channel.clone(),
            settings: masked(channels, one),
        };
        Self {
            name: Some(spec.name.clone()),
            destinations: spec.destinations.iter().map(destination).collect(),
            routes: spec.routes.iter().map(ListedRoute::of).collect(),
            links: spec.links.clone(),
            templates: spec.templates.clone(),
            quotas: spec.quotas.clone(),
        }
    }

    /// The tenant's stored document after this one replaces `before`, and the values generated for
    /// it. `shares` is set for a test key, which keeps what both environments share if it omits it.
    fn over(
        &self,
        id: &str,
        before: Option<&TenantSpec>,
        channels: &Channels,
        shares: bool,
    ) -> Result<(TenantSpec, Vec<MadeValue>), ApiError> {
        let mut problems = Vec::new();
        let destination = |one: &DocumentDestination| {
            let DocumentDestination { id, channel, settings } = one.clone();
            let mut one = DestinationSpec { id, channel, fields: settings };
            let there = before.into_iter().flat_map(|before| &before.destinations);
            let mut old = there.filter(|old| old.id == one.id && old.channel == one.channel);
            if let Some((old, chosen)) = old.next().zip(channels.get(&one.channel)) {
                let change = SecretsChange { old: &old.fields, given: None };
                let restored = change.restore(&*chosen.channel, &mut one.fields);
                let place = format!("destination \"{}\"", one.id);
                let problem = |error: FieldError| Problem::new(&*place, error.field, error.message);
                problems.extend(restored.err().into_iter().flatten().map(problem));
            }
            one
        };
        let mut spec = TenantSpec {
            name: self.name.clone().unwrap_or_else(|| id.to_owned()),
            destinations: self.destinations.iter().map(destination).collect(),
            routes: self.routes.iter().cloned().map(ListedRoute::spec).collect(),
            links: self.links.clone(),
            templates: self.templates.clone(),
            quotas: self.quotas.clone(),
            ..TenantSpec::empty(id)
        };
        if !problems.is_empty() {
            return Err(DocumentPart::WHOLE.refuse(problems));
        }
        if let Some(before) = before.filter(|_| shares) {
            self.keep_shared(before, &mut spec);
        }
        let made = tenant::complete(&mut spec, before, channels);
        if let Some(before) = before {
            tenant::carry_over(before, &mut spec);
        }
        Ok((spec, made))
    }

    fn keep_shared(&self, before: &TenantSpec, spec: &mut TenantSpec) {
        if self.name.is_none() {
            spec.name.clone_from(&before.name);
        }
        if self.links.is_empty() {
            spec.links.clone_from(&before.links);
        }
        if self.templates.is_empty() {
            spec.templates.clone_from(&before.templates);
        }
    }
}

/// The whole document.
struct DocumentResource;

impl Resource for DocumentResource {
    fn name(&self) -> String {
        "document".to_owned()
    }

    fn whole(&self, spec: &TenantSpec) -> Option<Value> {
        let TenantSpec { name, destinations, routes, links, templates, quotas, .. } = spec;
        Some(json!([name, destinations, routes, links, templates, quotas]))
    }

    fn shown(&self, state: &ApiState, spec: &TenantSpec) -> Option<Value> {
        let mut shown =
            serde_json::to_value(TenantDocument::of(spec, state.registry.channels())).ok()?;
        // Templates are long, so the audit trail only shows that they changed.
        for (_, text) in shown["templates"].as_object_mut()? {
            let hash = Sha256::digest(text.as_str().unwrap_or_default());
            *text = format!("sha256 {}", hex::encode(&hash[..8])).into();
        }
        Some(shown)
    }
}

/// Get a tenant's configuration
///
/// Returns all destinations, routes, links and templates as one document, which you can change and
/// send back. Secrets are masked.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/document", operation_id = "get_document", tag = "Tenants", params(TenantPath),
    extensions(("x-fanfare-environment" = json!("own"))),
    security(("key" = ["reader"])), responses((status = 200, description = "The configuration.", body = TenantDocument)))]
pub(super) async fn get(
    scope: Scope<Read>,
    State(state): State<Arc<ApiState>>,
) -> Result<Response, ApiError> {
    let spec = load(&state, &scope).await?;
    let tag = edit::tag(&state, &DocumentResource, &spec).await?.unwrap_or_default();
    Ok(tagged(success(StatusCode::OK, TenantDocument::of(&spec, state.registry.channels())), &tag))
}

/// Replace a tenant's configuration
///
/// Deletes everything that the document does not contain. Sending the same document again changes
/// nothing. With `dry_run` the response only lists what would change. If the tenant does not exist,
/// an operator's key creates it. A masked secret keeps its value, unless the URL gets another scheme,
/// host or port: secrets must then be given again. A test key replaces test destinations and test
/// routes only.
#[utoipa::path(put, path = "/v1/tenants/{tenant}/document", operation_id = "replace_document", tag = "Tenants", params(TenantPath, DocumentQuery),
    request_body = TenantDocument,
    extensions(("x-fanfare-environment" = json!("own"))),
    security(("key" = ["admin"])),
    responses((status = 200, description = "What changed, or would change.", body = DocumentResult), (status = 201, description = "The tenant was created.", body = DocumentResult)))]
pub(super) async fn put(
    scope: Scope<Write>,
    State(state): State<Arc<ApiState>>,
    if_match: IfMatch,
    QueryParams(query): QueryParams<DocumentQuery>,
    Body(document): Body<TenantDocument>,
) -> Result<Response, ApiError> {
    let channels = state.registry.channels();
    let id = &*scope.tenant;
    let Some((old, _)) = tenant::stored(&state.store, id).await? else {
        return create(&scope, &state, &if_match, &query, &document).await;
    };
    let shares = !scope.principal.environment.is_live();
    if query.dry_run {
        let whole = old;
        let old = seen(&scope.principal, whole.clone());
        let tag = edit::tag(&state, &DocumentResource, &old).await?;
        if_match.check(tag.as_deref())?;
        let (new, _) = document.over(id, Some(&old), channels, shares)?;
        check_quotas(&scope, &old, &new)?;
        // What is stored was checked when it was written.
        if new != old {
            edit::check(&state, &DocumentResource, &old, &new).await?;
        }
        let (_, new) = written(&scope.principal, "apply", &whole, new)?;
        let applied = DocumentResult::of(id, tenant::changes(Some(&old), &new), Vec::new());
        return Ok(tagged(success(StatusCode::OK, applied), &tag.unwrap_or_default()));
    }
    let edited = edit(&state, &scope, DocumentResource, "apply", &if_match, |spec| {
        let (new, made) = document.over(id, Some(spec), channels, shares)?;
        check_quotas(&scope, spec, &new)?;
        let changes = tenant::changes(Some(spec), &new);
        *spec = new;
        Ok((changes, made))
    });
    let edited = edited.await?;
    let (changes, made) = edited.out;
    let response = DocumentResult::of(id, changes, made).answer(StatusCode::OK);
    Ok(tagged(response, &edited.tag.unwrap_or_default()))
}

/// Only an operator may change quotas.
fn check_quotas(caller: &Caller, old: &TenantSpec, new: &TenantSpec) -> Result<(), ApiError> {
    let set = |spec: &TenantSpec| spec.quotas.clone().unwrap_or_default();
    if set(old) == set(new) || caller.principal.may(Action::Operate) {
        return Ok(());
    }
    let message = "only an operator's key may change quotas; remove `quotas` from the document";
    Err(ApiError::new(StatusCode::FORBIDDEN, "forbidden", "forbidden", message))
}

async fn create(
    scope: &Scope<Write>,
    state: &ApiState,
    if_match: &IfMatch,
    query: &DocumentQuery,
    document: &TenantDocument,
) -> Result<Response, ApiError> {
    let id = &*scope.tenant;
    if !scope.principal.may(Action::Operate) {
        return Err(Denied::no_tenant(id).into());
    }
    scope.principal.require_live()?;
    tenants::check_new_id(id)?;
    if_match.check(None)?;
    let (spec, made) = document.over(id, None, state.registry.channels(), false)?;
    edit::check(state, &DocumentResource, &TenantSpec::empty(id), &spec).await?;
    let mut applied = DocumentResult::of(id, tenant::changes(None, &spec), Vec::new());
    applied.outcome = "created";
    if query.dry_run {
        return Ok(success(StatusCode::OK, applied));
    }
    let after = DocumentResource.shown(state, &spec).unwrap_or_default();
    let spec = tenants::insert(state, &scope.principal, spec, "document", after).await?;
    applied.shown_once = made.into_iter().map(GeneratedValue::of).collect();
    let tag = edit::tag(state, &DocumentResource, &spec).await?.unwrap_or_default();
    Ok(tagged(applied.answer(StatusCode::CREATED), &tag))
}

impl GeneratedValue {
    fn of(made: MadeValue) -> Self {
        let MadeValue { destination, field, value } = made;
        Self { destination, field, value }
    }
}

impl DocumentResult {
    fn of(id: &str, changes: Vec<String>, made: Vec<MadeValue>) -> Self {
        let outcome = if changes.is_empty() { "unchanged" } else { "changed" };
        let shown_once = made.into_iter().map(GeneratedValue::of).collect();
        Self { id: id.to_owned(), outcome, changes, shown_once }
    }

    fn answer(&self, status: StatusCode) -> Response {
        success_once(status, self, |data| {
            for one in data["shown_once"].as_array_mut().into_iter().flatten() {
                one["value"] = MASK.into();
            }
        })
    }
}
