//! Writes to the store that must not be given up.
//!
//! A store that is away is waited for ([`Backoff`]): what happened must be recorded, however long
//! that takes. What the store refuses for good must delay nothing else ([`write_batch`]).

mod backoff;
mod batch;

pub use backoff::Backoff;
pub use batch::{BatchWrite, Written, kill_refused, write_batch, write_batch_until};
