//! Dispatch: sends each delivery of an event straight to its receiver if its lane lets it (the fast
//! path), and parks it in the lane's durable queue otherwise. Never waits.

use std::sync::Arc;

use fanfare_contract::Event;

use super::attempt::AttemptStage;
use super::tracking::{conclude, parked};
use crate::agenda::{Hold, Job, Lane, Mode, Offer, Space, Ticket};
use crate::flow::{LARGE_EVENT, NO_TICK_WAIT_MS, PAUSED_CHECK_MS};
use fanfare_store::{Change, Ms, Reason};

/// Dispatches deliveries.
pub(super) struct DispatchStage {
    pub(super) attempts: AttemptStage,
}

impl DispatchStage {
    /// The time of the router's clock.
    pub(super) fn now_ms(&self) -> Ms {
        self.attempts.clock.now_ms()
    }

    /// Dispatches one delivery of `job`'s event to `lane`. True if it started a task.
    pub(super) fn send(&self, lane: &Arc<Lane>, job: Job, space: Space) -> bool {
        let now = self.now_ms();
        if let Some(change) = without_attempt(lane, &job.event, &*job.ticket, now) {
            conclude(lane, &job.event, &*job.ticket, change, now);
            return false;
        }
        // A large event of a tenant whose attempts take long waits in the store, not in memory.
        let (tenant, bytes) = (&job.event.tenant, job.event.body.len());
        if bytes > LARGE_EVENT && self.attempts.memory.is_crowded(tenant, bytes) {
            let hold = Hold { reason: Reason::Queued, until: None };
            conclude(lane, &job.event, &*job.ticket, parked(hold, now), now);
            return false;
        }
        match lane.gate.offer(job, now, space) {
            Offer::InLine => false,
            Offer::Park(job, hold) => {
                conclude(lane, &job.event, &*job.ticket, parked(hold, now), now);
                false
            }
            Offer::Start(job, worker) => {
                tokio::spawn(self.attempts.clone().work(lane.clone(), job, worker));
                true
            }
        }
    }

    /// Puts a delivery in its lane's queue, to be served from now on.
    pub(super) fn queue(&self, lane: &Lane, event: &Event, ticket: &dyn Ticket) {
        let now = self.now_ms();
        let due_ms = event.received_ms.min(now);
        let change = without_attempt(lane, event, ticket, now).unwrap_or(Change::Queued {
            due_ms,
            serve_ms: now,
            reason: Reason::Queued,
        });
        conclude(lane, event, ticket, change, now);
    }

    /// Puts a delivery in its lane's queue, where it waits until its tenant's quota allows it.
    pub(super) fn hold(&self, lane: &Lane, event: &Event, ticket: &dyn Ticket, until: Ms) {
        let now = self.now_ms();
        let change = match without_attempt(lane, event, ticket, now) {
            // It keeps its place in its queue. Other deliveries may still bring the lane forward.
            Some(Change::Queued { due_ms, serve_ms, reason }) => {
                Change::Queued { due_ms, serve_ms: serve_ms.max(until), reason }
            }
            Some(ended) => ended,
            None => Change::Queued { due_ms: until, serve_ms: until, reason: Reason::Quota },
        };
        conclude(lane, event, ticket, change, now);
    }
}

/// What becomes of a delivery that does not go straight to its receiver, whatever the gate says.
fn without_attempt(lane: &Lane, event: &Event, ticket: &dyn Ticket, now: Ms) -> Option<Change> {
    let queued = |due_ms, serve_ms, reason| Change::Queued { due_ms, serve_ms, reason };
    if let Some(reason) = lane.suppressed() {
        return Some(Change::Suppressed(reason));
    }
    if !lane.takes(event) {
        return Some(Change::Suppressed(Reason::OtherEnvironment));
    }
    // The log's own arrival times keep its order: the clocks of its producers may differ. Where the
    // order does not matter, nothing is due in the future.
    let arrived_ms = ticket.arrived_ms().unwrap_or(event.received_ms);
    let is_ordered = matches!(lane.mode, Mode::Fifo);
    let arrived_ms = if is_ordered { arrived_ms } else { arrived_ms.min(now) };
    let check = now + PAUSED_CHECK_MS;
    match &lane.mode {
        Mode::Digest(calendar) => {
            let tick = calendar.after(now).unwrap_or(now + NO_TICK_WAIT_MS);
            Some(queued(tick, if lane.paused { tick.max(check) } else { tick }, Reason::Digest))
        }
        _ if lane.paused => Some(queued(arrived_ms, check, Reason::Paused)),
        Mode::Fifo => Some(queued(arrived_ms, now, Reason::Fifo)),
        Mode::Direct => None,
    }
}
