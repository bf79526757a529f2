//! Serves one claimed lane for a while: branches here, work in the leaves.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use fanfare_contract::{Content, Delivery, DeliveryId};
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::gate::Permit;
use super::server::Trouble;
use super::{FAR_MS, Lane, Mode, Server, digest, fifo, run_attempt};
use crate::delivery::Concluded;
use crate::store::{Claim, DeliveryState, DeliveryUpdate, Ms, Next, StoreError, WaitingItem};

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

    pub(super) fn now_ms(&self) -> Ms {
        self.server.clock.now_ms()
    }

    pub(super) async fn due(&self, max: usize) -> Result<Vec<WaitingItem>, StoreError> {
        self.server.store.agenda.due(self.claim, self.now_ms(), max).await
    }

    /// Writes outcomes; as long as it takes. What was sent must not be forgotten: a store that is
    /// away for a moment would otherwise turn every success into a duplicate.
    pub(super) async fn settle(&self, updates: Updates) {
        if updates.is_empty() {
            return;
        }
        let mut trouble = Trouble::default();
        loop {
            let agenda = &self.server.store.agenda;
            match agenda.settle(&self.claim.lane, updates.clone()).await {
                Ok(()) => return trouble.over("the ledger"),
                Err(error) => {
                    // Waits even while stopping: the grace time ends it.
                    trouble.wait("the ledger", &error, &CancellationToken::new()).await;
                }
            }
        }
    }
}

/// Serves until there is nothing due, nothing may go, or the time slice is over.
pub(super) async fn serve(round: &Round<'_>) -> Result<Next, StoreError> {
    let Some(lane) = round.server.lanes.lane(&round.claim.lane) else {
        return suppress_all(round, "destination_removed", "").await;
    };
    if let Some(why) = lane.suppressed() {
        return suppress_all(round, &why, &lane.destination.channel).await;
    }
    if lane.paused {
        return Ok(Next::NotBefore(FAR_MS));
    }
    match &lane.mode {
        Mode::Direct => direct(round, &lane).await,
        Mode::Fifo => fifo::serve(round, &lane).await,
        Mode::Digest(calendar) => digest::serve(round, &lane, calendar).await,
    }
}

/// Ends everything that waits in the lane as suppressed, kept and visible.
async fn suppress_all(round: &Round<'_>, reason: &str, channel: &str) -> Result<Next, StoreError> {
    loop {
        let (agenda, batch) = (&round.server.store.agenda, round.server.options.batch);
        let items = agenda.due(round.claim, FAR_MS, batch).await?;
        if items.is_empty() || round.over() {
            return Ok(Next::WhenDue);
        }
        let state = DeliveryState::Suppressed { reason: reason.to_owned() };
        let updates = items
            .into_iter()
            .map(|item| {
                let update = DeliveryUpdate {
                    id: item.id,
                    destination: round.claim.lane.destination.clone(),
                    channel: channel.into(),
                    state: state.clone(),
                    attempts: Vec::new(),
                    at_ms: round.now_ms(),
                };
                (item.event, update)
            })
            .collect();
        round.settle(updates).await;
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
        destination: lane.key.destination.clone(),
        channel: lane.destination.channel.clone(),
        state: end.state.clone(),
        attempts: end.attempt.iter().cloned().collect(),
        at_ms: now,
    }
}

/// One attempt of one waiting delivery.
pub(super) async fn attempt(round: &Round<'_>, lane: &Lane, item: &WaitingItem) -> Concluded {
    let delivery = Delivery {
        id: item.id.clone(),
        destination: lane.destination.clone(),
        content: Content::Event(item.event.clone()),
        attempt: item.attempts + 1,
        at_ms: round.now_ms(),
    };
    run_attempt(lane, delivery, round.server.clock, &*round.server.notices).await
}

/// Several at once, as many as the gate lets through.
async fn direct(round: &Round<'_>, lane: &Lane) -> Result<Next, StoreError> {
    lane.gate.set_backlog(true);
    let mut work = Direct {
        round,
        lane,
        ready: VecDeque::new(),
        taken: HashSet::new(),
        running: FuturesUnordered::new(),
        ended: Vec::new(),
        settle_by: Instant::now(),
        until: Instant::now() + round.server.options.slice,
    };
    let next = work.run().await;
    if next.is_err() {
        // What was sent is a fact, whatever the store says meanwhile: forgotten, it would be sent
        // again.
        work.finish().await;
    }
    if matches!(next, Ok(None)) {
        lane.gate.set_backlog(false);
    }
    next.map(|next| next.unwrap_or(Next::WhenDue))
}

