//! Destinations: the places of a tenant that can be notified.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::{PageQuery, check_limit};
use crate::api::ApiState;
use crate::api::answer::{ApiError, Detail, success};
use crate::api::body::{Body, Ids, Params};
use crate::api::edit::{Edited, Resource, compiled, edit, load, tag};
use crate::api::etag::{IfMatch, tagged};
use crate::api::idempotency::MASK;
use crate::api::page::Page;
use crate::api::problem::Part;
use crate::api::scope::{Read, Scope, Write};
use crate::api::secret::{keep_masked, merge};
use crate::tenant::{Channels, DestinationSpec, Tenant, TenantSpec};

/// A destination.
#[derive(Serialize, ToSchema)]
pub(super) struct Destination {
    /// 1 to 64 of `a-z 0-9 - _`.
    #[schema(example = "backoffice")]
    id: String,
    /// `webhook`, `email`, `slack` or `poll`.
    #[schema(example = "webhook")]
    channel: String,
    /// The channel's settings and the options of every destination, as in tenant files. Secrets are
    /// masked: 28 `*` and the last 4.
    #[schema(value_type = Object, example = json!({"url": "https://hooks.acme.example/kyc", "secret": "****************************1a2b", "rate": "10/s"}))]
    settings: Map<String, Value>,
    /// Whether events for it are sent.
    state: DestinationState,
    /// Why and since when, if it is disabled.
    #[serde(skip_serializing_if = "Option::is_none")]
    disabled: Option<Disabled>,
    /// What was made rather than given, by field: shown whole in this one answer.
    #[serde(skip_serializing_if = "Map::is_empty")]
    #[schema(value_type = Option<Object>)]
    shown_once: Map<String, Value>,
    /// In lists: its receivers, with what waits for each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    lanes: Vec<LaneLine>,
}

/// A receiver: an email destination has several.
#[derive(Serialize, ToSchema)]
struct LaneLine {
    /// The destination's id; with `~` and a suffix for one of several.
    #[schema(example = "backoffice")]
    id: String,
    /// Where to, without secrets: a host, a masked address.
    #[schema(example = "hooks.acme.example")]
    to: String,
    /// How many deliveries wait.
    waiting: u64,
}

/// Whether events for a destination are sent.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum DestinationState {
    /// They are.
    Active,
    /// They wait.
    Paused,
    /// They are suppressed.
    Disabled,
}

/// Why a destination is disabled.
#[derive(Serialize, ToSchema)]
struct Disabled {
    /// The failure's code.
    #[schema(example = "http_410")]
    reason: String,
    /// What happened, and what would mend it.
    message: String,
    /// Since when, in Unix milliseconds.
    at_ms: Option<i64>,
}

/// A destination to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewDestination {
    /// 1 to 64 of `a-z 0-9 - _`; made when left out.
    #[schema(pattern = "^[a-z0-9_-]{1,64}$", example = "backoffice")]
    id: Option<String>,
    /// `webhook`, `email`, `slack` or `poll`.
    #[schema(example = "webhook")]
    channel: String,
    /// The channel's settings and the options of every destination, as in tenant files.
    #[schema(value_type = Object, example = json!({"url": "https://hooks.acme.example/kyc"}))]
    settings: Map<String, Value>,
}

/// A destination as it shall be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DestinationBody {
    /// `webhook`, `email`, `slack` or `poll`.
    #[schema(example = "webhook")]
    channel: String,
    /// All settings. A secret that is sent back masked stays as it is.
    #[schema(value_type = Object, example = json!({"url": "https://hooks.acme.example/kyc", "secret": "****************************1a2b"}))]
    settings: Map<String, Value>,
}

/// What shall be different of a destination.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DestinationPatch {
    /// A JSON merge patch (RFC 7396): what is left out stays, null takes away.
    #[schema(value_type = Object, example = json!({"rate": "5/s", "timeout": null}))]
    settings: Map<String, Value>,
}

/// One destination of the document.
pub(super) struct One<'a>(pub(super) &'a str);

impl One<'_> {
    fn find<'s>(&self, spec: &'s TenantSpec) -> Option<&'s DestinationSpec> {
        spec.destinations.iter().find(|destination| destination.id == self.0)
    }
}

