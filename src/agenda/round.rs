//! A round: one claimed lane being served for a while. What all ways of serving share.

use std::sync::Arc;

use fanfare_contract::{Content, Delivery, Resend};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::memory::{Held, LaneMemory};
use super::outcomes::{Outcomes, record_outcomes};
use super::shares::Shares;
use super::unknown_lanes::UnknownLanes;
use super::{Clock, FAR_MS, Lane, Lanes, Notices, ServeOptions, run_attempt};
use crate::delivery::Concluded;
use crate::flow::{LOOK_BYTES, MEMORY_WAIT};
use fanfare_store::{
    Change, Claim, DeliveryUpdate, Head, Look, Ms, Reason, Store, StoreError, WaitingItem,
};

/// What all rounds of a process share.
pub(super) struct Context {
    pub(super) store: Store,
    pub(super) lanes: Arc<dyn Lanes>,
    pub(super) notices: Arc<dyn Notices>,
    pub(super) clock: Clock,
    pub(super) options: ServeOptions,
    pub(super) stop: CancellationToken,
    pub(super) unknown_lanes: UnknownLanes,
    /// A permit for each lane that is served.
    pub(super) slots: Arc<Semaphore>,
    pub(super) shares: Arc<Shares>,
    pub(super) memory: Arc<LaneMemory>,
}

/// A delivery that was read from its queue, with the memory that it takes.
pub(super) struct Loaded {
    pub(super) item: WaitingItem,
    pub(super) held: Held,
}

/// One claim being served.
pub(super) struct Round<'a> {
    pub(super) context: &'a Context,
    pub(super) claim: &'a Claim,
    /// Cancelled when another process has the lease.
    pub(super) lost: &'a CancellationToken,
}

