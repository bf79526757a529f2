//! Writes what became of entries, in batches, and lets go of their places in the window.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use fanfare_contract::Event;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_util::sync::CancellationToken;

use crate::agenda::{Ticket, Trouble};
use crate::store::{DeliveryUpdate, EntryId, Outcome, Settlement, Store, StoreError};

/// An entry with its place in the window.
pub(super) struct Settled {
    pub(super) settlement: Settlement,
    /// Given back once the settlement is durable.
    pub(super) _place: OwnedSemaphorePermit,
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
            let _ = self.outbox.send(Settled { settlement, _place: place });
        }
    }
}

/// Settles until all senders are gone. A store that is away is waited for: nothing is dropped.
pub(super) async fn run(store: Store, mut inbox: mpsc::UnboundedReceiver<Settled>, batch: usize) {
    let mut settled = Vec::with_capacity(batch);
    while inbox.recv_many(&mut settled, batch).await > 0 {
        let settlements: Vec<_> = settled.iter().map(|s| s.settlement.clone()).collect();
        if write(&store, settlements).await.is_err() {
            // The store is there and refuses something in it: the others need not wait for that.
            for one in settled.drain(..) {
                write_alone(&store, one.settlement).await;
            }
        }
        settled.clear();
    }
}

/// Tries for as long as the store is away. An error is the store's last word on this batch.
async fn write(store: &Store, settlements: Vec<Settlement>) -> Result<(), StoreError> {
    let mut trouble = Trouble::default();
    let never = CancellationToken::new();
    loop {
        match store.log.settle(settlements.clone()).await {
            Err(error) if error.is_temporary() => {
                trouble.wait("the ledger", &error, &never).await;
            }
            result => {
                trouble.over("the ledger");
                return result;
            }
        }
    }
}

/// What is refused time and again is left unacknowledged in the log: the next process that takes
/// over meets it anew, and meanwhile it holds up nobody.
async fn write_alone(store: &Store, settlement: Settlement) {
    const TRIES: u32 = 5;
    let (mut trouble, never) = (Trouble::default(), CancellationToken::new());
    for _ in 1..TRIES {
        let Err(error) = write(store, vec![settlement.clone()]).await else { return };
        trouble.wait("an outcome in the ledger", &error, &never).await;
    }
    let entry = settlement.entry;
    if let Err(error) = write(store, vec![settlement]).await {
        tracing::error!(%entry, %error, "an outcome cannot be written; its entry stays in the log");
    }
}
