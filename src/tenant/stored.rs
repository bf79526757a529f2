//! Tenants' documents in the store: read, written, encoded.

use bytes::Bytes;

use super::diff::carry_over;
use super::former::suppress_former;
use super::{Channels, Problem, TenantSpec, compile, mark_repaired, remember, review};
use fanfare_store::{Ms, Store, StoreError};

/// Why a document was not written.
#[derive(Debug, thiserror::Error)]
pub enum PutError {
    /// It does not compile.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Problems(Vec<Problem>),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Writes a tenant's document if it compiles. What is disabled stays disabled, unless the
/// destination changed. Returns whether anything changed.
pub async fn put(
    store: &Store,
    channels: &Channels,
    mut spec: TenantSpec,
    now: Ms,
) -> Result<bool, PutError> {
    loop {
        let before = stored(store, &spec.id).await?;
        if let Some((before, _)) = &before {
            carry_over(before, &mut spec);
        }
        compile(&spec, 0, channels, None).map_err(PutError::Problems)?;
        let problems = review(&spec, before.as_ref().map(|(before, _)| before), channels);
        if !problems.is_empty() {
            return Err(PutError::Problems(problems));
        }
        let revision = before.as_ref().map_or(0, |(_, revision)| *revision);
        let before = before.map(|(before, _)| before);
        if before.as_ref() == Some(&spec) {
            return Ok(false);
        }
        if let Some(before) = &before {
            mark_repaired(before, &mut spec, now);
            remember(store, before, &spec).await?;
        }
        suppress_former(store, before.as_ref(), &spec, now).await?;
        match store.directory.put(&spec.id, document(&spec), Some(revision)).await {
            Ok(_) => return Ok(true),
            Err(StoreError::Conflict { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// A tenant's document and its revision.
pub async fn stored(store: &Store, id: &str) -> Result<Option<(TenantSpec, u64)>, StoreError> {
    let Some(found) = store.directory.get(id).await? else { return Ok(None) };
    let unreadable = |_| StoreError::Corrupt(format!("the document of tenant {id} cannot be read"));
    let spec = serde_json::from_slice(&found.doc).map_err(unreadable)?;
    Ok(Some((spec, found.revision)))
}

/// Decodes a tenant's document.
pub fn read(doc: &Bytes) -> Result<TenantSpec, Vec<Problem>> {
    serde_json::from_slice(doc)
        .map_err(|error| vec![Problem::new("tenant", "", format!("is unreadable: {error}"))])
}

/// Encodes a tenant's document.
pub fn document(spec: &TenantSpec) -> Bytes {
    serde_json::to_vec(spec).expect("a document is strings, numbers and lists").into()
}
