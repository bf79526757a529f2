//! The layers of the stack, one per file. Tower's own layers are used where they fit. These answer
//! with a [`fanfare_contract::DeliveryError`], which carries its verdict.

mod concurrency;
mod deadline;
mod pace;
mod quick_retry;
mod trace;

pub use concurrency::{BUSY, ConcurrencyLayer};
pub use deadline::DeadlineLayer;
pub use pace::{Pace, PaceLayer};
pub use quick_retry::QuickRetry;
pub use trace::{Ended, Observer, Quiet, TraceLayer};

#[cfg(test)]
pub(crate) use deadline::tests::delivery as deadline_tests_delivery;
