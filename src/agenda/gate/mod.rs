//! The gate of a lane: whether a delivery may go to its receiver now. In memory, decided without
//! waiting.
//!
//! A healthy receiver at its limit has a short line in memory, as long as it will serve within
//! half a second. What is beyond goes to the durable queue. So a fast receiver is served without a
//! detour through the store, and a slow one holds no memory.
//!
//! Here are the decisions. `state` holds what the gate knows, with the receiver's `speed`, the
//! `adaptive` limit of its concurrency and its `circuit`. `permit` is the right to have an attempt
//! in flight, and `job` a delivery that asks for it.

mod adaptive;
mod circuit;
mod job;
mod pacing;
mod permit;
mod speed;
mod state;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

pub use job::{Hold, Job, Space, Ticket};
pub use pacing::LanePace;
pub use permit::{Permit, Worker};
pub use state::Gate;

use crate::delivery::Judgement;
use fanfare_store::{Ms, Reason};

/// A wait in milliseconds, and no less than it.
fn whole_ms(wait: Duration) -> Ms {
    Ms::try_from(wait.as_millis()).unwrap_or(Ms::MAX / 2) + 1
}

/// The answer to an offer.
pub enum Offer {
    /// Go now, in a worker of its own. Then ask the worker for the next delivery in line.
    Start(Job, Worker),
    /// In line: a running worker will take it.
    InLine,
    /// To be parked in the durable queue.
    Park(Job, Hold),
}

/// What an operator may see of a gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GateView {
    /// Attempts in flight.
    pub in_flight: u32,
    /// Attempts allowed.
    pub limit: u32,
    /// Deliveries in line in memory.
    pub line: usize,
    /// Until when the circuit is open.
    pub open_until: Option<Ms>,
}

impl Gate {
    /// A new delivery asks to go.
    pub fn offer(self: &Arc<Self>, job: Job, now: Ms, space: Space) -> Offer {
        let mut state = self.lock();
        if let Some(hold) = state.hold(now) {
            return Offer::Park(job, hold);
        }
        if state.has_backlog() {
            return Offer::Park(job, Hold { reason: Reason::Backlog, until: None });
        }
        if state.is_full() {
            // A line needs a worker that takes it. A line with a pace would leave in a burst.
            let may_line_up = state.workers > 0 && self.pace.is_none();
            if may_line_up && state.line.len() < state.line_allowed(space) {
                state.line.push_back(job);
                return Offer::InLine;
            }
            state.note_backlog();
            return Offer::Park(job, Hold { reason: Reason::Busy, until: None });
        }
        if let Some(wait) = self.paced() {
            state.note_backlog();
            return Offer::Park(job, Hold { reason: Reason::RateLimit, until: Some(now + wait) });
        }
        state.in_flight += 1;
        state.workers += 1;
        Offer::Start(job, Worker::new(Permit::new(self.clone())))
    }

    /// Whether there is no room for a new delivery now, but will be in a moment. That is so for a
    /// receiver that serves even a long line fast, and at first for one that is not known yet. Not
    /// once something is parked: to wait for a backlog keeps the events of all others in the log.
    pub fn is_full_for_a_moment(&self, now: Ms, space: Space) -> bool {
        let state = self.lock();
        state.is_full()
            && state.workers > 0
            && state.line.len() >= state.line_allowed(space)
            && state.is_fast()
            && self.pace.is_none()
            && !state.has_backlog()
            && state.hold(now).is_none()
    }

    /// An attempt has taken `so_far` and goes on. If no other has ended since it began, the
    /// receiver is at least as slow as that. Returns the deliveries in line that it will not serve
    /// soon after all, to be parked.
    pub fn takes_long(&self, so_far: Duration) -> Vec<Job> {
        self.lock().attempt_takes(so_far).into()
    }

    /// A delivery from the durable queue asks to go.
    pub async fn enter(self: &Arc<Self>, now: Ms) -> Result<Permit, Hold> {
        let permit = self.try_enter(now)?;
        self.place(now).await?;
        Ok(permit)
    }