impl Resource for One<'_> {
    fn name(&self) -> String {
        format!("destinations/{}", self.0)
    }

    fn whole(&self, spec: &TenantSpec) -> Option<Value> {
        let destination = self.find(spec)?;
        let held = spec.held.contains(self.0);
        let disabled = spec.disabled.iter().filter(|(lane, _)| lane.destination() == self.0);
        let disabled: Vec<_> = disabled.collect();
        Some(json!({"destination": destination, "held": held, "disabled": disabled}))
    }

    fn shown(&self, state: &ApiState, spec: &TenantSpec) -> Option<Value> {
        let shown = Destination::of(spec, self.find(spec)?, state.registry.channels());
        serde_json::to_value(shown).ok()
    }

    fn part(&self, _: &TenantSpec) -> Part {
        let place = format!("destination \"{}\"", self.0);
        Part { place, prefix: "settings.", bare: &["id", "channel"] }
    }
}

impl Destination {
    pub(super) fn of(spec: &TenantSpec, one: &DestinationSpec, channels: &Channels) -> Self {
        let is = |name: &str, or: bool| one.fields.get(name).and_then(Value::as_bool).unwrap_or(or);
        let disabled = spec.disabled.get(one.id.as_str()).map(|disabled| Disabled {
            reason: disabled.reason.clone(),
            message: disabled.message.clone(),
            at_ms: Some(disabled.at_ms),
        });
        let disabled = disabled.or_else(|| {
            (!is("enabled", true)).then(|| Disabled {
                reason: "by its settings".to_owned(),
                message: "`enabled` is false".to_owned(),
                at_ms: None,
            })
        });
        let paused = is("paused", false) || spec.held.contains(&one.id);
        let state = match (&disabled, paused) {
            (Some(_), _) => DestinationState::Disabled,
            (None, true) => DestinationState::Paused,
            (None, false) => DestinationState::Active,
        };
        let settings = masked(channels, one);
        let (id, channel) = (one.id.clone(), one.channel.clone());
        let (shown_once, lanes) = (Map::new(), Vec::new());
        Self { id, channel, settings, state, disabled, shown_once, lanes }
    }
}

/// A destination's settings as they may be shown; nothing of a channel that is not known.
pub(super) fn masked(channels: &Channels, one: &DestinationSpec) -> Map<String, Value> {
    let chosen = channels.get(&one.channel);
    chosen.map(|chosen| chosen.channel.masked(&one.fields)).unwrap_or_default()
}

/// Fills in what is made rather than given; answers it for showing it once.
pub(super) fn complete(channels: &Channels, one: &mut DestinationSpec) -> Map<String, Value> {
    let Some(chosen) = channels.get(&one.channel) else { return Map::new() };
    let made = chosen.channel.complete(&mut one.fields);
    made.into_iter().map(|made| (made.field.to_owned(), made.value.into())).collect()
}

/// List destinations
#[utoipa::path(get, path = "/v1/tenants/{tenant}/destinations", tag = "Destinations", params(super::TenantPath, PageQuery),
    security(("key" = ["reader"])), responses((status = 200, description = "In the order of the document.", body = Page<Destination>)))]
pub(super) async fn list(
    scope: Scope<Read>,
    State(state): State<Arc<ApiState>>,
    Params(query): Params<PageQuery>,
) -> Result<Response, ApiError> {
    check_limit(query.limit)?;
    let (spec, _) = load(&state, &scope.tenant).await?;
    let mut all: Vec<_> = spec.destinations.iter().collect();
    all.sort_by(|a, b| a.id.cmp(&b.id));
    let channels = state.registry.channels();
    let shown = all.into_iter().map(|one| Destination::of(&spec, one, channels));
    let mut page = Page::cut(shown, query.cursor.as_deref(), query.limit, |one| one.id.clone());
    // A document that cannot be used has no receivers.
    if let Ok(tenant) = compiled(&state, &spec) {
        for one in &mut page.data {
            one.lanes = lanes(&state, &tenant, &one.id).await?;
        }
    }
    Ok(success(StatusCode::OK, page))
}

