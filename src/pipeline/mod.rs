//! The path of one event: read → take in → route → dispatch → deliver → settle.
//!
//! [`Router`] runs the parts. `intake` makes events of raw entries, `dispatch` sends an event's
//! deliveries to their gates, `settle` writes what became of them in batches and acknowledges
//! last. How many entries are on the path at once is bounded by the window: a semaphore whose
//! permits travel with the entries.

mod admission;
mod batches;
mod crowded;
mod dispatch;
mod intake;
mod notices;
mod router;
mod settle;

pub use intake::Intake;
pub(crate) use intake::{trace_parent, unusable};
pub use notices::{Bulletin, BulletinWriter};
pub use router::{Router, RouterOptions};

#[cfg(test)]
mod refusal_tests;
#[cfg(test)]
mod router_tests;
