//! What the handlers share.

use std::sync::Arc;

use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::auth::Authenticator;
use super::body::MAX_BODY;
use super::body_memory::BodyMemory;
use super::etag::Tags;
use super::local::LocalHosts;
use super::meter::Meter;
use super::sources::Sources;
use super::waiters::Waiters;
use crate::agenda::Clock;
use crate::catalogue::Catalogue;
use crate::event::Limits;
use crate::observe::Observe;
use crate::quota::Quotas;
use crate::tenant::{Problem, Registry, TenantLocks, TenantSpec};
use fanfare_render::{Engine, Pool};
use fanfare_store::Store;

/// Largest body of an ingest request in bytes, unless a single event may be larger.
const MAX_INGEST: usize = 32 * 1024 * 1024;

/// What the handlers share.
#[derive(Clone)]
pub struct ApiState {
    /// The store.
    pub store: Store,
    /// The tenants of this process.
    pub registry: Arc<Registry>,
    /// The clock.
    pub clock: Clock,
    /// Limits on one event.
    pub limits: Limits,
    /// Most events in one request.
    pub max_batch: usize,
    /// The tenants' quotas.
    pub quotas: Arc<Quotas>,
    /// Checks API keys.
    pub authenticator: Arc<Authenticator>,
    /// The names under which the API may be called while it needs no key. `None` if it needs one,
    /// or if no browser can reach it.
    pub local_hosts: Option<Arc<LocalHosts>>,
    /// Whether `/docs` and `/openapi.json` are served without an API key.
    pub open_docs: bool,
    /// The ingest sources.
    pub sources: Arc<Sources>,
    /// Counts and traces requests.
    pub observe: Arc<Observe>,
    /// Serves `/metrics`. `None` if metrics are disabled.
    pub meter: Option<Arc<Meter>>,
    /// The event types.
    pub catalogue: Arc<Catalogue>,
    /// What the resources of version 1 share.
    pub v1: Arc<Shared>,
    /// The settings in force. Empty without a server.
    pub settings: Arc<[Setting]>,
    /// Cancelled when this process stops.
    pub stop: CancellationToken,
}

/// A setting in force.
#[derive(Clone, Debug)]
pub struct Setting {
    /// Its key in the settings file, such as `http.burst`.
    pub key: String,
    /// Its value, without secrets.
    pub value: Value,
    /// `default`, `file`, or `option`.
    pub source: &'static str,
}

impl ApiState {
    /// Largest body of an ingest request in bytes.
    pub(super) fn max_ingest_body(&self) -> usize {
        max_ingest_body(self.limits)
    }
}

/// A single event always fits.
fn max_ingest_body(limits: Limits) -> usize {
    (limits.max_bytes + 1024).max(MAX_INGEST)
}

/// Limits on what the requests of one process may use at the same time.
#[derive(Clone, Copy, Debug)]
pub struct ApiLimits {
    /// Limits on one event.
    pub event: Limits,
    /// Most memory for the bodies of requests in progress, in bytes.
    pub body_memory: usize,
    /// Most requests that wait for an event (`?wait=`).
    pub waiting: usize,
    /// The same for one tenant.
    pub waiting_per_tenant: usize,
}

/// Compiles the templates of a tenant's document, or returns everything wrong with them.
/// It can take a while, so handlers run it through `edit`.
pub type MakeEngine = Arc<dyn Fn(&TenantSpec) -> Result<Engine, Vec<Problem>> + Send + Sync>;

/// What the handlers of version 1 share.
pub struct Shared {
    pub(super) tags: Tags,
    /// Writers of one tenant take turns in this process, so that they do not repeatedly undo each
    /// other's work. Writers of other processes are detected by the document's revision.
    pub(super) write_locks: TenantLocks,
    pub(super) engine: MakeEngine,
    /// Compiles and previews templates.
    pub(super) pool: Pool,
    pub(super) waiters: Waiters,
    pub(super) body_memory: Arc<BodyMemory>,
    /// A second path prefix for the notification channels, such as `/kyc`.
    pub(super) alias: Option<String>,
    /// Where an event names the person that it is about.
    pub(super) subject_paths: Vec<String>,
}

impl Shared {
    /// Creates the shared state. `alias` is a second path prefix for the notification channels, and
    /// `subject_paths` are the paths in an event that name the person that it is about.
    pub fn new(
        engine: MakeEngine,
        alias: Option<String>,
        subject_paths: Vec<String>,
        limits: ApiLimits,
    ) -> Self {
        let largest = max_ingest_body(limits.event).max(MAX_BODY);
        Self {
            tags: Tags::default(),
            write_locks: TenantLocks::default(),
            engine,
            pool: Pool::default(),
            waiters: Waiters::new(limits.waiting, limits.waiting_per_tenant),
            body_memory: BodyMemory::new(limits.body_memory, largest),
            alias,
            subject_paths,
        }
    }
}
