//! Requests that wait for an event (`?wait=`). Each holds a connection and polls the store, so their
//! number is bounded: for the process, and for each tenant, so that one cannot take all places.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::StatusCode;

use super::answer::ApiError;

/// When a refused request may try again, in seconds.
const RETRY_AFTER_S: u64 = 5;

/// Shortest pause between two polls of one request.
const POLL_EVERY: Duration = Duration::from_millis(200);
/// The pause per request of the same tenant that waits: one tenant polls the store at most 50 times
/// a second, whatever the number of its requests.
const POLL_EVERY_EACH: Duration = Duration::from_millis(20);

/// The requests that wait now.
pub(super) struct Waiters {
    most: usize,
    most_per_tenant: usize,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    total: usize,
    tenants: HashMap<Arc<str>, usize>,
}

/// A request that waits, until this is dropped.
pub(super) struct Waiter<'w> {
    waiters: &'w Waiters,
    tenant: Arc<str>,
}

impl Waiters {
    pub(super) fn new(most: usize, most_per_tenant: usize) -> Self {
        Self { most, most_per_tenant, waiting: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a place, or says which limit is reached.
    pub(super) fn enter(&self, tenant: &Arc<str>) -> Result<Waiter<'_>, ApiError> {
        let mut waiting = self.lock();
        if waiting.total >= self.most {
            let message = format!(
                "the server already has {} requests that wait for events (http.max_waiting); try \
                 again later, or send the request without `wait`",
                self.most
            );
            let status = StatusCode::SERVICE_UNAVAILABLE;
            let error = ApiError::new(status, "unavailable", "too_many_waiting", message);
            return Err(error.retry_after(RETRY_AFTER_S));
        }
        if waiting.tenants.get(tenant).copied().unwrap_or(0) >= self.most_per_tenant {
            let message = format!(
                "the tenant already has {} requests that wait for events \
                 (http.max_waiting_per_tenant); end one of them, or send the request without `wait`",
                self.most_per_tenant
            );
            let status = StatusCode::TOO_MANY_REQUESTS;
            let error = ApiError::new(status, "rate_limited", "too_many_waiting", message);
            return Err(error.retry_after(RETRY_AFTER_S));
        }
        *waiting.tenants.entry(tenant.clone()).or_default() += 1;
        waiting.total += 1;
        Ok(Waiter { waiters: self, tenant: tenant.clone() })
    }
}

impl Waiter<'_> {
    /// How long to pause before the next poll.
    pub(super) fn pause(&self) -> Duration {
        let own = self.waiters.lock().tenants.get(&self.tenant).copied().unwrap_or(0);
        POLL_EVERY_EACH.saturating_mul(u32::try_from(own).unwrap_or(u32::MAX)).max(POLL_EVERY)
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        let mut waiting = self.waiters.lock();
        waiting.total -= 1;
        if let Some(own) = waiting.tenants.get_mut(&self.tenant) {
            *own -= 1;
            if *own == 0 {
                waiting.tenants.remove(&self.tenant);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_cannot_take_the_places_of_others() {
        let waiters = Waiters::new(3, 2);
        let (acme, globex) = ("acme".into(), "globex".into());
        let first = waiters.enter(&acme).unwrap();
        let _second = waiters.enter(&acme).unwrap();
        let refused = waiters.enter(&acme).err().unwrap();
        assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
        assert!(refused.message.contains("http.max_waiting_per_tenant"), "{}", refused.message);
        let _other = waiters.enter(&globex).unwrap();
        let refused = waiters.enter(&globex).err().unwrap();
        assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE, "all places are taken");
        drop(first);
        assert!(waiters.enter(&acme).is_ok(), "a place is free again");
    }

    #[test]
    fn a_tenant_polls_the_store_no_more_often_with_more_requests() {
        let waiters = Waiters::new(200, 200);
        let (acme, globex) = ("acme".into(), "globex".into());
        let first = waiters.enter(&acme).unwrap();
        assert_eq!(first.pause(), Duration::from_millis(200));
        let _more: Vec<_> = (0..99).map(|_| waiters.enter(&acme).unwrap()).collect();
        assert_eq!(first.pause(), Duration::from_secs(2), "100 requests, 50 polls a second");
        assert_eq!(waiters.enter(&globex).unwrap().pause(), Duration::from_millis(200));
    }

    #[test]
    fn a_limit_of_zero_leaves_no_trace_of_the_refused() {
        let waiters = Waiters::new(1, 0);
        assert!(waiters.enter(&"acme".into()).is_err());
        assert!(waiters.lock().total == 0 && waiters.lock().tenants.is_empty());
    }
}
