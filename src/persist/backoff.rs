//! Waiting between failed calls to the store.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::flow::{BACKOFF_DOUBLINGS, BACKOFF_FIRST, BACKOFF_JITTER};
use fanfare_store::StoreError;

/// Waits between failures of the store, longer each time. Logs an error that is more than an
/// outage once, and once that it is over.
#[derive(Default)]
pub struct Backoff {
    failures: u32,
    is_logged: bool,
}

impl Backoff {
    /// Waits after `error`, or until `stop`. `what` names the part of the store, for the log.
    pub async fn wait(&mut self, what: &str, error: &StoreError, stop: &CancellationToken) {
        if self.failures == 0 {
            // An outage is logged once, by `store::condition`, not by every caller.
            if error.is_temporary() {
                tracing::debug!(%error, "{what} cannot be reached; trying again until it can");
            } else {
                tracing::warn!(%error, "{what} cannot be used; trying again until it can");
                self.is_logged = true;
            }
        }
        self.pause(stop).await;
    }

    /// Waits, or until `stop`, and logs nothing.
    pub async fn pause(&mut self, stop: &CancellationToken) {
        let doubled = BACKOFF_FIRST * (1 << self.failures.min(BACKOFF_DOUBLINGS));
        self.failures += 1;
        let wait: Duration = crate::delivery::spread(doubled, BACKOFF_JITTER, rand::random());
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = stop.cancelled() => {}
        }
    }

    /// A call succeeded: the next failure waits briefly again.
    pub fn recovered(&mut self, what: &str) {
        self.failures = 0;
        if std::mem::take(&mut self.is_logged) {
            tracing::info!("{what} can be used again");
        }
    }
}
