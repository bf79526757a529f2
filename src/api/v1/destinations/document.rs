//! Destinations in a tenant's document: how they are found, masked, completed, enabled and removed.

use serde_json::{Map, Value, json};

use super::shapes::Destination;
use crate::api::answer::{ApiError, Detail};
use crate::api::edit::Resource;
use crate::api::problem::DocumentPart;
use crate::api::state::ApiState;
use crate::tenant::{Channels, DestinationSpec, SecretsChange, TenantSpec};
use fanfare_contract::FieldError;

/// One destination of a document, by id.
pub(in crate::api::v1) struct DestinationResource<'a>(pub(in crate::api::v1) &'a str);

impl DestinationResource<'_> {
    pub(super) fn find<'s>(&self, spec: &'s TenantSpec) -> Option<&'s DestinationSpec> {
        spec.destinations.iter().find(|destination| destination.id == self.0)
    }
}

impl Resource for DestinationResource<'_> {
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

    fn part(&self, _: &TenantSpec) -> DocumentPart {
        let place = format!("destination \"{}\"", self.0);
        DocumentPart { place, prefix: "settings.", bare: &["id", "channel"] }
    }
}

/// A destination's settings with secrets masked. Empty if the channel is unknown.
pub(in crate::api::v1) fn masked(channels: &Channels, one: &DestinationSpec) -> Map<String, Value> {
    let chosen = channels.get(&one.channel);
    chosen.map(|chosen| chosen.channel.masked(&one.fields)).unwrap_or_default()
}

/// Generates missing settings such as a webhook's secret. Returns what was generated, by field.
pub(in crate::api::v1) fn complete(
    channels: &Channels,
    one: &mut DestinationSpec,
) -> Map<String, Value> {
    let Some(chosen) = channels.get(&one.channel) else { return Map::new() };
    let made = chosen.channel.complete(&mut one.fields);
    made.into_iter().map(|made| (made.field.to_owned(), made.value.into())).collect()
}

/// Replaces the masked values of changed settings by the stored ones. `given` are the settings that
/// a patch gives. Fails if stored secrets would be sent to a new receiver.
pub(super) fn keep_secrets(
    channels: &Channels,
    old: &DestinationSpec,
    given: Option<&Map<String, Value>>,
    new: &mut DestinationSpec,
) -> Result<(), ApiError> {
    let Some(chosen) = channels.get(&old.channel) else { return Ok(()) };
    let restored =
        SecretsChange { old: &old.fields, given }.restore(&*chosen.channel, &mut new.fields);
    restored.map_err(|errors| {
        let detail =
            |error: FieldError| Detail::new(format!("settings.{}", error.field), error.message);
        ApiError::fields(errors.into_iter().map(detail).collect())
    })
}

/// Removes a destination from a document, and from its routes.
pub(in crate::api::v1) fn remove(spec: &mut TenantSpec, id: &str) {
    spec.destinations.retain(|one| one.id != id);
    for route in &mut spec.routes {
        route.to.retain(|to| to != id);
    }
    spec.routes.retain(|route| !route.to.is_empty());
    spec.held.remove(id);
    forget_disabled(spec, id);
}

/// Forgets why a destination and its recipients were disabled.
pub(super) fn forget_disabled(spec: &mut TenantSpec, id: &str) {
    spec.disabled.retain(|lane, _| lane.destination() != id);
}

/// Whether a destination's settings allow it to receive events.
pub(in crate::api::v1) fn is_enabled(one: &DestinationSpec) -> bool {
    one.fields.get("enabled").and_then(Value::as_bool).unwrap_or(true)
}

/// Enables a destination and all its recipients.
pub(in crate::api::v1) fn enable(spec: &mut TenantSpec, id: &str) {
    forget_disabled(spec, id);
    let one = spec.destinations.iter_mut().find(|one| one.id == id);
    one.map(|one| one.fields.shift_remove("enabled"));
}