/// Outcomes settled at once.
const SETTLE_AT: usize = 64;
/// An outcome waits no longer for others to be settled with: what is not on record is sent again
/// after a crash, and an attempt that hangs must not keep it off the record.
const SETTLE_WITHIN: Duration = Duration::from_millis(50);

struct Direct<'a> {
    round: &'a Round<'a>,
    lane: &'a Lane,
    /// Due, not begun.
    ready: VecDeque<WaitingItem>,
    /// Begun or ended, not yet settled: the store still lists them as due.
    taken: HashSet<DeliveryId>,
    running: FuturesUnordered<BoxFuture<'a, (WaitingItem, Concluded)>>,
    ended: Updates,
    /// When the first of these must be settled.
    settle_by: Instant,
    until: Instant,
}

impl Direct<'_> {
    /// `None` when nothing is due any more.
    async fn run(&mut self) -> Result<Option<Next>, StoreError> {
        loop {
            let hold = self.fill().await?;
            if self.running.is_empty() {
                self.settle().await;
                match hold {
                    Stop::Nothing => return Ok(None),
                    Stop::Time => return Ok(Some(Next::WhenDue)),
                    Stop::Until(at) if at - self.round.now_ms() > 500 => {
                        return Ok(Some(Next::NotBefore(at)));
                    }
                    Stop::Until(at) => {
                        let wait = (at - self.round.now_ms()).max(1).unsigned_abs();
                        tokio::time::sleep(Duration::from_millis(wait)).await;
                    }
                    // The fast path holds all places: come back when it has let go.
                    Stop::Room => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            } else {
                self.collect(hold).await;
            }
        }
    }

    /// Starts what may go; tells what stopped it.
    async fn fill(&mut self) -> Result<Stop, StoreError> {
        loop {
            if self.round.over() || Instant::now() >= self.until {
                return Ok(Stop::Time);
            }
            if self.ready.is_empty() {
                let max = self.round.server.options.batch + self.taken.len();
                let due = self.round.due(max).await?;
                self.ready.extend(due.into_iter().filter(|item| !self.taken.contains(&item.id)));
                if self.ready.is_empty() {
                    return Ok(Stop::Nothing);
                }
            }
            match self.lane.gate.enter(self.round.now_ms()) {
                Ok(permit) => {
                    if let Some(item) = self.ready.pop_front() {
                        self.start(item, permit);
                    }
                }
                Err(hold) => return Ok(hold.until.map_or(Stop::Room, Stop::Until)),
            }
        }
    }

    fn start(&mut self, item: WaitingItem, permit: Permit) {
        self.taken.insert(item.id.clone());
        let (round, lane) = (self.round, self.lane);
        self.running.push(Box::pin(async move {
            let _permit = permit;
            let end = attempt(round, lane, &item).await;
            (item, end)
        }));
    }

    /// Waits for an attempt to end, or for the hold to pass.
    async fn collect(&mut self, stop: Stop) {
        let wait = match stop {
            Stop::Until(at) => (at - self.round.now_ms()).clamp(1, 1_000).unsigned_abs(),
            // Something new may have become due behind those that are running.
            Stop::Nothing | Stop::Time | Stop::Room => 1_000,
        };
        let mut wake = Instant::now() + Duration::from_millis(wait);
        if !self.ended.is_empty() {
            wake = wake.min(self.settle_by);
        }
        tokio::select! {
            Some((item, end)) = self.running.next() => self.note(item, &end),
            () = tokio::time::sleep_until(wake) => {}
        }
        let late = !self.ended.is_empty() && Instant::now() >= self.settle_by;
        if late || self.ended.len() >= SETTLE_AT {
            self.settle().await;
        }
    }

    fn note(&mut self, item: WaitingItem, end: &Concluded) {
        if self.ended.is_empty() {
            self.settle_by = Instant::now() + SETTLE_WITHIN;
        }
        let update = update_of(self.lane, &item, end, self.round.now_ms());
        self.ended.push((item.event, update));
    }

    /// Waits for everything that was begun and writes it down; begins nothing.
    async fn finish(&mut self) {
        while let Some((item, end)) = self.running.next().await {
            self.note(item, &end);
        }
        self.settle().await;
    }

    async fn settle(&mut self) {
        let ended = std::mem::take(&mut self.ended);
        let ids: Vec<_> = ended.iter().map(|(_, update)| update.id.clone()).collect();
        self.round.settle(ended).await;
        for id in ids {
            self.taken.remove(&id);
        }
    }
}

/// What keeps a lane from sending more.
#[derive(Clone, Copy)]
enum Stop {
    Nothing,
    Time,
    Room,
    Until(Ms),
}
