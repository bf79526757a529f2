//! Encrypts every secret with the current key.

use std::collections::BTreeMap;

use futures::{StreamExt as _, TryStreamExt as _};
use serde::Serialize;
use serde_json::Value;

use super::changed::changed_since;
use super::check::{self, KeyChecks, SealedUpTo};
use super::document::{self, Undecryptable};
use super::setup::Secrets;
use super::vault::Vault;
use fanfare_store::{Result, StoreError, StoredTenant};

/// How often a document is read again because other processes changed it meanwhile.
const MAX_ROUNDS: usize = 10;

/// What resealing did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rewritten {
    /// The number of tenants' documents that were rewritten.
    pub documents: usize,
    /// The number of documents that still need resealing, because a secret cannot be decrypted or
    /// other processes kept changing the document.
    pub left: usize,
}

/// The secrets in a store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Inspected {
    /// The number of documents with a secret that is unencrypted or encrypted with another key than
    /// the current one.
    pub left: usize,
    /// The number of secrets encrypted with each key.
    pub secrets: BTreeMap<String, usize>,
    /// The number of unencrypted secrets.
    pub plain: usize,
}

impl Secrets {
    /// Encrypts with the first key all secrets that are unencrypted or encrypted with another key.
    /// If this succeeds for all, the store forgets the other keys, and they are no longer needed.
    /// Other processes continue to work meanwhile.
    ///
    /// Looks only at documents that changed since this was done before with the same key.
    pub async fn reseal(&self) -> Result<Rewritten> {
        let mut done = Rewritten::default();
        let Some(vault) = &self.vault else { return Ok(done) };
        let version = self.raw.version().await?;
        let (check, _) = check::read(&*self.store.records).await?;
        let since = check.sealed.filter(|sealed| sealed.key == vault.current());
        let mut documents = match since {
            Some(since) => changed_since(&*self.raw, since.version).boxed(),
            None => self.raw.all().boxed(),
        };
        while let Some(tenant) = documents.try_next().await? {
            match self.reseal_one(vault, tenant).await? {
                One::Unchanged => {}
                One::Rewritten => done.documents += 1,
                One::Left => done.left += 1,
            }
        }
        if done.left == 0 {
            let current = vault.current();
            let note = |check: &mut KeyChecks| {
                let keys = check.keys.len();
                check.keys.retain(|id, _| id == current);
                check.has_forgotten |= check.keys.len() < keys;
                check.sealed = Some(SealedUpTo { key: current.to_owned(), version });
                Ok(())
            };
            check::change(&*self.store.records, note).await?;
        }
        Ok(done)
    }

    async fn reseal_one(&self, vault: &Vault, mut tenant: StoredTenant) -> Result<One> {
        for _ in 0..MAX_ROUNDS {
            let Ok(mut value) = serde_json::from_slice::<Value>(&tenant.doc) else {
                return Ok(One::Unchanged);
            };
            let found = document::inspect(&mut value, self.fields);
            if found.plain == 0 && found.keys.iter().all(|id| id == vault.current()) {
                return Ok(One::Unchanged);
            }
            let undecryptable = document::open(vault, &tenant.id, &mut value, self.fields);
            for Undecryptable { destination, field, error } in &undecryptable {
                let tenant = &tenant.id;
                tracing::error!(tenant, destination, field, %error, "a secret cannot be decrypted");
            }
            if !undecryptable.is_empty() {
                return Ok(One::Left);
            }
            let doc = value.to_string().into();
            match self.store.directory.put(&tenant.id, doc, Some(tenant.revision)).await {
                Ok(_) => return Ok(One::Rewritten),
                Err(StoreError::Conflict { .. }) => {}
                Err(error) => return Err(error),
            }
            match self.raw.get(&tenant.id).await? {
                Some(changed) => tenant = changed,
                None => return Ok(One::Unchanged),
            }
        }
        Ok(One::Left)
    }

    /// Counts the secrets of all documents. Changes nothing.
    pub async fn inspect(&self) -> Result<Inspected> {
        let mut state = Inspected::default();
        let mut documents = self.raw.all().boxed();
        while let Some(tenant) = documents.try_next().await? {
            let Ok(mut value) = serde_json::from_slice::<Value>(&tenant.doc) else { continue };
            let found = document::inspect(&mut value, self.fields);
            state.plain += found.plain;
            let other = found.keys.iter().any(|id| Some(id.as_str()) != self.current());
            state.left += usize::from(other || found.plain > 0);
            for id in document::each_key(&mut value, self.fields) {
                *state.secrets.entry(id).or_default() += 1;
            }
        }
        Ok(state)
    }
}

/// What became of one document.
enum One {
    Unchanged,
    Rewritten,
    Left,
}
