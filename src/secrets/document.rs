//! The secrets in a tenant's document: which values they are, and how they are encrypted in place.
//!
//! An encrypted value has the form `{"$sealed": "v1.…"}`, whatever its original type was.

use serde_json::{Map, Value};

use super::vault::{OpenError, Place, Vault, key_id};

/// Returns which fields of a channel's destinations are secret, by the channel's name.
pub type Fields = fn(&str) -> &'static [&'static str];

const SEALED: &str = "$sealed";

/// The secrets found in a document.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct SecretCounts {
    /// The ids of the keys that encrypt something.
    pub(super) keys: std::collections::BTreeSet<String>,
    /// The number of unencrypted secrets.
    pub(super) plain: usize,
    /// The number of encrypted secrets.
    pub(super) sealed: usize,
}

/// A value that cannot be decrypted.
#[derive(Debug)]
pub(super) struct Undecryptable {
    pub(super) destination: String,
    pub(super) field: String,
    pub(super) error: OpenError,
}

/// Counts secrets and changes nothing.
pub(super) fn inspect(doc: &mut Value, fields: Fields) -> SecretCounts {
    let mut found = SecretCounts::default();
    each(doc, fields, |_, value| match sealed(value) {
        Some(text) => {
            found.sealed += 1;
            found.keys.extend(key_id(text).map(ToOwned::to_owned));
        }
        None => found.plain += 1,
    });
    found
}

/// Encrypts secrets that are not encrypted yet. Encrypted ones stay as they are, but must decrypt
/// at their place, so that a value encrypted for another place cannot be brought in.
pub(super) fn seal(
    vault: &Vault,
    tenant: &str,
    doc: &mut Value,
    fields: Fields,
) -> Result<Result<(), Undecryptable>, rand::rngs::SysError> {
    let (mut undecryptable, mut failed) = (None, None);
    each(doc, fields, |(destination, field), value| {
        let place = Place { tenant, destination, field };
        if let Some(text) = sealed(value) {
            if let Err(error) = vault.open(place, text) {
                undecryptable = Some(Undecryptable::at(place, error));
            }
            return;
        }
        let plain = value.to_string();
        match vault.seal(place, plain.as_bytes()) {
            Ok(text) => *value = Map::from_iter([(SEALED.to_owned(), text.into())]).into(),
            Err(error) => failed = Some(error),
        }
    });
    match (failed, undecryptable) {
        (Some(error), _) => Err(error),
        (None, undecryptable) => Ok(undecryptable.map_or(Ok(()), Err)),
    }
}

/// Decrypts secrets. Values that cannot be decrypted stay encrypted and are returned.
pub(super) fn open(
    vault: &Vault,
    tenant: &str,
    doc: &mut Value,
    fields: Fields,
) -> Vec<Undecryptable> {
    let mut undecryptable = Vec::new();
    each(doc, fields, |(destination, field), value| {
        let Some(text) = sealed(value) else { return };
        let place = Place { tenant, destination, field };
        let opened = vault
            .open(place, text)
            .and_then(|plain| serde_json::from_slice(&plain).map_err(|_| OpenError::Damaged));
        match opened {
            Ok(plain) => *value = plain,
            Err(error) => undecryptable.push(Undecryptable::at(place, error)),
        }
    });
    undecryptable
}

/// The key id of each encrypted value.
pub(super) fn each_key(doc: &mut Value, fields: Fields) -> Vec<String> {
    let mut ids = Vec::new();
    each(doc, fields, |_, value| {
        ids.extend(sealed(value).and_then(key_id).map(ToOwned::to_owned));
    });
    ids
}

impl Undecryptable {
    fn at(place: Place<'_>, error: OpenError) -> Self {
        Self { destination: place.destination.to_owned(), field: place.field.to_owned(), error }
    }
}

fn sealed(value: &Value) -> Option<&str> {
    value.as_object().filter(|map| map.len() == 1)?.get(SEALED)?.as_str()
}

/// Visits every secret of a document, with the destination's id and the field's name.
fn each(doc: &mut Value, fields: Fields, mut visit: impl FnMut((&str, &str), &mut Value)) {
    let destinations = doc.get_mut("destinations").and_then(Value::as_array_mut);
    for destination in destinations.into_iter().flatten().filter_map(Value::as_object_mut) {
        let text = |name: &str| destination.get(name).and_then(Value::as_str).unwrap_or_default();
        let (id, secret) = (text("id").to_owned(), fields(text("channel")));
        for field in secret {
            if let Some(value) = destination.get_mut(*field).filter(|value| !value.is_null()) {
                visit((&id, field), value);
            }
        }
    }
}
