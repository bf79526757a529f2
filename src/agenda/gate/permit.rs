//! The right to have an attempt in flight, released by drop.

use std::sync::Arc;

use super::job::{Hold, Job, Space};
use super::state::Gate;
use fanfare_store::{Ms, Reason};

/// The right to have one attempt in flight.
pub struct Permit {
    gate: Arc<Gate>,
}

impl Permit {
    /// For an attempt that is counted in `in_flight` already.
    pub(super) fn new(gate: Arc<Gate>) -> Self {
        Self { gate }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut state = self.gate.lock();
        state.in_flight = state.in_flight.saturating_sub(1);
        drop(state);
        self.gate.room.notify_one();
    }
}

/// A permit whose holder takes the next delivery in line after each attempt.
pub struct Worker {
    permit: Permit,
    /// It takes no more deliveries.
    is_done: bool,
}

impl Worker {
    /// For a worker that is counted in `workers` already.
    pub(super) fn new(permit: Permit) -> Self {
        Self { permit, is_done: false }
    }

    /// After an attempt: the next delivery in line. With a hold, it must be parked instead: the
    /// line broke up, or is longer than the receiver will serve soon. `None` when the line is
    /// empty, or when fewer attempts are allowed now than are in flight and another worker takes
    /// the line; this worker must not be asked again.
    ///
    /// The number of workers and the line share one lock: no delivery can join the line behind a
    /// worker that has just found it empty.
    pub fn next(&mut self, now: Ms) -> Option<(Job, Option<Hold>)> {
        let mut state = self.permit.gate.lock();
        let hold = state.hold(now);
        if hold.is_none() && state.line.len() > state.line_allowed(Space::Ample) {
            state.note_backlog();
            let busy = Some(Hold { reason: Reason::Busy, until: None });
            return state.line.pop_back().map(|job| (job, busy));
        }
        let too_many = state.in_flight > state.limit() && state.workers > 1;
        let next = if hold.is_none() && too_many { None } else { state.line.pop_front() };
        if next.is_none() {
            self.is_done = true;
            state.workers = state.workers.saturating_sub(1);
        }
        next.map(|job| (job, hold))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if !self.is_done {
            let mut state = self.permit.gate.lock();
            state.workers = state.workers.saturating_sub(1);
        }
    }
}
