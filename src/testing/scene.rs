//! A router with its world, and short ways to say what a test needs.

use std::sync::Arc;
use std::time::Duration;

use fanfare_contract::{Event, Policy};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::receivers::{Fake, Receivers};
use crate::agenda::Clock;
use crate::delivery::StackOptions;
use crate::delivery::layers::Quiet;
use crate::observe::Observe;
use crate::pipeline::{Router, RouterOptions};
use crate::tenant::{Channels, Registry, Tenant, TenantSpec, compile, put};
use fanfare_store::memory::World;
use fanfare_store::{Counts, DeliveryRecord, EventQuery, LaneKey, Ms, Store};

/// What a scene begins with.
pub(crate) struct Setup {
    pub(crate) start: &'static str,
    pub(crate) policy: Policy,
    pub(crate) options: RouterOptions,
}

impl Default for Setup {
    fn default() -> Self {
        let policy = Policy {
            schedule: vec![Duration::from_secs(5); 40],
            jitter: 0.2,
            retry_after_cap: Duration::from_mins(1),
            attempt_timeout: Duration::from_secs(10),
            deadline: Duration::from_secs(25),
            quick_retry: false,
            concurrency: 32,
            rate: None,
            channel_concurrency: 10_000,
            endless: false,
            disable_after: None,
            bounces: None,
        };
        let options = RouterOptions::default();
        Self { start: "2026-11-20T12:00:00Z", policy, options }
    }
}

/// A world with one router in it.
pub(crate) struct Scene {
    pub(crate) world: Arc<World>,
    pub(crate) store: Store,
    pub(crate) clock: Clock,
    pub(crate) receivers: Arc<Receivers>,
    channels: Channels,
    options: RouterOptions,
    /// Tenants that stay in memory.
    in_memory: usize,
    router: Option<(CancellationToken, JoinHandle<()>)>,
}

/// A tenant without destinations.
pub(crate) fn tenant(id: &str) -> Tenant {
    let (observer, longest_wait) = (Arc::new(Quiet), Duration::from_secs(5));
    let stack = StackOptions { observer, channel_rate: None, longest_wait };
    let channels = Channels::new(Vec::new(), &stack);
    compile(&TenantSpec::empty(id), 1, &channels, None).expect("it compiles")
}

impl Scene {
    /// A router over tenants, each with its destinations' fields by id.
    pub(crate) async fn start(setup: Setup, tenants: &[(&str, Value)]) -> Self {
        let mut scene = Self::prepare(setup);
        for (tenant, destinations) in tenants {
            scene.put(tenant, destinations).await;
        }
        scene.run().await;
        scene
    }

    fn prepare(setup: Setup) -> Self {
        let receivers = Receivers::new(setup.policy);
        let longest_wait = Duration::from_secs(5);
        let stack = StackOptions { observer: Arc::new(Quiet), channel_rate: None, longest_wait };
        let channels = Channels::new(vec![Arc::new(Fake(receivers.clone()))], &stack);
        let start = chrono::DateTime::parse_from_rfc3339(setup.start).expect("a time");
        let clock = Clock::starting_at(start.timestamp_millis());
        let world = World::new();
        let store = world.open();
        let options = setup.options;
        let in_memory = 1_000;
        Self { world, store, clock, receivers, channels, options, in_memory, router: None }
    }

    /// Writes a tenant: `{"hook": {"fifo": true}}`. All its destinations hear of `order.*`.
    pub(crate) async fn put(&self, tenant: &str, destinations: &Value) {
        let fields = destinations.as_object().expect("destinations by id");
        let ids: Vec<_> = fields.keys().collect();
        let destinations = fields.iter().map(|(id, fields)| {
            let mut one = json!({"id": id, "channel": "fake"});
            let more = fields.as_object().expect("fields").clone();
            one.as_object_mut().expect("an object").extend(more);
            one
        });
        let destinations: Vec<_> = destinations.collect();
        let routes = json!([{"events": ["order.*"], "to": ids}]);
        let routes = if ids.is_empty() { json!([]) } else { routes };
        let spec = json!({
            "id": tenant, "name": tenant, "destinations": destinations, "routes": routes,
        });
        let spec = serde_json::from_value(spec).expect("a tenant");
        put(&self.store, &self.channels, spec, self.clock.now_ms()).await.expect("it compiles");
    }

