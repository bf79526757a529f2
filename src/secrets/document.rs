//! The secrets of a tenant's document: which values they are, sealed and opened in their places.
//!
//! A sealed value stands as `{"$sealed": "v1.…"}` where the value stood, whatever its shape was.

use serde_json::{Map, Value};

use super::vault::{OpenError, Place, Vault, key_id};

/// Which fields of a channel's destinations are secret, by the channel's name.
pub type Fields = fn(&str) -> &'static [&'static str];

const SEALED: &str = "$sealed";

/// What there is in a document.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// Ids of the keys with which something is sealed.
    pub(super) keys: std::collections::BTreeSet<String>,
    /// How many secrets are in the clear.
    pub(super) plain: usize,
    /// How many are sealed.
    pub(super) sealed: usize,
}

/// A value that does not open.
#[derive(Debug)]
pub(super) struct Stuck {
    pub(super) destination: String,
    pub(super) field: String,
    pub(super) error: OpenError,
}

/// Looks, and changes nothing.
pub(super) fn look(doc: &mut Value, fields: Fields) -> Found {
    let mut found = Found::default();
    each(doc, fields, |_, value| match sealed(value) {
        Some(text) => {
            found.sealed += 1;
            found.keys.extend(key_id(text).map(ToOwned::to_owned));
        }
        None => found.plain += 1,
    });
    found
}

/// Seals what is in the clear. What is sealed must open here, so that nobody brings in what was
/// sealed for another place; it stays as it is.
pub(super) fn seal(
    vault: &Vault,
    tenant: &str,
    doc: &mut Value,
    fields: Fields,
) -> Result<Result<(), Stuck>, rand::rngs::SysError> {
    let (mut stuck, mut failed) = (None, None);
    each(doc, fields, |(destination, field), value| {
        let place = Place { tenant, destination, field };
        if let Some(text) = sealed(value) {
            if let Err(error) = vault.open(place, text) {
                stuck = Some(Stuck::at(place, error));
            }
            return;
        }
        let plain = value.to_string();
        match vault.seal(place, plain.as_bytes()) {
            Ok(text) => *value = Map::from_iter([(SEALED.to_owned(), text.into())]).into(),
            Err(error) => failed = Some(error),
        }
    });
    match (failed, stuck) {
        (Some(error), _) => Err(error),
        (None, stuck) => Ok(stuck.map_or(Ok(()), Err)),
    }
}

/// Opens what is sealed. What does not open stays sealed, and is told.
pub(super) fn open(vault: &Vault, tenant: &str, doc: &mut Value, fields: Fields) -> Vec<Stuck> {
    let mut stuck = Vec::new();
    each(doc, fields, |(destination, field), value| {
        let Some(text) = sealed(value) else { return };
        let place = Place { tenant, destination, field };
        let opened = vault
            .open(place, text)
            .and_then(|plain| serde_json::from_slice(&plain).map_err(|_| OpenError::Damaged));
        match opened {
            Ok(plain) => *value = plain,
            Err(error) => stuck.push(Stuck::at(place, error)),
        }
    });
    stuck
}

/// For each sealed value, the id of its key.
pub(super) fn each_key(doc: &mut Value, fields: Fields) -> Vec<String> {
    let mut ids = Vec::new();
    each(doc, fields, |_, value| {
        ids.extend(sealed(value).and_then(key_id).map(ToOwned::to_owned));
    });
    ids
}

impl Stuck {
    fn at(place: Place<'_>, error: OpenError) -> Self {
        Self { destination: place.destination.to_owned(), field: place.field.to_owned(), error }
    }
}

fn sealed(value: &Value) -> Option<&str> {
    value.as_object().filter(|map| map.len() == 1)?.get(SEALED)?.as_str()
}

/// Every secret of a document, with the destination's id and the field's name.
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
