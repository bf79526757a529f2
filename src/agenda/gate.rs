//! Whether a delivery may go to its receiver now: in memory, one a lane, decided without waiting.
//!
//! A healthy receiver at its limit has a short line in memory, as long as it will serve within
//! [`LONGEST_LINE`]; whatever is beyond goes to the durable queue. So a fast receiver is fed
//! without a detour over the disk, and a slow one holds no memory.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fanfare_contract::{Event, Policy};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Adaptive, Circuit};
use crate::delivery::Judgement;
use crate::delivery::layers::Pace;
use fanfare_store::{DeliveryUpdate, Ms, Reason};

/// Longest time that a delivery may be expected to stand in a lane's line in memory.
const LONGEST_LINE: Duration = Duration::from_millis(500);
/// And while there is space: a machine that is busy for a moment makes all receivers slow at once, and
/// the durable queues would only add to it.
const LONGEST_WITH_SPACE: Duration = Duration::from_secs(2);
/// And the most that may stand there.
const LONGEST_LINE_COUNT: usize = 1_024;

/// A receiver for which so many may stand in line is worth waiting for.
const QUICK: usize = 128;
/// So many attempts tell how quick a receiver is, if they take no longer than a cold start.
const FEW: u8 = 10;
const COLD: Duration = Duration::from_millis(250);
/// A receiver moves if it answered within this time.
const LATELY: Duration = Duration::from_millis(200);

/// How long newcomers go behind what was parked, unless it is noted again: time enough for the
/// agenda to have come by.
const BACKLOG_LASTS: Duration = Duration::from_secs(3);

/// When to look again at a lane whose places are all taken by something that is not its round.
pub(super) const BUSY_LOOK_MS: Ms = 250;

/// A delivery on the fast path: an event, and who is told how it ended.
pub struct Job {
    /// The event.
    pub event: Arc<Event>,
    /// Told once.
    pub ticket: Arc<dyn Ticket>,
}

/// Collects what becomes of one event's deliveries.
pub trait Ticket: Send + Sync {
    /// One delivery has an outcome, or waits in its queue from now on.
    fn concluded(&self, update: DeliveryUpdate);

    /// When its event arrived by the clock of the log, where that has one.
    fn arrived_ms(&self) -> Option<Ms> {
        None
    }

    /// A token that is cancelled once all of the event's outcomes are durable. Asked for before the
    /// last is concluded.
    fn durable(&self) -> CancellationToken;
}

/// Why something may not go now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// One of [`Reason::CircuitOpen`], [`Reason::RetryAfter`], [`Reason::Backlog`],
    /// [`Reason::RateLimit`] and [`Reason::Busy`].
    pub reason: Reason,
    /// Not before; none when it may be served as soon as there is room.
    pub until: Option<Ms>,
}

/// How much of the router's memory is left for lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Space {
    /// A good part of it.
    Ample,
    /// Lines are to be short.
    Scarce,
}

