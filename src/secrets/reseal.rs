//! Encrypts every secret with the current key.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::check::{self, KeyChecks};
use super::document::{self, Undecryptable};
use super::setup::Secrets;
use fanfare_store::{Result, StoreError};

/// How often documents are read again because other processes changed them meanwhile.
const MAX_ROUNDS: usize = 10;

/// The result of resealing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Resealed {
    /// The number of tenants' documents that were rewritten.
    pub documents: usize,
    /// The number of documents that still need resealing, because a secret cannot be decrypted or
    /// other processes kept changing the document.
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
    pub async fn reseal(&self) -> Result<Resealed> {
        let Some(vault) = &self.vault else { return self.inspect().await };
        let mut documents = 0;
        for _ in 0..MAX_ROUNDS {
            let (mut left, mut conflicts) = (0, 0);
            for tenant in self.raw.all().await?.1 {
                let Ok(mut value) = serde_json::from_slice::<Value>(&tenant.doc) else { continue };
                let found = document::inspect(&mut value, self.fields);
                if found.plain == 0 && found.keys.iter().all(|id| id == vault.current()) {
                    continue;
                }
                let undecryptable = document::open(vault, &tenant.id, &mut value, self.fields);
                for Undecryptable { destination, field, error } in &undecryptable {
                    let tenant = &tenant.id;
                    tracing::error!(tenant, destination, field, %error, "a secret cannot be decrypted");
                }
                if !undecryptable.is_empty() {
                    left += 1;
                    continue;
                }
                let doc = value.to_string().into();
                match self.store.directory.put(&tenant.id, doc, Some(tenant.revision)).await {
                    Ok(_) => documents += 1,
                    Err(StoreError::Conflict { .. }) => conflicts += 1,
                    Err(error) => return Err(error),
                }
            }
            if conflicts > 0 {
                continue;
            }
            if left == 0 {
                let current = vault.current();
                let forget = |check: &mut KeyChecks| {
                    check.keys.retain(|id, _| id == current);
                    Ok(())
                };
                check::change(&*self.store.records, forget).await?;
            }
            break;
        }
        Ok(Resealed { documents, ..self.inspect().await? })
    }

    /// The current state. Changes nothing.
    pub async fn inspect(&self) -> Result<Resealed> {
        let mut state = Resealed::default();
        for tenant in self.raw.all().await?.1 {
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
