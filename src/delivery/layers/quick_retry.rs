//! One more try at once, where a connection that was kept open turned out to be dead.
//!
//! The channel says when that is so (`retry_at_once`), and sends the second request on a new
//! connection. So a pool full of dead connections delays nothing, and nothing is sent a third time.
//! There is no budget: only a connection that has served a request before can be found dead, so the
//! second requests are never more than the successes before them.

use std::future::{Ready, ready};

use fanfare_contract::{Delivery, DeliveryError, Receipt, Resend, Resent};
use tokio::time::Instant;
use tower::retry::Policy;

/// Repeats an attempt once on an error that allows it, and keeps what was sent for the ledger.
#[derive(Clone, Debug)]
pub struct QuickRetry {
    began: Instant,
    resent: Vec<Resent>,
}

impl QuickRetry {
    /// For the attempts of one channel.
    pub fn new() -> Self {
        Self { began: Instant::now(), resent: Vec::new() }
    }
}

impl Default for QuickRetry {
    fn default() -> Self {
        Self::new()
    }
}

impl Policy<Delivery, Receipt, DeliveryError> for QuickRetry {
    type Future = Ready<()>;

    fn retry(
        &mut self,
        delivery: &mut Delivery,
        result: &mut Result<Receipt, DeliveryError>,
    ) -> Option<Ready<()>> {
        if let Err(error) = result
            && error.retry_at_once
            && delivery.resend == Resend::Allowed
        {
            let took = self.began.elapsed();
            self.resent.push(Resent {
                at_ms: delivery.at_ms,
                took,
                code: std::mem::take(&mut error.code),
                message: std::mem::take(&mut error.message),
            });
            delivery.resend = Resend::Now;
            delivery.at_ms += i64::try_from(took.as_millis()).unwrap_or(0);
            return Some(ready(()));
        }
        let resent = std::mem::take(&mut self.resent);
        match result {
            Ok(receipt) => receipt.resent = resent,
            Err(error) => error.resent = resent,
        }
        None
    }

    fn clone_request(&mut self, delivery: &Delivery) -> Option<Delivery> {
        self.began = Instant::now();
        Some(delivery.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use tower::retry::RetryLayer;
    use tower::{Layer, ServiceExt, service_fn};

    use super::*;
    use crate::delivery::layers::deadline_tests_delivery as delivery;

    /// Sends to a receiver that answers with these results, and returns what each request was.
    async fn run(
        resend: Resend,
        at_once: [bool; 3],
    ) -> (Vec<Resend>, Result<Receipt, DeliveryError>) {
        let (calls, seen) = (Arc::new(AtomicU32::new(0)), Arc::new(Mutex::new(Vec::new())));
        let noted = seen.clone();
        let failing = service_fn(move |delivery: Delivery| {
            noted.lock().unwrap().push(delivery.resend);
            let nth = calls.fetch_add(1, Ordering::Relaxed) as usize;
            async move {
                tokio::time::sleep(Duration::from_millis(7)).await;
                let error = DeliveryError::retry("connection_reset", "the connection ended");
                Err::<Receipt, _>(error.retry_at_once(at_once[nth]))
            }
        });
        let service = RetryLayer::new(QuickRetry::new()).layer(failing);
        let result = service.oneshot(Delivery { resend, ..delivery() }).await;
        let seen = seen.lock().unwrap().clone();
        (seen, result)
    }

    #[tokio::test(start_paused = true)]
    async fn only_an_error_that_allows_it_is_retried_and_only_once() {
        let (sent, result) = run(Resend::Allowed, [true; 3]).await;
        assert_eq!(sent, [Resend::Allowed, Resend::Now]);
        assert_eq!(result.unwrap_err().resent.len(), 1);
        let (sent, result) = run(Resend::Allowed, [false; 3]).await;
        assert_eq!(sent.len(), 1);
        assert!(result.unwrap_err().resent.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_destination_without_retries_sends_once() {
        let (sent, _) = run(Resend::Never, [true; 3]).await;
        assert_eq!(sent, [Resend::Never]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_sent_first_is_kept_with_its_time() {
        let (_, result) = run(Resend::Allowed, [true, false, false]).await;
        let error = result.unwrap_err();
        let expected = Resent {
            at_ms: 0,
            took: Duration::from_millis(7),
            code: "connection_reset".to_owned(),
            message: "the connection ended".to_owned(),
        };
        assert_eq!(error.resent, [expected]);
        assert_eq!(error.code, "connection_reset");
    }
}
