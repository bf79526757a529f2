//! Sends an event's deliveries to their lanes' gates; what may not go now is parked.

use std::sync::Arc;
use std::time::Duration;

use fanfare_contract::{Content, Delivery, DeliveryId, Event};

use crate::agenda::{
    Clock, Hold, Job, LOOK_AT_PAUSED_MS, Lane, Mode, Notices, Offer, Space, Ticket, Worker,
    run_attempt, settle_lane,
};
use crate::delivery::Concluded;
use fanfare_store::{Agenda, Change, DeliveryUpdate, Ms, Reason};

/// How long an attempt on the fast path may hold up the settlement of its event.
const OVERSTAY: Duration = Duration::from_millis(500);
/// Beyond the stack's deadline, before a delivery in flight is taken for lost with its process.
const MARGIN: Duration = Duration::from_secs(15);
/// How long an outcome is kept for a store that is away.
const LONGEST_OUTAGE: Duration = Duration::from_hours(1);

/// What dispatching needs to know.
#[derive(Clone)]
pub(super) struct Dispatch {
    pub(super) agenda: Arc<dyn Agenda>,
    pub(super) clock: Clock,
    pub(super) notices: Arc<dyn Notices>,
}

impl Dispatch {
    /// One delivery of `job`'s event to `lane`. Never waits. Answers whether a task was begun for it.
    pub(super) fn send(&self, lane: &Arc<Lane>, job: Job, space: Space) -> bool {
        let now = self.clock.now_ms();
        if let Some(change) = kept(lane, &job.event, &*job.ticket, now) {
            conclude(lane, &job, change, now);
            return false;
        }
        match lane.gate.offer(job, now, space) {
            Offer::InLine => false,
            Offer::Park(job, hold) => {
                conclude(lane, &job, parked(hold, now), now);
                false
            }
            Offer::Start(job, worker) => {
                tokio::spawn(self.clone().work(lane.clone(), job, worker));
                true
            }
        }
    }

    /// Runs jobs of one lane one after another for as long as there are any in its line.
    async fn work(self, lane: Arc<Lane>, first: Job, mut worker: Worker) {
        let mut next = Some((first, None));
        while let Some((job, hold)) = next {
            let now = self.clock.now_ms();
            // It may have gone while this one stood in line.
            let suppressed = lane.suppressed().map(Change::Suppressed);
            match suppressed.or_else(|| hold.map(|hold| parked(hold, now))) {
                Some(change) => conclude(&lane, &job, change, now),
                None => self.attempt(&lane, job).await,
            }
            next = worker.next(self.clock.now_ms());
        }
    }

    /// One attempt. If it takes long, its event is settled without it: the delivery is put in its
    /// lane's queue, due when the attempt must be over, and its outcome is written when it is known.
    /// So a receiver that hangs holds neither its event's other deliveries nor a place in the window.
    async fn attempt(&self, lane: &Lane, job: Job) {
        let delivery = Delivery {
            id: DeliveryId::derive(&job.event.id, &lane.key.id),
            destination: lane.destination.clone(),
            content: Content::Event(job.event.clone()),
            attempt: 1,
            at_ms: self.clock.now_ms(),
        };
        let attempt = run_attempt(lane, delivery, self.clock, &*self.notices);
        tokio::pin!(attempt);
        if let Ok(end) = tokio::time::timeout(OVERSTAY, &mut attempt).await {
            return job.ticket.concluded(self.update(lane, &job.event, end));
        }
        let now = self.clock.now_ms();
        for waiting in lane.gate.takes_long(OVERSTAY) {
            let hold = Hold { reason: Reason::Busy, until: None };
            conclude(lane, &waiting, parked(hold, now), now);
        }
        let durable = job.ticket.durable();
        let longest = (lane.policy.deadline + MARGIN).as_millis();
        let over = now + Ms::try_from(longest).unwrap_or(Ms::MAX / 2);
        let change = Change::Queued { due_ms: over, serve_ms: over, reason: Reason::InFlight };
        job.ticket.concluded(update_to(lane, &job.event, change, now));
        let end = attempt.await;
        let update = self.update(lane, &job.event, end);
        // Not if its event was refused by the store for good: then it comes again as a whole.
        if tokio::time::timeout(LONGEST_OUTAGE, durable.cancelled()).await.is_err() {
            return;
        }
        // What is refused for good is in the log; its delivery stays in its queue.
        if let Ok(written) = settle_lane(&*self.agenda, &lane.key, vec![(job.event, update)]).await
        {
            self.notices.settled(&written);
        }
    }

    fn update(&self, lane: &Lane, event: &Event, end: Concluded) -> DeliveryUpdate {
        DeliveryUpdate {
            attempts: end.attempt.into_iter().collect(),
            ..update_to(lane, event, end.change, self.clock.now_ms())
        }
    }

    /// Puts a delivery in its lane's queue, to be served from now on.
    pub(super) fn queue(&self, lane: &Lane, event: &Event, ticket: &dyn Ticket) {
        let now = self.clock.now_ms();
        let due_ms = event.received_ms;
        let change = kept(lane, event, ticket, now).unwrap_or(Change::Queued {
            due_ms,
            serve_ms: now,
            reason: Reason::Queued,
        });
        ticket.concluded(update_to(lane, event, change, now));
    }
}

/// What becomes of a delivery that does not go straight to its receiver, whatever its gate says.
fn kept(lane: &Lane, event: &Event, ticket: &dyn Ticket, now: Ms) -> Option<Change> {
    let queued = |due_ms, serve_ms, reason| Change::Queued { due_ms, serve_ms, reason };
    if let Some(reason) = lane.suppressed() {
        return Some(Change::Suppressed(reason));
    }
    if !lane.takes(event) {
        return Some(Change::Suppressed(Reason::OtherEnvironment));
    }
    // In the order of the log: the clocks of those who add to it may differ.
    let arrived_ms = ticket.arrived_ms().unwrap_or(event.received_ms);
    let look = now + LOOK_AT_PAUSED_MS;
    match &lane.mode {
        Mode::Digest(calendar) => {
            // A calendar that parsed always has a next tick; a minute is a safe rest.
            let tick = calendar.after(now).unwrap_or(now + 60_000);
            Some(queued(tick, if lane.paused { tick.max(look) } else { tick }, Reason::Digest))
        }
        _ if lane.paused => Some(queued(arrived_ms, look, Reason::Paused)),
        Mode::Fifo => Some(queued(arrived_ms, now, Reason::Fifo)),
        Mode::Direct => None,
    }
}

fn parked(hold: Hold, now: Ms) -> Change {
    Change::Queued { due_ms: now, serve_ms: hold.until.unwrap_or(now), reason: hold.reason }
}

fn conclude(lane: &Lane, job: &Job, change: Change, now: Ms) {
    job.ticket.concluded(update_to(lane, &job.event, change, now));
}

/// A change without an attempt.
fn update_to(lane: &Lane, event: &Event, change: Change, now: Ms) -> DeliveryUpdate {
    DeliveryUpdate {
        id: DeliveryId::derive(&event.id, &lane.key.id),
        lane: lane.key.id.clone(),
        channel: lane.destination.channel.clone(),
        change,
        attempts: Vec::new(),
        at_ms: now,
    }
}
