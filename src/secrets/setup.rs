//! From a store and its keys to a store whose secrets are sealed; or to a refusal that says which
//! key is missing.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use super::check::{self, Check};
use super::directory::{Rule, SealedDirectory};
use super::document::{self, Fields};
use super::vault::Vault;
use super::{MasterKey, keys};
use fanfare_store::{Directory, Result, Store, StoreError};

/// What a process needs of the secrets.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// It serves, so it must be able to open all of them.
    pub serves: bool,
    /// Without a key they may stand in the clear.
    pub development: bool,
    /// A file for a key of the store's own, made when there is no other key.
    pub own_file: Option<&'a Path>,
}

/// The secrets of an open store.
pub struct Secrets {
    /// As the store has it.
    pub(super) raw: Arc<dyn Directory>,
    /// As everybody else sees it.
    pub(super) store: Store,
    pub(super) vault: Option<Arc<Vault>>,
    pub(super) fields: Fields,
    made: Option<PathBuf>,
    plain: bool,
}

impl Secrets {
    /// Puts the sealing directory in the place of the store's.
    pub async fn set_up(
        mut store: Store,
        mut keys: Vec<MasterKey>,
        fields: Fields,
        wanted: Wanted<'_>,
    ) -> Result<(Store, Self)> {
        let (check, _) = check::read(&*store.records).await?;
        let made = own_key(&mut keys, &check, wanted)?;
        let vault = Vault::new(&keys).map(Arc::new);
        if wanted.serves || vault.is_some() {
            let used = in_use(&check, &*store.directory, fields).await?;
            refuse_missing(&used, vault.as_deref())?;
        }
        let (rule, plain) = match &vault {
            Some(vault) => {
                if !check.holds(vault) {
                    return Err(StoreError::Secrets(
                        "the master key has the right name and the wrong value: the check in the \
                         store does not open with it"
                            .to_owned(),
                    ));
                }
                let note = |check: &mut Check| {
                    check.plain = false;
                    if check.keys.contains_key(vault.current()) { Ok(()) } else { check.add(vault) }
                };
                check::change(&*store.records, note).await?;
                (Rule::Sealed(vault.clone()), false)
            }
            None if wanted.development => {
                let note = |check: &mut Check| {
                    check.plain = check.keys.is_empty();
                    Ok(())
                };
                check::change(&*store.records, note).await?;
                (Rule::Plain, true)
            }
            None if wanted.serves => return Err(no_key()),
            None => (Rule::Opaque, false),
        };
        let raw = store.directory.clone();
        let (inner, records) = (raw.clone(), store.records.clone());
        store.directory = Arc::new(SealedDirectory { inner, records, rule, fields });
        let secrets = Self { raw, store: store.clone(), vault, fields, made, plain };
        Ok((store, secrets))
    }

    /// The key file that was made now, if one was.
    pub fn made(&self) -> Option<&Path> {
        self.made.as_deref()
    }

    /// Whether they stand in the clear.
    pub fn are_plain(&self) -> bool {
        self.plain
    }

    /// The keys, for sealing what else must not stand in the clear in the store; none when secrets do.
    pub fn vault(&self) -> Option<Arc<Vault>> {
        self.vault.clone()
    }

    /// The id of the key that encrypts.
    pub fn current(&self) -> Option<&str> {
        self.vault.as_ref().map(|vault| vault.current())
    }
}

/// Adds the key of the store's own file; makes that file when there is no key at all and nothing in
/// the store was sealed with another.
fn own_key(
    keys: &mut Vec<MasterKey>,
    check: &Check,
    wanted: Wanted<'_>,
) -> Result<Option<PathBuf>> {
    let Some(path) = wanted.own_file else { return Ok(None) };
    let told = |error: keys::KeyError| StoreError::Secrets(error.to_string());
    if path.exists() {
        // After those that were given: what it sealed before is still to be opened.
        let own = keys::read(path).map_err(told)?;
        let new = own.into_iter().filter(|own| keys.iter().all(|key| key.id() != own.id()));
        keys.extend(new.collect::<Vec<_>>());
        return Ok(None);
    }
    if !keys.is_empty() || !check.keys.is_empty() {
        return Ok(None);
    }
    let (own, made) = keys::read_or_make(path).map_err(told)?;
    keys.extend(own);
    Ok(made.then(|| path.to_owned()))
}

/// The ids of all keys with which something in the store is sealed.
async fn in_use(
    check: &Check,
    directory: &dyn Directory,
    fields: Fields,
) -> Result<BTreeSet<String>> {
    let mut used: BTreeSet<String> = check.keys.keys().cloned().collect();
    for tenant in directory.all().await?.1 {
        if let Ok(mut value) = serde_json::from_slice::<Value>(&tenant.doc) {
            used.extend(document::look(&mut value, fields).keys);
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
        || "no key is given".to_owned(),
        |vault| format!("the key given is {}", vault.current()),
    );
    Err(StoreError::Secrets(format!(
        "secrets in this store are encrypted with master key {}, but {given}. Give that key as \
         FANFARE_MASTER_KEY or [secrets] key_file; to replace it, give the new one first and the \
         old one after it",
        missing.join(", ")
    )))
}

fn no_key() -> StoreError {
    StoreError::Secrets(
        "secrets are kept encrypted, and there is no master key: make one with \
         `fanfare secrets new-key` and give it to every server as FANFARE_MASTER_KEY or [secrets] \
         key_file. (Where they may stand in the clear, use --development.)"
            .to_owned(),
    )
}
