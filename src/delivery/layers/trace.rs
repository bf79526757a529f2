//! Adds a span to every attempt and reports its result to an observer (metrics and traces).

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use fanfare_contract::{Delivery, DeliveryError, Receipt};
use tokio::time::Instant;
use tower::{Layer, Service};
use tracing::Instrument;

/// Observes attempts. Called on the hot path: must not block.
pub trait Observer: Send + Sync {
    /// `channel` had a result after `took`.
    fn attempt(&self, channel: &'static str, took: Duration, result: Result<(), &str>);

    /// An attempt begins. The observer can put its trace context into the delivery. The returned
    /// function gets the result.
    fn begin(&self, channel: &'static str, delivery: &mut Delivery) -> Option<Ended> {
        let _ = (channel, delivery);
        None
    }
}

/// Gets the result of an attempt.
pub type Ended = Box<dyn FnOnce(&Result<Receipt, DeliveryError>) + Send>;

/// Observes nothing.
#[derive(Clone, Copy, Debug)]
pub struct Quiet;

impl Observer for Quiet {
    fn attempt(&self, _: &'static str, _: Duration, _: Result<(), &str>) {}
}

/// Adds `Traced`.
#[derive(Clone)]
pub struct TraceLayer {
    channel: &'static str,
    observer: Arc<dyn Observer>,
}

impl TraceLayer {
    /// For the channel of this name.
    pub fn new(channel: &'static str, observer: Arc<dyn Observer>) -> Self {
        Self { channel, observer }
    }
}

impl<S> Layer<S> for TraceLayer {
    type Service = Traced<S>;
    fn layer(&self, inner: S) -> Traced<S> {
        Traced { inner, channel: self.channel, observer: self.observer.clone() }
    }
}

/// See [`TraceLayer`].
#[derive(Clone)]
pub struct Traced<S> {
    inner: S,
    channel: &'static str,
    observer: Arc<dyn Observer>,
}

impl<S> Service<Delivery> for Traced<S>
where
    S: Service<Delivery, Response = Receipt, Error = DeliveryError>,
    S::Future: Send + 'static,
{
    type Response = Receipt;
    type Error = DeliveryError;
    type Future = Pin<Box<dyn Future<Output = Result<Receipt, DeliveryError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), DeliveryError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut delivery: Delivery) -> Self::Future {
        // Only ids: no payload, address or secret. Costs nothing unless `debug` is on.
        let span = tracing::debug_span!(
            "attempt",
            channel = self.channel,
            tenant = %delivery.destination.tenant,
            delivery = %delivery.id,
            number = delivery.attempt,
        );
        let (channel, observer) = (self.channel, self.observer.clone());
        let ended = observer.begin(self.channel, &mut delivery);
        let began = Instant::now();
        let call = self.inner.call(delivery);
        let observed = async move {
            let result = call.await;
            let took = began.elapsed();
            observer.attempt(channel, took, result.as_ref().map(|_| ()).map_err(|e| &*e.code));
            if let Some(ended) = ended {
                ended(&result);
            }
            match &result {
                Ok(receipt) => tracing::debug!(?took, status = receipt.status, "delivered"),
                Err(error) => {
                    tracing::debug!(?took, status = error.status, code = %error.code, "failed");
                }
            }
            result
        };
        Box::pin(observed.instrument(span))
    }
}
