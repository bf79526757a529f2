//! Spaces calls evenly (a generic cell rate algorithm): a burst, then one call per interval.
//!
//! Tower's `RateLimit` cannot be cloned and needs a buffer task. This one is a point in time behind
//! a lock, which clones share.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use fanfare_contract::{Delivery, DeliveryError, Rate, Receipt};
use tokio::time::Instant;
use tower::{Layer, Service};

/// Decides when the next message may go.
#[derive(Debug)]
pub struct Pace {
    interval: Duration,
    burst: Duration,
    /// The theoretical arrival time: when the bucket will be empty again.
    next: Mutex<Option<Instant>>,
}

impl Pace {
    /// Allows `rate.messages` at once, then spaces them evenly.
    pub fn new(rate: Rate) -> Self {
        let messages = rate.messages.max(1);
        let interval = rate.per / messages;
        Self { interval, burst: interval * (messages - 1), next: Mutex::new(None) }
    }

    /// Takes the next place if it is free now. Otherwise returns how long until it is.
    pub fn try_take(&self, now: Instant) -> Result<(), Duration> {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let at = next.map_or(now, |next| next.max(now));
        let early = at.saturating_duration_since(now);
        if early > self.burst {
            return Err(early.saturating_sub(self.burst));
        }
        *next = Some(at + self.interval);
        Ok(())
    }

    /// Whether the whole burst is free.
    pub fn is_full(&self, now: Instant) -> bool {
        let next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        next.is_none_or(|next| next <= now)
    }

    /// How long until a place is free. Takes none.
    pub fn wait(&self, now: Instant) -> Duration {
        let next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        next.map_or(Duration::ZERO, |next| {
            next.saturating_duration_since(now).saturating_sub(self.burst)
        })
    }
}

/// Adds `Paced`. Clones share the pace.
#[derive(Clone, Debug)]
pub struct PaceLayer(Arc<Pace>);

impl PaceLayer {
    /// Spaces calls by `rate`.
    pub fn new(rate: Rate) -> Self {
        Self(Arc::new(Pace::new(rate)))
    }
}

impl<S> Layer<S> for PaceLayer {
    type Service = Paced<S>;
    fn layer(&self, inner: S) -> Paced<S> {
        Paced { inner, pace: self.0.clone() }
    }
}

/// See [`PaceLayer`].
#[derive(Clone, Debug)]
pub struct Paced<S> {
    inner: S,
    pace: Arc<Pace>,
}

impl<S> Service<Delivery> for Paced<S>
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
        let fresh = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, fresh);
        let pace = self.pace.clone();
        Box::pin(async move {
            while let Err(wait) = pace.try_take(Instant::now()) {
                tokio::time::sleep(wait).await;
            }
            inner.call(delivery).await
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn after_a_burst_messages_leave_evenly() {
        let pace = Pace::new(Rate { messages: 4, per: Duration::from_secs(2) });
        let began = Instant::now();
        let mut left = Vec::new();
        while left.len() < 7 {
            match pace.try_take(Instant::now()) {
                Ok(()) => left.push(began.elapsed().as_millis()),
                Err(wait) => tokio::time::sleep(wait).await,
            }
        }
        assert_eq!(left, [0, 0, 0, 0, 500, 1000, 1500]);
        tokio::time::sleep(Duration::from_mins(1)).await;
        assert_eq!(pace.wait(Instant::now()), Duration::ZERO);
    }
}
