//! What the router itself has to tell: a destination was disabled, a delivery was given up.
//!
//! Both become events of the tenant, so they can be routed like any other. They are never made of
//! an event of their own kind: a notice that cannot be delivered makes no further notice.

use std::sync::Arc;

use bytes::Bytes;
use fanfare_contract::{Content, Delivery, Environment, Event};
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::agenda::{Clock, Lane, Notices, Trouble};
use crate::delivery::Concluded;
use crate::observe::Observe;
use crate::store::{DeliveryUpdate, Store};
use crate::tenant::{Disabled, Registry};

/// Types that begin with this are the router's own.
const OWN: &str = "fanfare.";
/// Notices that wait to be written. Beyond it the newest are dropped, and that is logged: the
/// deliveries themselves are in the ledger all the same.
const WAITING: usize = 4_096;

enum Notice {
    Gone {
        tenant: Arc<str>,
        destination: String,
        channel: Arc<str>,
        environment: Environment,
        code: String,
        message: String,
    },
    Dead {
        event: Arc<Event>,
    },
}

/// The sending side: called from the hot path, never blocks.
pub struct Bulletin {
    outbox: mpsc::Sender<Notice>,
    clock: Clock,
    observe: Arc<Observe>,
}

/// The writing side.
pub struct BulletinWriter {
    inbox: mpsc::Receiver<Notice>,
    clock: Clock,
}

impl Bulletin {
    /// Both sides.
    pub fn new(clock: Clock, observe: Arc<Observe>) -> (Arc<Self>, BulletinWriter) {
        let (outbox, inbox) = mpsc::channel(WAITING);
        (Arc::new(Self { outbox, clock, observe }), BulletinWriter { inbox, clock })
    }

    fn post(&self, notice: Notice) {
        if self.outbox.try_send(notice).is_err() {
            tracing::warn!("too many notices at once; one was dropped (the ledger has the facts)");
        }
    }
}

impl Notices for Bulletin {
    fn destination_gone(&self, lane: &Lane, code: &str, message: &str) {
        self.post(Notice::Gone {
            tenant: lane.key.tenant.clone(),
            destination: lane.destination.base_id().to_owned(),
            channel: lane.destination.channel.clone(),
            environment: lane.environment,
            code: code.to_owned(),
            message: message.to_owned(),
        });
    }

    fn delivery_dead(&self, lane: &Lane, delivery: &Delivery, concluded: &Concluded) {
        let environment = lane.environment;
        let (event, event_type) = match &delivery.content {
            Content::Event(event) if event.kind.starts_with(OWN) => return,
            Content::Event(event) => (&*event.id, &*event.kind),
            Content::Digest(digest) => (&*digest.id, "fanfare.digest"),
        };
        let mut data = json!({
            "delivery": delivery.id.as_str(),
            "event": event,
            "event_type": event_type,
            "destination": lane.destination.base_id(),
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
        let id = own_id("dead", &[&lane.key.tenant, delivery.id.as_str()]);
        let now = self.clock.now_ms();
        let event = own_event(&lane.key.tenant, &id, "fanfare.delivery.dead", now, &data);
        let event = event.with_environment(environment);
        self.post(Notice::Dead { event: Arc::new(event) });
    }

    fn settled(&self, updates: &[(Arc<Event>, DeliveryUpdate)]) {
        self.observe.served(updates);
    }
}

impl BulletinWriter {
    /// Writes until all senders are gone.
    pub async fn run(mut self, store: Store, registry: Arc<Registry>) {
        let never = CancellationToken::new();
        while let Some(notice) = self.inbox.recv().await {
            let mut trouble = Trouble::default();
            while let Err(error) = self.write(&store, &registry, &notice).await {
                trouble.wait("the store", &error, &never).await;
            }
        }
    }

    async fn write(
        &self,
        store: &Store,
        registry: &Registry,
        notice: &Notice,
    ) -> Result<(), crate::store::StoreError> {
        let event = match notice {
            Notice::Dead { event } => event.clone(),
            Notice::Gone { tenant, destination, channel, environment, code, message } => {
                let at_ms = self.clock.now_ms();
                let disabled = Disabled { reason: code.clone(), message: message.clone(), at_ms };
                registry.disable(tenant, destination, disabled).await?;
                tracing::warn!(
                    tenant = &**tenant,
                    destination,
                    code,
                    "destination disabled: its events are kept as suppressed"
                );
                let data = json!({
                    "destination": destination, "channel": &**channel,
                    "code": code, "message": message, "disabled_at": at_ms / 1000,
                });
                let id = own_id("disabled", &[tenant, destination, &at_ms.to_string()]);
                let kind = "fanfare.destination.disabled";
                let event = own_event(tenant, &id, kind, at_ms, &data);
                Arc::new(event.with_environment(*environment))
            }
        };
        store.log.append(vec![event]).await.map(|_| ())
    }
}

fn own_id(what: &str, parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    format!("evt_{what}_{}", hex::encode(&hash.finalize()[..12]))
}

fn own_event(tenant: &Arc<str>, id: &str, kind: &str, now: i64, data: &serde_json::Value) -> Event {
    let created = now / 1000;
    let body = json!({"id": id, "type": kind, "created": created, "data": data});
    let body = Bytes::from(body.to_string());
    Event::new(tenant.clone(), id.into(), kind.into(), created, now, body)
}
