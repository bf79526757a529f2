//! Memory for the events of deliveries that are under way: those that are read from queues, and
//! those whose first attempt takes long.
//!
//! It is counted in bytes, because one event may be as large as thousands of others. A tenant may
//! take as much as it leaves to all others together. So a tenant whose receivers hang with large
//! events always leaves something to the next one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use crate::flow::EVENT_COPIES;

/// The memory of one process.
pub struct LaneMemory {
    most: usize,
    used: Mutex<Used>,
    freed: Notify,
}

#[derive(Default)]
struct Used {
    total: usize,
    tenants: HashMap<Arc<str>, usize>,
}

/// A part of the memory. It is free again when this is dropped.
pub struct Held {
    memory: Arc<LaneMemory>,
    tenant: Arc<str>,
    bytes: usize,
}

impl LaneMemory {
    /// Memory of `most` bytes.
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, used: Mutex::default(), freed: Notify::new() })
    }

    fn lock(&self) -> MutexGuard<'_, Used> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many bytes are in use.
    pub fn used(&self) -> usize {
        self.lock().total
    }

    /// Whether the tenant should take no memory for another event of this size now.
    pub fn is_crowded(&self, tenant: &str, body: usize) -> bool {
        !self.lock().has_room(self.most, tenant, cost(body))
    }

    /// Counts an event, whether there is room or not.
    pub fn hold(self: &Arc<Self>, tenant: &Arc<str>, body: usize) -> Held {
        self.lock().add(tenant, cost(body));
        Held { memory: self.clone(), tenant: tenant.clone(), bytes: cost(body) }
    }

    /// Memory for events of this size in total. `None` if there is no room within the time.
    pub async fn reserve(
        self: &Arc<Self>,
        tenant: &Arc<str>,
        bodies: usize,
        within: Duration,
    ) -> Option<Held> {
        let until = Instant::now() + within;
        loop {
            let mut freed = std::pin::pin!(self.freed.notified());
            // Registered before the check, so that nothing that is freed meanwhile is missed.
            freed.as_mut().enable();
            if let Some(held) = self.try_reserve(tenant, bodies) {
                return Some(held);
            }
            timeout_at(until, freed).await.ok()?;
        }
    }

    /// Memory for events of this size in total, if there is room now.
    pub fn try_reserve(self: &Arc<Self>, tenant: &Arc<str>, bodies: usize) -> Option<Held> {
        let bytes = cost(bodies);
        let mut used = self.lock();
        used.has_room(self.most, tenant, bytes).then(|| used.add(tenant, bytes))?;
        drop(used);
        Some(Held { memory: self.clone(), tenant: tenant.clone(), bytes })
    }
}

impl Used {
    /// What is larger than all of it is let through alone.
    fn has_room(&self, most: usize, tenant: &str, bytes: usize) -> bool {
        let own = self.tenants.get(tenant).copied().unwrap_or(0);
        self.total == 0 || own.saturating_add(bytes) <= most.saturating_sub(self.total)
    }

    fn add(&mut self, tenant: &Arc<str>, bytes: usize) {
        self.total += bytes;
        *self.tenants.entry(tenant.clone()).or_default() += bytes;
    }

    fn remove(&mut self, tenant: &str, bytes: usize) {
        self.total -= bytes;
        if let Some(own) = self.tenants.get_mut(tenant) {
            *own -= bytes;
            if *own == 0 {
                self.tenants.remove(tenant);
            }
        }
    }
}

impl Held {
    /// The part of it that an event needs, or as much more as the event is larger.
    pub fn split(&mut self, body: usize) -> Self {
        let bytes = cost(body);
        let own = bytes.min(self.bytes);
        self.bytes -= own;
        if bytes > own {
            self.memory.lock().add(&self.tenant, bytes - own);
        }
        Self { memory: self.memory.clone(), tenant: self.tenant.clone(), bytes }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.bytes == 0 {
            return;
        }
        self.memory.lock().remove(&self.tenant, self.bytes);
        self.memory.freed.notify_waiters();
    }
}

/// Bytes of memory for events whose bodies have this size.
fn cost(body: usize) -> usize {
    body.saturating_mul(EVENT_COPIES)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> (Arc<str>, Arc<str>, Arc<str>) {
        ("a".into(), "b".into(), "c".into())
    }

    #[tokio::test(start_paused = true)]
    async fn a_tenant_leaves_as_much_to_others_as_it_takes() {
        let memory = LaneMemory::new(120 * EVENT_COPIES);
        let (a, b, c) = names();
        let held = memory.try_reserve(&a, 60).expect("half of it");
        assert!(memory.try_reserve(&a, 1).is_none() && memory.is_crowded(&a, 1));
        let second = memory.try_reserve(&b, 30).expect("half of the rest");
        assert!(memory.try_reserve(&b, 1).is_none());
        assert!(memory.try_reserve(&c, 15).is_some(), "something is always left");
        let short = memory.reserve(&a, 50, Duration::from_secs(1)).await;
        assert!(short.is_none(), "nothing was freed");
        let (later, ()) = tokio::join!(memory.reserve(&a, 50, Duration::from_secs(1)), async {
            drop((held, second));
        });
        assert_eq!(memory.used(), 50 * EVENT_COPIES);
        drop(later);
        assert_eq!(memory.used(), 0);
        assert!(memory.lock().tenants.is_empty());
    }

    #[test]
    fn one_event_that_is_larger_than_the_memory_goes_alone_and_parts_add_up() {
        let memory = LaneMemory::new(10);
        let (a, b, _) = names();
        let mut held = memory.try_reserve(&a, 100).expect("alone");
        assert!(memory.try_reserve(&b, 1).is_none());
        let (first, large) = (held.split(40), held.split(90));
        assert_eq!(memory.used(), 130 * EVENT_COPIES);
        drop((first, held));
        assert_eq!(memory.used(), 90 * EVENT_COPIES);
        drop(large);
        assert_eq!(memory.used(), 0);
    }
}
