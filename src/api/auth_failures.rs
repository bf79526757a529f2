//! Failed authentication: counted, and logged at a bounded rate.
//!
//! A line names the peer and the beginning of the key, never the key. A text that does not have the
//! form of a key is not shown at all, because it may be a password.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::access::{Denied, key_prefix};
use crate::observe::Observe;

/// Most lines in one interval. Further failures are counted, and the next line has their number.
const MAX_LINES: u32 = 10;
const INTERVAL: Duration = Duration::from_secs(10);

/// Records failed authentication.
pub struct AuthFailures {
    observe: Arc<Observe>,
    lines: Mutex<Lines>,
}

#[derive(Default)]
struct Lines {
    began: Option<Instant>,
    written: u32,
    left_out: u64,
}

impl AuthFailures {
    /// Counts in `observe`.
    pub fn new(observe: Arc<Observe>) -> Self {
        Self { observe, lines: Mutex::default() }
    }

    /// Records a request that was not authenticated.
    pub(super) fn record(&self, denied: &Denied, key: Option<&str>, peer: Option<SocketAddr>) {
        self.observe.metrics.auth_failed(denied.code());
        let Some(left_out) = self.next_line(Instant::now()) else { return };
        let peer = peer.map_or_else(|| "unknown".to_owned(), |peer| peer.ip().to_string());
        let key = match key {
            None => "none",
            Some(key) => key_prefix(key).unwrap_or("not in the form of a key"),
        };
        tracing::warn!(reason = denied.code(), peer, key, left_out, "authentication failed");
    }

    /// Whether a line may be written now, with the number of failures that had none before it.
    fn next_line(&self, now: Instant) -> Option<u64> {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.began.is_none_or(|began| now.saturating_duration_since(began) >= INTERVAL) {
            *lines = Lines { began: Some(now), written: 0, left_out: lines.left_out };
        }
        if lines.written >= MAX_LINES {
            lines.left_out += 1;
            return None;
        }
        lines.written += 1;
        Some(std::mem::take(&mut lines.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_failures_writes_few_lines_and_none_is_forgotten() {
        let failures = AuthFailures::new(Observe::quiet());
        let start = Instant::now();
        let lines = |at: Duration, times: usize| {
            let lines = (0..times).filter_map(|_| failures.next_line(start + at));
            lines.collect::<Vec<_>>()
        };
        assert_eq!(lines(Duration::ZERO, 1_000).len(), 10);
        let later = lines(INTERVAL, 12);
        assert_eq!((later.len(), later[0], later[1]), (10, 990, 0));
        assert_eq!(lines(INTERVAL * 2, 1), [2]);
    }
}
