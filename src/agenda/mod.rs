//! The agenda: everything that waits, and when it may go.
//!
//! Every lane has a durable queue and one time at which it may next be served. [`Gate`] decides, in
//! memory, whether a delivery may go now (the fast path) or must wait in the queue. Retries, rates,
//! open circuits, pauses, order and digests are each a choice of the next time.
//!
//! [`Server`] claims lanes whose time has come. `serve` chooses how to serve one by its [`Mode`],
//! `direct`, `fifo` and `digest` do it, and `round` has what they share: reading the queue,
//! attempts and recording outcomes.

mod attempt;
mod calendar;
mod clock;
mod digest;
mod direct;
mod fifo;
mod gate;
mod health;
pub mod holds;
mod lane;
mod leases;
mod memory;
mod options;
mod outcomes;
mod replicas;
mod round;
mod serve;
mod server;
mod shares;
mod unknown_lanes;

pub use attempt::{Notices, run_attempt};
pub use calendar::{Calendar, CalendarError};
pub use clock::Clock;
pub use gate::{Gate, GateView, Hold, Job, LanePace, Offer, Permit, Space, Ticket, Worker};
pub use health::{FailureStreak, Health};
pub use lane::{FAR_MS, FoundLane, Lane, Lanes, Mode};
pub use memory::LaneMemory;
pub use options::ServeOptions;
pub use outcomes::{Outcomes, record_outcomes};
pub use replicas::Replicas;
pub use server::Server;

#[cfg(test)]
mod digest_tests;
#[cfg(test)]
mod disabling_tests;
#[cfg(test)]
mod health_tests;
#[cfg(test)]
mod lease_tests;
#[cfg(test)]
mod order_tests;
#[cfg(test)]
mod repair_tests;
#[cfg(test)]
mod retry_tests;
