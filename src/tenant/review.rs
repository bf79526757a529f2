//! What a document must satisfy when it is written, beyond compiling.
//!
//! Only parts that change are reviewed. What an earlier version stored stays in effect, so that an
//! upgrade stops no tenant and a change of one destination does not fail because of another one.

use fanfare_contract::{FieldError, check_display_text};
use serde_json::Value;

use super::stored_secrets::masked_values;
use super::{Channels, DestinationSpec, Problem, TenantSpec};
use crate::event::reserved_tenant_id;
use fanfare_routing::RouteSpec;

/// Everything wrong with the parts of a document that differ from the stored one.
pub fn review(spec: &TenantSpec, before: Option<&TenantSpec>, channels: &Channels) -> Vec<Problem> {
    let mut problems = Vec::new();
    if before.is_none()
        && let Some(message) = reserved_tenant_id(&spec.id)
    {
        problems.push(Problem::new("tenant", "id", message));
    }
    if before.is_none_or(|before| before.name != spec.name) {
        problems.extend(text("tenant", "name", &spec.name));
    }
    if before.is_none_or(|before| before.links != spec.links) {
        for (name, url) in &spec.links {
            problems.extend(text("links", name, name).or_else(|| text("links", name, url)));
        }
    }
    let stored = |one: &DestinationSpec| before.is_some_and(|all| all.destinations.contains(one));
    for one in spec.destinations.iter().filter(|one| !stored(one)) {
        let place = format!("destination \"{}\"", one.id);
        let old = before.and_then(|all| {
            let same = |old: &&DestinationSpec| old.id == one.id && old.channel == one.channel;
            all.destinations.iter().find(same)
        });
        problems.extend(
            destination(one, old, channels)
                .into_iter()
                .map(|FieldError { field, message }| Problem::new(place.clone(), field, message)),
        );
    }
    let stored = |one: &RouteSpec| before.is_some_and(|all| all.routes.contains(one));
    for (nth, one) in spec.routes.iter().enumerate().filter(|(_, one)| !stored(one)) {
        let place = format!("route {}", nth + 1);
        let texts = [("id", &one.id), ("name", &one.name)];
        let texts = texts.iter().filter_map(|(field, text)| Some((*field, text.as_ref()?)));
        problems.extend(texts.filter_map(|(field, value)| text(&place, field, value)));
    }
    problems
}

fn destination(
    one: &DestinationSpec,
    old: Option<&DestinationSpec>,
    channels: &Channels,
) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let old = old.map(|old| &old.fields);
    let name =
        one.fields.get("name").filter(|name| old.and_then(|old| old.get("name")) != Some(name));
    if let Some(Err(message)) = name.and_then(Value::as_str).map(check_display_text) {
        errors.push(FieldError::new("name", message));
    }
    if let Some(chosen) = channels.get(&one.channel) {
        errors.extend(chosen.channel.objections(old, &one.fields));
        let known: Vec<String> = errors.iter().map(|error| error.field.clone()).collect();
        let masked = masked_values(&*chosen.channel, old, &one.fields).into_iter();
        errors.extend(masked.filter(|error| !known.contains(&error.field)));
    }
    errors
}

/// The problem of a text for people.
fn text(place: &str, field: &str, text: &str) -> Option<Problem> {
    let message = check_display_text(text).err()?;
    // The field can be the text itself, such as a link's name.
    Some(Problem::new(place, field.escape_debug().to_string(), message))
}
