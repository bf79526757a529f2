//! One idea for all waiting: every lane has a queue, and one time at which it may next be served.
//!
//! [`Gate`] decides, in memory, whether a delivery may go now (the fast path) or must wait; what
//! waits is in the store. [`Server`] claims lanes whose time has come and serves each by its
//! [`Mode`]: directly, strictly in order, or as a digest.

mod adaptive;
mod attempt;
mod calendar;
mod circuit;
mod clock;
mod digest;
mod direct;
mod fifo;
mod gate;
mod lane;
mod leases;
mod serve;
mod server;
mod settling;
mod shares;
mod spell;
mod strangers;

pub use adaptive::Adaptive;
pub use attempt::{Notices, run_attempt};
pub use calendar::{Calendar, CalendarError};
pub use circuit::Circuit;
pub use clock::Clock;
pub use gate::{Gate, GateView, Hold, Job, Offer, Permit, Space, Ticket, Worker};
pub use lane::{FAR_MS, LOOK_AT_PAUSED_MS, Lane, Lanes, Mode};
pub use server::{ServeOptions, Server, Trouble};
pub use settling::settle_lane;
pub use spell::{Fares, Spell};

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
mod retry_tests;
