//! Opens a store's secrets with the given keys, or refuses and names the key that is missing.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::{StreamExt as _, TryStreamExt as _};
use serde_json::Value;

use super::changed::changed_since;
use super::check::{self, KeyChecks, SealedUpTo};
use super::directory::{Rule, SealedDirectory};
use super::document::{self, Fields};
use super::vault::Vault;
use super::{MasterKey, keys};
use fanfare_store::{Directory, Result, Store, StoreError};

/// What a process requires of the keys.
#[derive(Clone, Copy, Debug)]
pub struct KeyPolicy<'a> {
    /// The process serves requests, so it must be able to decrypt all secrets.
    pub serves: bool,
    /// Secrets may be stored unencrypted if there is no key.
    pub development: bool,
    /// The key file of an embedded store. Created if there is no other key.
    pub own_file: Option<&'a Path>,
}

/// The secrets of an open store.
pub struct Secrets {
    /// The store's directory, with secrets encrypted.
    pub(super) raw: Arc<dyn Directory>,
    /// The store as all other code sees it, with secrets decrypted.
    pub(super) store: Store,
    pub(super) vault: Option<Arc<Vault>>,
    pub(super) fields: Fields,
    created: Option<PathBuf>,
    plain: bool,
}

impl Secrets {
    /// Wraps the store's directory in one that encrypts and decrypts secrets.
    pub async fn set_up(
        mut store: Store,
        mut keys: Vec<MasterKey>,
        fields: Fields,
        policy: KeyPolicy<'_>,
    ) -> Result<(Store, Self)> {
        let (check, _) = check::read(&*store.records).await?;
        let created = own_key(&mut keys, &check, policy)?;
        let vault = Vault::new(&keys).map(Arc::new);
        if policy.serves || vault.is_some() {
            let used = in_use(&check, &*store.directory, fields).await?;
            refuse_missing(&used, vault.as_deref())?;
        }
        let (rule, plain) = match &vault {
            Some(vault) => {
                if !check.holds(vault) {
                    return Err(StoreError::Secrets(
                        "the master key is wrong: it has the id of a key that was used for this \
                                                 store, but cannot decrypt the store's check value; pass the original key"
                            .to_owned(),
                    ));
                }
                // In a store without tenants, nothing is encrypted with another key.
                let (key, version) = (vault.current(), store.directory.version().await?);
                let is_empty = store.directory.count().await? == 0;
                let note = |check: &mut KeyChecks| {
                    check.plain = false;
                    if is_empty && check.sealed.is_none() {
                        check.sealed = Some(SealedUpTo { key: key.to_owned(), version });
                    }
                    if check.keys.contains_key(vault.current()) { Ok(()) } else { check.add(vault) }
                };
                check::change(&*store.records, note).await?;
                (Rule::Sealed(vault.clone()), false)
            }
            None if policy.development => {
                let note = |check: &mut KeyChecks| {
                    check.plain = check.keys.is_empty();
                    Ok(())
                };
                check::change(&*store.records, note).await?;
                (Rule::Plain, true)
            }
            None if policy.serves => return Err(no_key()),
            None => (Rule::Opaque, false),
        };
        let raw = store.directory.clone();
        let (inner, records) = (raw.clone(), store.records.clone());
        store.directory = Arc::new(SealedDirectory { inner, records, rule, fields });
        let secrets = Self { raw, store: store.clone(), vault, fields, created, plain };
        Ok((store, secrets))
    }

    /// The key file, if it was created just now.
    pub fn created_key_file(&self) -> Option<&Path> {
        self.created.as_deref()
    }

    /// Whether secrets are stored unencrypted.
    pub fn are_plain(&self) -> bool {
        self.plain
    }

    /// The vault, to encrypt other confidential values in the store. `None` if secrets are stored
    /// unencrypted.
    pub fn vault(&self) -> Option<Arc<Vault>> {
        self.vault.clone()
    }

    /// The id of the key that encrypts.
    pub fn current(&self) -> Option<&str> {
        self.vault.as_ref().map(|vault| vault.current())
    }
}

/// Adds the keys of the store's own key file. Creates the file if there is no key at all and
/// nothing in the store is encrypted with another key.
fn own_key(
    keys: &mut Vec<MasterKey>,
    check: &KeyChecks,
    policy: KeyPolicy<'_>,
) -> Result<Option<PathBuf>> {
    let Some(path) = policy.own_file else { return Ok(None) };
    let refused = |error: keys::KeyError| StoreError::Secrets(error.to_string());
    if path.exists() {
        // After the given keys: it only decrypts what it encrypted before.
        let own = keys::read(path).map_err(refused)?;
        let new = own.into_iter().filter(|own| keys.iter().all(|key| key.id() != own.id()));
        keys.extend(new.collect::<Vec<_>>());
        return Ok(None);
    }
    if !keys.is_empty() || !check.keys.is_empty() {
        return Ok(None);
    }
    let (own, created) = keys::read_or_create(path).map_err(refused)?;
    keys.extend(own);
    Ok(created.then(|| path.to_owned()))
}

/// The ids of all keys that encrypt something in the store.
///
/// Each process notes its key before it encrypts anything, and a key is forgotten only after
/// everything was encrypted with another one. A process may have gone on with the old key after
/// that, so then the documents that changed since are read. A store of an earlier version is read
/// once as a whole.
async fn in_use(
    check: &KeyChecks,
    directory: &dyn Directory,
    fields: Fields,
) -> Result<BTreeSet<String>> {
    let mut used: BTreeSet<String> = check.keys.keys().cloned().collect();
    let mut documents = match &check.sealed {
        Some(sealed) if check.has_forgotten => changed_since(directory, sealed.version).boxed(),
        Some(_) => return Ok(used),
        // No process has had a key yet.
        None if check.plain => return Ok(used),
        None => directory.all().boxed(),
    };
    while let Some(tenant) = documents.try_next().await? {
        if let Ok(mut value) = serde_json::from_slice::<Value>(&tenant.doc) {
            used.extend(document::inspect(&mut value, fields).keys);
        }
    }
    Ok(used)
}

fn refuse_missing(used: &BTreeSet<String>, vault: Option<&Vault>) -> Result<()> {
    let has = |id: &&String| vault.is_some_and(|vault| vault.has(id));
    let missing: Vec<&str> = used.iter().filter(|id| !has(id)).map(String::as_str).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let given = vault.map_or_else(
        || "no key was passed".to_owned(),
        |vault| format!("the key passed is {}", vault.current()),
    );
    Err(StoreError::Secrets(format!(
        "secrets in this store are encrypted with master key {}, but {given}. Pass that key as \
                 FANFARE_MASTER_KEY or [secrets] key_file. To replace it, pass the new key first and the old \
                 key after it",
        missing.join(", ")
    )))
}

fn no_key() -> StoreError {
    StoreError::Secrets(
        "there is no master key to encrypt secrets with. Create one with `fanfare secrets new-key` \
                 and pass it to every server as FANFARE_MASTER_KEY or [secrets] key_file. For development, \
                 --development stores secrets unencrypted"
            .to_owned(),
    )
}
