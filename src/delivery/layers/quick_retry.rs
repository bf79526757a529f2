//! One more try at once, where it is harmless and cheap.

use std::future::{Ready, ready};
use std::sync::Arc;

use fanfare_contract::{Delivery, DeliveryError, Receipt};
use tower::retry::Policy;
use tower::retry::budget::{Budget, TpsBudget};

use crate::flow::{QUICK_RETRIES_MIN, QUICK_RETRY_SHARE, QUICK_RETRY_WINDOW};

/// Retries errors that allow it (`retry_at_once`), within a shared budget.
#[derive(Clone)]
pub struct QuickRetry {
    left: u32,
    budget: Arc<TpsBudget>,
}

impl QuickRetry {
    /// Up to `retries` more tries per call.
    pub fn new(retries: u32, budget: Arc<TpsBudget>) -> Self {
        Self { left: retries, budget }
    }
}

/// The budget of quick retries that one channel's deliveries share.
pub fn retry_budget() -> Arc<TpsBudget> {
    Arc::new(TpsBudget::new(QUICK_RETRY_WINDOW, QUICK_RETRIES_MIN, QUICK_RETRY_SHARE))
}

impl Policy<Delivery, Receipt, DeliveryError> for QuickRetry {
    type Future = Ready<()>;

    fn retry(
        &mut self,
        _: &mut Delivery,
        result: &mut Result<Receipt, DeliveryError>,
    ) -> Option<Ready<()>> {
        match result {
            Ok(_) => self.budget.deposit(),
            Err(error) if error.retry_at_once && self.left > 0 && self.budget.withdraw() => {
                self.left -= 1;
                return Some(ready(()));
            }
            Err(_) => {}
        }
        None
    }

    fn clone_request(&mut self, delivery: &Delivery) -> Option<Delivery> {
        Some(delivery.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use tower::retry::RetryLayer;
    use tower::{Layer, ServiceExt, service_fn};

    use super::*;
    use crate::delivery::layers::deadline_tests_delivery as delivery;

    async fn calls(at_once: bool, budget: Arc<TpsBudget>) -> u32 {
        let calls = Arc::new(AtomicU32::new(0));
        let counted = calls.clone();
        let failing = service_fn(move |_| {
            counted.fetch_add(1, Ordering::Relaxed);
            ready(Err::<Receipt, _>(
                DeliveryError::retry("connection_reset", "").retry_at_once(at_once),
            ))
        });
        let service = RetryLayer::new(QuickRetry::new(1, budget)).layer(failing);
        service.oneshot(delivery()).await.unwrap_err();
        calls.load(Ordering::Relaxed)
    }

    #[tokio::test]
    async fn only_an_error_that_allows_it_is_retried_and_only_once() {
        assert_eq!(calls(true, retry_budget()).await, 2);
        assert_eq!(calls(false, retry_budget()).await, 1);
    }

    #[tokio::test]
    async fn when_everything_fails_the_budget_ends_the_retries() {
        let budget = retry_budget();
        let mut total = 0;
        for _ in 0..500 {
            total += calls(true, budget.clone()).await;
        }
        assert!(total < 650, "{total} calls for 500 deliveries");
    }
}
