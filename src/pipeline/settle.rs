//! Settle: writes the outcomes of entries in batches, acknowledges the entries last, and releases
//! their places in the window. Tenants take turns, so a tenant with many outcomes delays those of
//! no other tenant.

use std::sync::Arc;
use std::time::SystemTime;

use futures::future::BoxFuture;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::agenda::Clock;
use crate::flow::SETTLE_EVERY;
use crate::observe::{Observe, Source};
use crate::persist::{BatchWrite, Written, kill_refused, write_batch};
use fanfare_store::{EntryId, Log, Ms, Outcome, Result, Settlement, StoreError, Turns, Unlimited};

/// Settles entries until all outboxes are gone. Waits for a store that is away: no outcome is lost.
pub(super) async fn run(
    log: Arc<dyn Log>,
    mut inbox: Inbox,
    batch: usize,
    clock: Clock,
    observe: Arc<Observe>,
) {
    let mut began = None::<Instant>;
    while inbox.wait().await {
        if let Some(began) = began {
            inbox.wait_for_more(batch, began + SETTLE_EVERY).await;
        }
        began = Some(Instant::now());
        let mut finished = inbox.take(batch);
        if let Written::Each(results) = write_batch(&Settlements(&*log), &mut finished).await {
            // An entry whose outcome the store refuses stays unacknowledged in the log. The next
            // process that takes it over tries it again.
            let mut results = results.into_iter();
            finished.retain(|_| results.next().is_some_and(|result| result.is_ok()));
        }
        let now = clock.now_ms();
        for one in finished {
            observe.settled(one.source, &one.settlement.outcome, one.ended, now);
            if let Some(durable) = one.durable {
                durable.cancel();
            }
        }
    }
}

/// Where an event came from, and its place in the window.
pub(super) struct Origin {
    pub(super) entry: EntryId,
    pub(super) source: Source,
    /// Released once the outcome is durable.
    pub(super) place: OwnedSemaphorePermit,
    /// Until when its deliveries wait because of its tenant's quota.
    pub(super) held_until: Option<Ms>,
}

/// An entry whose outcome is known and not yet written.
struct Finished {
    settlement: Settlement,
    source: Source,
    /// When its last delivery had an outcome, if spans are recorded.
    ended: Option<SystemTime>,
    _place: OwnedSemaphorePermit,
    /// Cancelled once the outcome is durable, if an attempt waits for that.
    durable: Option<CancellationToken>,
}

/// Takes finished entries. Unbounded, because the window bounds it.
#[derive(Clone)]
pub(super) struct Outbox {
    sender: mpsc::UnboundedSender<Finished>,
    observe: Arc<Observe>,
}

/// The receiving side.
pub(super) struct Inbox {
    receiver: mpsc::UnboundedReceiver<Finished>,
    waiting: Turns<Finished>,
    /// An attempt waits for an entry that waits here.
    is_urgent: bool,
}

/// Both sides.
pub(super) fn channel(observe: Arc<Observe>) -> (Outbox, Inbox) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let inbox = Inbox { receiver, waiting: Turns::default(), is_urgent: false };
    (Outbox { sender, observe }, inbox)
}

impl Outbox {
    /// Finishes an entry.
    pub(super) fn finish(&self, origin: Origin, outcome: Outcome) {
        self.finish_and_signal(origin, outcome, None);
    }

    /// Finishes an entry, and cancels `durable` once its outcome is durable.
    pub(super) fn finish_and_signal(
        &self,
        origin: Origin,
        outcome: Outcome,
        durable: Option<CancellationToken>,
    ) {
        let Origin { entry, source, place, held_until: _ } = origin;
        let settlement = Settlement { entry, outcome };
        let ended = self.observe.span_time();
        // The receiver outlives all outboxes. If it is gone, the process is stopping.
        let finished = Finished { settlement, source, ended, _place: place, durable };
        let _ = self.sender.send(finished);
    }
}

impl Inbox {
    /// Waits for finished entries. False when there are none and all outboxes are gone.
    async fn wait(&mut self) -> bool {
        if self.waiting.is_empty() {
            let Some(one) = self.receiver.recv().await else { return false };
            self.put(one);
        }
        self.collect();
        true
    }

    /// Lets a batch fill until `until`, unless an attempt waits for one of its entries.
    async fn wait_for_more(&mut self, batch: usize, until: Instant) {
        if self.waiting.len() < batch && !self.is_urgent {
            tokio::time::sleep_until(until).await;
            self.collect();
        }
    }

    /// The next batch, in turn.
    fn take(&mut self, batch: usize) -> Vec<Finished> {
        let taken = self.waiting.take(batch, &Unlimited);
        self.is_urgent &= !self.waiting.is_empty();
        taken
    }

    fn collect(&mut self) {
        while let Ok(one) = self.receiver.try_recv() {
            self.put(one);
        }
    }

    fn put(&mut self, one: Finished) {
        self.is_urgent |= one.durable.is_some();
        let tenant: Arc<str> = match &one.settlement.outcome {
            Outcome::Routed(event, _) | Outcome::Unrouted(event) => Arc::clone(&event.tenant),
            Outcome::Rejected(rejected) => rejected.tenant.as_deref().unwrap_or_default().into(),
            Outcome::Duplicate => "".into(),
        };
        self.waiting.push(&tenant, 1, one);
    }
}

struct Settlements<'a>(&'a dyn Log);

impl BatchWrite for Settlements<'_> {
    type Item = Finished;
    type Answer = ();

    fn write<'a>(&'a self, finished: &'a [Finished]) -> BoxFuture<'a, Result<()>> {
        self.0.settle(finished.iter().map(|one| one.settlement.clone()).collect())
    }

    /// Its deliveries become dead. They can be replayed.
    fn set_aside(&self, one: &mut Finished) -> bool {
        let Outcome::Routed(_, updates) = &mut one.settlement.outcome else { return false };
        updates.iter_mut().for_each(kill_refused);
        true
    }

    fn log_refused(&self, one: &Finished, error: &StoreError, is_set_aside: bool) {
        let entry = one.settlement.entry;
        if is_set_aside {
            tracing::error!(
                %entry, %error,
                "the store refuses an outcome for good; its deliveries are set aside as dead"
            );
        } else {
            tracing::error!(
                %entry, %error,
                "the store refuses an outcome for good; its entry stays in the log"
            );
        }
    }
}
