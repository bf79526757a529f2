//! How many lanes of each tenant this process serves at once.
//!
//! A claim is fair among tenants. But a tenant whose receivers all hang would, claim by claim,
//! occupy all slots.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use fanfare_store::TenantLimit;

/// The number of lanes being served, by tenant.
pub(super) struct Shares {
    max: usize,
    taken: Mutex<HashMap<Arc<str>, usize>>,
    /// A tenant that had its share has a place again.
    freed: Notify,
}

/// One place of a tenant, released by drop.
pub(super) struct Share {
    tenant: Arc<str>,
    shares: Arc<Shares>,
}

impl Shares {
    /// At most `max` places for each tenant.
    pub(super) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { max, taken: Mutex::default(), freed: Notify::new() })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the tenant has its share already.
    pub(super) fn is_full(&self, tenant: &Arc<str>) -> bool {
        self.lock().get(tenant).is_some_and(|count| *count >= self.max)
    }

    /// How many places are left to tenants that have fewer than `most` left.
    pub(super) fn limits(&self, most: usize) -> Vec<TenantLimit> {
        let taken = self.lock();
        let left = taken.iter().map(|(tenant, count)| (tenant.clone(), self.max - *count));
        left.filter(|(_, left)| *left < most).collect()
    }

    /// Waits until a tenant that had its share has a place again.
    pub(super) async fn freed(&self) {
        self.freed.notified().await;
    }

    /// A place, unless the tenant has its share already.
    pub(super) fn take(self: &Arc<Self>, tenant: &Arc<str>) -> Option<Share> {
        let mut taken = self.lock();
        let count = taken.entry(tenant.clone()).or_default();
        if *count >= self.max {
            return None;
        }
        *count += 1;
        Some(Share { tenant: tenant.clone(), shares: self.clone() })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut taken = self.shares.lock();
        if let Some(count) = taken.get_mut(&self.tenant) {
            if *count >= self.shares.max {
                self.shares.freed.notify_one();
            }
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.tenant);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_has_its_share_and_no_more_and_leaves_nothing_behind() {
        let shares = Shares::new(2);
        let (loud, quiet): (Arc<str>, Arc<str>) = ("loud".into(), "quiet".into());
        let held = (shares.take(&loud), shares.take(&loud));
        assert!(held.0.is_some() && held.1.is_some());
        assert!(shares.take(&loud).is_none());
        assert!(shares.is_full(&loud) && !shares.is_full(&quiet));
        let quiet_too = shares.take(&quiet);
        assert!(quiet_too.is_some());
        assert_eq!(shares.limits(1), [(loud.clone(), 0)], "what a claim must not bring");
        drop(quiet_too);
        drop(held);
        assert!(shares.lock().is_empty());
    }
}
