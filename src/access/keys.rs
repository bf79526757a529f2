//! Keys in the store: made, listed, revoked. The store alone is needed, so this works on a fresh one
//! and beside running servers.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use fanfare_contract::Environment;
use serde::{Deserialize, Serialize};

use super::Action;
use super::principal::{Denied, Principal, Role};
use super::secret::{Hash, Secret, random_text};
use fanfare_store::{Ms, Record, Records, StoreError};

/// The collection of keys, by their ids.
pub(super) const KEYS: &str = "keys";
/// When each was last used; apart, so that using a key does not make every replica read all anew.
pub(super) const USES: &str = "key_uses";
/// Documents read at once.
const PAGE: usize = 500;
/// Longest label, in characters.
const LABEL: usize = 100;
/// Portal links live for so long unless told otherwise.
pub const PORTAL_TTL: Duration = Duration::from_mins(15);
/// And never longer than this.
pub const PORTAL_TTL_MAX: Duration = Duration::from_hours(24);

/// A key as it is kept: everything but the key.
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
    /// The key that made it; none for the command line.
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
    /// What it is for.
    pub role: Role,
    /// Its one tenant; none for all.
    pub tenant: Option<Arc<str>>,
    /// Where its events belong.
    pub environment: Environment,
    /// For people.
    pub label: String,
    /// When it was made, Unix milliseconds.
    pub created_ms: Ms,
    /// The key that made it; none for the command line.
    pub created_by: Option<Arc<str>>,
    /// When it ends; never when there is none.
    pub expires_ms: Option<Ms>,
    /// When it was last used, to the minute.
    pub last_used_ms: Option<Ms>,
    /// Whether it is a portal link's.
    pub portal: bool,
}

/// What a new key shall be.
#[derive(Clone, Debug)]
pub struct NewKey {
    /// What it is for.
    pub role: Role,
    /// Its one tenant. None exactly when the role is operator.
    pub tenant: Option<Arc<str>>,
    /// Where its events belong.
    pub environment: Environment,
    /// For people; at most 100 characters.
    pub label: String,
    /// How long it is good.
    pub ttl: Option<Duration>,
    /// Makes a portal link's: of one tenant, 15 minutes unless `ttl` says otherwise, 24 hours at
    /// most.
    pub portal: bool,
    /// The key that makes it; none for the command line.
    pub created_by: Option<Arc<str>>,
}

impl NewKey {
    /// A live key without an end.
    pub fn new(role: Role, tenant: Option<&str>) -> Self {
        Self {
            role,
            tenant: tenant.map(Into::into),
            environment: Environment::Live,
            label: String::new(),
            ttl: None,
            portal: false,
            created_by: None,
        }
    }

    /// A portal link's.
    pub fn portal(role: Role, tenant: &str) -> Self {
        Self { portal: true, ttl: Some(PORTAL_TTL), ..Self::new(role, Some(tenant)) }
    }

    /// Whether `by` may make it: an operator any, an admin those of its tenant, a portal link none.
    /// Nobody makes a live key with a test key.
    pub fn allowed_to(&self, by: &Principal) -> Result<(), Denied> {
        by.require(Action::Keys)?;
        let wider = self.role == Role::Operator && by.role != Role::Operator;
        let crosses = by.environment == Environment::Test && self.environment == Environment::Live;
        if wider || crosses {
            return Err(Denied::TooSmall(by.role));
        }
        match self.tenant.as_deref() {
            Some(tenant) if !by.sees(tenant) => Err(Denied::no_tenant(tenant)),
            _ => Ok(()),
        }
    }

    /// What is wrong with it, by field.
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        let mut problems = Vec::new();
        let mut wrong = |field, message: &str| problems.push((field, message.to_owned()));
        match (self.role, &self.tenant) {
            (Role::Operator, Some(_)) => {
                wrong(
                    "tenant",
                    "an operator's key is for all tenants; leave out the tenant, or make an admin's",
                );
            }
            (Role::Admin | Role::Publisher | Role::Reader, None) => {
                wrong("tenant", "is missing: a key of this role is for one tenant");
            }
            _ => {}
        }
        if self.label.chars().count() > LABEL || self.label.chars().any(char::is_control) {
            wrong("label", "must be at most 100 characters, without line breaks");
        }
        if self.ttl.is_some_and(|ttl| ttl < Duration::from_secs(1)) {
            wrong("expires", "must be at least a second from now");
        }
        if self.portal && self.role == Role::Publisher {
            wrong("role", "a portal link is an admin's or a reader's");
        }
        if self.portal && self.ttl.is_none_or(|ttl| ttl > PORTAL_TTL_MAX) {
            wrong("expires", "a portal link is good for 24 hours at most");
        }
        problems
    }
}

/// A new key, with its text for the only time.
#[derive(Debug)]
pub struct Made {
    /// To be shown once.
    pub secret: Secret,
    /// What will be shown from now on.
    pub key: Key,
}

/// Why a key was not made.
#[derive(Debug, thiserror::Error)]
pub enum MakeError {
    /// Not as it must be: field and what is wrong with it.
    #[error("{}", .0.iter().map(|(field, message)| format!("{field}: {message}")).collect::<Vec<_>>().join("\n"))]
    Wrong(Vec<(&'static str, String)>),
    /// The system gives no random numbers.
    #[error("the system gives no random numbers: {0}")]
    NoRandomness(#[from] rand::rngs::SysError),
    /// The store did not take it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Makes a key. Whether its tenant exists is the caller's to know.
pub async fn create(records: &dyn Records, new: NewKey, now: Ms) -> Result<Made, MakeError> {
    let problems = new.problems();
    if !problems.is_empty() {
        return Err(MakeError::Wrong(problems));
    }
    let secret = Secret::make(new.environment, new.portal)?;
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
    // A portal link's goes away by itself; other keys stay to be seen as expired.
    let ttl = new.ttl.filter(|_| new.portal);
    records.put(KEYS, &id, doc.into(), Some(0), ttl).await?;
    Ok(Made { secret, key: document.shown(id, None) })
}

/// All keys, by id; of one tenant when it is named.
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

/// Revokes a key: within a second no server takes it. False when there is none.
pub async fn revoke(records: &dyn Records, id: &str) -> Result<bool, StoreError> {
    let removed = records.remove(KEYS, id, None).await?;
    if removed {
        records.remove(USES, id, None).await?;
    }
    Ok(removed)
}

/// Revokes all keys of a tenant; how many.
pub async fn revoke_all_of(records: &dyn Records, tenant: &str) -> Result<usize, StoreError> {
    let keys = list(records, Some(tenant)).await?;
    for key in &keys {
        revoke(records, &key.id).await?;
    }
    Ok(keys.len())
}

impl Document {
    /// A document that is not ours is passed over, and told of: it must not lock everybody out.
    pub(super) fn read(record: &Record) -> Option<Self> {
        let read = serde_json::from_slice(&record.doc);
        read.inspect_err(|error| tracing::error!(key = record.id, %error, "a key cannot be read"))
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
