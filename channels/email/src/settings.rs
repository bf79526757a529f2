//! A destination's settings: `to`, and optionally `from` and `reply_to`.
//!
//! Each recipient is a lane of its own. So a bad mailbox neither delays nor repeats the mail of the
//! other recipients.

use std::collections::HashSet;
use std::sync::Arc;

use fanfare_contract::{FieldError, PreparedLane, unknown_setting};
use lettre::Address;
use lettre::message::Mailbox;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::address;
use crate::senders::Senders;

/// Maximum number of recipients of one destination.
const MAX_RECIPIENTS: usize = 100;
const FIELDS: [&str; 3] = ["to", "from", "reply_to"];

/// A lane that is ready for attempts.
#[derive(Clone)]
pub(crate) struct Recipient {
    pub(crate) to: Mailbox,
    pub(crate) from: Mailbox,
    pub(crate) reply_to: Option<Mailbox>,
    /// Why the operator does not allow `from`.
    pub(crate) refused_sender: Option<String>,
}

/// The operator's defaults for a destination.
#[derive(Clone, Copy)]
pub(crate) struct Defaults<'a> {
    pub(crate) from: &'a Mailbox,
    pub(crate) senders: &'a Senders,
    pub(crate) reply_to: Option<&'a Mailbox>,
}

/// Checks and prepares the settings. Returns all errors together.
pub(crate) fn prepare(
    settings: &Map<String, Value>,
    defaults: Defaults<'_>,
) -> Result<Vec<PreparedLane>, Vec<FieldError>> {
    let mut errors = unknown_fields(settings);
    let to = recipients(settings.get("to"), &mut errors);
    let from = optional(settings, "from", &mut errors, |text| sender(text, defaults.from));
    let reply_to = optional(settings, "reply_to", &mut errors, address::parse);
    if !errors.is_empty() {
        return Err(errors);
    }
    // The operator's own address needs no permission.
    let refused_sender = from.as_ref().and_then(|from| refusal(from, defaults));
    let from = from.unwrap_or_else(|| defaults.from.clone());
    let reply_to = reply_to.or_else(|| defaults.reply_to.cloned());
    let mut taken = HashSet::new();
    Ok(to
        .into_iter()
        .map(|to| PreparedLane {
            pace: None,
            suffix: Some(suffix(&to.email, &mut taken)),
            label: address::masked(&to.email),
            settings: Arc::new(Recipient {
                to,
                from: from.clone(),
                reply_to: reply_to.clone(),
                refused_sender: refused_sender.clone(),
            }),
        })
        .collect())
}

/// What new settings must not have, although destinations that were stored with it are still
/// prepared: deceptive names, and a sender that the operator does not allow. Fields that do not parse
/// have their errors elsewhere.
pub(crate) fn objections(
    before: Option<&Map<String, Value>>,
    settings: &Map<String, Value>,
    defaults: Defaults<'_>,
) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut refuse = |field: String, message| errors.push(FieldError::new(field, message));
    for field in ["from", "reply_to", "to"] {
        let (texts, one): (&[Value], bool) = match settings.get(field) {
            Some(Value::Array(texts)) => (texts, false),
            Some(text) => (std::slice::from_ref(text), true),
            None => continue,
        };
        if before.and_then(|before| before.get(field)) == settings.get(field) {
            continue;
        }
        for (index, text) in texts.iter().enumerate() {
            let Some(text) = text.as_str() else { continue };
            let Ok(mailbox) = sender(text, defaults.from) else { continue };
            let field = if one { field.to_owned() } else { format!("{field}.{index}") };
            match address::review_name(&mailbox) {
                Err(message) => refuse(field, message),
                Ok(()) if field == "from" => {
                    _ = refusal(&mailbox, defaults).map(|message| refuse(field, message));
                }
                Ok(()) => {}
            }
        }
    }
    errors
}

