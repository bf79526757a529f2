//! Backpressure: what a batch does with deliveries whose lane has no room at the moment. The batch is
//! the part of one tenant, so it delays no other tenant.
//!
//! Such a delivery is deferred until the rest of its batch is dispatched. Then the batch waits a
//! moment for room. A receiver that keeps up is thus served as fast as it accepts, and what it
//! cannot accept yet stays in the log, where it costs nothing. Parking it in the durable queue
//! would be a detour, and all later deliveries of the lane would have to queue behind it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::dispatch::DispatchStage;
use super::window::Window;
use crate::agenda::{Job, Lane};
use crate::flow::{BATCH_WAIT_MAX, BATCH_WAIT_STEP, STARTS_PER_TURN};

/// The deferred deliveries of one batch.
pub(super) struct Backpressure<'a> {
    dispatch: &'a DispatchStage,
    window: &'a Window,
    deferred: Vec<(Arc<Lane>, Job)>,
    /// How long the batch may still wait.
    left: Duration,
    /// Attempts started since other tasks had a turn.
    started: usize,
}

impl<'a> Backpressure<'a> {
    /// For the entries of one tenant in a batch.
    pub(super) fn new(dispatch: &'a DispatchStage, window: &'a Window) -> Self {
        Self { dispatch, window, deferred: Vec::new(), left: BATCH_WAIT_MAX, started: 0 }
    }

    /// Dispatches a delivery, or defers it to the end of the batch if its lane is full.
    pub(super) fn send(&mut self, lane: &Arc<Lane>, job: Job) {
        if self.is_full(lane) {
            self.deferred.push((lane.clone(), job));
        } else {
            self.dispatch(lane, job);
        }
    }

    fn dispatch(&mut self, lane: &Arc<Lane>, job: Job) {
        self.started += usize::from(self.dispatch.send(lane, job, self.window.space()));
    }

    /// After many started attempts, lets them proceed before more are started.
    pub(super) async fn give_others_a_turn(&mut self) {
        if self.started >= STARTS_PER_TURN {
            self.started = 0;
            tokio::task::yield_now().await;
        }
    }

    /// Dispatches the deferred deliveries as soon as there is room. A delivery that finds no room
    /// in time is parked, and with it the rest of its lane.
    pub(super) async fn flush(&mut self) {
        for (lane, job) in std::mem::take(&mut self.deferred) {
            while !self.left.is_zero() && self.is_full(&lane) {
                let began = Instant::now();
                tokio::time::sleep(BATCH_WAIT_STEP).await;
                self.left = self.left.saturating_sub(began.elapsed());
            }
            self.dispatch(&lane, job);
        }
    }

    /// Whether this batch of `entries` waited so long that a full batch at the same pace may soon
    /// find no room in time. The next one should be smaller: down to half of the slowest pace that
    /// is waited for, a receiver then needs no detour over the durable queue.
    pub(super) fn delayed_batch(&self, entries: usize) -> bool {
        let count = |many: usize| u32::try_from(many).unwrap_or(u32::MAX);
        let waited = BATCH_WAIT_MAX.saturating_sub(self.left);
        waited * count(self.window.batch()) > BATCH_WAIT_MAX / 2 * count(entries)
    }

    fn is_full(&self, lane: &Lane) -> bool {
        lane.gate.is_full_for_a_moment(self.dispatch.now_ms(), self.window.space())
    }
}
