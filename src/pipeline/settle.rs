//! Writes what became of entries, in batches, and lets go of their places in the window.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use fanfare_contract::Event;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::agenda::{Clock, Ticket, Trouble};
use crate::observe::{Observe, Source};
use fanfare_store::{Change, DeliveryUpdate, EntryId, Ms, Outcome, Settlement, Store, StoreError};

/// An entry with its place in the window.
pub(super) struct Settled {
    pub(super) settlement: Settlement,
    pub(super) source: Source,
    /// When its last delivery had an outcome, if anybody wants to know.
    pub(super) ended: Option<SystemTime>,
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
    source: Source,
    arrived_ms: Option<Ms>,
    event: Arc<Event>,
    observe: Arc<Observe>,
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
        (entry, source, arrived_ms): (EntryId, Source, Option<Ms>),
        event: Arc<Event>,
        deliveries: usize,
        place: OwnedSemaphorePermit,
        (outbox, observe): (Outbox, Arc<Observe>),
    ) -> Arc<Self> {
        let updates = Vec::with_capacity(deliveries);
        let inner = Mutex::new(Inner { updates, place: Some(place), durable: None });
        let pending = AtomicUsize::new(deliveries);
        Arc::new(Self { entry, source, arrived_ms, event, observe, pending, inner, outbox })
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
            let (source, ended) = (self.source, self.observe.span_time());
            let settled = Settled { settlement, source, ended, _place: place, durable };
            let _ = self.outbox.send(settled);
        }
    }

    fn arrived_ms(&self) -> Option<Ms> {
        self.arrived_ms
    }

    fn durable(&self) -> CancellationToken {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.durable.get_or_insert_with(CancellationToken::new).clone()
    }
}

/// From the beginning of one batch to that of the next, under load: a store writes fifty outcomes
/// for little more than it takes for five.
const APART: Duration = Duration::from_millis(4);

/// Settles until all senders are gone. A store that is away is waited for: nothing is dropped.
pub(super) async fn run(
    store: Store,
    mut inbox: mpsc::UnboundedReceiver<Settled>,
    batch: usize,
    clock: Clock,
    observe: Arc<Observe>,
) {
    let mut settled: Vec<Settled> = Vec::with_capacity(batch);
    let mut began = None::<Instant>;
    while inbox.recv_many(&mut settled, batch).await > 0 {
        let awaited = settled.iter().any(|one| one.durable.is_some());
        if let Some(apart) = began.map(|began| began + APART)
            && !awaited
            && settled.len() < batch
        {
            tokio::time::sleep_until(apart).await;
            while settled.len() < batch
                && let Ok(one) = inbox.try_recv()
            {
                settled.push(one);
            }
        }
        began = Some(Instant::now());
        let all = || settled.iter().map(|one| one.settlement.clone()).collect();
        if write(&store, all).await.is_err() {
            // The store is there and refuses something in it: the others need not wait for that.
            let mut written = Vec::with_capacity(settled.len());
            for mut one in settled.drain(..) {
                if write_alone(&store, &mut one.settlement).await {
                    written.push(one);
                }
            }
            settled = written;
        }
        let now = clock.now_ms();
        for settled in settled.drain(..) {
            observe.settled(settled.source, &settled.settlement.outcome, settled.ended, now);
            if let Some(durable) = settled.durable {
                durable.cancel();
            }
        }
    }
}

/// Tries for as long as the store is away. An error is the store's last word on this batch.
async fn write(store: &Store, settlements: impl Fn() -> Vec<Settlement>) -> Result<(), StoreError> {
    let mut trouble = Trouble::default();
    let never = CancellationToken::new();
    loop {
        match store.log.settle(settlements()).await {
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

/// What is refused time and again holds up nobody: its deliveries are set aside as dead, without what
/// may be in the way, and can be replayed. If even that is refused, it is left unacknowledged in the
/// log, and the next process that takes over meets it anew. True when it was written, either way.
async fn write_alone(store: &Store, settlement: &mut Settlement) -> bool {
    const TRIES: u32 = 5;
    let (mut trouble, never) = (Trouble::default(), CancellationToken::new());
    for _ in 1..TRIES {
        let Err(error) = write(store, || vec![settlement.clone()]).await else { return true };
        trouble.wait("an outcome in the ledger", &error, &never).await;
    }
    let entry = settlement.entry;
    let Err(error) = write(store, || vec![settlement.clone()]).await else { return true };
    if let Outcome::Routed(event, updates) = &settlement.outcome {
        let dead = |update: &DeliveryUpdate| DeliveryUpdate {
            change: Change::SetAside,
            attempts: Vec::new(),
            ..update.clone()
        };
        let outcome = Outcome::Routed(event.clone(), updates.iter().map(dead).collect());
        let aside = Settlement { entry, outcome };
        if write(store, || vec![aside.clone()]).await.is_ok() {
            tracing::error!(%entry, %error, "an outcome cannot be written; set aside as dead");
            *settlement = aside;
            return true;
        }
    }
    tracing::error!(%entry, %error, "an outcome cannot be written; its entry stays in the log");
    false
}