/// The settings as a JSON Schema.
pub(crate) fn schema() -> Value {
    json!({
        "type": "object",
        "required": ["to"],
        "properties": {
            "to": {
                "description": "The recipients. Each gets its own message.",
                "oneOf": [
                    {"type": "string"},
                    {
                        "type": "array", "minItems": 1, "maxItems": MAX_RECIPIENTS,
                        "items": {"type": "string"},
                    },
                ],
                "example": ["compliance@acme.example"],
            },
            "from": {
                "type": "string",
                "description": "The sender: an address that the server allows, or only a name. The \
                                default is the server's sender.",
            },
            "reply_to": {"type": "string", "description": "Where replies go."},
        },
    })
}

/// Why the operator does not allow a sender.
fn refusal(from: &Mailbox, defaults: Defaults<'_>) -> Option<String> {
    let allowed = from.email == defaults.from.email || defaults.senders.allow(from);
    (!allowed).then(|| defaults.senders.refusal(from))
}

fn unknown_fields(settings: &Map<String, Value>) -> Vec<FieldError> {
    let unknown = settings.keys().filter(|key| !FIELDS.contains(&key.as_str()));
    unknown
        .map(|key| FieldError::new(key, unknown_setting("an email destination", key, &FIELDS)))
        .collect()
}

fn recipients(to: Option<&Value>, errors: &mut Vec<FieldError>) -> Vec<Mailbox> {
    let (texts, one): (&[Value], bool) = match to {
        Some(text @ Value::String(_)) => (std::slice::from_ref(text), true),
        Some(Value::Array(texts)) if (1..=MAX_RECIPIENTS).contains(&texts.len()) => (texts, false),
        Some(Value::Array(_)) => {
            errors
                .push(FieldError::new("to", format!("must have 1 to {MAX_RECIPIENTS} addresses")));
            return Vec::new();
        }
        _ => {
            let message = "must be an address such as `jane@acme.example`, or a list of addresses";
            errors.push(FieldError::new("to", message));
            return Vec::new();
        }
    };
    let mut seen = HashSet::new();
    let mut mailboxes = Vec::with_capacity(texts.len());
    for (index, text) in texts.iter().enumerate() {
        let field = if one { "to".to_owned() } else { format!("to.{index}") };
        let mailbox = text.as_str().ok_or("must be a string".to_owned()).and_then(address::parse);
        match mailbox {
            Ok(mailbox) if seen.insert(lowercase(&mailbox.email)) => mailboxes.push(mailbox),
            Ok(_) => errors.push(FieldError::new(field, "is a duplicate; remove it")),
            Err(message) => errors.push(FieldError::new(field, message)),
        }
    }
    mailboxes
}

fn optional(
    settings: &Map<String, Value>,
    field: &str,
    errors: &mut Vec<FieldError>,
    read: impl Fn(&str) -> Result<Mailbox, String>,
) -> Option<Mailbox> {
    let value = settings.get(field).filter(|value| !value.is_null())?;
    let mailbox = value.as_str().ok_or("must be a string".to_owned()).and_then(read);
    mailbox.map_err(|message| errors.push(FieldError::new(field, message))).ok()
}

/// A mailbox, or only a name that is shown with the operator's address.
fn sender(text: &str, default: &Mailbox) -> Result<Mailbox, String> {
    if text.contains('@') {
        return address::parse(text);
    }
    let name = address::display_name(text)?.ok_or("is empty; set a name or an address")?;
    Ok(Mailbox::new(Some(name), default.email.clone()))
}

/// Six hex digits of the address's hash. If another recipient of the destination has the same six,
/// twelve digits, because lanes with the same suffix would be one lane.
fn suffix(address: &Address, taken: &mut HashSet<String>) -> String {
    let hash = hex::encode(Sha256::digest(lowercase(address)));
    let length = if taken.contains(&hash[..6]) { 12 } else { 6 };
    let suffix = hash[..length].to_owned();
    taken.insert(suffix.clone());
    suffix
}

fn lowercase(address: &Address) -> String {
    address.to_string().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recipients_with_the_same_short_hash_get_different_suffixes() {
        let one = address::parse("a@b.example").unwrap().email;
        let mut taken = HashSet::new();
        let first = suffix(&one, &mut taken);
        let second = suffix(&one, &mut taken);
        assert_eq!(first.len(), 6);
        assert_eq!(second.len(), 12);
        assert!(second.starts_with(&first));
    }
}