    fn try_enter(self: &Arc<Self>, now: Ms) -> Result<Permit, Hold> {
        let mut state = self.lock();
        if let Some(hold) = state.hold(now) {
            return Err(hold);
        }
        if state.is_full() {
            return Err(Hold { reason: Reason::Busy, until: None });
        }
        if let Some(wait) = self.paced() {
            return Err(Hold { reason: Reason::RateLimit, until: Some(now + wait) });
        }
        state.in_flight += 1;
        Ok(Permit::new(self.clone()))
    }

    /// Takes a place in a pace that replicas share, right before an attempt that was let through.
    /// Without such a pace there is nothing to wait for.
    pub async fn place(&self, now: Ms) -> Result<(), Hold> {
        let Some(pace) = &self.pace else { return Ok(()) };
        let Err(wait) = pace.take().await else { return Ok(()) };
        self.lock().note_backlog();
        Err(Hold { reason: Reason::RateLimit, until: Some(now + whole_ms(wait)) })
    }

    /// Another replica's circuit is open until then, or is not open any more. A hint: an attempt
    /// that succeeds here, or a change of the lane, ends it.
    pub fn hint(&self, open_until: Option<Ms>) {
        self.lock().hint(open_until);
    }

    /// Waits until an attempt ends, at most `longest`.
    pub async fn room(&self, longest: Duration) {
        let _ = tokio::time::timeout(longest, self.room.notified()).await;
    }

    /// Takes a place in an own pace, or returns the wait in milliseconds. A shared pace is asked
    /// later ([`Self::place`]), unless it is known that nothing is free.
    fn paced(&self) -> Option<Ms> {
        Some(whole_ms(self.pace.as_ref()?.try_now().err()?))
    }

    /// Why nothing may go at `now`, whatever the room.
    pub fn hold(&self, now: Ms) -> Option<Hold> {
        self.lock().hold(now)
    }

    /// Notes whether something due waits in the durable queue. To be noted again while it does: it
    /// expires.
    pub fn set_backlog(&self, backlog: bool) {
        let mut state = self.lock();
        if backlog {
            state.note_backlog();
        } else {
            state.forget_backlog();
        }
    }

    /// Learns from an attempt. `random` in `[0, 1)` spreads probes. Returns a change of the
    /// circuit: `Some(true)` opened, `Some(false)` closed.
    pub fn learn(
        &self,
        judgement: Judgement,
        took: Duration,
        now: Ms,
        random: f64,
    ) -> Option<bool> {
        self.lock().learn(judgement, took, now, random)
    }

    /// Whether an attempt is in flight or a delivery is in line.
    pub fn is_in_use(&self) -> bool {
        let state = self.lock();
        state.in_flight > 0 || !state.line.is_empty()
    }

    /// Whether there is nothing that a new gate would not know: no failures that count, no hold,
    /// and a full burst of its rate.
    pub fn is_at_rest(&self, now: Ms) -> bool {
        let is_paced = self.pace.as_ref().is_some_and(|pace| !pace.is_full());
        let state = self.lock();
        !is_paced && state.hold(now).is_none() && state.circuit.is_at_rest(now)
    }

    /// Another gate replaces this one: the lane's destination was changed or repaired. What is in
    /// line is parked, and attempts in flight say nothing about the new settings.
    pub fn supersede(&self) {
        self.lock().superseded = true;
        self.room.notify_one();
    }

    /// Whether another gate has replaced this one.
    pub fn is_superseded(&self) -> bool {
        self.lock().superseded
    }

    /// The hold to be reported after a failed attempt, if it is news: that of the gate, or `order`,
    /// the wait of a lane that keeps an order.
    pub(super) fn news(&self, order: Option<Hold>, now: Ms) -> Option<Hold> {
        let mut state = self.lock();
        let hold = state.hold(now).filter(|hold| hold.until.is_some()).or(order)?;
        state.is_news(hold.until?, now).then_some(hold)
    }

    /// An attempt succeeded: true if a hold was reported before.
    pub(super) fn is_free_again(&self) -> bool {
        self.lock().is_free_again()
    }

    /// For metrics and status pages.
    pub fn view(&self, now: Ms) -> GateView {
        let state = self.lock();
        GateView {
            in_flight: state.in_flight,
            limit: state.limit(),
            line: state.line.len(),
            open_until: state.circuit.open_until(now),
        }
    }
}
