//! The documents that changed since a version of the directory.

use fanfare_store::{Directory, Result, StoreError, StoredTenant};
use futures::stream::{self, Stream, StreamExt as _, TryStreamExt as _};

/// Changes that are read at once.
const AT_ONCE: usize = 500;
/// Documents that are read at once.
const READ_AT_ONCE: usize = 16;

/// All documents that changed after `version`, or all documents if the store does not know which.
pub(super) fn changed_since(
    directory: &dyn Directory,
    version: u64,
) -> impl Stream<Item = Result<StoredTenant>> + '_ {
    let pages = stream::try_unfold(Some(version), move |since| async move {
        let Some(since) = since else { return Ok::<_, StoreError>(None) };
        let changes = directory.changed_since(since, AT_ONCE).await?;
        if changes.is_incomplete {
            return Ok(Some((directory.all().boxed(), None)));
        }
        let next = changes.has_more.then_some(changes.version);
        let documents = stream::iter(changes.tenants)
            .map(move |one| async move { directory.get(&one.id).await })
            .buffered(READ_AT_ONCE)
            .try_filter_map(async |found| Ok(found));
        Ok(Some((documents.boxed(), next)))
    });
    pages.try_flatten()
}
