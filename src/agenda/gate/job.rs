//! A delivery that asks a gate, and why it may have to wait.

use std::sync::Arc;

use fanfare_contract::Event;
use tokio_util::sync::CancellationToken;

use fanfare_store::{DeliveryUpdate, Ms, Reason};

/// A delivery on the fast path.
pub struct Job {
    /// The event.
    pub event: Arc<Event>,
    /// Informed of the outcome, once.
    pub ticket: Arc<dyn Ticket>,
}

/// Collects the outcomes of one event's deliveries.
pub trait Ticket: Send + Sync {
    /// One delivery has an outcome, or waits in its queue from now on.
    fn concluded(&self, update: DeliveryUpdate);

    /// When the event arrived by the clock of the log, if the log has one.
    fn arrived_ms(&self) -> Option<Ms> {
        None
    }

    /// A token that is cancelled once all of the event's outcomes are durable. To be called before
    /// the last delivery is concluded.
    fn durable(&self) -> CancellationToken;
}

/// Why a delivery may not go now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// One of [`Reason::CircuitOpen`], [`Reason::RetryAfter`], [`Reason::Backlog`],
    /// [`Reason::RateLimit`] and [`Reason::Busy`].
    pub reason: Reason,
    /// Not before then; none when it may go as soon as there is room.
    pub until: Option<Ms>,
}

/// How much of the router's memory is left for lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Space {
    /// A good part of it.
    Ample,
    /// Lines should be short.
    Scarce,
}
