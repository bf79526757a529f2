//! Serves a lane's queue with several attempts at once, as many as its gate lets through.
//!
//! Sending, writing what came of it, and looking for more go on beside each other: a lane whose
//! queue is long is limited by its receiver, not by the store's answers in turn.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use fanfare_contract::DeliveryId;
use futures::future::{BoxFuture, FutureExt, OptionFuture};
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;

use super::Lane;
use super::gate::Permit;
use super::serve::{Round, Updates, attempt, update_of};
use crate::delivery::Concluded;
use fanfare_store::{Ms, Next, StoreError, WaitingItem};

/// Serves until there is nothing due, nothing may go, or others wait for their turn.
pub(super) async fn serve(round: &Round<'_>, lane: &Arc<Lane>) -> Result<Next, StoreError> {
    let work = Direct {
        round,
        lane,
        ready: VecDeque::new(),
        taken: HashMap::new(),
        running: JoinSet::new(),
        ended: Vec::new(),
        ended_since: Instant::now(),
        writing: None,
        looking: None,
        written_meanwhile: Vec::new(),
        found_none: None,
        until: Instant::now() + round.server.options.slice,
    };
    work.run().await
}

/// Outcomes settled at once, at least, unless they wait too long.
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
    /// Read and not yet settled, begun or not: the store still lists them as due.
    taken: HashMap<DeliveryId, Arc<str>>,
    /// In tasks of their own, so that they go on while the store is waited for.
    running: JoinSet<(WaitingItem, Concluded)>,
    ended: Updates,
    /// When the first of `ended` came.
    ended_since: Instant,
    /// Outcomes on their way to the store.
    writing: Option<BoxFuture<'a, Result<Vec<DeliveryId>, StoreError>>>,
    /// A look into the queue.
    looking: Option<BoxFuture<'a, Result<Vec<WaitingItem>, StoreError>>>,
    /// What was settled since that look began, which may list it still.
    written_meanwhile: Vec<DeliveryId>,
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
        let written = match self.writing.take() {
            Some(writing) => writing.await.map(drop),
            None => Ok(()),
        };
        self.round.settle(std::mem::take(&mut self.ended)).await?;
        written?;
        next
    }

    async fn work(&mut self) -> Result<Next, StoreError> {
        loop {
            let stop = self.fill();
            self.write_what_is_due();
            self.look_ahead(stop);
            if !self.is_idle() {
                self.something_happens(stop).await?;
                continue;
            }
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
    fn fill(&mut self) -> Stop {
        loop {
            if self.round.ends(self.lane) || self.slice_is_over() {
                return Stop::Time;
            }
            if self.ready.is_empty() {
                return Stop::Nothing;
            }
            self.lane.gate.set_backlog(true);
            match self.lane.gate.enter(self.round.now_ms()) {
                Ok(permit) => {
                    if let Some(item) = self.ready.pop_front() {
                        self.start(item, permit);
                    }
                }
                Err(hold) => return hold.until.map_or(Stop::Room, Stop::Until),
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

    fn start(&mut self, item: WaitingItem, permit: Permit) {
        let lane = self.lane.clone();
        let (clock, notices) = (self.round.server.clock, self.round.server.notices.clone());
        self.running.spawn(async move {
            let _permit = permit;
            let end = attempt(&lane, &item, clock, &*notices).await;
            (item, end)
        });
    }

    /// Sets a batch of outcomes on its way, one batch at a time.
    fn write_what_is_due(&mut self) {
        let late = || self.ended_since.elapsed() >= SETTLE_AFTER || self.running.is_empty();
        if self.writing.is_some() || self.ended.is_empty() {
            return;
        }
        if self.ended.len() < SETTLE_AT && !late() {
            return;
        }
        let (round, ended) = (self.round, std::mem::take(&mut self.ended));
        let write = async move {
            let ids = ended.iter().map(|(_, update)| update.id.clone()).collect();
            // Refused for good: what stays in the queue must not be begun again in this round.
            round.settle(ended).await?;
            Ok(ids)
        };
        self.writing = Some(write.boxed());
    }

    /// Looks for what is due before nothing is left to begin.
    fn look_ahead(&mut self, stop: Stop) {
        let batch = self.round.server.options.batch;
        let wanted = match stop {
            Stop::Nothing => true,
            Stop::Room => self.ready.len() < batch / 2,
            Stop::Time | Stop::Until(_) => false,
        };
        let lately = self.found_none.is_some_and(|at| at.elapsed() < LOOK_AFTER);
        if !wanted || lately || self.looking.is_some() {
            return;
        }
        let (round, lane) = (self.round, self.lane);
        let taken: Vec<Arc<str>> = self.taken.values().cloned().collect();
        self.looking = Some(async move { round.due(lane, batch, &taken).await }.boxed());
    }

    fn is_idle(&self) -> bool {
        let store_is_asked = self.writing.is_some() || self.looking.is_some();
        self.running.is_empty() && self.ended.is_empty() && !store_is_asked
    }

    /// Waits for an attempt to end, an answer of the store, room, or the end of a hold.
    async fn something_happens(&mut self, stop: Stop) -> Result<(), StoreError> {
        let wait = match stop {
            Stop::Until(at) => self.until_ms(at).min(LOOK_WITHIN),
            // Something new may have become due behind those that are running.
            Stop::Nothing | Stop::Time | Stop::Room => LOOK_WITHIN,
        };
        let to_write = !self.ended.is_empty() && self.writing.is_none();
        let wait = if to_write { wait.min(SETTLE_AFTER) } else { wait };
        tokio::select! {
            Some(joined) = self.running.join_next() => {
                self.note(joined);
                while let Some(joined) = self.running.try_join_next() {
                    self.note(joined);
                }
            }
            Some(ids) = OptionFuture::from(self.writing.as_mut()) => {
                self.writing = None;
                self.written(ids?);
            }
            Some(due) = OptionFuture::from(self.looking.as_mut()) => {
                self.looking = None;
                self.found(due?);
            }
            () = self.lane.gate.room(wait), if matches!(stop, Stop::Room) => {}
            () = tokio::time::sleep(wait) => {}
        }
        Ok(())
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

    fn written(&mut self, ids: Vec<DeliveryId>) {
        if self.looking.is_some() {
            self.written_meanwhile.extend(ids);
        } else {
            for id in &ids {
                self.taken.remove(id);
            }
        }
    }

    fn found(&mut self, due: Vec<WaitingItem>) {
        let before = self.ready.len();
        for item in due {
            if self.taken.insert(item.id.clone(), item.event.id.clone()).is_none() {
                self.ready.push_back(item);
            }
        }
        for id in self.written_meanwhile.drain(..) {
            self.taken.remove(&id);
        }
        self.found_none = (self.ready.len() == before).then(Instant::now);
        self.lane.gate.set_backlog(!self.ready.is_empty());
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
