//! How many lookups run at once: for each asker, and in total.
//!
//! An asker first needs one of its own places and then one of all. So it can hold, and wait for, no
//! more of the total than its own limit, and the places of the total go to askers in the order in
//! which they came. The operator's lookups have places of their own, which no tenant can take.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use fanfare_contract::Asker;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Places for hosts that the operator chose. There are few of them.
const OPERATOR: usize = 16;
/// Tenants that are remembered before those without a lookup are forgotten.
const TENANTS: usize = 256;

/// The places.
pub(crate) struct Places {
    per_tenant: usize,
    all: Arc<Semaphore>,
    operator: Arc<Semaphore>,
    tenants: Mutex<Tenants>,
}

struct Tenants {
    own: HashMap<Arc<str>, Weak<Semaphore>>,
    /// How many tenants are remembered before the next cleanup.
    cleanup_at: usize,
}

/// The right to run one lookup. Released by drop.
pub(crate) struct Place {
    _all: Option<OwnedSemaphorePermit>,
    _own: OwnedSemaphorePermit,
    /// Keeps the tenant's places while a lookup holds one.
    _places: Arc<Semaphore>,
}

impl Places {
    pub(crate) fn new(all: usize, per_tenant: usize) -> Self {
        let tenants = Tenants { own: HashMap::new(), cleanup_at: TENANTS };
        Self {
            per_tenant: per_tenant.max(1),
            all: Arc::new(Semaphore::new(all.max(1))),
            operator: Arc::new(Semaphore::new(OPERATOR)),
            tenants: Mutex::new(tenants),
        }
    }

    /// Waits for a place. Dropping the future gives up its turn.
    pub(crate) async fn take(&self, asker: &Asker) -> Place {
        let (places, all) = match asker {
            Asker::Operator => (Arc::clone(&self.operator), None),
            Asker::Tenant(tenant) => (self.of(tenant), Some(Arc::clone(&self.all))),
        };
        let own = acquire(&places).await;
        let all = match all {
            Some(all) => Some(acquire(&all).await),
            None => None,
        };
        Place { _all: all, _own: own, _places: places }
    }

    fn of(&self, tenant: &Arc<str>) -> Arc<Semaphore> {
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(places) = tenants.own.get(tenant).and_then(Weak::upgrade) {
            return places;
        }
        if tenants.own.len() >= tenants.cleanup_at {
            tenants.own.retain(|_, places| places.strong_count() > 0);
            tenants.cleanup_at = (2 * tenants.own.len()).max(TENANTS);
        }
        let places = Arc::new(Semaphore::new(self.per_tenant));
        tenants.own.insert(Arc::clone(tenant), Arc::downgrade(&places));
        places
    }
}

async fn acquire(places: &Arc<Semaphore>) -> OwnedSemaphorePermit {
    let permit = Arc::clone(places).acquire_owned().await;
    permit.expect("nothing closes the semaphore")
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    fn tenant(name: &str) -> Asker {
        Asker::Tenant(name.into())
    }

    fn try_take(places: &Places, asker: &Asker) -> Option<Place> {
        places.take(asker).now_or_never()
    }

    #[test]
    fn a_tenant_at_its_limit_takes_no_place_of_another() {
        let places = Places::new(6, 4);
        let held: Vec<Place> =
            (0..4).map(|_| try_take(&places, &tenant("a")).expect("a place")).collect();
        assert!(try_take(&places, &tenant("a")).is_none(), "its own limit");
        let other = [(); 2].map(|()| try_take(&places, &tenant("b")).expect("a place"));
        assert!(try_take(&places, &tenant("c")).is_none(), "the limit of all");
        assert!(try_take(&places, &Asker::Operator).is_some(), "the operator's places");
        drop(held);
        assert!(try_take(&places, &tenant("c")).is_some());
        drop(other);
    }

    #[test]
    fn tenants_without_a_lookup_cost_no_memory() {
        let places = Places::new(8, 8);
        let held = try_take(&places, &tenant("held"));
        for n in 0..10 * TENANTS {
            drop(try_take(&places, &tenant(&n.to_string())));
        }
        let tenants = places.tenants.lock().unwrap();
        assert!(tenants.own.len() <= TENANTS, "{}", tenants.own.len());
        assert!(tenants.own.contains_key("held"));
        drop(held);
    }
}
