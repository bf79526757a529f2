//! A directory around the store's: secrets are encrypted in the store and decrypted for everything
//! else.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::Value;

use super::check;
use super::document::{self, Fields, Undecryptable};
use super::vault::Vault;
use fanfare_store::{Changes, Directory, Records, Result, StoreError, StoredTenant};

/// How secrets are handled.
pub(super) enum Rule {
    /// Encrypted when written and decrypted when read.
    Sealed(Arc<Vault>),
    /// Left unencrypted: development with Redis and without a key.
    Plain,
    /// A tool without a key: encrypted secrets pass through unchanged, and unencrypted ones are
    /// refused unless the store is one that has them unencrypted.
    Opaque,
}

pub(super) struct SealedDirectory {
    pub(super) inner: Arc<dyn Directory>,
    pub(super) records: Arc<dyn Records>,
    pub(super) rule: Rule,
    pub(super) fields: Fields,
}

#[async_trait]
impl Directory for SealedDirectory {
    async fn version(&self) -> Result<u64> {
        self.inner.version().await
    }

    async fn count(&self) -> Result<u64> {
        self.inner.count().await
    }

    async fn list(&self, after: Option<&str>, limit: usize) -> Result<Vec<StoredTenant>> {
        let mut tenants = self.inner.list(after, limit).await?;
        if let Rule::Sealed(vault) = &self.rule {
            for tenant in &mut tenants {
                tenant.doc = self.opened(vault, &tenant.id, &tenant.doc);
            }
        }
        Ok(tenants)
    }

    async fn changed_since(&self, version: u64, limit: usize) -> Result<Changes> {
        self.inner.changed_since(version, limit).await
    }

    async fn get(&self, id: &str) -> Result<Option<StoredTenant>> {
        let mut found = self.inner.get(id).await?;
        if let (Rule::Sealed(vault), Some(tenant)) = (&self.rule, &mut found) {
            tenant.doc = self.opened(vault, &tenant.id, &tenant.doc);
        }
        Ok(found)
    }

    async fn put(&self, id: &str, doc: Bytes, expected: Option<u64>) -> Result<u64> {
        let doc = match &self.rule {
            Rule::Sealed(vault) => self.sealed(vault, id, doc)?,
            Rule::Plain => doc,
            Rule::Opaque => {
                self.refuse_plain(&doc).await?;
                doc
            }
        };
        self.inner.put(id, doc, expected).await
    }

    async fn remove(&self, id: &str) -> Result<bool> {
        self.inner.remove(id).await
    }
}

impl SealedDirectory {
    /// Decrypts a document's secrets. A value that cannot be decrypted stays as it is. Its
    /// destination then does not compile, which is logged and does not affect other tenants.
    fn opened(&self, vault: &Vault, id: &str, doc: &Bytes) -> Bytes {
        let Ok(mut value) = serde_json::from_slice::<Value>(doc) else { return doc.clone() };
        if document::inspect(&mut value, self.fields).sealed == 0 {
            return doc.clone();
        }
        for Undecryptable { destination, field, error } in
            document::open(vault, id, &mut value, self.fields)
        {
            tracing::error!(tenant = id, destination, field, %error, "a secret cannot be decrypted");
        }
        value.to_string().into()
    }

    fn sealed(&self, vault: &Vault, id: &str, doc: Bytes) -> Result<Bytes> {
        let Ok(mut value) = serde_json::from_slice::<Value>(&doc) else { return Ok(doc) };
        let sealed = document::seal(vault, id, &mut value, self.fields);
        let sealed = sealed.map_err(|error| StoreError::Other {
            message: "the system's random number generator failed".to_owned(),
            source: Some(Box::new(error)),
        })?;
        sealed.map_err(|Undecryptable { destination, field, error }| {
            StoreError::Secrets(format!(
                "tenant {id}, destination \"{destination}\", {field}: the secret cannot be stored: {error}"
            ))
        })?;
        Ok(value.to_string().into())
    }

    async fn refuse_plain(&self, doc: &Bytes) -> Result<()> {
        let Ok(mut value) = serde_json::from_slice::<Value>(doc) else { return Ok(()) };
        let has_plain = document::inspect(&mut value, self.fields).plain > 0;
        if !has_plain || check::read(&*self.records).await?.0.plain {
            return Ok(());
        }
        Err(StoreError::Secrets(
            "a destination has secrets, and there is no master key to encrypt them with; pass the \
                         server's key as FANFARE_MASTER_KEY or [secrets] key_file (`fanfare secrets new-key` \
                         creates one), or use --development to store secrets unencrypted"
                .to_owned(),
        ))
    }
}
