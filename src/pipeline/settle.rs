//! Writes what became of entries, in batches, and lets go of their places in the window.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use fanfare_contract::Event;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_util::sync::CancellationToken;

use crate::agenda::{Ticket, Trouble};
use crate::store::{DeliveryUpdate, EntryId, Outcome, Settlement, Store};

/// An entry with its place in the window.
pub(super) struct Settled {
    pub(super) settlement: Settlement,
    /// Given back once the settlement is durable.
    pub(super) _place: OwnedSemaphorePermit,
    /// Cancelled then, if somebody asked to be told.
    pub(super) durable: Option<CancellationToken>,
}

/// Where settlements go. Unbounded, for the window bounds it.
pub(super) type Outbox = mpsc::UnboundedSender<Settled>;

/// Collects the outcomes of one event's deliveries; the last one sends the settlement.
pub(super) struct Tracking {
    entry: EntryId,
    event: Arc<Event>,
    pending: AtomicUsize,
    inner: Mutex<Inner>,
    outbox: Outbox,
}

struct Inner {
    updates: Vec<DeliveryUpdate>,
    place: Option<OwnedSemaphorePermit>,
    durable: Option<CancellationToken>,
}

impl Tracking {
    /// For `deliveries` of one event, at least one.
    pub(super) fn new(
        entry: EntryId,
        event: Arc<Event>,
        deliveries: usize,
        place: OwnedSemaphorePermit,
        outbox: Outbox,
    ) -> Arc<Self> {
        let updates = Vec::with_capacity(deliveries);
        let inner = Mutex::new(Inner { updates, place: Some(place), durable: None });
        Arc::new(Self { entry, event, pending: AtomicUsize::new(deliveries), inner, outbox })
    }
}

impl Ticket for Tracking {
    fn concluded(&self, update: DeliveryUpdate) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.updates.push(update);
        if self.pending.fetch_sub(1, Ordering::AcqRel) != 1 {
            return;
        }
        let updates = std::mem::take(&mut inner.updates);
        let durable = inner.durable.take();
        if let Some(place) = inner.place.take() {
            let outcome = Outcome::Routed(self.event.clone(), updates);
            let settlement = Settlement { entry: self.entry, outcome };
            // The settler outlives all trackings; if it is gone, the process is stopping.
            let _ = self.outbox.send(Settled { settlement, _place: place, durable });
        }
    }

    fn durable(&self) -> CancellationToken {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.durable.get_or_insert_with(CancellationToken::new).clone()
    }
}

/// Settles until all senders are gone. A store that is away is waited for: nothing is dropped.
pub(super) async fn run(store: Store, mut inbox: mpsc::UnboundedReceiver<Settled>, batch: usize) {
    let mut trouble = Trouble::default();
    let never = CancellationToken::new();
    let mut settled = Vec::with_capacity(batch);
    while inbox.recv_many(&mut settled, batch).await > 0 {
        let settlements: Vec<_> = settled.iter().map(|s| s.settlement.clone()).collect();
        while let Err(error) = store.log.settle(settlements.clone()).await {
            trouble.wait("the ledger", &error, &never).await;
        }
        trouble.over("the ledger");
        for token in settled.iter().filter_map(|settled| settled.durable.as_ref()) {
            token.cancel();
        }
        settled.clear();
    }
}
