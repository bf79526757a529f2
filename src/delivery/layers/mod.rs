//! The stack's layers, one idea a file. Where tower has the layer, it is used; those here differ
//! in that they answer with a [`fanfare_contract::DeliveryError`] that carries its verdict.

mod concurrency;
mod deadline;
mod pace;
mod quick_retry;
mod trace;

pub use concurrency::ConcurrencyLayer;
pub use deadline::DeadlineLayer;
pub use pace::{Pace, PaceLayer};
pub use quick_retry::{QuickRetry, retry_budget};
pub use trace::{Ended, Observer, Quiet, TraceLayer};

/// Code of a delivery that found no free place in its channel: nothing was sent, and it is not the
/// receiver's fault.
pub const BUSY: &str = "channel_busy";

#[cfg(test)]
pub(crate) use deadline::tests::delivery as deadline_tests_delivery;