    /// Starts a router (again).
    pub(crate) async fn run(&mut self) {
        let store = self.world.open();
        let open = Registry::open(store.clone(), self.channels.clone(), self.clock, self.in_memory);
        let registry = open.await.expect("the tenants");
        let router = Router::new(store, registry, self.clock, self.options, Observe::quiet());
        let stop = CancellationToken::new();
        self.router = Some((stop.clone(), tokio::spawn(router.run(stop))));
    }

    /// The channels of its tenants.
    pub(crate) fn channels(&self) -> Channels {
        self.channels.clone()
    }

    /// Starts a router that keeps about this many tenants in memory.
    pub(crate) async fn run_with(&mut self, in_memory: usize) {
        self.in_memory = in_memory;
        self.run().await;
    }

    /// Stops the router; waits until what is in flight has ended.
    pub(crate) async fn stop(&mut self) {
        let (stop, router) = self.router.take().expect("it runs");
        stop.cancel();
        router.await.expect("it ends");
    }

    /// Ends the router as `kill -9` would. Its tasks are left hanging in the store.
    pub(crate) fn kill(&mut self) {
        let (_, router) = self.router.take().expect("it runs");
        router.abort();
        self.world.kill_all();
    }

    pub(crate) fn now(&self) -> Ms {
        self.clock.now_ms()
    }

    /// Lets time pass; everything that is due in it happens.
    pub(crate) async fn pass(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    /// Lets long times pass in leaps of an hour, each with a moment for what is due.
    pub(crate) async fn leap(&self, hours: u32) {
        for _ in 0..hours {
            tokio::time::advance(Duration::from_hours(1)).await;
            self.pass(Duration::from_secs(2)).await;
        }
    }

    /// Skips to the agenda's next time and lets a second pass.
    pub(crate) async fn skip(&self) {
        if let Some(next) = self.store.agenda.next_time().await.expect("the agenda") {
            let wait = (next - self.now()).max(0).unsigned_abs();
            tokio::time::advance(Duration::from_millis(wait)).await;
        }
        self.pass(Duration::from_secs(1)).await;
    }

    /// Appends events, received now.
    pub(crate) async fn send(&self, tenant: &str, ids: impl IntoIterator<Item = String>) {
        let now = self.now();
        let event = |id: String| {
            let body = json!({"id": id, "type": "order.paid", "created": 7, "data": {}});
            let body = body.to_string().into_bytes().into();
            let (tenant, id) = (tenant.into(), id.as_str().into());
            Arc::new(Event::new(tenant, id, "order.paid".into(), 7, now, body))
        };
        let events = ids.into_iter().map(event).collect();
        self.store.log.append(events).await.expect("append");
    }

    pub(crate) async fn send_one(&self, tenant: &str, id: &str) {
        self.send(tenant, [id.to_owned()]).await;
    }

    /// One delivery as the ledger has it.
    pub(crate) async fn delivery(&self, tenant: &str, id: &str, to: &str) -> DeliveryRecord {
        let record = self.store.ledger.event(tenant, id).await.expect("ledger").expect("event");
        let found = record.deliveries.into_iter().find(|one| one.lane.as_str() == to);
        found.expect("a delivery")
    }

    /// A tenant's document as it is stored.
    pub(crate) async fn document(&self, tenant: &str) -> Value {
        let found = self.store.directory.get(tenant).await.expect("the directory");
        let found = found.expect("a tenant");
        serde_json::from_slice(&found.doc).expect("a document")
    }

    /// Bodies of a tenant's events of one type, newest first.
    pub(crate) async fn events_of(&self, tenant: &str, kind: &str) -> Vec<Value> {
        let kind = Some(kind.into());
        let query = EventQuery { tenant: tenant.into(), kind, limit: 100, ..Default::default() };
        let mut events = Vec::new();
        for summary in self.store.ledger.events(&query).await.expect("events").items {
            let record = self.store.ledger.event(tenant, &summary.id).await.expect("ledger");
            let body = &record.expect("it was listed").event.body;
            events.push(serde_json::from_slice(body).expect("JSON"));
        }
        events
    }

    pub(crate) async fn counts(&self, tenant: &str) -> Counts {
        self.store.ledger.counts(tenant, 0, Ms::MAX).await.expect("counts")
    }

    pub(crate) async fn waiting(&self, tenant: &str, to: &str) -> u64 {
        let lane = LaneKey { tenant: tenant.into(), id: to.into() };
        self.store.agenda.waiting(&lane).await.expect("waiting")
    }
}

/// `evt_0`, `evt_1`, ….
pub(crate) fn ids(count: usize) -> impl Iterator<Item = String> {
    (0..count).map(|n| format!("evt_{n}"))
}
