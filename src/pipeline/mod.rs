//! The path of an event, one file per stage. Open them in this order:
//!
//! 1. [`crate::event`]: *ingest*. Decodes an event; the API and `fanfare send` do so before they
//!    answer.
//! 2. [`read`]: takes entries from the log in batches (`decode`, `entry`: what a producer added to
//!    a stream becomes an event here).
//! 3. [`admit`]: makes the events known to the ledger and recognizes duplicates.
//! 4. [`route`]: selects destinations by the tenant's table (`lobby`: the entries of each tenant wait
//!    for it by themselves, and are read no faster than they are routed).
//! 5. [`dispatch`]: lets each delivery go at once, or parks it in its lane's durable queue
//!    (`backpressure`: what a batch does with deliveries whose lane is full at the moment).
//! 6. [`attempt`]: the first attempt at each delivery. [`crate::delivery`] has what one attempt
//!    consists of, and [`crate::agenda`] serves all later ones.
//! 7. `tracking`: concludes an event with the last of its deliveries.
//! 8. [`settle`]: writes the outcomes in batches and acknowledges the entries last.
//!
//! Each stage hands its result to the next one and knows none before it. [`Router`] wires them
//! together. The `window` bounds how many entries are on the path at once. `notices` informs a
//! tenant of disabled destinations and dead deliveries, and `upkeep` removes old events.

// Stages are public modules so that the documentation shows them. Their items are not public.
pub mod admit;
pub mod attempt;
mod backpressure;
mod decode;
pub mod dispatch;
mod entry;
mod lobby;
mod notice_writer;
mod notices;
pub mod read;
pub mod route;
mod router;
pub mod settle;
mod tracking;
mod upkeep;
mod warnings;
mod window;

pub use router::{Router, RouterOptions};
pub use warnings::WarnAfter;

#[cfg(test)]
mod refusal_tests;
#[cfg(test)]
mod router_tests;