async fn lanes(state: &ApiState, tenant: &Tenant, id: &str) -> Result<Vec<LaneLine>, ApiError> {
    let target = tenant.targets.iter().find(|target| *target.id == *id);
    let mut lines = Vec::new();
    for lane in target.into_iter().flat_map(|target| &target.lanes) {
        let waiting = state.store.agenda.waiting(&lane.key).await?;
        let id = lane.key.id.to_string();
        lines.push(LaneLine { id, to: lane.label.clone(), waiting });
    }
    Ok(lines)
}

/// Create a destination
///
/// A webhook without a secret gets one, shown whole in this one answer.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/destinations", tag = "Destinations", params(super::TenantPath),
    request_body = NewDestination, security(("key" = ["admin"])),
    responses((status = 201, description = "It is there.", body = Destination)))]
pub(super) async fn create(
    scope: Scope<Write>,
    State(state): State<Arc<ApiState>>,
    Body(new): Body<NewDestination>,
) -> Result<Response, ApiError> {
    let id = new.id.unwrap_or_else(|| format!("{}-{:08x}", new.channel, rand::random::<u32>()));
    let given = DestinationSpec { id: id.clone(), channel: new.channel, fields: new.settings };
    let channels = state.registry.channels();
    let edited = edit(&state, &scope, One(&id), "create", &IfMatch::No, |spec| {
        if spec.destinations.iter().any(|there| there.id == id) {
            let message = format!("there is a destination `{id}` already");
            return Err(ApiError::conflict("exists", message));
        }
        let mut one = given.clone();
        let made = complete(channels, &mut one);
        spec.destinations.push(one);
        Ok(made)
    });
    let edited = edited.await?;
    answer(&state, &id, edited)
}

/// Get a destination
#[utoipa::path(get, path = "/v1/tenants/{tenant}/destinations/{destination}", tag = "Destinations", params(super::DestinationPath),
    security(("key" = ["reader"])), responses((status = 200, description = "The destination.", body = Destination)))]
pub(super) async fn get(
    scope: Scope<Read>,
    State(state): State<Arc<ApiState>>,
    Ids((_, id)): Ids<(String, String)>,
) -> Result<Response, ApiError> {
    let (spec, _) = load(&state, &scope.tenant).await?;
    let Some(tag) = tag(&state, &One(&id), &spec).await? else {
        return Err(ApiError::not_found("destination", &id));
    };
    Ok(tagged(success(StatusCode::OK, One(&id).shown(&state, &spec)), &tag))
}

/// Put a destination
///
/// Makes it, or replaces all of it.
#[utoipa::path(put, path = "/v1/tenants/{tenant}/destinations/{destination}", tag = "Destinations", params(super::DestinationPath),
    request_body = DestinationBody, security(("key" = ["admin"])),
    responses((status = 200, description = "As it is now.", body = Destination), (status = 201, description = "It was made.", body = Destination)))]
pub(super) async fn put(
    scope: Scope<Write>,
    State(state): State<Arc<ApiState>>,
    if_match: IfMatch,
    Ids((_, id)): Ids<(String, String)>,
    Body(body): Body<DestinationBody>,
) -> Result<Response, ApiError> {
    let channels = state.registry.channels();
    let edited = edit(&state, &scope, One(&id), "update", &if_match, |spec| {
        let mut fields = body.settings.clone();
        let mut one =
            DestinationSpec { id: id.clone(), channel: body.channel.clone(), fields: Map::new() };
        let old = spec.destinations.iter_mut().find(|there| there.id == id);
        let old = old.filter(|there| there.channel == body.channel);
        if let Some(old) = &old {
            keep_masked(&mut fields, &masked(channels, old), &old.fields);
        }
        one.fields = fields;
        let made = complete(channels, &mut one);
        match spec.destinations.iter_mut().find(|there| there.id == id) {
            Some(there) => {
                // As in files: what was changed is thought to be mended.
                let is_changed = *there != one;
                *there = one;
                if is_changed {
                    forget_disabled(spec, &id);
                }
            }
            None => spec.destinations.push(one),
        }
        Ok(made)
    });
    let edited = edited.await?;
    answer(&state, &id, edited)
}

