//! Serves a lane's queue with several attempts at once, as many as its gate allows.
//!
//! Sending, recording outcomes (`recorder`) and reading the queue (`queue`) go on side by side: a
//! lane with a long queue is limited by its receiver, not by the round trips to the store.

mod queue;
mod recorder;

use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;

use self::queue::Queue;
use self::recorder::Recorder;
use super::Lane;
use super::gate::Permit;
use super::round::{Loaded, Round, attempt, update_of};
use crate::delivery::Concluded;
use crate::flow::{HOLD_WORTH_WAITING_MS, LOOK_WITHIN, NO_MEMORY_WAIT_MS, RECORD_AFTER};
use fanfare_store::{Ms, Next, StoreError};

/// Serves until there is nothing due, nothing may go, or others wait for their turn.
pub(super) async fn serve(round: &Round<'_>, lane: &Arc<Lane>) -> Result<Next, StoreError> {
    let work = Direct {
        round,
        lane,
        queue: Queue::new(round, lane),
        recorder: Recorder::new(round),
        running: JoinSet::new(),
        until: Instant::now() + round.context.options.slice,
    };
    work.run().await
}

struct Direct<'a> {
    round: &'a Round<'a>,
    lane: &'a Arc<Lane>,
    queue: Queue<'a>,
    recorder: Recorder<'a>,
    /// In tasks of their own, so that attempts go on while the store is waited for.
    running: JoinSet<(Loaded, Concluded)>,
    /// The end of the time slice.
    until: Instant,
}

/// What keeps a lane from sending more.
#[derive(Clone, Copy)]
enum Stop {
    /// Nothing is due.
    Nothing,
    /// The round is over.
    Time,
    /// All places are taken.
    Room,
    /// The gate lets nothing go until then.
    Until(Ms),
}

impl Direct<'_> {
    /// Whatever happens, attempts that were started are awaited and recorded: an outcome that is
    /// not written would be sent again.
    async fn run(mut self) -> Result<Next, StoreError> {
        let next = self.work().await;
        while let Some(joined) = self.running.join_next().await {
            self.note(joined);
        }
        self.recorder.finish().await?;
        next
    }

    async fn work(&mut self) -> Result<Next, StoreError> {
        loop {
            let stop = self.fill().await;
            self.recorder.write_if_due(self.running.is_empty());
            self.look_ahead(stop);
            if !self.is_idle() {
                self.something_happens(stop).await?;
                continue;
            }
            match stop {
                Stop::Nothing if self.queue.has_no_memory() => {
                    return Ok(Next::NotBefore(self.round.now_ms() + NO_MEMORY_WAIT_MS));
                }
                Stop::Nothing | Stop::Time => return Ok(Next::WhenDue),
                Stop::Until(at) if at - self.round.now_ms() > HOLD_WORTH_WAITING_MS => {
                    return Ok(Next::NotBefore(at));
                }
                Stop::Until(at) => tokio::time::sleep(self.until_ms(at)).await,
                // First attempts on the fast path hold all places.
                Stop::Room => self.lane.gate.room(LOOK_WITHIN).await,
            }
        }
    }

    /// Starts what may go. Returns what stopped it.
    async fn fill(&mut self) -> Stop {
        loop {
            if self.round.ends_for(self.lane) || self.is_slice_over() {
                return Stop::Time;
            }
            if self.queue.is_empty() {
                return Stop::Nothing;
            }
            self.lane.gate.set_backlog(true);
            match self.lane.gate.enter(self.round.now_ms()).await {
                Ok(permit) => {
                    if let Some(loaded) = self.queue.pop() {
                        self.start(loaded, permit);
                    }
                }
                Err(hold) => return hold.until.map_or(Stop::Room, Stop::Until),
            }
        }
    }

    /// A slice ends only for the sake of others: to end it with one slow attempt in flight leaves
    /// all other places of the lane idle until that attempt is over.
    fn is_slice_over(&mut self) -> bool {
        let now = Instant::now();
        if now < self.until {
            return false;
        }
        let others_wait = !self.round.has_room();
        if !others_wait {
            self.until = now + self.round.context.options.slice;
        }
        others_wait
    }

    fn start(&mut self, loaded: Loaded, permit: Permit) {
        let lane = self.lane.clone();
        let (clock, notices) = (self.round.context.clock, self.round.context.notices.clone());
        self.running.spawn(async move {
            let _permit = permit;
            let end = attempt(&lane, &loaded.item, clock, &*notices).await;
            (loaded, end)
        });
    }

    /// Reads the queue before nothing is left to start.
    fn look_ahead(&mut self, stop: Stop) {
        let is_wanted = match stop {
            Stop::Nothing => true,
            Stop::Room => self.queue.is_half_empty(),
            Stop::Time | Stop::Until(_) => false,
        };
        if is_wanted {
            self.queue.look();
        }
    }

    fn is_idle(&self) -> bool {
        self.running.is_empty() && self.recorder.is_idle() && !self.queue.is_looking()
    }

    /// Waits for an attempt to end, an answer of the store, room, or the end of a hold.
    async fn something_happens(&mut self, stop: Stop) -> Result<(), StoreError> {
        let wait = match stop {
            Stop::Until(at) => self.until_ms(at).min(LOOK_WITHIN),
            // Something new may become due meanwhile.
            Stop::Nothing | Stop::Time | Stop::Room => LOOK_WITHIN,
        };
        let wait = if self.recorder.has_more() { wait.min(RECORD_AFTER) } else { wait };
        tokio::select! {
            Some(joined) = self.running.join_next() => {
                self.note(joined);
                while let Some(joined) = self.running.try_join_next() {
                    self.note(joined);
                }
            }
            Some(ids) = self.recorder.written() => self.queue.recorded(ids?),
            Some(found) = self.queue.looked() => found?,
            () = self.lane.gate.room(wait), if matches!(stop, Stop::Room) => {}
            () = tokio::time::sleep(wait) => {}
        }
        Ok(())
    }

    fn note(&mut self, joined: Result<(Loaded, Concluded), JoinError>) {
        match joined {
            Ok((Loaded { item, held }, end)) => {
                let update = update_of(self.lane, &item, &end, self.round.now_ms());
                self.recorder.push(item.event, update, held);
            }
            // The delivery stays in the queue, as if the process had died.
            Err(error) => tracing::error!(%error, "an attempt panicked; this is a defect"),
        }
    }

    fn until_ms(&self, at: Ms) -> Duration {
        Duration::from_millis((at - self.round.now_ms()).max(1).unsigned_abs())
    }
}
