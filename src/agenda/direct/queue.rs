//! The part of a lane's queue that a round has read, and its next look into the rest.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use fanfare_contract::DeliveryId;
use futures::future::{BoxFuture, FutureExt};
use tokio::time::Instant;

use crate::agenda::Lane;
use crate::agenda::round::{Loaded, Round};
use crate::flow::QUEUE_READ_AFTER;
use fanfare_store::StoreError;

pub(super) struct Queue<'a> {
    round: &'a Round<'a>,
    lane: &'a Arc<Lane>,
    /// Due, not started.
    ready: VecDeque<Loaded>,
    /// Read and not yet recorded, started or not: the store still lists them as due.
    taken: HashMap<DeliveryId, Arc<str>>,
    looking: Option<BoxFuture<'a, Result<Option<Vec<Loaded>>, StoreError>>>,
    /// The last look found no memory for what is due.
    has_no_memory: bool,
    /// Recorded since that look began, which may still list them.
    recorded_meanwhile: Vec<DeliveryId>,
    /// When a look last found nothing new.
    found_none: Option<Instant>,
}

impl<'a> Queue<'a> {
    pub(super) fn new(round: &'a Round<'a>, lane: &'a Arc<Lane>) -> Self {
        Self {
            round,
            lane,
            ready: VecDeque::new(),
            taken: HashMap::new(),
            looking: None,
            has_no_memory: false,
            recorded_meanwhile: Vec::new(),
            found_none: None,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ready.is_empty()
    }

    pub(super) fn is_half_empty(&self) -> bool {
        self.ready.len() < self.round.context.options.batch / 2
    }

    pub(super) fn is_looking(&self) -> bool {
        self.looking.is_some()
    }

    /// Whether the last look found no memory for what is due.
    pub(super) fn has_no_memory(&self) -> bool {
        self.has_no_memory
    }

    pub(super) fn pop(&mut self) -> Option<Loaded> {
        self.ready.pop_front()
    }

    /// Starts a look into the store, unless one is under way or the last one was a moment ago and
    /// found nothing.
    pub(super) fn look(&mut self) {
        let lately = self.found_none.is_some_and(|at| at.elapsed() < QUEUE_READ_AFTER);
        if lately || self.looking.is_some() {
            return;
        }
        let (round, lane) = (self.round, self.lane);
        let taken: Vec<Arc<str>> = self.taken.values().cloned().collect();
        let batch = round.context.options.batch;
        self.looking = Some(async move { round.due(lane, batch, &taken).await }.boxed());
    }

    /// Waits for the look to end and takes what it found; `None` if there is none under way.
    /// Dropping the future loses nothing.
    pub(super) async fn looked(&mut self) -> Option<Result<(), StoreError>> {
        let due = self.looking.as_mut()?.await;
        self.looking = None;
        Some(due.map(|due| self.found(due)))
    }

    fn found(&mut self, due: Option<Vec<Loaded>>) {
        let before = self.ready.len();
        self.has_no_memory = due.is_none();
        for loaded in due.unwrap_or_default() {
            let (id, event) = (loaded.item.id.clone(), loaded.item.event.id.clone());
            if self.taken.insert(id, event).is_none() {
                self.ready.push_back(loaded);
            }
        }
        for id in self.recorded_meanwhile.drain(..) {
            self.taken.remove(&id);
        }
        self.found_none = (self.ready.len() == before).then(Instant::now);
        self.lane.gate.set_backlog(!self.ready.is_empty());
    }

    /// Deliveries whose outcomes are recorded.
    pub(super) fn recorded(&mut self, ids: Vec<DeliveryId>) {
        if self.looking.is_some() {
            self.recorded_meanwhile.extend(ids);
        } else {
            for id in &ids {
                self.taken.remove(id);
            }
        }
    }
}
