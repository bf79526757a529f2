//! Conclude: collects the outcomes of one event's deliveries. The last one finishes the event.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fanfare_contract::{DeliveryId, Event};
use tokio_util::sync::CancellationToken;

use super::settle::{Origin, Outbox};
use crate::agenda::{Hold, Lane, Ticket};
use fanfare_store::{Change, DeliveryUpdate, Ms, Outcome};

/// Concludes one delivery without an attempt.
pub(super) fn conclude(lane: &Lane, event: &Event, ticket: &dyn Ticket, change: Change, now: Ms) {
    ticket.concluded(update_to(lane, event, change, now));
}

/// What becomes of a delivery that its gate does not let go now.
pub(super) fn parked(hold: Hold, now: Ms) -> Change {
    Change::Queued { due_ms: now, serve_ms: hold.until.unwrap_or(now), reason: hold.reason }
}

/// A change without an attempt.
pub(super) fn update_to(lane: &Lane, event: &Event, change: Change, now: Ms) -> DeliveryUpdate {
    DeliveryUpdate {
        id: DeliveryId::derive(&event.id, &lane.key.id),
        lane: lane.key.id.clone(),
        channel: lane.destination.channel.clone(),
        change,
        attempts: Vec::new(),
        at_ms: now,
    }
}

/// Counts the open deliveries of one event.
pub(super) struct Tracking {
    arrived_ms: Ms,
    event: Arc<Event>,
    open: AtomicUsize,
    inner: Mutex<Inner>,
    outbox: Outbox,
}

struct Inner {
    updates: Vec<DeliveryUpdate>,
    /// None once the event is finished.
    origin: Option<Origin>,
    durable: Option<CancellationToken>,
}

impl Tracking {
    /// For `deliveries` of one event, at least one.
    pub(super) fn new(
        origin: Origin,
        arrived_ms: Ms,
        event: Arc<Event>,
        deliveries: usize,
        outbox: Outbox,
    ) -> Arc<Self> {
        let updates = Vec::with_capacity(deliveries);
        let inner = Mutex::new(Inner { updates, origin: Some(origin), durable: None });
        Arc::new(Self { arrived_ms, event, open: AtomicUsize::new(deliveries), inner, outbox })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ticket for Tracking {
    fn concluded(&self, update: DeliveryUpdate) {
        let mut inner = self.lock();
        inner.updates.push(update);
        if self.open.fetch_sub(1, Ordering::AcqRel) != 1 {
            return;
        }
        let updates = std::mem::take(&mut inner.updates);
        let durable = inner.durable.take();
        if let Some(origin) = inner.origin.take() {
            let outcome = Outcome::Routed(self.event.clone(), updates);
            self.outbox.finish_and_signal(origin, outcome, durable);
        }
    }

    fn arrived_ms(&self) -> Option<Ms> {
        Some(self.arrived_ms)
    }

    fn durable(&self) -> CancellationToken {
        self.lock().durable.get_or_insert_with(CancellationToken::new).clone()
    }
}
