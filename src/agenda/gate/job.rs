//! A delivery on the fast path, and how its event learns of the outcome.

use std::sync::Arc;

use fanfare_contract::Event;
use tokio_util::sync::CancellationToken;

use fanfare_store::{DeliveryUpdate, Ms};

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
