//! API keys in the store: create, list and revoke them. This needs only the store, so it works on a
//! new one and beside running servers.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use fanfare_contract::Environment;
use serde::{Deserialize, Serialize};

use super::new_key::NewKey;
use super::principal::{Principal, Role};
use super::secret::{Hash, Secret, random_text};
use fanfare_store::{Ms, Record, Records, StoreError};

/// The collection of keys, by id.
pub(super) const KEYS: &str = "keys";
/// When each key was last used. A separate collection, so that a use does not make every replica
/// reload all keys.
pub(super) const USES: &str = "key_uses";
/// Documents read at once.
const PAGE: usize = 500;
/// A key as it is stored: everything except the key itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Document {
    /// SHA-256, hexadecimal.
    hash: String,
    hint: String,
    role: Role,
    tenant: Option<Arc<str>>,
    #[serde(default)]
    environment: Environment,
    #[serde(default)]
    label: String,
    created_ms: Ms,
    expires_ms: Option<Ms>,
    #[serde(default)]
    portal: bool,
    /// The id of the key that created it. `None` for the command line.
    #[serde(default)]
    created_by: Option<Arc<str>>,
}

/// A key as it may be shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Key {
    /// `key_…`
    pub id: String,
    /// `sk_live_A1b2…x9Yz`
    pub hint: String,
    /// What the key may do.
    pub role: Role,
    /// The key's tenant. `None` for an operator's key.
    pub tenant: Option<Arc<str>>,
    /// The environment of the key's events.
    pub environment: Environment,
    /// A label for people.
    pub label: String,
    /// When the key was created, in Unix milliseconds.
    pub created_ms: Ms,
    /// The id of the key that created it. `None` for the command line.
    pub created_by: Option<Arc<str>>,
    /// When the key expires. `None` if it never does.
    pub expires_ms: Option<Ms>,
    /// When the key was last used, accurate to a minute.
    pub last_used_ms: Option<Ms>,
    /// Whether it is the key of a portal link.
    pub portal: bool,
}

/// A new key with its text.
#[derive(Debug)]
pub struct Created {
    /// The key itself, to be shown once.
    pub secret: Secret,
    /// What may be shown later.
    pub key: Key,
}

/// Why a key was not created.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// Fields are invalid: their names, and what is wrong with each.
    #[error("{}", .0.iter().map(|(field, message)| format!("{field}: {message}")).collect::<Vec<_>>().join("\n"))]
    Invalid(Vec<(&'static str, String)>),
    /// The system's random number generator failed.
    #[error("the system's random number generator failed: {0}; try again")]
    NoRandomness(#[from] rand::rngs::SysError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Creates a key. The caller checks that its tenant exists.
pub async fn create(records: &dyn Records, new: NewKey, now: Ms) -> Result<Created, CreateError> {
    let problems = new.problems();
    if !problems.is_empty() {
        return Err(CreateError::Invalid(problems));
    }
    let secret = Secret::generate(new.environment, new.portal)?;
    let id = format!("key_{}", random_text(20)?);
    let lifetime = |ttl: Duration| Ms::try_from(ttl.as_millis()).unwrap_or(Ms::MAX);
    let document = Document {
        hash: secret.hash().to_hex(),
        hint: secret.hint(),
        role: new.role,
        tenant: new.tenant,
        environment: new.environment,
        label: new.label,
        created_ms: now,
        expires_ms: new.ttl.map(|ttl| now.saturating_add(lifetime(ttl))),
        portal: new.portal,
        created_by: new.created_by,
    };
    let doc = serde_json::to_vec(&document).expect("texts and numbers are JSON");
    // The store deletes the key of a portal link when it expires. Other keys stay visible as
    // expired.
    let ttl = new.ttl.filter(|_| new.portal);
    records.put(KEYS, &id, doc.into(), Some(0), ttl).await?;
    Ok(Created { secret, key: document.shown(id, None) })
}

/// All keys sorted by id, or those of one tenant.
pub async fn list(records: &dyn Records, tenant: Option<&str>) -> Result<Vec<Key>, StoreError> {
    let mut uses = uses(records).await?;
    let mut keys = Vec::new();
    for record in all(records, KEYS).await? {
        let Some(document) = Document::read(&record) else { continue };
        if tenant.is_none_or(|tenant| document.tenant.as_deref() == Some(tenant)) {
            let used = uses.remove(&record.id);
            keys.push(document.shown(record.id, used));
        }
    }
    Ok(keys)
}

/// One key.
pub async fn get(records: &dyn Records, id: &str) -> Result<Option<Key>, StoreError> {
    let Some(record) = records.get(KEYS, id).await? else { return Ok(None) };
    let used = records.get(USES, id).await?.and_then(|record| read_use(&record));
    Ok(Document::read(&record).map(|document| document.shown(record.id, used)))
}

/// Revokes a key. Every server refuses it within a second. Returns false if there is no such key.
pub async fn revoke(records: &dyn Records, id: &str) -> Result<bool, StoreError> {
    let removed = records.remove(KEYS, id, None).await?;
    if removed {
        records.remove(USES, id, None).await?;
    }
    Ok(removed)
}

/// Revokes all keys of a tenant. Returns their number.
pub async fn revoke_all_of(records: &dyn Records, tenant: &str) -> Result<usize, StoreError> {
    let keys = list(records, Some(tenant)).await?;
    for key in &keys {
        revoke(records, &key.id).await?;
    }
    Ok(keys.len())
}

impl Document {
    /// Reads a stored key. An unreadable one is logged and skipped, because it must not lock out
    /// all others.
    pub(super) fn read(record: &Record) -> Option<Self> {
        let read = serde_json::from_slice(&record.doc);
        read.inspect_err(|error| tracing::error!(key = record.id, %error, "a stored API key cannot be read and is ignored"))
            .ok()
    }

    pub(super) fn hash(&self) -> Option<Hash> {
        Hash::parse(&self.hash)
    }

    pub(super) fn expires_ms(&self) -> Option<Ms> {
        self.expires_ms
    }

    pub(super) fn principal(&self, id: &str) -> Principal {
        Principal {
            key_id: id.into(),
            role: self.role,
            tenant: self.tenant.clone(),
            environment: self.environment,
            portal: self.portal,
        }
    }

    fn shown(self, id: String, last_used_ms: Option<Ms>) -> Key {
        Key {
            id,
            hint: self.hint,
            role: self.role,
            tenant: self.tenant,
            environment: self.environment,
            label: self.label,
            created_ms: self.created_ms,
            created_by: self.created_by,
            expires_ms: self.expires_ms,
            last_used_ms,
            portal: self.portal,
        }
    }
}

/// All documents of a collection.
pub(super) async fn all(
    records: &dyn Records,
    collection: &str,
) -> Result<Vec<Record>, StoreError> {
    let mut found: Vec<Record> = Vec::new();
    loop {
        let after = found.last().map(|record| record.id.clone());
        let page = records.list(collection, after.as_deref(), PAGE).await?;
        let done = page.len() < PAGE;
        found.extend(page);
        if done {
            return Ok(found);
        }
    }
}

async fn uses(records: &dyn Records) -> Result<HashMap<String, Ms>, StoreError> {
    let found = all(records, USES).await?.into_iter();
    Ok(found.filter_map(|record| read_use(&record).map(|used| (record.id, used))).collect())
}

fn read_use(record: &Record) -> Option<Ms> {
    std::str::from_utf8(&record.doc).ok()?.parse().ok()
}
