//! Polling: asks until there is an answer, or until the time is over.
//!
//! For what other processes do. Inside one process, wait for the event itself.

use std::thread;
use std::time::{Duration, Instant};

/// Between two questions. It is the error of the start times that `fanfare-bench` reports.
const PAUSE: Duration = Duration::from_millis(2);

/// Polls, and blocks the thread between two questions.
pub fn until<T>(within: Duration, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + within;
    loop {
        if let Some(answer) = ask() {
            return Some(answer);
        }
        if Instant::now() >= end {
            return None;
        }
        thread::sleep(PAUSE);
    }
}

/// Polls, and lets other tasks run between two questions. A question should be answered within
/// milliseconds: it blocks the thread.
pub async fn until_async<T>(within: Duration, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + within;
    loop {
        if let Some(answer) = ask() {
            return Some(answer);
        }
        if Instant::now() >= end {
            return None;
        }
        tokio::time::sleep(PAUSE).await;
    }
}
