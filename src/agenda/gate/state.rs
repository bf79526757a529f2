//! What a gate knows: attempts in flight, the line, the receiver's speed and circuit.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fanfare_contract::Policy;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::adaptive::Adaptive;
use super::circuit::Circuit;
use super::job::{Hold, Job, Space};
use super::pacing::LanePace;
use super::speed::Speed;
use crate::delivery::Judgement;
use crate::flow::{
    BACKLOG_LASTS, FAST_LINE, HOLD_NOTED_MS, LINE_COUNT_MAX, LINE_WAIT, LINE_WAIT_AMPLE,
};
use fanfare_store::{Ms, Reason};

/// One lane's gate. The decisions are in `gate`.
pub struct Gate {
    state: Mutex<State>,
    /// Notified when an attempt ended: there may be room.
    pub(super) room: Notify,
    pub(super) pace: Option<Arc<LanePace>>,
}

impl Gate {
    /// An open gate with the policy's limits, all of them of this process.
    pub fn new(policy: &Policy) -> Arc<Self> {
        let pace = policy.rate.map(|rate| Arc::new(LanePace::own(rate)));
        Self::among(policy, pace, || 1)
    }

    /// An open gate with a pace that may be shared. `replicas` says how many processes share the
    /// policy's concurrency.
    pub fn among(
        policy: &Policy,
        pace: Option<Arc<LanePace>>,
        replicas: impl Fn() -> u32 + Send + Sync + 'static,
    ) -> Arc<Self> {
        let state = Mutex::new(State::new(policy, Box::new(replicas)));
        Arc::new(Self { state, room: Notify::new(), pace })
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // Every change under the lock is complete by itself, so a panic elsewhere does no harm.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The state of one gate, behind its lock.
pub(super) struct State {
    pub(super) adaptive: Adaptive,
    pub(super) circuit: Circuit,
    speed: Speed,
    /// The most attempts in flight of all replicas together.
    concurrency: u32,
    replicas: Box<dyn Fn() -> u32 + Send + Sync>,
    /// The circuit of another replica is open until then.
    hinted_until: Ms,
    /// Attempts, of workers and of the durable queue.
    pub(super) in_flight: u32,
    /// Attempts whose worker takes the next delivery in line.
    pub(super) workers: u32,
    pub(super) line: VecDeque<Job>,
    /// `Retry-After`: nothing goes before.
    held_until: Ms,
    /// The end of the hold that was last reported.
    reported_until: Option<Ms>,
    /// Another gate has replaced this one, so nothing goes through it any more.
    pub(super) superseded: bool,
    /// Something due waits in the durable queue, so new deliveries queue behind it. It expires,
    /// because another process may serve what was parked.
    backlog_until: Option<Instant>,
}

impl State {
    fn new(policy: &Policy, replicas: Box<dyn Fn() -> u32 + Send + Sync>) -> Self {
        Self {
            adaptive: Adaptive::new(policy.concurrency),
            circuit: Circuit::new(),
            speed: Speed::default(),
            concurrency: policy.concurrency,
            replicas,
            hinted_until: Ms::MIN / 2,
            in_flight: 0,
            workers: 0,
            line: VecDeque::new(),
            held_until: Ms::MIN / 2,
            // A process before this one may have reported a hold.
            reported_until: Some(Ms::MIN),
            superseded: false,
            backlog_until: None,
        }
    }

    /// Why nothing may go now, whatever the room.
    pub(super) fn hold(&self, now: Ms) -> Option<Hold> {
        if self.superseded {
            // What is parked is served through the other gate.
            return Some(Hold { reason: Reason::Busy, until: None });
        }
        if let Some(until) = self.circuit.open_until(now) {
            return Some(Hold { reason: Reason::CircuitOpen, until: Some(until) });
        }
        if self.hinted_until > now && self.circuit.is_closed() {
            return Some(Hold { reason: Reason::CircuitOpen, until: Some(self.hinted_until) });
        }
        (self.held_until > now)
            .then_some(Hold { reason: Reason::RetryAfter, until: Some(self.held_until) })
    }

    /// Whether a hold is news: it lasts, and ends later than the one that was last reported.
    pub(super) fn is_news(&mut self, until: Ms, now: Ms) -> bool {
        let is_news = until - now >= HOLD_NOTED_MS
            && self.reported_until.is_none_or(|reported| until > reported);
        if is_news {
            self.reported_until = Some(until);
        }
        is_news
    }

    /// An attempt succeeded: true if a hold was reported before.
    pub(super) fn is_free_again(&mut self) -> bool {
        self.reported_until.take().is_some()
    }

    pub(super) fn is_full(&self) -> bool {
        self.in_flight >= self.limit()
    }

    /// Attempts allowed in flight now: what the receiver bears, and no more than this process's
    /// share. At least 1.
    pub(super) fn limit(&self) -> u32 {
        let share = self.concurrency.div_ceil((self.replicas)().max(1));
        self.adaptive.limit().min(share).max(1)
    }

    pub(super) fn hint(&mut self, open_until: Option<Ms>) {
        self.hinted_until = open_until.unwrap_or(Ms::MIN / 2);
    }

    pub(super) fn has_backlog(&self) -> bool {
        self.backlog_until.is_some_and(|until| until > Instant::now())
    }

    pub(super) fn note_backlog(&mut self) {
        self.backlog_until = Some(Instant::now() + BACKLOG_LASTS);
    }

    pub(super) fn forget_backlog(&mut self) {
        self.backlog_until = None;
    }

    /// A receiver that accepts so much that a batch waits for it.
    pub(super) fn is_fast(&self) -> bool {
        self.line_allowed(Space::Scarce) >= FAST_LINE
    }

    /// How many deliveries may be in line: what the receiver serves in [`LINE_WAIT`] or, if it is
    /// making progress and space is ample, in [`LINE_WAIT_AMPLE`].
    pub(super) fn line_allowed(&self, space: Space) -> usize {
        if !self.circuit.is_closed() {
            return 0;
        }
        // Not known yet. An attempt that takes long will correct it.
        let Some(mean_s) = self.speed.mean_s() else { return LINE_COUNT_MAX };
        if mean_s >= LINE_WAIT.as_secs_f64() {
            // A delivery behind an attempt would delay its event longer than an attempt may.
            return 0;
        }
        let longest = match space {
            Space::Ample if self.speed.is_making_progress() => LINE_WAIT_AMPLE,
            Space::Ample | Space::Scarce => LINE_WAIT,
        };
        // The limit of a receiver that has not answered yet does not grow.
        let places = if self.speed.has_answered() { self.adaptive.reach() } else { self.limit() };
        let served = f64::from(places) * longest.as_secs_f64() / mean_s.max(1e-5);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "capped below")]
        let served = served as usize;
        served.min(LINE_COUNT_MAX)
    }

