//! Sends an event's deliveries to their lanes' gates; what may not go now is parked.

use std::sync::Arc;

use fanfare_contract::{Content, Delivery, DeliveryId, Event};

use crate::agenda::{Clock, FAR_MS, Hold, Job, Lane, Mode, Notices, Offer, Permit, run_attempt};
use crate::store::{DeliveryState, DeliveryUpdate, Ms};

/// What dispatching needs to know.
#[derive(Clone)]
pub(super) struct Dispatch {
    pub(super) clock: Clock,
    pub(super) notices: Arc<dyn Notices>,
}

impl Dispatch {
    /// One delivery of `job`'s event to `lane`. Never waits.
    pub(super) fn send(&self, lane: &Arc<Lane>, job: Job) {
        let now = self.clock.now_ms();
        if let Some(state) = kept(lane, &job.event, now) {
            return conclude(lane, &job, state, now);
        }
        match lane.gate.offer(job, now) {
            Offer::InLine => {}
            Offer::Park(job, hold) => conclude(lane, &job, parked(hold, now), now),
            Offer::Start(job, permit) => {
                let worker = self.clone().work(lane.clone(), job, permit);
                tokio::spawn(worker);
            }
        }
    }

    /// Runs jobs of one lane one after another for as long as there are any in its line.
    async fn work(self, lane: Arc<Lane>, first: Job, permit: Permit) {
        let mut next = Some((first, None));
        while let Some((job, hold)) = next {
            match hold {
                Some(hold) => {
                    let now = self.clock.now_ms();
                    conclude(&lane, &job, parked(hold, now), now);
                }
                None => self.attempt(&lane, job).await,
            }
            next = permit.next(self.clock.now_ms());
        }
    }

    async fn attempt(&self, lane: &Lane, job: Job) {
        let delivery = Delivery {
            id: DeliveryId::derive(&job.event.id, &lane.key.destination),
            destination: lane.destination.clone(),
            content: Content::Event(job.event.clone()),
            attempt: 1,
            at_ms: self.clock.now_ms(),
        };
        let id = delivery.id.clone();
        let end = run_attempt(lane, delivery, self.clock, &*self.notices).await;
        job.ticket.concluded(DeliveryUpdate {
            id,
            destination: lane.key.destination.clone(),
            channel: lane.destination.channel.clone(),
            state: end.state,
            attempts: end.attempt.into_iter().collect(),
            at_ms: self.clock.now_ms(),
        });
    }
}

/// The state of what does not go straight to its receiver, whatever its gate says.
fn kept(lane: &Lane, event: &Event, now: Ms) -> Option<DeliveryState> {
    let waiting = |due_ms, serve_ms, reason: &str| DeliveryState::Waiting {
        due_ms,
        serve_ms,
        reason: reason.to_owned(),
    };
    if let Some(reason) = lane.suppressed() {
        return Some(DeliveryState::Suppressed { reason });
    }
    match &lane.mode {
        Mode::Digest(calendar) => {
            // A calendar that parsed always has a next tick; a minute is a safe rest.
            let tick = calendar.after(now).unwrap_or(now + 60_000);
            Some(waiting(tick, if lane.paused { FAR_MS } else { tick }, "digest"))
        }
        _ if lane.paused => Some(waiting(event.received_ms, FAR_MS, "paused")),
        Mode::Fifo => Some(waiting(event.received_ms, now, "fifo")),
        Mode::Direct => None,
    }
}

fn parked(hold: Hold, now: Ms) -> DeliveryState {
    DeliveryState::Waiting {
        due_ms: now,
        serve_ms: hold.until.unwrap_or(now),
        reason: hold.reason.to_owned(),
    }
}

fn conclude(lane: &Lane, job: &Job, state: DeliveryState, now: Ms) {
    job.ticket.concluded(DeliveryUpdate {
        id: DeliveryId::derive(&job.event.id, &lane.key.destination),
        destination: lane.key.destination.clone(),
        channel: lane.destination.channel.clone(),
        state,
        attempts: Vec::new(),
        at_ms: now,
    });
}