impl Round<'_> {
    pub(super) fn now_ms(&self) -> Ms {
        self.context.clock.now_ms()
    }

    /// The process stops, or another one has the lease.
    pub(super) fn is_over(&self) -> bool {
        self.lost.is_cancelled() || self.context.stop.is_cancelled()
    }

    /// The round is over, or the lane has changed: its receiver is gone, or the tenant's table was
    /// replaced. The next round serves the lane as it is then.
    pub(super) fn ends_for(&self, lane: &Arc<Lane>) -> bool {
        let current = || self.context.lanes.current(&self.claim.lane);
        self.is_over()
            || lane.suppressed().is_some()
            || !current().is_some_and(|current| Arc::ptr_eq(&current, lane))
    }

    /// May the round continue after its slice? Not when others wait for its place.
    pub(super) fn has_room(&self) -> bool {
        let is_share_full = || self.context.shares.is_full(&self.claim.lane.tenant);
        self.context.slots.available_permits() > 0 && !is_share_full()
    }

    /// Memory for the largest event. `None` if there is none for a while.
    pub(super) async fn memory(&self) -> Option<Held> {
        let Context { memory, options, .. } = self.context;
        memory.reserve(&self.claim.lane.tenant, options.largest, MEMORY_WAIT).await
    }

    /// Deliveries that are due at `now`, without those of the events in `taken`: as many as there is
    /// memory for. `None` if there is no memory for a while.
    pub(super) async fn look(
        &self,
        now: Ms,
        max: usize,
        taken: &[Arc<str>],
    ) -> Result<Option<Vec<Loaded>>, StoreError> {
        let Some(mut held) = self.memory().await else { return Ok(None) };
        // The delivery that reaches the limit may be one of the largest.
        let more = self.context.memory.try_reserve(&self.claim.lane.tenant, LOOK_BYTES);
        let look = Look { max, bytes: if more.is_some() { LOOK_BYTES } else { 0 } };
        let due = self.context.store.agenda.more_due(self.claim, now, look, taken).await?;
        drop(more);
        let load = |item: WaitingItem| Loaded { held: held.split(item.event.body.len()), item };
        Ok(Some(due.into_iter().map(load).collect()))
    }

    /// Deliveries that are due. A delivery whose event is of another environment than the lane now
    /// is suppressed.
    pub(super) async fn due(
        &self,
        lane: &Lane,
        max: usize,
        taken: &[Arc<str>],
    ) -> Result<Option<Vec<Loaded>>, StoreError> {
        loop {
            let Some(due) = self.look(self.now_ms(), max, taken).await? else { return Ok(None) };
            let (due, foreign): (Vec<_>, Vec<_>) =
                due.into_iter().partition(|loaded| lane.takes(&loaded.item.event));
            if foreign.is_empty() {
                return Ok(Some(due));
            }
            self.suppress(items(foreign), &Reason::OtherEnvironment, &lane.destination.channel)
                .await?;
            if !due.is_empty() || self.is_over() {
                return Ok(Some(due));
            }
        }
    }

    /// Deliveries that are due, for which the caller has reserved the memory.
    pub(super) async fn due_within(
        &self,
        lane: &Lane,
        look: Look,
    ) -> Result<Vec<WaitingItem>, StoreError> {
        loop {
            let agenda = &self.context.store.agenda;
            let due = agenda.more_due(self.claim, self.now_ms(), look, &[]).await?;
            let (due, foreign): (Vec<_>, Vec<_>) =
                due.into_iter().partition(|item| lane.takes(&item.event));
            if foreign.is_empty() {
                return Ok(due);
            }
            self.suppress(foreign, &Reason::OtherEnvironment, &lane.destination.channel).await?;
            if !due.is_empty() || self.is_over() {
                return Ok(due);
            }
        }
    }

    /// The first delivery of a lane that keeps the order of arrival.
    pub(super) async fn head(&self, lane: &Lane) -> Result<Head, StoreError> {
        loop {
            // The order of the log decides, not the time: a producer may have chosen a stream id
            // that lies in the future.
            let head = self.context.store.agenda.head(self.claim, FAR_MS).await?;
            match head {
                Head::Ready(item) if !lane.takes(&item.event) => {
                    let channel = &lane.destination.channel;
                    self.suppress(vec![item], &Reason::OtherEnvironment, channel).await?;
                    if self.is_over() {
                        return Ok(Head::None);
                    }
                }
                head => return Ok(head),
            }
        }
    }

    /// Suppresses deliveries: they are kept and visible, and not sent.
    pub(super) async fn suppress(
        &self,
        items: Vec<WaitingItem>,
        reason: &Reason,
        channel: &str,
    ) -> Result<(), StoreError> {
        let at_ms = self.now_ms();
        let update = |item: WaitingItem| {
            let update = DeliveryUpdate {
                id: item.id,
                lane: self.claim.lane.id.clone(),
                channel: channel.into(),
                change: Change::Suppressed(reason.clone()),
                attempts: Vec::new(),
                at_ms,
            };
            (item.event, update)
        };
        self.record(items.into_iter().map(update).collect()).await
    }

    /// Records outcomes, for as long as it takes: otherwise a store that is away for a moment would
    /// turn every success into a duplicate. After an error, the store refuses one of them for good
    /// and the round ends.
    pub(super) async fn record(&self, outcomes: Outcomes) -> Result<(), StoreError> {
        let agenda = &*self.context.store.agenda;
        let recorded = record_outcomes(agenda, &self.claim.lane, outcomes).await?;
        self.context.notices.recorded(&recorded);
        Ok(())
    }
}

/// The deliveries without their memory.
pub(super) fn items(loaded: Vec<Loaded>) -> Vec<WaitingItem> {
    loaded.into_iter().map(|loaded| loaded.item).collect()
}

/// One attempt at one waiting delivery.
pub(super) async fn attempt(
    lane: &Lane,
    item: &WaitingItem,
    clock: Clock,
    notices: &dyn Notices,
) -> Concluded {
    let delivery = Delivery {
        id: item.id.clone(),
        destination: lane.destination.clone(),
        content: Content::Event(item.event.clone()),
        attempt: item.attempts + 1,
        at_ms: clock.wall_ms(),
        resend: Resend::default(),
    };
    run_attempt(lane, delivery, clock, notices).await
}

/// The outcome of an attempt, for the store.
pub(super) fn update_of(
    lane: &Lane,
    item: &WaitingItem,
    end: &Concluded,
    now: Ms,
) -> DeliveryUpdate {
    DeliveryUpdate {
        id: item.id.clone(),
        lane: lane.key.id.clone(),
        channel: lane.destination.channel.clone(),
        change: end.change.clone(),
        attempts: end.resent.iter().chain(&end.attempt).cloned().collect(),
        at_ms: now,
    }
}
