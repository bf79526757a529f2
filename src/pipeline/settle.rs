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
    pub(super) place: OwnedSemaphorePermit,
}

/// Where settlements go. Unbounded, for the window bounds it.
pub(super) type Outbox = mpsc::UnboundedSender<Settled>;

/// Collects the outcomes of one event's deliveries; the last one sends the settlement.
pub(super) struct Tracking {
    entry: EntryId,
    event: Arc<Event>,
    pending: AtomicUsize,
    inner: Mutex<(Vec<DeliveryUpdate>, Option<OwnedSemaphorePermit>)>,
    outbox: Outbox,
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
        let inner = Mutex::new((Vec::with_capacity(deliveries), Some(place)));
        Arc::new(Self { entry, event, pending: AtomicUsize::new(deliveries), inner, outbox })
    }
}

impl Ticket for Tracking {
    fn concluded(&self, update: DeliveryUpdate) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.0.push(update);
        if self.pending.fetch_sub(1, Ordering::AcqRel) != 1 {
            return;
        }
        let updates = std::mem::take(&mut inner.0);
        if let Some(place) = inner.1.take() {
            let outcome = Outcome::Routed(self.event.clone(), updates);
            let settlement = Settlement { entry: self.entry, outcome };
            // The settler outlives all trackings; if it is gone, the process is stopping.
            let _ = self.outbox.send(Settled { settlement, place });
        }
    }
}

/// Settles until all senders are gone. A store that is away is waited for: nothing is dropped.
pub(super) async fn run(store: Store, mut inbox: mpsc::UnboundedReceiver<Settled>, batch: usize) {
    let mut trouble = Trouble::default();
    let never = CancellationToken::new();
    let mut settled = Vec::with_capacity(batch);
    while inbox.recv_many(&mut settled, batch).await > 0 {
        let (settlements, places): (Vec<_>, Vec<_>) =
            settled.drain(..).map(|one| (one.settlement, one.place)).unzip();
        while let Err(error) = store.log.settle(settlements.clone()).await {
            trouble.wait("the ledger", &error, &never).await;
        }
        trouble.over("the ledger");
        drop(places);
    }
}
