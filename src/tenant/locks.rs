//! Locks by tenant: work on one tenant is done by one task of this process at a time.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};

use tokio::sync::{Mutex, MutexGuard};

/// How many locks there are.
const LOCKS: usize = 256;

/// A fixed number of locks. Tenants whose hashes collide share one.
pub struct TenantLocks(Vec<Mutex<()>>);

impl Default for TenantLocks {
    fn default() -> Self {
        Self((0..LOCKS).map(|_| Mutex::default()).collect())
    }
}

impl TenantLocks {
    /// Waits until no other task has the tenant's lock. Do not wait for a second one while holding
    /// one: it may be the same.
    pub async fn lock(&self, tenant: &str) -> MutexGuard<'_, ()> {
        let mut hash = DefaultHasher::new();
        tenant.hash(&mut hash);
        let index = usize::try_from(hash.finish() % LOCKS as u64).unwrap_or(0);
        self.0[index].lock().await
    }
}
