//! Collects what `/metrics` shows: the counters of this process, and gauges that are computed for
//! each scrape.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use crate::access::{Hash, Keyring};
use crate::agenda::Clock;
use crate::observe::{Gauges, Observe, Step};
use crate::quota::{Quota, Quotas};
use crate::tenant::{Registry, Tenant};
use fanfare_store::{Backlog, Store, Usage};

/// How long the store may take to report its backlog.
const STORE_TIMEOUT: Duration = Duration::from_secs(2);
/// Shortest time between two reads of the backlog. It is longer if the store answers slowly.
const MIN_INTERVAL: Duration = Duration::from_millis(500);

/// Serves the metrics of this process.
pub struct Meter {
    observe: Arc<Observe>,
    window: usize,
    open: bool,
    key: Option<Hash>,
    /// One read at a time, so that many scrapers do not multiply the store's work.
    last: Mutex<LastBacklog>,
}

/// The store's last answer.
#[derive(Default)]
struct LastBacklog {
    backlog: Option<Backlog>,
    up: bool,
    tenants: u64,
    appending: bool,
    /// By tenant, if tenants are counted.
    usage: HashMap<Arc<str>, Usage>,
    next: Option<Instant>,
}

impl Meter {
    /// Creates a meter. `key` protects the metrics with a key of their own, `open` makes them
    /// public, and `window` is the router's window.
    pub fn new(observe: Arc<Observe>, window: usize, key: Option<&str>, open: bool) -> Arc<Self> {
        let key = key.map(Hash::of);
        Arc::new(Self { observe, window, open, key, last: Mutex::default() })
    }

    /// Whether the metrics are public, or `key` is their own key.
    pub(super) fn admits(&self, key: Option<&str>) -> bool {
        let own = |key: &str| self.key.is_some_and(|own| own.is(&Hash::of(key)));
        self.open || key.is_some_and(own)
    }

    /// Whether the metrics have a key of their own.
    pub(super) fn has_key(&self) -> bool {
        self.key.is_some()
    }

    /// All metrics as `OpenMetrics` text.
    pub(super) async fn text(
        &self,
        store: &Store,
        registry: &Registry,
        clock: Clock,
        (quotas, keyring): (&Quotas, &Keyring),
    ) -> String {
        let gauges = self.gauges(store, registry, clock.now_ms()).await;
        self.set_quotas(&registry.all_in_memory(), quotas, keyring).await;
        self.observe.metrics.text(&gauges)
    }

    /// Sets the gauges of the quotas of each tenant in memory, if tenants are counted.
    async fn set_quotas(&self, tenants: &[Arc<Tenant>], quotas: &Quotas, keyring: &Keyring) {
        let Some(gauges) = self.observe.metrics.by_quota() else { return };
        let last = self.last.lock().await;
        let keys = keyring.counts();
        gauges.clear();
        for tenant in tenants {
            let id = &tenant.id;
            let limits = quotas.limits(tenant.quotas.as_ref());
            let usage = last.usage.get(id).copied().unwrap_or_default();
            let [events, bytes] = quotas.rates(id);
            let used = [
                (Quota::EventsPerSecond, events),
                (Quota::BytesPerSecond, bytes),
                (Quota::StoredBytes, usage.stored_bytes),
                (Quota::WaitingDeliveries, usage.waiting),
                (Quota::Keys, keys.get(id).copied().unwrap_or(0)),
            ];
            for (quota, used) in used.into_iter().chain(tenant.usage) {
                gauges.set(id, quota, limits.get(quota), used);
            }
        }
    }

    /// Whether the store answered, what waits in it, and how many tenants it has.
    async fn backlog(&self, store: &Store, tenants: &[Arc<Tenant>]) -> (bool, Backlog, u64) {
        let mut last = self.last.lock().await;
        let began = Instant::now();
        if last.next.is_none_or(|next| next <= began) {
            let asked = timeout(STORE_TIMEOUT, store.upkeep.backlog()).await;
            let backlog = asked.ok().and_then(Result::ok);
            let asked = timeout(STORE_TIMEOUT, store.directory.count()).await;
            last.tenants = asked.ok().and_then(Result::ok).unwrap_or(last.tenants);
            if self.observe.metrics.by_quota().is_some() {
                let ids: Vec<Arc<str>> = tenants.iter().map(|tenant| tenant.id.clone()).collect();
                let asked = timeout(STORE_TIMEOUT, store.ledger.usage(&ids)).await;
                if let Ok(Ok(usage)) = asked {
                    last.usage = ids.into_iter().zip(usage).collect();
                }
            }
            last.up = backlog.is_some();
            let asked = timeout(STORE_TIMEOUT, store.upkeep.appendable()).await;
            last.appending = matches!(asked, Ok(Ok(())));
            // While the store is unavailable, the last answer is still the best estimate.
            last.backlog = backlog.or(last.backlog);
            last.next = Some(Instant::now() + MIN_INTERVAL.max(began.elapsed() * 50));
        }
        (last.up, last.backlog.unwrap_or_default(), last.tenants)
    }

    async fn gauges(&self, store: &Store, registry: &Registry, now_ms: i64) -> Gauges {
        let tenants = registry.all_in_memory();
        let (store_up, backlog, count) = self.backlog(store, &tenants).await;
        let appending = store_up && self.last.lock().await.appending;
        let age = backlog.oldest_ms.map_or(0, |oldest| now_ms - oldest);
        let mut gauges = Gauges {
            store_up,
            appending,
            steps: Step::ALL.map(|step| self.observe.steps.goes_on(step)),
            waiting: backlog.waiting,
            oldest: Duration::from_millis(u64::try_from(age).unwrap_or(0)),
            tenants: usize::try_from(count).unwrap_or(usize::MAX),
            window: self.window,
            ..Gauges::default()
        };
        for lane in tenants.iter().flat_map(|tenant| tenant.lanes.values()) {
            let gate = lane.gate.view(now_ms);
            gauges.lanes += 1;
            gauges.in_flight += gate.in_flight as usize;
            gauges.in_line += gate.line;
            gauges.circuits_open += usize::from(gate.open_until.is_some());
        }
        gauges
    }
}
