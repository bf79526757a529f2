//! Brings every secret to the key that seals now.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::check::{self, Check};
use super::document::{self, Stuck};
use super::setup::Secrets;
use fanfare_store::{Result, StoreError};

/// So often is what others changed meanwhile looked at again.
const ROUNDS: usize = 10;

/// What became of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Resealed {
    /// Tenants' documents that were written anew.
    pub documents: usize,
    /// Documents with a secret that does not open, or that was changed by others all the time.
    pub left: usize,
    /// How many secrets are sealed with which key now.
    pub secrets: BTreeMap<String, usize>,
    /// How many stand in the clear.
    pub plain: usize,
}

impl Secrets {
    /// Seals what is in the clear, and what is sealed with another key, with the first. When nothing
    /// is left, the store forgets the other keys: they need not be given any more. Other processes
    /// go on meanwhile.
    pub async fn reseal(&self) -> Result<Resealed> {
        let Some(vault) = &self.vault else { return self.look().await };
        let mut documents = 0;
        for _ in 0..ROUNDS {
            let (mut left, mut conflicts) = (0, 0);
            for tenant in self.raw.all().await?.1 {
                let Ok(mut value) = serde_json::from_slice::<Value>(&tenant.doc) else { continue };
                let found = document::look(&mut value, self.fields);
                if found.plain == 0 && found.keys.iter().all(|id| id == vault.current()) {
                    continue;
                }
                let stuck = document::open(vault, &tenant.id, &mut value, self.fields);
                for Stuck { destination, field, error } in &stuck {
                    let tenant = &tenant.id;
                    tracing::error!(tenant, destination, field, %error, "a secret cannot be decrypted");
                }
                if !stuck.is_empty() {
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
                let forget = |check: &mut Check| {
                    check.keys.retain(|id, _| id == current);
                    Ok(())
                };
                check::change(&*self.store.records, forget).await?;
            }
            break;
        }
        Ok(Resealed { documents, ..self.look().await? })
    }

    /// How things stand; changes nothing.
    pub async fn look(&self) -> Result<Resealed> {
        let mut state = Resealed::default();
        for tenant in self.raw.all().await?.1 {
            let Ok(mut value) = serde_json::from_slice::<Value>(&tenant.doc) else { continue };
            let found = document::look(&mut value, self.fields);
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