/// The answer to an offer.
pub enum Offer {
    /// Go now, in a worker of its own; then ask the worker for the next in line.
    Start(Job, Worker),
    /// Stands in line; a worker that is under way will take it.
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

struct State {
    adaptive: Adaptive,
    circuit: Circuit,
    /// Attempts, of workers and of the durable queue.
    in_flight: u32,
    /// Those of them that will come by for the next in line.
    workers: u32,
    line: VecDeque<Job>,
    /// Mean time of an attempt in seconds, exponentially weighted; none before there were a few: the
    /// first open connections and compile templates.
    mean_s: Option<f64>,
    /// Attempts that ended, as far as it matters.
    ends: u8,
    /// When an attempt last ended, well or not.
    last_end: Option<Instant>,
    /// The receiver asked to be spared until then.
    spared_until: Ms,
    /// Something due waits in the durable queue: newcomers go behind it. It ends by itself, for
    /// what was parked may be served by another process, which tells nobody.
    backlog_until: Option<Instant>,
}

/// One lane's gate.
pub struct Gate {
    state: Mutex<State>,
    /// An attempt ended: there may be room.
    room: Notify,
    pace: Option<Pace>,
}

impl Gate {
    /// An open gate with the policy's limits.
    pub fn new(policy: &Policy) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State {
                adaptive: Adaptive::new(policy.concurrency),
                circuit: Circuit::new(),
                in_flight: 0,
                workers: 0,
                line: VecDeque::new(),
                mean_s: None,
                ends: 0,
                last_end: None,
                spared_until: Ms::MIN / 2,
                backlog_until: None,
            }),
            room: Notify::new(),
            pace: policy.rate.map(Pace::new),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change under the lock is complete by itself: a panic elsewhere leaves it sound.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A newcomer asks to go.
    pub fn offer(self: &Arc<Self>, job: Job, now: Ms, space: Space) -> Offer {
        let mut state = self.state();
        if let Some(hold) = state.hold(now) {
            return Offer::Park(job, hold);
        }
        if state.has_backlog() {
            return Offer::Park(job, Hold { reason: Reason::Backlog, until: None });
        }
        if state.in_flight >= state.adaptive.limit() {
            // A line needs somebody who comes by; and one that is paced would leave in a bunch.
            let line = state.workers > 0 && self.pace.is_none();
            if line && state.line.len() < state.line_allowed(space) {
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
        Offer::Start(job, Worker { permit: Permit { gate: self.clone() }, gone: false })
    }

    /// Is there merely no room for a newcomer, and will there be in a moment? So it is with a receiver
    /// that empties even a long line quickly, and for its first moments with one that nobody knows yet.
    /// Not once something is parked: who waits for a backlog keeps all others' events in the log.
    pub fn is_full_for_a_moment(&self, now: Ms, space: Space) -> bool {
        let state = self.state();
        state.in_flight >= state.adaptive.limit()
            && state.workers > 0
            && state.line.len() >= state.line_allowed(space)
            && state.is_quick()
            && self.pace.is_none()
            && !state.has_backlog()
            && state.hold(now).is_none()
    }

    /// An attempt has taken `so_far` and goes on. If none has ended since it began, the receiver is at
    /// least as slow as that. Answers those in line that it will not serve soon after all, to be
    /// parked.
    pub fn takes_long(&self, so_far: Duration) -> Vec<Job> {
        let mut state = self.state();
        if state.last_end.is_some_and(|ended| ended.elapsed() < so_far) {
            return Vec::new();
        }
        let mean = state.mean_s.unwrap_or_default();
        state.mean_s = Some(mean.max(so_far.as_secs_f64()));
        let stay = state.line_allowed(Space::Scarce).min(state.line.len());
        let parked = state.line.split_off(stay);
        if !parked.is_empty() {
            state.note_backlog();
        }
        parked.into()
    }

    /// A delivery from the durable queue asks to go.
    pub fn enter(self: &Arc<Self>, now: Ms) -> Result<Permit, Hold> {
        let mut state = self.state();
        if let Some(hold) = state.hold(now) {
            return Err(hold);
        }
        if state.in_flight >= state.adaptive.limit() {
            return Err(Hold { reason: Reason::Busy, until: None });
        }
        if let Some(wait) = self.paced() {
            return Err(Hold { reason: Reason::RateLimit, until: Some(now + wait) });
        }
        state.in_flight += 1;
        Ok(Permit { gate: self.clone() })
    }

    /// Waits until an attempt ends, or `at_most`.
    pub async fn room(&self, at_most: Duration) {
        // When the time is over, so is the wait.
        let _ = tokio::time::timeout(at_most, self.room.notified()).await;
    }

    /// Takes a place in the pace, or tells the wait in milliseconds.
    fn paced(&self) -> Option<Ms> {
        let wait = self.pace.as_ref()?.try_take(Instant::now()).err()?;
        Some(Ms::try_from(wait.as_millis()).unwrap_or(Ms::MAX / 2) + 1)
    }

    /// Why nothing may go at `now`, whatever the room.
    pub fn hold(&self, now: Ms) -> Option<Hold> {
        self.state().hold(now)
    }

    /// Notes whether something due waits in the durable queue. To be noted again as long as it
    /// does: see `BACKLOG_LASTS`.
    pub fn set_backlog(&self, backlog: bool) {
        let mut state = self.state();
        if backlog {
            state.note_backlog();
        } else {
            state.backlog_until = None;
        }
    }

    /// Learns from an attempt. `random` in `[0, 1)` spreads probes. Tells a change of the circuit:
    /// `Some(true)` opened, `Some(false)` closed.
    pub fn learn(
        &self,
        judgement: Judgement,
        took: Duration,
        now: Ms,
        random: f64,
    ) -> Option<bool> {
        let mut state = self.state();
        state.timed(took);
        let in_flight = state.in_flight;
        match judgement {
            Judgement::Well => {
                state.adaptive.well(in_flight);
                state.circuit.well(now).then_some(false)
            }
            Judgement::Neutral | Judgement::Gone => None,
            Judgement::Unwell { spare } => {
                state.adaptive.unwell(now);
                if let Some(spare) = spare {
                    let until = now + Ms::try_from(spare.as_millis()).unwrap_or(0);
                    state.spared_until = state.spared_until.max(until);
                }
                let opened = state.circuit.unwell(now, random);
                if opened {
                    state.adaptive.restart();
                }
                opened.then_some(true)
            }
        }
    }

    /// For metrics and status pages.
    pub fn view(&self, now: Ms) -> GateView {
        let state = self.state();
        GateView {
            in_flight: state.in_flight,
            limit: state.adaptive.limit(),
            line: state.line.len(),
            open_until: state.circuit.open_until(now),
        }
    }
}

impl State {
    fn hold(&self, now: Ms) -> Option<Hold> {
        if let Some(until) = self.circuit.open_until(now) {
            return Some(Hold { reason: Reason::CircuitOpen, until: Some(until) });
        }
        (self.spared_until > now)
            .then_some(Hold { reason: Reason::RetryAfter, until: Some(self.spared_until) })
    }

    fn has_backlog(&self) -> bool {
        self.backlog_until.is_some_and(|until| until > Instant::now())
    }

    fn note_backlog(&mut self) {
        self.backlog_until = Some(Instant::now() + BACKLOG_LASTS);
    }

    fn timed(&mut self, took: Duration) {
        self.last_end = Some(Instant::now());
        self.ends = self.ends.saturating_add(1);
        if self.ends < FEW && self.mean_s.is_none() && took < COLD {
            return;
        }
        let mean = self.mean_s.unwrap_or(took.as_secs_f64());
        self.mean_s = Some(mean * 0.9 + took.as_secs_f64() * 0.1);
    }

    fn is_quick(&self) -> bool {
        self.line_allowed(Space::Scarce) >= QUICK
    }

    fn moves(&self) -> bool {
        self.last_end.is_some_and(|ended| ended.elapsed() < LATELY)
    }

    /// How many may stand in line: what the receiver serves in [`LONGEST_LINE`], or, if it moves, in
    /// [`LONGEST_WITH_SPACE`].
    fn line_allowed(&self, space: Space) -> usize {
        if !self.circuit.is_closed() {
            return 0;
        }
        // Nobody knows yet; an attempt that takes long will tell.
        let Some(mean) = self.mean_s else { return LONGEST_LINE_COUNT };
        if mean >= LONGEST_LINE.as_secs_f64() {
            // Whoever stands behind an attempt holds its event up for longer than that attempt may.
            return 0;
        }
        let each = mean.max(1e-5);
        let longest = match space {
            Space::Ample if self.moves() => LONGEST_WITH_SPACE,
            Space::Ample | Space::Scarce => LONGEST_LINE,
        };
        // One that has not answered yet is not on its way to more.
        let places = if self.ends > 0 { self.adaptive.reach() } else { self.adaptive.limit() };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "capped below")]
        let served = (f64::from(places) * longest.as_secs_f64() / each) as usize;
        served.min(LONGEST_LINE_COUNT)
    }
}

