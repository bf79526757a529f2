//! A check value in the store for each master key in use: a known text, encrypted with the key. A
//! process that starts with the wrong keys notices before it serves requests.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::vault::{Place, Vault};
use fanfare_store::{Records, Result, StoreError};

const COLLECTION: &str = "secrets";
const ID: &str = "check";
const PLACE: Place<'_> = Place { tenant: "", destination: "store", field: "check" };
const VALUE: &[u8] = b"fanfare";

/// What the store records about master keys.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct KeyChecks {
    /// Secrets may be stored unencrypted, because the store was served in development without a
    /// key.
    #[serde(default)]
    pub(super) plain: bool,
    /// Key id → the check value encrypted with that key.
    #[serde(default)]
    pub(super) keys: BTreeMap<String, String>,
    /// Up to where all secrets are encrypted with one key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) sealed: Option<SealedUpTo>,
    /// A key was removed from `keys`. A process that still had it may have encrypted something after
    /// that.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) has_forgotten: bool,
}

/// All documents that did not change after `version` of the directory have secrets of `key` alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SealedUpTo {
    pub(super) key: String,
    pub(super) version: u64,
}

impl KeyChecks {
    /// Whether every given key opens its check value.
    pub(super) fn holds(&self, vault: &Vault) -> bool {
        let right = |(id, sealed): (&String, &String)| {
            !vault.has(id) || vault.open(PLACE, sealed).is_ok_and(|value| value == VALUE)
        };
        self.keys.iter().all(right)
    }

    /// Adds the key that encrypts from now on.
    pub(super) fn add(&mut self, vault: &Vault) -> Result<()> {
        let sealed = vault.seal(PLACE, VALUE).map_err(|error| StoreError::Other {
            message: "the system's random number generator failed".to_owned(),
            source: Some(Box::new(error)),
        })?;
        self.keys.insert(vault.current().to_owned(), sealed);
        Ok(())
    }
}

/// Reads the check values and their revision, which is 0 if there are none yet.
pub(super) async fn read(records: &dyn Records) -> Result<(KeyChecks, u64)> {
    let Some(record) = records.get(COLLECTION, ID).await? else { return Ok(Default::default()) };
    let unreadable =
        |_| StoreError::Corrupt("the check values of the master keys cannot be read".to_owned());
    Ok((serde_json::from_slice(&record.doc).map_err(unreadable)?, record.revision))
}

/// Changes the check values. Repeated if another process changes them at the same time.
pub(super) async fn change(
    records: &dyn Records,
    change: impl Fn(&mut KeyChecks) -> Result<()>,
) -> Result<()> {
    loop {
        let (before, revision) = read(records).await?;
        let mut now = before.clone();
        change(&mut now)?;
        if now == before {
            return Ok(());
        }
        let doc = serde_json::to_vec(&now).expect("texts are JSON");
        match records.put(COLLECTION, ID, doc.into(), Some(revision), None).await {
            Ok(_) => return Ok(()),
            Err(StoreError::Conflict { .. }) => {}
            Err(error) => return Err(error),
        }
    }
}