/// Change a destination
///
/// A JSON merge patch of its settings.
#[utoipa::path(patch, path = "/v1/tenants/{tenant}/destinations/{destination}", tag = "Destinations", params(super::DestinationPath),
    request_body = DestinationPatch, security(("key" = ["admin"])),
    responses((status = 200, description = "As it is now.", body = Destination)))]
pub(super) async fn patch(
    scope: Scope<Write>,
    State(state): State<Arc<ApiState>>,
    if_match: IfMatch,
    Ids((_, id)): Ids<(String, String)>,
    Body(body): Body<DestinationPatch>,
) -> Result<Response, ApiError> {
    let channels = state.registry.channels();
    let edited = edit(&state, &scope, One(&id), "update", &if_match, |spec| {
        let found = spec.destinations.iter_mut().find(|there| there.id == id);
        let one = found.ok_or_else(|| ApiError::not_found("destination", &id))?;
        let (shown, old) = (masked(channels, one), one.fields.clone());
        merge(&mut one.fields, &body.settings);
        keep_masked(&mut one.fields, &shown, &old);
        let made = complete(channels, one);
        if one.fields != old {
            forget_disabled(spec, &id);
        }
        Ok(made)
    });
    let edited = edited.await?;
    answer(&state, &id, edited)
}

/// Delete a destination
///
/// It is taken out of the routes as well; a route that leads nowhere then is deleted. What waits for
/// it is suppressed.
#[utoipa::path(delete, path = "/v1/tenants/{tenant}/destinations/{destination}", tag = "Destinations", params(super::DestinationPath),
    security(("key" = ["admin"])), responses((status = 204, description = "It is gone.")))]
pub(super) async fn delete(
    scope: Scope<Write>,
    State(state): State<Arc<ApiState>>,
    if_match: IfMatch,
    Ids((_, id)): Ids<(String, String)>,
) -> Result<StatusCode, ApiError> {
    let edited = edit(&state, &scope, One(&id), "delete", &if_match, |spec| {
        if One(&id).find(spec).is_none() {
            return Err(ApiError::not_found("destination", &id));
        }
        remove(spec, &id);
        Ok(())
    });
    edited.await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes a destination out of a document, and out of its routes.
pub(super) fn remove(spec: &mut TenantSpec, id: &str) {
    spec.destinations.retain(|there| there.id != id);
    for route in &mut spec.routes {
        route.to.retain(|to| to != id);
    }
    spec.routes.retain(|route| !route.to.is_empty());
    spec.held.remove(id);
    forget_disabled(spec, id);
}

/// Forgets why a destination, or a receiver of it, was disabled.
fn forget_disabled(spec: &mut TenantSpec, id: &str) {
    spec.disabled.retain(|lane, _| lane.destination() != id);
}

/// Whether its settings let events through.
pub(super) fn is_enabled(one: &DestinationSpec) -> bool {
    one.fields.get("enabled").and_then(Value::as_bool).unwrap_or(true)
}

/// Sends to it again, and to all its receivers.
pub(super) fn enable(spec: &mut TenantSpec, id: &str) {
    forget_disabled(spec, id);
    let one = spec.destinations.iter_mut().find(|one| one.id == id);
    one.map(|one| one.fields.shift_remove("enabled"));
}

/// The destination as it is now; what was made is shown in this answer, and not when it is given
/// again for the same idempotency key.
pub(super) fn answer(
    state: &ApiState,
    id: &str,
    edited: Edited<Map<String, Value>>,
) -> Result<Response, ApiError> {
    let one = One(id).find(&edited.spec).ok_or_else(|| ApiError::not_found("destination", id))?;
    let mut shown = Destination::of(&edited.spec, one, state.registry.channels());
    shown.shown_once = edited.out;
    let status = if edited.created { StatusCode::CREATED } else { StatusCode::OK };
    let response = super::success_once(status, &shown, |data| {
        let once = data.get_mut("shown_once").and_then(Value::as_object_mut);
        once.into_iter().flat_map(Map::values_mut).for_each(|value| *value = MASK.into());
    });
    Ok(tagged(response, &edited.tag.unwrap_or_default()))
}

/// A detail about one setting.
pub(super) fn setting(field: &str, message: &str) -> ApiError {
    ApiError::fields(vec![Detail::new(field, message)])
}
