//! Serves one claimed lane for a while: branches here, work in the leaves.

use std::sync::Arc;

use fanfare_contract::{Content, Delivery};
use tokio_util::sync::CancellationToken;

use super::settling::settle_lane;
use super::{
    Clock, FAR_MS, LOOK_AT_PAUSED_MS, Lane, Mode, Notices, Server, digest, direct, fifo,
    run_attempt,
};
use crate::delivery::Concluded;
use fanfare_store::{
    Change, Claim, DeliveryUpdate, Head, Ms, Next, Reason, StoreError, WaitingItem,
};

/// How often a lane is looked at whose tenant has a table that cannot be used.
const LOOK_AT_UNUSABLE_MS: Ms = 2_000;

/// One claim being served.
pub(super) struct Round<'a> {
    pub(super) server: &'a Server,
    pub(super) claim: &'a Claim,
    /// Cancelled when the lease has passed to another.
    pub(super) lost: &'a CancellationToken,
}

pub(super) type Updates = Vec<(Arc<fanfare_contract::Event>, DeliveryUpdate)>;

impl Round<'_> {
    pub(super) fn over(&self) -> bool {
        self.lost.is_cancelled() || self.server.stop.is_cancelled()
    }

    /// Over, or the lane is not any more what it was: its receiver is gone, or the table has
    /// changed. Another round will see what it is now.
    pub(super) fn ends(&self, lane: &Arc<Lane>) -> bool {
        let current = || self.server.lanes.lane(&self.claim.lane);
        self.over()
            || lane.suppressed().is_some()
            || !current().is_some_and(|current| Arc::ptr_eq(&current, lane))
    }

    pub(super) fn now_ms(&self) -> Ms {
        self.server.clock.now_ms()
    }

    /// What is due and may go to this lane, beside what is `taken` already. What may not, because the
    /// lane is of another environment now, ends here.
    pub(super) async fn due(
        &self,
        lane: &Lane,
        max: usize,
        taken: &[Arc<str>],
    ) -> Result<Vec<WaitingItem>, StoreError> {
        loop {
            let agenda = &self.server.store.agenda;
            let due = agenda.more_due(self.claim, self.now_ms(), max, taken).await?;
            let (due, foreign): (Vec<_>, Vec<_>) =
                due.into_iter().partition(|item| lane.takes(&item.event));
            if foreign.is_empty() {
                return Ok(due);
            }
            self.settle(self.suppressed(
                foreign,
                &Reason::OtherEnvironment,
                &lane.destination.channel,
            ))
            .await?;
            if !due.is_empty() || self.over() {
                return Ok(due);
            }
        }
    }

    /// What stands first in a lane that keeps the order of arrival, and may go to it.
    pub(super) async fn head(&self, lane: &Lane) -> Result<Head, StoreError> {
        // Arrivals are told by the clock of the store, which may be a little ahead of ours.
        const CLOCKS_APART_MS: Ms = 2_000;
        loop {
            let now = self.now_ms() + CLOCKS_APART_MS;
            let head = self.server.store.agenda.head(self.claim, now).await?;
            match head {
                Head::Ready(item) if !lane.takes(&item.event) => {
                    let channel = &lane.destination.channel;
                    self.settle(self.suppressed(vec![item], &Reason::OtherEnvironment, channel))
                        .await?;
                    if self.over() {
                        return Ok(Head::None);
                    }
                }
                head => return Ok(head),
            }
        }
    }

    fn suppressed(&self, items: Vec<WaitingItem>, reason: &Reason, channel: &str) -> Updates {
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
        items.into_iter().map(update).collect()
    }

    /// Writes outcomes; as long as it takes. What was sent must not be forgotten: a store that is
    /// away for a moment would otherwise turn every success into a duplicate.
    /// An error is the store's word that it will not have one of them at all: the round ends.
    pub(super) async fn settle(&self, updates: Updates) -> Result<(), StoreError> {
        let agenda = &*self.server.store.agenda;
        let written = settle_lane(agenda, &self.claim.lane, updates).await?;
        self.server.notices.settled(&written);
        Ok(())
    }
}

/// Serves until there is nothing due, nothing may go, or the time slice is over.
pub(super) async fn serve(round: &Round<'_>) -> Result<Next, StoreError> {
    let key = &round.claim.lane;
    let Some(lane) = round.server.lanes.lane(key) else {
        let now = round.now_ms();
        if round.server.lanes.is_unusable(&key.tenant) {
            round.server.strangers.known(key);
            return Ok(Next::NotBefore(now + LOOK_AT_UNUSABLE_MS));
        }
        if !round.server.strangers.is_removed(key, now) {
            return Ok(Next::NotBefore(now + 1_000));
        }
        return suppress_all(round, &Reason::DestinationRemoved, "").await;
    };
    round.server.strangers.known(key);
    let lane = if lane.suppressed().is_some() {
        // It may have been enabled a moment ago, and what it missed put back.
        round.server.lanes.refresh().await;
        round.server.lanes.lane(key).unwrap_or(lane)
    } else {
        lane
    };
    if let Some(why) = lane.suppressed() {
        return suppress_all(round, &why, &lane.destination.channel).await;
    }
    if lane.paused {
        return Ok(Next::NotBefore(round.now_ms() + LOOK_AT_PAUSED_MS));
    }
    match &lane.mode {
        Mode::Direct => direct::serve(round, &lane).await,
        Mode::Fifo => fifo::serve(round, &lane).await,
        Mode::Digest(calendar) => digest::serve(round, &lane, calendar).await,
    }
}

/// Ends everything that waits in the lane as suppressed, kept and visible.
async fn suppress_all(
    round: &Round<'_>,
    reason: &Reason,
    channel: &str,
) -> Result<Next, StoreError> {
    loop {
        let (agenda, batch) = (&round.server.store.agenda, round.server.options.batch);
        let items = agenda.due(round.claim, FAR_MS, batch).await?;
        if items.is_empty() || round.over() {
            return Ok(Next::WhenDue);
        }
        round.settle(round.suppressed(items, reason, channel)).await?;
    }
}

/// What one attempt of a waiting delivery came to.
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
        attempts: end.attempt.iter().cloned().collect(),
        at_ms: now,
    }
}

/// One attempt of one waiting delivery.
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
        at_ms: clock.now_ms(),
    };
    run_attempt(lane, delivery, clock, notices).await
}