/// The right to have one attempt in flight. Given back by drop.
pub struct Permit {
    gate: Arc<Gate>,
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut state = self.gate.state();
        state.in_flight = state.in_flight.saturating_sub(1);
        drop(state);
        self.gate.room.notify_one();
    }
}

/// A permit whose holder comes by for the next in line after each attempt.
pub struct Worker {
    permit: Permit,
    /// It has said that it comes by no more.
    gone: bool,
}

impl Worker {
    /// After an attempt: the next in line, to be run by this worker, with a hold if it must be
    /// parked instead: the line broke up, or is longer than the receiver will serve soon. `None` when
    /// there is nobody, or fewer attempts are allowed now than are in flight and another worker will
    /// come by; this one must not be asked again.
    ///
    /// Whether anybody comes by changes under the same lock as the line: nobody can stand in line
    /// behind a worker that has just found it empty.
    pub fn next(&mut self, now: Ms) -> Option<(Job, Option<Hold>)> {
        let mut state = self.permit.gate.state();
        let hold = state.hold(now);
        if hold.is_none() && state.line.len() > state.line_allowed(Space::Ample) {
            state.note_backlog();
            let busy = Some(Hold { reason: Reason::Busy, until: None });
            return state.line.pop_back().map(|job| (job, busy));
        }
        let too_many = state.in_flight > state.adaptive.limit() && state.workers > 1;
        let next = if hold.is_none() && too_many { None } else { state.line.pop_front() };
        if next.is_none() {
            self.gone = true;
            state.workers = state.workers.saturating_sub(1);
        }
        next.map(|job| (job, hold))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if !self.gone {
            let mut state = self.permit.gate.state();
            state.workers = state.workers.saturating_sub(1);
        }
    }
}

#[cfg(test)]
#[path = "gate_tests.rs"]
mod tests;
