//! Serves one claimed lane for a while: branches here, work in the leaves.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use fanfare_contract::{Content, Delivery, DeliveryId};
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::gate::Permit;
use super::server::Trouble;
use super::{
    Clock, FAR_MS, LOOK_AT_PAUSED_MS, Lane, Mode, Notices, OTHER_ENVIRONMENT, Server, digest, fifo,
    run_attempt,
};
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

    /// What is due and may go to this lane. What may not, because the lane is of another
    /// environment now, ends here.
    pub(super) async fn due(
        &self,
        lane: &Lane,
        max: usize,
    ) -> Result<Vec<WaitingItem>, StoreError> {
        loop {
            let due = self.server.store.agenda.due(self.claim, self.now_ms(), max).await?;
            let (due, foreign): (Vec<_>, Vec<_>) =
                due.into_iter().partition(|item| lane.takes(&item.event));
            if foreign.is_empty() {
                return Ok(due);
            }
            self.settle(self.suppressed(foreign, OTHER_ENVIRONMENT, &lane.destination.channel))
                .await;
            if !due.is_empty() || self.over() {
                return Ok(due);
            }
        }
    }

    fn suppressed(&self, items: Vec<WaitingItem>, reason: &str, channel: &str) -> Updates {
        let (state, at_ms) =
            (DeliveryState::Suppressed { reason: reason.to_owned() }, self.now_ms());
        let update = |item: WaitingItem| {
            let update = DeliveryUpdate {
                id: item.id,
                destination: self.claim.lane.destination.clone(),
                channel: channel.into(),
                state: state.clone(),
                attempts: Vec::new(),
                at_ms,
            };
            (item.event, update)
        };
        items.into_iter().map(update).collect()
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
                Ok(()) => {
                    self.server.notices.settled(&updates);
                    return trouble.over("the ledger");
                }
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
    let key = &round.claim.lane;
    let Some(lane) = round.server.lanes.lane(key) else {
        let now = round.now_ms();
        if !round.server.strangers.is_removed(key, now) {
            return Ok(Next::NotBefore(now + 1_000));
        }
        return suppress_all(round, "destination_removed", "").await;
    };
    round.server.strangers.known(key);
    if let Some(why) = lane.suppressed() {
        return suppress_all(round, &why, &lane.destination.channel).await;
    }
    if lane.paused {
        return Ok(Next::NotBefore(round.now_ms() + LOOK_AT_PAUSED_MS));
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
        round.settle(round.suppressed(items, reason, channel)).await;
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

/// Several at once, as many as the gate lets through.
async fn direct(round: &Round<'_>, lane: &Arc<Lane>) -> Result<Next, StoreError> {
    let work = Direct {
        round,
        lane,
        ready: VecDeque::new(),
        taken: HashSet::new(),
        running: JoinSet::new(),
        ended: Vec::new(),
        ended_since: Instant::now(),
        found_none: None,
        until: Instant::now() + round.server.options.slice,
    };
    work.run().await
}

/// Outcomes settled at once.
const SETTLE_AT: usize = 64;
/// Longest that an outcome waits for others to be settled with.
const SETTLE_AFTER: Duration = Duration::from_millis(50);
/// A queue in which nothing new was found is not looked into again before, while others run.
const LOOK_AFTER: Duration = Duration::from_millis(20);
/// And is looked into after this time at the latest.
const LOOK_WITHIN: Duration = Duration::from_secs(1);
/// What may go within this time is waited for rather than released.
const WORTH_WAITING_MS: Ms = 500;

struct Direct<'a> {
    round: &'a Round<'a>,
    lane: &'a Arc<Lane>,
    /// Due, not begun.
    ready: VecDeque<WaitingItem>,
    /// Begun or ended, not yet settled: the store still lists them as due.
    taken: HashSet<DeliveryId>,
    /// In tasks of their own, so that they go on while the store is waited for.
    running: JoinSet<(WaitingItem, Concluded)>,
    ended: Updates,
    /// When the first of `ended` came.
    ended_since: Instant,
    /// When the queue was last found to hold nothing new.
    found_none: Option<Instant>,
    until: Instant,
}

impl Direct<'_> {
    /// Whatever happens, what was begun is ended and settled: an outcome that is not written
    /// would be sent again.
    async fn run(mut self) -> Result<Next, StoreError> {
        let next = self.work().await;
        while let Some(joined) = self.running.join_next().await {
            self.note(joined);
        }
        self.settle().await;
        next
    }

    async fn work(&mut self) -> Result<Next, StoreError> {
        loop {
            let stop = self.fill().await?;
            if !self.running.is_empty() {
                self.collect(stop).await;
                continue;
            }
            self.settle().await;
            match stop {
                Stop::Nothing | Stop::Time => return Ok(Next::WhenDue),
                Stop::Until(at) if at - self.round.now_ms() > WORTH_WAITING_MS => {
                    return Ok(Next::NotBefore(at));
                }
                Stop::Until(at) => tokio::time::sleep(self.until_ms(at)).await,
                // The fast path holds all places.
                Stop::Room => self.lane.gate.room(LOOK_WITHIN).await,
            }
        }
    }

    /// Starts what may go; tells what stopped it.
    async fn fill(&mut self) -> Result<Stop, StoreError> {
        loop {
            if self.round.ends(self.lane) || self.slice_is_over() {
                return Ok(Stop::Time);
            }
            if self.ready.is_empty() && !self.look().await? {
                return Ok(Stop::Nothing);
            }
            self.lane.gate.set_backlog(true);
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

    /// A slice ends for the sake of others only: with one slow attempt in flight, to end it is to
    /// leave all other places of the lane idle until that one is over.
    fn slice_is_over(&mut self) -> bool {
        let now = Instant::now();
        if now < self.until {
            return false;
        }
        let others_wait = !self.round.server.has_room(&self.lane.key.tenant);
        if !others_wait {
            self.until = now + self.round.server.options.slice;
        }
        others_wait
    }

    /// Looks for what is due and not begun. False when there is nothing.
    async fn look(&mut self) -> Result<bool, StoreError> {
        let lately = self.found_none.is_some_and(|at| at.elapsed() < LOOK_AFTER);
        if lately && !self.running.is_empty() {
            return Ok(false);
        }
        // What has ended would only be read once more.
        self.settle().await;
        let max = self.round.server.options.batch + self.taken.len();
        let due = self.round.due(self.lane, max).await?;
        self.ready.extend(due.into_iter().filter(|item| !self.taken.contains(&item.id)));
        let found = !self.ready.is_empty();
        self.found_none = (!found).then(Instant::now);
        self.lane.gate.set_backlog(found);
        Ok(found)
    }

    fn start(&mut self, item: WaitingItem, permit: Permit) {
        self.taken.insert(item.id.clone());
        let lane = self.lane.clone();
        let (clock, notices) = (self.round.server.clock, self.round.server.notices.clone());
        self.running.spawn(async move {
            let _permit = permit;
            let end = attempt(&lane, &item, clock, &*notices).await;
            (item, end)
        });
    }

    /// Waits for an attempt to end, or for the hold to pass.
    async fn collect(&mut self, stop: Stop) {
        let wait = match stop {
            Stop::Until(at) => self.until_ms(at).min(LOOK_WITHIN),
            // Something new may have become due behind those that are running.
            Stop::Nothing | Stop::Time | Stop::Room => LOOK_WITHIN,
        };
        let wait = if self.ended.is_empty() { wait } else { wait.min(SETTLE_AFTER) };
        tokio::select! {
            Some(joined) = self.running.join_next() => self.note(joined),
            () = self.lane.gate.room(wait), if matches!(stop, Stop::Room) => {}
            () = tokio::time::sleep(wait) => {}
        }
        let late = !self.ended.is_empty() && self.ended_since.elapsed() >= SETTLE_AFTER;
        if late || self.ended.len() >= SETTLE_AT {
            self.settle().await;
        }
    }

    fn note(&mut self, joined: Result<(WaitingItem, Concluded), JoinError>) {
        match joined {
            Ok((item, end)) => {
                if self.ended.is_empty() {
                    self.ended_since = Instant::now();
                }
                let update = update_of(self.lane, &item, &end, self.round.now_ms());
                self.ended.push((item.event, update));
            }
            // It stays in the queue, as if the process had died under it.
            Err(error) => tracing::error!(%error, "an attempt broke off; this is a defect"),
        }
    }

    async fn settle(&mut self) {
        let ended = std::mem::take(&mut self.ended);
        let ids: Vec<_> = ended.iter().map(|(_, update)| update.id.clone()).collect();
        self.round.settle(ended).await;
        for id in ids {
            self.taken.remove(&id);
        }
    }

    fn until_ms(&self, at: Ms) -> Duration {
        Duration::from_millis((at - self.round.now_ms()).max(1).unsigned_abs())
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
