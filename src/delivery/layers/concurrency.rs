//! Limits the concurrent calls of a whole channel.
//!
//! Tower's `ConcurrencyLimit` waits in `poll_ready` forever. Here a delivery that finds no place in
//! time is parked in its durable queue, where waiting costs no memory.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use fanfare_contract::{Delivery, DeliveryError, Receipt};
use tokio::sync::Semaphore;
use tower::{Layer, Service};

/// The code of a delivery that found no free place in its channel. Nothing was sent, and it says
/// nothing about the receiver.
pub const BUSY: &str = "channel_busy";

/// Adds `Concurrency`. Clones share the places.
#[derive(Clone, Debug)]
pub struct ConcurrencyLayer {
    places: Arc<Semaphore>,
    longest_wait: Duration,
}

impl ConcurrencyLayer {
    /// Allows `places` concurrent calls. Others wait up to `longest_wait`.
    pub fn new(places: usize, longest_wait: Duration) -> Self {
        let places = places.clamp(1, Semaphore::MAX_PERMITS);
        Self { places: Arc::new(Semaphore::new(places)), longest_wait }
    }
}

impl<S> Layer<S> for ConcurrencyLayer {
    type Service = Concurrency<S>;
    fn layer(&self, inner: S) -> Concurrency<S> {
        Concurrency { inner, places: self.places.clone(), longest_wait: self.longest_wait }
    }
}

/// See [`ConcurrencyLayer`].
#[derive(Clone, Debug)]
pub struct Concurrency<S> {
    inner: S,
    places: Arc<Semaphore>,
    longest_wait: Duration,
}

impl<S> Service<Delivery> for Concurrency<S>
where
    S: Service<Delivery, Response = Receipt, Error = DeliveryError> + Clone + Send + 'static,
    S::Future: Send + 'static,
{
    type Response = Receipt;
    type Error = DeliveryError;
    type Future = Pin<Box<dyn Future<Output = Result<Receipt, DeliveryError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), DeliveryError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, delivery: Delivery) -> Self::Future {
        // Calls the instance that `poll_ready` was called on.
        let fresh = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, fresh);
        let (places, longest_wait) = (self.places.clone(), self.longest_wait);
        Box::pin(async move {
            // Held until the end of the call, released by drop.
            let _permit = match places.clone().try_acquire_owned() {
                Ok(permit) => permit,
                Err(_) => tokio::time::timeout(longest_wait, places.acquire_owned())
                    .await
                    .ok()
                    .and_then(Result::ok)
                    .ok_or_else(busy)?,
            };
            inner.call(delivery).await
        })
    }
}

fn busy() -> DeliveryError {
    DeliveryError::retry(BUSY, "the channel had no free place in this process; nothing was sent")
}

#[cfg(test)]
mod tests {
    use tower::{ServiceExt, service_fn};

    use super::*;
    use crate::delivery::layers::deadline_tests_delivery as delivery;

    #[tokio::test(start_paused = true)]
    async fn a_delivery_that_finds_no_place_in_time_is_not_sent() {
        let hang = service_fn(|_| std::future::pending::<Result<Receipt, DeliveryError>>());
        let service = ConcurrencyLayer::new(1, Duration::from_secs(1)).layer(hang);
        let first = tokio::spawn(service.clone().oneshot(delivery()));
        tokio::task::yield_now().await;
        let error = service.clone().oneshot(delivery()).await.unwrap_err();
        assert_eq!(error.code, "channel_busy");
        assert!(!error.maybe_accepted);
        // A dropped call releases its place.
        first.abort();
        let _ = first.await;
        assert_eq!(service.places.available_permits(), 1);
    }
}
