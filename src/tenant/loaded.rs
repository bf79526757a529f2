//! The tenants that are compiled and in memory: as many as the settings allow, and those in use.
//!
//! A tenant is in use while something waits for it: an attempt is in flight, a delivery is in line,
//! or a task holds the tenant or one of its lanes. It stays then, so that no lane ever has two
//! gates. A tenant whose gates have something to remember, such as an open circuit, stays while
//! fewer than twice as many as allowed are in memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use quick_cache::sync::Cache;
use quick_cache::{DefaultHashBuilder, Lifecycle, OptionsBuilder, UnitWeighter};

use super::Tenant;
use crate::agenda::Clock;

/// Fewest tenants that stay in memory.
const FEWEST: usize = 16;
/// Ids without a tenant that are remembered, so that events for them do not read the store.
const UNKNOWN: usize = 1_024;

/// What this process knows about a tenant.
#[derive(Clone)]
pub enum TenantStatus {
    /// It has a table, perhaps that of an earlier document.
    Usable(Arc<Tenant>),
    /// Its document cannot be used, and there is no earlier table.
    Unusable,
    /// There is no such tenant.
    Unknown,
}

impl TenantStatus {
    /// The tenant, if it can be used.
    pub fn usable(self) -> Option<Arc<Tenant>> {
        match self {
            Self::Usable(tenant) => Some(tenant),
            Self::Unusable | Self::Unknown => None,
        }
    }
}

/// A tenant in memory.
#[derive(Clone)]
pub(super) struct Entry {
    /// The document that was read last, even if it cannot be used.
    pub(super) revision: u64,
    pub(super) status: TenantStatus,
}

type Tenants = Cache<Arc<str>, Entry, UnitWeighter, DefaultHashBuilder, InUse>;

/// The tenants in memory. Changes of one tenant are made by one task at a time.
pub(super) struct Loaded {
    tenants: Tenants,
    count: Arc<AtomicUsize>,
    unknown: Cache<Arc<str>, ()>,
}

impl Loaded {
    /// Room for `tenants`.
    pub(super) fn new(tenants: usize, clock: Clock) -> Self {
        let most = tenants.max(FEWEST);
        let count = Arc::<AtomicUsize>::default();
        let in_use = InUse { clock, count: count.clone(), most };
        let mut options = OptionsBuilder::new();
        options.estimated_items_capacity(most).weight_capacity(most as u64);
        let options = options.build().expect("both capacities are set");
        let tenants = Cache::with_options(options, UnitWeighter, <_>::default(), in_use);
        Self { tenants, count, unknown: Cache::new(UNKNOWN) }
    }

    /// The entry of a tenant.
    pub(super) fn get(&self, id: &str) -> Option<Entry> {
        let found = self.tenants.get(id);
        let unknown = || {
            let entry = Entry { revision: 0, status: TenantStatus::Unknown };
            self.unknown.get(id).map(|()| entry)
        };
        found.or_else(unknown)
    }

    /// Replaces the entry of a tenant.
    pub(super) fn put(&self, id: &str, entry: Entry) {
        if matches!(entry.status, TenantStatus::Unknown) {
            self.remove(id);
            self.unknown.insert(id.into(), ());
            return;
        }
        self.unknown.remove(id);
        if !self.tenants.contains_key(id) {
            self.count.fetch_add(1, Ordering::Relaxed);
        }
        self.tenants.insert(id.into(), entry);
    }

    fn remove(&self, id: &str) {
        if self.tenants.remove(id).is_some() {
            self.count.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Forgets which tenants do not exist.
    pub(super) fn forget_unknown(&self) {
        self.unknown.clear();
    }

    /// Forgets that a tenant does not exist.
    pub(super) fn may_exist(&self, id: &str) {
        self.unknown.remove(id);
    }

    /// The ids of all tenants in memory.
    pub(super) fn ids(&self) -> Vec<Arc<str>> {
        self.tenants.iter().map(|(id, _)| id).collect()
    }

    /// All usable tenants in memory.
    pub(super) fn usable(&self) -> Vec<Arc<Tenant>> {
        self.tenants.iter().filter_map(|(_, entry)| entry.status.usable()).collect()
    }
}

/// Keeps the tenants in memory that are in use.
#[derive(Clone)]
struct InUse {
    clock: Clock,
    count: Arc<AtomicUsize>,
    most: usize,
}

impl Lifecycle<Arc<str>, Entry> for InUse {
    type RequestState = ();

    fn is_pinned(&self, _: &Arc<str>, entry: &Entry) -> bool {
        let TenantStatus::Usable(tenant) = &entry.status else { return false };
        // An earlier document is in effect. Without it, the tenant could not be used.
        let is_earlier = tenant.revision != entry.revision;
        let has_memory = || self.count.load(Ordering::Relaxed) < 2 * self.most;
        Arc::strong_count(tenant) > 1
            || tenant.is_in_use()
            || (has_memory() && (is_earlier || !tenant.is_at_rest(self.clock.now_ms())))
    }

    fn on_evict(&self, (): &mut (), _: Arc<str>, _: Entry) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}
