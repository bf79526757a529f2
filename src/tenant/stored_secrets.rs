//! What happens to a destination's stored secrets when its settings change.
//!
//! Secrets are shown masked. A masked value that is sent back stands for the stored one, but only
//! as long as the destination has the same receiver (scheme, host and port). Otherwise a person who
//! may change a URL, and not see its secrets, could have them sent to a server of their own. With a
//! new receiver, every secret that is sent must be given again. A signing secret is never sent. If
//! it is omitted, a new one is generated, so that the old receiver cannot sign for the new one.

use fanfare_contract::{Channel, FieldError};
use serde_json::{Map, Value};

/// Masked values contain at least this many `*` in a row.
const MASK: &str = "********";

/// A change of one destination's settings.
pub struct SecretsChange<'a> {
    /// The stored settings.
    pub old: &'a Map<String, Value>,
    /// The fields that the request gives, if it gives only some. `None` if it gives all of them.
    pub given: Option<&'a Map<String, Value>>,
}

impl SecretsChange<'_> {
    /// Replaces the masked values in `new` by the stored ones. Fails with the secrets that have to
    /// be given again.
    pub fn restore(
        &self,
        channel: &dyn Channel,
        new: &mut Map<String, Value>,
    ) -> Result<(), Vec<FieldError>> {
        let shown = channel.masked(self.old);
        let mut restored = new.clone();
        keep_masked(&mut restored, &shown, self.old, "", &mut Vec::new());
        if channel.receiver(self.old) == channel.receiver(&restored) {
            *new = restored;
            return Ok(());
        }
        for field in channel.signing_fields() {
            if self.given.is_some_and(|given| !given.contains_key(*field)) {
                new.shift_remove(*field);
            }
        }
        let mut kept = Vec::new();
        keep_masked(new, &shown, self.old, "", &mut kept);
        let error = |field: String| {
            let signs = channel.signing_fields().iter().any(|signing| {
                field
                    .strip_prefix(signing)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            });
            let or = if signs { ", or leave it out to get a new one" } else { "" };
            let message = format!(
                "must be given again{or}: the URL has another scheme, host or port than before, and \
                 stored secrets are not sent to a new receiver"
            );
            FieldError::new(field, message)
        };
        if kept.is_empty() { Ok(()) } else { Err(kept.into_iter().map(error).collect()) }
    }
}

/// Wherever `new` repeats what was `shown`, it gets the value of `old`. Collects the paths of the
/// values that were masked.
fn keep_masked(
    new: &mut Map<String, Value>,
    shown: &Map<String, Value>,
    old: &Map<String, Value>,
    at: &str,
    kept: &mut Vec<String>,
) {
    for (key, value) in new {
        if let (Some(shown), Some(old)) = (shown.get(key), old.get(key)) {
            keep(value, shown, old, &format!("{at}{key}"), kept);
        }
    }
}

fn keep(new: &mut Value, shown: &Value, old: &Value, at: &str, kept: &mut Vec<String>) {
    match (&mut *new, shown, old) {
        (Value::Object(new), Value::Object(shown), Value::Object(old)) => {
            keep_masked(new, shown, old, &format!("{at}."), kept);
        }
        (Value::Array(new), Value::Array(shown), Value::Array(old)) if new.len() == old.len() => {
            for (nth, ((new, shown), old)) in new.iter_mut().zip(shown).zip(old).enumerate() {
                keep(new, shown, old, &format!("{at}.{nth}"), kept);
            }
        }
        (new, shown, old) if new == shown && shown != old => {
            *new = old.clone();
            kept.push(at.to_owned());
        }
        _ => {}
    }
}

/// Whether a change of a destination from `old` to `new` keeps its receiver.
pub(super) fn same_receiver(
    channel: &dyn Channel,
    old: &Map<String, Value>,
    new: &Map<String, Value>,
) -> bool {
    channel.receiver(old) == channel.receiver(new)
}

/// The masked values of a changed destination that stand for no stored secret.
pub(super) fn masked_values(
    channel: &dyn Channel,
    old: Option<&Map<String, Value>>,
    new: &Map<String, Value>,
) -> Vec<FieldError> {
    let mut found = Vec::new();
    for field in channel.secret_fields() {
        if let Some(value) = new.get(*field) {
            masks(value, old.and_then(|old| old.get(*field)), field, &mut found);
        }
    }
    found
}

/// Collects masked values that stand for no stored secret.
fn masks(value: &Value, old: Option<&Value>, at: &str, found: &mut Vec<FieldError>) {
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                masks(value, old.and_then(|old| old.get(key)), &format!("{at}.{key}"), found);
            }
        }
        Value::Array(list) => {
            for (nth, value) in list.iter().enumerate() {
                masks(value, old.and_then(|old| old.get(nth)), &format!("{at}.{nth}"), found);
            }
        }
        Value::String(text) if text.contains(MASK) && old != Some(value) => {
            let message = "is masked, and this destination has no such secret to keep; give the \
                           whole value";
            found.push(FieldError::new(at, message));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests;
