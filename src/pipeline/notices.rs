//! What the router itself has to tell: a destination was disabled, a delivery was given up.
//!
//! Both become events of the tenant, so they can be routed like any other. They are never made of
//! an event of their own kind: a notice that cannot be delivered makes no further notice.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fanfare_contract::{Content, Delivery, Environment, Event, LaneId};
use serde_json::json;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::agenda::{Clock, Health, Lane, Notices};
use crate::delivery::Concluded;
use crate::event::{OWN_TYPES, own_event_id};
use crate::flow::{BOUNCES_IN_A_ROW_WITHIN, NOTICES_MAX};
use crate::observe::Observe;
use crate::persist::Backoff;
use crate::tenant::{Disabled, Registry};
use fanfare_store::{DeliveryUpdate, LaneKey, Ms, Store, StoreError};

enum Notice {
    Gone(Gone),
    Dead { event: Arc<Event> },
    Health(Report),
}

/// Nothing will reach a destination, or one lane of it.
struct Gone {
    tenant: Arc<str>,
    /// The lane, or the one of the whole destination.
    lane: LaneId,
    channel: Arc<str>,
    environment: Environment,
    code: String,
    message: String,
}

/// The health of a lane.
struct Report {
    lane: LaneKey,
    channel: Arc<str>,
    environment: Environment,
    health: Health,
    at_ms: Ms,
    disable_after: Option<Duration>,
    bounces: Option<u32>,
}

/// The sending side: called from the hot path, never blocks.
pub struct Notifier {
    outbox: mpsc::Sender<Notice>,
    clock: Clock,
    observe: Arc<Observe>,
}

/// The writing side.
pub struct NoticeWriter {
    inbox: mpsc::Receiver<Notice>,
    clock: Clock,
}

impl Notifier {
    /// Both sides.
    pub fn new(clock: Clock, observe: Arc<Observe>) -> (Arc<Self>, NoticeWriter) {
        let (outbox, inbox) = mpsc::channel(NOTICES_MAX);
        (Arc::new(Self { outbox, clock, observe }), NoticeWriter { inbox, clock })
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

    fn health(&self, lane: &Lane, health: Health, at_ms: Ms) {
        // What does not fit is told again in time.
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
        let environment = lane.environment;
        let (event, event_type) = match &delivery.content {
            Content::Event(event) if event.kind.starts_with(OWN_TYPES) => return,
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
        let id = own_event_id("dead", &[&lane.key.tenant, delivery.id.as_str()]);
        let now = self.clock.now_ms();
        let event = own_event(&lane.key.tenant, &id, "fanfare.delivery.dead", now, &data);
        let event = event.with_environment(environment);
        self.post(Notice::Dead { event: Arc::new(event) });
    }

    fn recorded(&self, updates: &[(Arc<Event>, DeliveryUpdate)]) {
        self.observe.served(updates);
    }
}

impl NoticeWriter {
    /// Writes until all senders are gone.
    pub async fn run(mut self, store: Store, registry: Arc<Registry>) {
        let never = CancellationToken::new();
        while let Some(notice) = self.inbox.recv().await {
            let mut backoff = Backoff::default();
            while let Err(error) = self.write(&store, &registry, &notice).await {
                if !error.is_temporary() {
                    tracing::error!(%error, "a notice is refused by the store for good; dropped");
                    break;
                }
                backoff.wait("the store", &error, &never).await;
            }
        }
    }

    async fn write(
        &self,
        store: &Store,
        registry: &Registry,
        notice: &Notice,
    ) -> Result<(), StoreError> {
        let event = match notice {
            Notice::Dead { event } => event.clone(),
            Notice::Gone(gone) => self.disable(registry, gone).await?,
            Notice::Health(report) => {
                let Some(gone) = judge(store, report).await? else { return Ok(()) };
                let event = self.disable(registry, &gone).await?;
                // Whoever enables it again gives it a new start.
                store.agenda.well(&report.lane).await?;
                event
            }
        };
        store.log.append(vec![event]).await.map(|_| ())
    }

    /// Notes that a destination is disabled; answers the event that tells it.
    async fn disable(&self, registry: &Registry, gone: &Gone) -> Result<Arc<Event>, StoreError> {
        let Gone { tenant, lane, channel, environment, code, message } = gone;
        let at_ms = self.clock.now_ms();
        let disabled = Disabled { reason: code.clone(), message: message.clone(), at_ms };
        registry.disable(tenant, lane, disabled).await?;
        tracing::warn!(
            tenant = &**tenant,
            destination = lane.as_str(),
            code,
            "destination disabled: its events are kept as suppressed"
        );
        let mut data = json!({
            "destination": lane.destination(), "channel": &**channel,
            "code": code, "message": message, "disabled_at": at_ms / 1000,
        });
        if lane.recipient().is_some() {
            data["lane"] = lane.as_str().into();
        }
        let id = own_event_id("disabled", &[tenant, lane, &at_ms.to_string()]);
        let event = own_event(tenant, &id, "fanfare.destination.disabled", at_ms, &data);
        Ok(Arc::new(event.with_environment(*environment)))
    }
}

/// Keeps account of how a lane fares. Answers why it is to be disabled, if it is.
async fn judge(store: &Store, report: &Report) -> Result<Option<Gone>, StoreError> {
    let Report { lane, channel, environment, health, at_ms, disable_after, bounces } = report;
    if *health == Health::Well {
        store.agenda.well(lane).await?;
        return Ok(None);
    }
    let gap = disable_after.unwrap_or(BOUNCES_IN_A_ROW_WITHIN);
    let failing = store.agenda.failing(lane, *at_ms, gap).await?;
    let lasts = u64::try_from(at_ms - failing.since_ms).unwrap_or(0);
    let (code, message) = match (health, disable_after, bounces) {
        (Health::Bounced, _, Some(most)) if failing.told >= u64::from(*most) => {
            let times = failing.told;
            ("bounces", format!("the address was refused {times} times in a row; correct it"))
        }
        (Health::Failing, Some(after), _) if Duration::from_millis(lasts) >= *after => {
            let after = humantime::format_duration(*after);
            ("only_failures", format!("nothing but failures for {after}; mend the receiver"))
        }
        _ => return Ok(None),
    };
    Ok(Some(Gone {
        tenant: lane.tenant.clone(),
        lane: lane.id.clone(),
        channel: channel.clone(),
        environment: *environment,
        code: code.to_owned(),
        message: format!("{message}, then `fanfare destinations enable`"),
    }))
}

fn own_event(tenant: &Arc<str>, id: &str, kind: &str, now: i64, data: &serde_json::Value) -> Event {
    let created = now / 1000;
    let body = json!({"id": id, "type": kind, "created": created, "data": data});
    let body = Bytes::from(body.to_string());
    Event::new(tenant.clone(), id.into(), kind.into(), created, now, body)
}
