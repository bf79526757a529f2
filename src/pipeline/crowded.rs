//! What of a batch finds no room at its lane for a moment, and for how long the batch waits for it.
//!
//! A receiver that keeps up is so fed as fast as it takes, and what it cannot take yet stays in the
//! log, where it costs nothing: the durable queue is a detour, behind which everything else of the
//! lane would then have to go. Everybody else's deliveries go first, and a batch waits once.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::dispatch::Dispatch;
use crate::agenda::{Crowding, Job, Lane, Space};

/// How long one batch may be held up. A receiver that stops answering holds the others up for it
/// once: then what finds no room is parked, and it no longer counts as one that keeps up.
const LONGEST: Duration = Duration::from_millis(200);
/// Between two looks; a line lasts longer.
const STEP: Duration = Duration::from_millis(1);

/// Deliveries of one batch that stand aside for others.
pub(super) struct Crowded<'a> {
    dispatch: &'a Dispatch,
    window: &'a Semaphore,
    places: usize,
    held: Vec<(Arc<Lane>, Job)>,
    /// Lanes that had room, by address.
    served: HashSet<usize>,
    left: Duration,
    overran: bool,
}

// The addresses are compared and never followed.
impl<'a> Crowded<'a> {
    /// `window` has a place for each delivery that is in memory, `places` in all.
    pub(super) fn new(dispatch: &'a Dispatch, window: &'a Semaphore, places: usize) -> Self {
        Self {
            dispatch,
            window,
            places,
            held: Vec::new(),
            served: HashSet::new(),
            left: LONGEST,
            overran: false,
        }
    }

    /// Sends it, or keeps it for the end of the batch if its lane is crowded.
    pub(super) fn send(&mut self, lane: &Arc<Lane>, job: Job) {
        match lane.gate.crowding(self.dispatch.clock.now_ms(), self.space()) {
            Crowding::None => {
                self.served.insert(Arc::as_ptr(lane).addr());
                self.dispatch.send(lane, job, self.space());
            }
            Crowding::Moment | Crowding::Backlog => self.held.push((lane.clone(), job)),
        }
    }

    /// Sends what was kept as soon as there is room; what finds none in time is parked.
    pub(super) async fn flush(&mut self) {
        let held = std::mem::take(&mut self.held);
        for (lane, _) in &held {
            self.served.remove(&Arc::as_ptr(lane).addr());
        }
        // A backlog is waited for only while nobody else is seen to want anything: one who floods
        // must not slow the reading of the log for all.
        let alone = self.served.is_empty();
        for (lane, job) in held {
            while !self.left.is_zero() && self.is_worth_waiting(&lane, alone) {
                let began = Instant::now();
                tokio::time::sleep(STEP).await;
                self.left = self.left.saturating_sub(began.elapsed());
            }
            self.overran |= alone && self.left.is_zero();
            self.dispatch.send(&lane, job, self.space());
        }
    }

    /// Whether something was parked although nobody else wanted anything: then less is to be read at
    /// once, or the backlog never ends while the log has more.
    pub(super) fn overran(&self) -> bool {
        self.overran
    }

    /// Long lines may take three quarters of the window: slow receivers leave the rest for others.
    fn space(&self) -> Space {
        let free = self.window.available_permits();
        if free * 4 >= self.places { Space::Ample } else { Space::Scarce }
    }

    fn is_worth_waiting(&self, lane: &Lane, alone: bool) -> bool {
        match lane.gate.crowding(self.dispatch.clock.now_ms(), self.space()) {
            Crowding::None => false,
            Crowding::Moment => true,
            Crowding::Backlog => alone,
        }
    }
}
