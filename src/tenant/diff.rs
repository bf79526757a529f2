//! What a new document changes in the stored one. Changes are described without values, because
//! some values are secrets.

use super::stored_secrets::same_receiver;
use super::{Channels, DestinationSpec, Disabled, TenantSpec};
use crate::quota::Quota;
use fanfare_contract::LaneId;
use fanfare_routing::RouteSpec;

/// A generated value.
#[derive(Clone, PartialEq, Eq)]
pub struct MadeValue {
    /// The destination's id.
    pub destination: String,
    /// The field.
    pub field: String,
    /// The value, to be shown once.
    pub value: String,
}

/// Fills in values that the document omits: from the stored document, or generated. Returns the
/// generated ones. A destination with another receiver than before gets new values.
pub fn complete(
    spec: &mut TenantSpec,
    before: Option<&TenantSpec>,
    channels: &Channels,
) -> Vec<MadeValue> {
    let mut all = Vec::new();
    for destination in &mut spec.destinations {
        let Some(chosen) = channels.get(&destination.channel) else { continue };
        let mut fields = destination.fields.clone();
        let channel = &*chosen.channel;
        for made in chosen.channel.complete(&mut fields) {
            let old = before
                .and_then(|spec| spec.destinations.iter().find(|d| d.id == destination.id))
                .filter(|old| old.channel == destination.channel)
                .filter(|old| same_receiver(channel, &old.fields, &destination.fields))
                .and_then(|old| old.fields.get(made.field));
            match old {
                Some(old) => _ = fields.insert(made.field.to_owned(), old.clone()),
                None => all.push(MadeValue {
                    destination: destination.id.clone(),
                    field: made.field.to_owned(),
                    value: made.value,
                }),
            }
        }
        destination.fields = fields;
    }
    all
}

/// Copies what a file does not contain from `before` to the document that replaces it: which
/// destinations are paused, when they were repaired, which are disabled and did not change, and the
/// quotas unless the file sets them.
pub fn carry_over(before: &TenantSpec, spec: &mut TenantSpec) {
    let find = |spec: &TenantSpec, id: &str| -> Option<DestinationSpec> {
        spec.destinations.iter().find(|one| one.id == id).cloned()
    };
    let is_same = |lane: &LaneId| {
        let id = lane.destination();
        find(before, id).is_some_and(|old| find(spec, id) == Some(old))
    };
    let disabled = before.disabled.iter().filter(|(lane, _)| is_same(lane));
    let disabled = disabled.map(|(lane, why): (&LaneId, &Disabled)| (lane.clone(), why.clone()));
    let disabled = disabled.collect();
    let there = |id: &&String| spec.destinations.iter().any(|one| one.id == **id);
    let held = before.held.iter().filter(there).cloned().collect();
    spec.disabled = disabled;
    spec.held = held;
    spec.repaired.clone_from(&before.repaired);
    spec.journal.clone_from(&before.journal);
    spec.notify_in_batches = before.notify_in_batches;
    if spec.quotas.is_none() {
        spec.quotas.clone_from(&before.quotas);
    }
}

/// The changes, one line each.
pub fn changes(before: Option<&TenantSpec>, now: &TenantSpec) -> Vec<String> {
    let mut lines = Vec::new();
    let empty = TenantSpec { name: String::new(), ..TenantSpec::empty(&now.id) };
    let before = before.unwrap_or(&empty);
    if before.name != now.name {
        lines.push(format!("~ name: {}", now.name));
    }
    for new in &now.destinations {
        match before.destinations.iter().find(|old| old.id == new.id) {
            None => lines.push(format!("+ destination {} ({})", new.id, new.channel)),
            Some(old) if old != new => {
                lines.push(format!("~ destination {}: {}", new.id, changed_fields(old, new)));
            }
            Some(_) => {}
        }
    }
    for old in &before.destinations {
        if !now.destinations.iter().any(|new| new.id == old.id) {
            lines.push(format!("- destination {}", old.id));
        }
    }
    let added = now.routes.iter().filter(|route| !before.routes.contains(route));
    lines.extend(added.map(|route| format!("+ {}", shown(route))));
    let removed = before.routes.iter().filter(|route| !now.routes.contains(route));
    lines.extend(removed.map(|route| format!("- {}", shown(route))));
    if lines.is_empty()
        && (&before.destinations, &before.routes) != (&now.destinations, &now.routes)
    {
        lines.push("~ order".to_owned());
    }
    if before.templates != now.templates {
        lines.push("~ templates".to_owned());
    }
    if before.links != now.links {
        lines.push("~ links".to_owned());
    }
    if now.quotas.is_some() {
        let quota = |quotas: &TenantSpec, quota| quotas.quotas.as_ref()?.get(&quota).copied();
        let changed = Quota::ALL.into_iter().filter(|one| quota(before, *one) != quota(now, *one));
        let changed: Vec<&str> = changed.map(Quota::name).collect();
        if !changed.is_empty() {
            lines.push(format!("~ quotas: {}", changed.join(", ")));
        }
    }
    lines
}

fn shown(route: &RouteSpec) -> String {
    let filter = if route.when.is_some() { " (filtered)" } else { "" };
    let mut events = route.events.join(", ");
    if !route.except.is_empty() {
        events = format!("{events} except {}", route.except.join(", "));
    }
    let off = if route.enabled { "" } else { " (disabled)" };
    format!("route {events}{filter} → {}{off}", route.to.join(", "))
}

fn changed_fields(old: &DestinationSpec, new: &DestinationSpec) -> String {
    let other = old.fields.iter().filter(|(key, value)| new.fields.get(*key) != Some(value));
    let added = new.fields.keys().filter(|key| !old.fields.contains_key(*key));
    let mut fields: Vec<&str> =
        other.map(|(key, _)| key.as_str()).chain(added.map(String::as_str)).collect();
    if old.channel != new.channel {
        fields.push("channel");
    }
    fields.join(", ")
}
