//! Receivers behind one scripted channel. They note every call.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fanfare_contract::{
    Channel, ChannelService, Content, Delivery, DeliveryError, FieldError, Policy, PreparedLane,
    Receipt, Verdict,
};
use serde_json::{Map, Value};
use tower::service_fn;
use tower::util::BoxCloneSyncService;

use fanfare_store::Ms;

/// One attempt as its receiver saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) destination: String,
    /// Of the event or the digest.
    pub(crate) id: String,
    /// The events in it.
    pub(crate) events: Vec<String>,
    pub(crate) attempt: u32,
    pub(crate) at_ms: Ms,
    /// Attempts at this receiver at once, this one among them.
    pub(crate) in_flight: u32,
}

/// What a receiver does with a call.
pub(crate) enum Reply {
    Take,
    /// It is down.
    Refuse,
    /// It is up and refuses this message.
    RefuseMessage,
    /// With `Retry-After`.
    Spare(Duration),
    Gone,
    /// The address is refused.
    Bounce,
    /// The channel has no free place.
    Busy,
    Panic,
    Hang,
    /// Takes it after a time.
    Slowly(Duration),
}

type Script = dyn Fn(&Call) -> Reply + Send + Sync;

/// The channel `fake` and what was sent through it.
pub(crate) struct Receivers {
    policy: Policy,
    script: Mutex<Arc<Script>>,
    calls: Mutex<Vec<Call>>,
    in_flight: Mutex<HashMap<String, u32>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Receivers {
    /// All of them take everything.
    pub(crate) fn new(policy: Policy) -> Arc<Self> {
        Arc::new(Self {
            policy,
            script: Mutex::new(Arc::new(|_: &Call| Reply::Take)),
            calls: Mutex::default(),
            in_flight: Mutex::default(),
        })
    }

    /// From now on they do this.
    pub(crate) fn script(&self, script: impl Fn(&Call) -> Reply + Send + Sync + 'static) {
        *lock(&self.script) = Arc::new(script);
    }

    /// All calls so far.
    pub(crate) fn calls(&self) -> Vec<Call> {
        lock(&self.calls).clone()
    }

    /// All calls at one destination.
    pub(crate) fn calls_of(&self, destination: &str) -> Vec<Call> {
        self.calls().into_iter().filter(|call| call.destination == destination).collect()
    }

    async fn take(self: Arc<Self>, delivery: Delivery) -> Result<Receipt, DeliveryError> {
        let destination = delivery.destination.lane.to_string();
        let _place = InFlight::begin(self.clone(), &destination);
        let events = match &delivery.content {
            Content::Event(event) => vec![event.id.to_string()],
            Content::Digest(digest) => digest.events.iter().map(|e| e.id.to_string()).collect(),
        };
        let call = Call {
            id: delivery.content_id().to_owned(),
            events,
            attempt: delivery.attempt,
            at_ms: delivery.at_ms,
            in_flight: lock(&self.in_flight)[&destination],
            destination,
        };
        lock(&self.calls).push(call.clone());
        let script = lock(&self.script).clone();
        let spare = |wait| Verdict::Retry { not_before: Some(wait) };
        match script(&call) {
            Reply::Take => Ok(Receipt::default()),
            Reply::Refuse => Err(DeliveryError::retry("http_500", "refused")),
            Reply::RefuseMessage => Err(DeliveryError::retry("http_422", "no").refused(true)),
            Reply::Spare(wait) => Err(DeliveryError::new(spare(wait), "http_429", "later")),
            Reply::Gone => Err(DeliveryError::disable("http_410", "gone")),
            Reply::Bounce => {
                Err(DeliveryError::permanent("smtp_550", "no such mailbox").bounced(true))
            }
            Reply::Busy => Err(DeliveryError::retry(crate::delivery::layers::BUSY, "full")),
            Reply::Panic => panic!("as told"),
            Reply::Hang => std::future::pending().await,
            Reply::Slowly(wait) => {
                tokio::time::sleep(wait).await;
                Ok(Receipt::default())
            }
        }
    }
}

struct InFlight {
    receivers: Arc<Receivers>,
    destination: String,
}

impl InFlight {
    fn begin(receivers: Arc<Receivers>, destination: &str) -> Self {
        *lock(&receivers.in_flight).entry(destination.to_owned()).or_default() += 1;
        Self { receivers, destination: destination.to_owned() }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if let Some(count) = lock(&self.receivers.in_flight).get_mut(&self.destination) {
            *count -= 1;
        }
    }
}

/// The channel over the receivers.
pub(super) struct Fake(pub(super) Arc<Receivers>);

impl Channel for Fake {
    fn name(&self) -> &'static str {
        "fake"
    }

    fn policy(&self) -> Policy {
        self.0.policy.clone()
    }

    /// With `recipients = ["a", "b"]` one lane each.
    fn prepare(&self, settings: &Map<String, Value>) -> Result<Vec<PreparedLane>, Vec<FieldError>> {
        let lane = |suffix| PreparedLane {
            suffix,
            label: "a fake".to_owned(),
            pace: None,
            settings: Arc::new(()),
        };
        let names = settings.get("recipients").and_then(Value::as_array);
        let Some(names) = names else { return Ok(vec![lane(None)]) };
        Ok(names.iter().map(|name| lane(name.as_str().map(str::to_owned))).collect())
    }

    fn secret_fields(&self) -> &'static [&'static str] {
        &[]
    }

    fn masked(&self, settings: &Map<String, Value>) -> Map<String, Value> {
        settings.clone()
    }

    fn service(&self) -> ChannelService {
        let receivers = self.0.clone();
        BoxCloneSyncService::new(service_fn(move |delivery| receivers.clone().take(delivery)))
    }
}