    /// An attempt has taken `so_far` and goes on. Returns the deliveries in line that the receiver
    /// will not serve soon after all.
    pub(super) fn attempt_takes(&mut self, so_far: Duration) -> VecDeque<Job> {
        if !self.speed.attempt_takes(so_far) {
            return VecDeque::new();
        }
        let stay = self.line_allowed(Space::Scarce).min(self.line.len());
        let parked = self.line.split_off(stay);
        if !parked.is_empty() {
            self.note_backlog();
        }
        parked
    }

    /// Learns from an attempt. Returns a change of the circuit: true opened, false closed.
    pub(super) fn learn(
        &mut self,
        judgement: Judgement,
        took: Duration,
        now: Ms,
        random: f64,
    ) -> Option<bool> {
        self.speed.attempt_took(took);
        match judgement {
            // A receiver that refuses is up.
            Judgement::Healthy | Judgement::Refused => {
                self.adaptive.succeeded(self.in_flight);
                self.hint(None);
                self.circuit.succeeded(now).then_some(false)
            }
            Judgement::Neutral | Judgement::Gone => None,
            Judgement::Unhealthy { retry_after } => {
                self.adaptive.failed(now);
                if let Some(pause) = retry_after {
                    let until = now + Ms::try_from(pause.as_millis()).unwrap_or(0);
                    self.held_until = self.held_until.max(until);
                }
                let opened = self.circuit.failed(now, random);
                if opened {
                    self.adaptive.restart();
                }
                opened.then_some(true)
            }
        }
    }
}
