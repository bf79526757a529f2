//! Attempt: the first attempt at each delivery of a lane's line, one after another.
//!
//! The attempt itself is [`crate::agenda::run_attempt`], which later attempts use too. Here is what
//! happens when it takes long: its event is settled without it.

use std::sync::Arc;

use fanfare_contract::{Content, Delivery, DeliveryId, Event, Resend};

use super::tracking::{conclude, parked, update_to};
use crate::agenda::{
    Clock, Hold, Job, Lane, LaneMemory, Notices, Worker, record_outcomes, run_attempt,
};
use crate::delivery::Concluded;
use crate::flow::{ATTEMPT_HOLDS_EVENT, IN_FLIGHT_MARGIN, OUTCOME_KEPT};
use fanfare_store::{Agenda, Change, DeliveryUpdate, Ms, Reason};

/// Runs first attempts.
#[derive(Clone)]
pub(super) struct AttemptStage {
    pub(super) agenda: Arc<dyn Agenda>,
    pub(super) clock: Clock,
    pub(super) notices: Arc<dyn Notices>,
    /// For attempts that take long.
    pub(super) memory: Arc<LaneMemory>,
}

impl AttemptStage {
    /// Runs the deliveries of one lane one after another, while there are any in its line.
    pub(super) async fn work(self, lane: Arc<Lane>, first: Job, mut worker: Worker) {
        let mut next = Some((first, None));
        while let Some((job, hold)) = next {
            let now = self.clock.now_ms();
            // The lane may have been disabled while this delivery was in line.
            let suppressed = lane.suppressed().map(Change::Suppressed);
            let change = match suppressed.or_else(|| hold.map(|hold| parked(hold, now))) {
                // A pace that replicas share is asked right before the attempt.
                None => lane.gate.place(now).await.err().map(|hold| parked(hold, now)),
                change => change,
            };
            match change {
                Some(change) => conclude(&lane, &job.event, &*job.ticket, change, now),
                None => self.attempt(&lane, job).await,
            }
            next = worker.next(self.clock.now_ms());
        }
    }

    /// One attempt. If it takes long, the delivery is concluded as in flight, so a receiver that
    /// hangs holds neither its event's other deliveries nor a place in the window.
    async fn attempt(&self, lane: &Lane, job: Job) {
        let delivery = Delivery {
            id: DeliveryId::derive(&job.event.id, &lane.key.id),
            destination: lane.destination.clone(),
            content: Content::Event(job.event.clone()),
            attempt: 1,
            at_ms: self.clock.wall_ms(),
            resend: Resend::default(),
        };
        let attempt = run_attempt(lane, delivery, self.clock, &*self.notices);
        tokio::pin!(attempt);
        match tokio::time::timeout(ATTEMPT_HOLDS_EVENT, &mut attempt).await {
            Ok(end) => job.ticket.concluded(self.update(lane, &job.event, end)),
            Err(_) => self.take_long(lane, job, attempt).await,
        }
    }

    /// Concludes the delivery as in flight: it is queued, and due when the attempt must be over.
    /// The attempt goes on, and its outcome is recorded when it is known.
    async fn take_long(&self, lane: &Lane, job: Job, attempt: impl Future<Output = Concluded>) {
        let now = self.clock.now_ms();
        for waiting in lane.gate.takes_long(ATTEMPT_HOLDS_EVENT) {
            let hold = Hold { reason: Reason::Busy, until: None };
            conclude(lane, &waiting.event, &*waiting.ticket, parked(hold, now), now);
        }
        // The event leaves the window and stays in memory.
        let _held = self.memory.hold(&job.event.tenant, job.event.body.len());
        let durable = job.ticket.durable();
        let longest = (lane.policy.deadline + IN_FLIGHT_MARGIN).as_millis();
        let over = now + Ms::try_from(longest).unwrap_or(Ms::MAX / 2);
        let change = Change::Queued { due_ms: over, serve_ms: over, reason: Reason::InFlight };
        conclude(lane, &job.event, &*job.ticket, change, now);
        let update = self.update(lane, &job.event, attempt.await);
        // If the store refused the event for good, it is read again as a whole.
        if tokio::time::timeout(OUTCOME_KEPT, durable.cancelled()).await.is_err() {
            return;
        }
        // An outcome that the store refuses for good is in the log, and the delivery in its queue.
        let outcomes = vec![(job.event, update)];
        if let Ok(recorded) = record_outcomes(&*self.agenda, &lane.key, outcomes).await {
            self.notices.recorded(&recorded);
        }
    }

    fn update(&self, lane: &Lane, event: &Event, end: Concluded) -> DeliveryUpdate {
        let update = update_to(lane, event, end.change.clone(), self.clock.now_ms());
        DeliveryUpdate { attempts: end.attempts(), ..update }
    }
}
