//! Locks that serialize the writers of one tenant within this process.
//!
//! Writers of other processes are detected by the document's revision. The locks only keep writers
//! of the same process from repeatedly undoing each other's work.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};

use tokio::sync::{Mutex, MutexGuard};

/// A fixed number of locks. Tenants whose hashes collide share one.
#[derive(Default)]
pub(super) struct WriteLocks([Mutex<()>; 32]);

impl WriteLocks {
    /// Waits until no other request of this process changes the tenant.
    pub(super) async fn lock(&self, tenant: &str) -> MutexGuard<'_, ()> {
        let mut hash = DefaultHasher::new();
        tenant.hash(&mut hash);
        let index = usize::try_from(hash.finish() % 32).unwrap_or(0);
        self.0[index].lock().await
    }
}
