//! Notices: what the router itself reports to a tenant. A destination was disabled, nothing is sent
//! to it for a while, it accepts again, or a delivery is dead.
//!
//! They become events of the tenant and are routed like any other. A notice that cannot be
//! delivered makes no further notice.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fanfare_contract::{Content, Delivery, Environment, Event, LaneId};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::agenda::{Clock, Health, Hold, Lane, Notices};
use crate::delivery::Concluded;
use crate::event::{OWN_TYPES, own_event_id};
use crate::flow::NOTICES_MAX;
use crate::observe::Observe;
use fanfare_store::{DeliveryUpdate, LaneKey, Ms};

/// Takes notices from the stages. Never blocks.
pub(super) struct Notifier {
    outbox: mpsc::Sender<Notice>,
    clock: Clock,
    observe: Arc<Observe>,
}

pub(super) enum Notice {
    Gone(Gone),
    Dead { event: Arc<Event> },
    Health(Report),
    Held(Held),
    Recovered(Recovered),
}

/// A destination, or one of its lanes, cannot be reached any more.
pub(super) struct Gone {
    pub(super) tenant: Arc<str>,
    /// The lane, or the one of the whole destination.
    pub(super) lane: LaneId,
    pub(super) channel: Arc<str>,
    pub(super) environment: Environment,
    pub(super) code: String,
    pub(super) message: String,
}

/// Nothing is sent to a lane for a while.
pub(super) struct Held {
    pub(super) lane: LaneKey,
    pub(super) channel: Arc<str>,
    pub(super) environment: Environment,
    pub(super) hold: Hold,
    pub(super) code: String,
    pub(super) at_ms: Ms,
}

/// A lane that was held accepts again.
pub(super) struct Recovered {
    pub(super) lane: LaneKey,
    pub(super) channel: Arc<str>,
    pub(super) environment: Environment,
    pub(super) at_ms: Ms,
}

/// The health of a lane, with what its policy makes of it.
pub(super) struct Report {
    pub(super) lane: LaneKey,
    pub(super) channel: Arc<str>,
    pub(super) environment: Environment,
    pub(super) health: Health,
    pub(super) at_ms: Ms,
    pub(super) disable_after: Option<Duration>,
    pub(super) bounces: Option<u32>,
}

impl Notifier {
    /// The notifier, and where its notices arrive.
    pub(super) fn new(clock: Clock, observe: Arc<Observe>) -> (Arc<Self>, mpsc::Receiver<Notice>) {
        let (outbox, inbox) = mpsc::channel(NOTICES_MAX);
        (Arc::new(Self { outbox, clock, observe }), inbox)
    }

    fn post(&self, notice: Notice) {
        if self.outbox.try_send(notice).is_err() {
            tracing::warn!("too many notices at once; one was dropped (the ledger has the facts)");
        }
    }
}

impl Notices for Notifier {
    fn destination_gone(&self, lane: &Lane, code: &str, message: &str) {
        self.post(Notice::Gone(Gone {
            tenant: lane.key.tenant.clone(),
            lane: LaneId::new(lane.key.id.destination(), None),
            channel: lane.destination.channel.clone(),
            environment: lane.environment,
            code: code.to_owned(),
            message: message.to_owned(),
        }));
    }

    fn held(&self, lane: &Lane, hold: &Hold, code: &str, at_ms: Ms) {
        self.post(Notice::Held(Held {
            lane: lane.key.clone(),
            channel: lane.destination.channel.clone(),
            environment: lane.environment,
            hold: hold.clone(),
            code: code.to_owned(),
            at_ms,
        }));
    }

    fn recovered(&self, lane: &Lane, at_ms: Ms) {
        // Without it, the note of the hold ends by itself.
        let _ = self.outbox.try_send(Notice::Recovered(Recovered {
            lane: lane.key.clone(),
            channel: lane.destination.channel.clone(),
            environment: lane.environment,
            at_ms,
        }));
    }

    fn health(&self, lane: &Lane, health: Health, at_ms: Ms) {
        // A report that is dropped is repeated in time.
        let _ = self.outbox.try_send(Notice::Health(Report {
            lane: lane.key.clone(),
            channel: lane.destination.channel.clone(),
            environment: lane.environment,
            health,
            at_ms,
            disable_after: lane.policy.disable_after,
            bounces: lane.policy.bounces,
        }));
    }

    fn delivery_dead(&self, lane: &Lane, delivery: &Delivery, concluded: &Concluded) {
        if let Content::Event(event) = &delivery.content
            && event.kind.starts_with(OWN_TYPES)
        {
            return;
        }
        let data = dead_delivery(lane, delivery, concluded);
        let id = own_event_id("dead", &[&lane.key.tenant, delivery.id.as_str()]);
        let now = self.clock.now_ms();
        let event = own_event(&lane.key.tenant, &id, "fanfare.delivery.dead", now, &data);
        let event = event.with_environment(lane.environment);
        self.post(Notice::Dead { event: Arc::new(event) });
    }

    fn recorded(&self, outcomes: &[(Arc<Event>, DeliveryUpdate)]) {
        self.observe.served(outcomes);
    }
}

/// The `data` of `fanfare.delivery.dead`.
fn dead_delivery(lane: &Lane, delivery: &Delivery, concluded: &Concluded) -> Value {
    let (event, event_type) = match &delivery.content {
        Content::Event(event) => (&*event.id, &*event.kind),
        Content::Digest(digest) => (&*digest.id, "fanfare.digest"),
    };
    let mut data = json!({
        "delivery": delivery.id.as_str(),
        "event": event,
        "event_type": event_type,
        "destination": lane.key.id.destination(),
        "channel": &*lane.destination.channel,
    });
    if let Some(last) = &concluded.attempt {
        data["attempts"] = last.number.into();
        data["code"] = last.code.as_str().into();
        data["message"] = last.message.as_str().into();
        data["last_attempt_at"] = (last.at_ms / 1000).into();
        if let Some(status) = last.status {
            data["status"] = status.into();
        }
    }
    if let Content::Digest(digest) = &delivery.content {
        data["events"] = digest.events.len().into();
    }
    data
}

/// An event that the router itself makes.
pub(super) fn own_event(tenant: &Arc<str>, id: &str, kind: &str, now: Ms, data: &Value) -> Event {
    let created = now / 1000;
    let body = json!({"id": id, "type": kind, "created": created, "data": data});
    let body = Bytes::from(body.to_string());
    Event::new(tenant.clone(), id.into(), kind.into(), created, now, body)
}
