//! Ends a call after a time. Unlike tower's timeout, the error says that the receiver may have
//! accepted the delivery.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use fanfare_contract::{Delivery, DeliveryError, Receipt};
use tower::{Layer, Service};

/// Adds `Deadline`.
#[derive(Clone, Copy, Debug)]
pub struct DeadlineLayer {
    limit: Duration,
    code: &'static str,
}

impl DeadlineLayer {
    /// Ends a call after `limit` with the error code `code`.
    pub fn new(limit: Duration, code: &'static str) -> Self {
        Self { limit, code }
    }
}

impl<S> Layer<S> for DeadlineLayer {
    type Service = Deadline<S>;
    fn layer(&self, inner: S) -> Deadline<S> {
        Deadline { inner, limit: self.limit, code: self.code }
    }
}

/// See [`DeadlineLayer`].
#[derive(Clone, Debug)]
pub struct Deadline<S> {
    inner: S,
    limit: Duration,
    code: &'static str,
}

impl<S> Service<Delivery> for Deadline<S>
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

    fn call(&mut self, delivery: Delivery) -> Self::Future {
        let (limit, code) = (self.limit, self.code);
        let call = self.inner.call(delivery);
        Box::pin(async move {
            tokio::time::timeout(limit, call).await.unwrap_or_else(|_| {
                let message = format!("no complete answer within {} s", limit.as_secs_f32());
                Err(DeliveryError::retry(code, message).maybe_accepted(true))
            })
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Arc;

    use fanfare_contract::{Content, DeliveryId, Destination, Event, Resend, Verdict};
    use tower::{ServiceExt, service_fn};

    use super::*;

    pub(crate) fn delivery() -> Delivery {
        let event = Event::new(
            "t".into(),
            "evt_1".into(),
            "a".into(),
            0,
            0,
            bytes::Bytes::from_static(b"{}"),
        );
        Delivery {
            id: DeliveryId::derive("evt_1", "d"),
            destination: Arc::new(Destination {
                tenant: "t".into(),
                lane: "d".into(),
                channel: "webhook".into(),
                settings: Arc::new(()),
            }),
            content: Content::Event(Arc::new(event)),
            attempt: 1,
            at_ms: 0,
            resend: Resend::Allowed,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_without_an_answer_ends_in_time_and_is_retried() {
        let hang = service_fn(|_| std::future::pending::<Result<Receipt, DeliveryError>>());
        let service = DeadlineLayer::new(Duration::from_secs(10), "timeout").layer(hang);
        let began = tokio::time::Instant::now();
        let error = service.oneshot(delivery()).await.unwrap_err();
        assert_eq!(began.elapsed(), Duration::from_secs(10));
        assert_eq!(error.code, "timeout");
        assert!(error.maybe_accepted);
        assert_eq!(error.verdict, Verdict::Retry { not_before: None });
    }
}
