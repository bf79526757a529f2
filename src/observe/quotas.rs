//! Gauges of each tenant's quotas: the limit, and what is used of it.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::quota::Quota;

type ByQuota = Family<[(&'static str, Arc<str>); 2], Gauge<f64, AtomicU64>>;

/// The gauges. They are written again for each scrape.
pub struct QuotaGauges {
    limits: ByQuota,
    used: ByQuota,
    names: [Arc<str>; Quota::ALL.len()],
}

impl QuotaGauges {
    pub(super) fn new(all: &mut Registry) -> Self {
        let (limits, used) = (ByQuota::default(), ByQuota::default());
        let help = "The value of a tenant's quota; no series for a quota without a limit";
        all.register("tenant_quota_limit", help, limits.clone());
        let help = "What a tenant uses of a quota; for a rate, what this process took in the last \
                    full second";
        all.register("tenant_quota_used", help, used.clone());
        Self { limits, used, names: Quota::ALL.map(|quota| quota.name().into()) }
    }

    /// Removes the series of the last scrape: tenants may be gone.
    pub fn clear(&self) {
        self.limits.clear();
        self.used.clear();
    }

    /// Sets the gauges of one quota of a tenant.
    #[expect(clippy::cast_precision_loss, reason = "exact below 2^53")]
    pub fn set(&self, tenant: &Arc<str>, quota: Quota, limit: Option<u64>, used: u64) {
        let name = self.names[quota as usize].clone();
        let labels = [("tenant", tenant.clone()), ("quota", name)];
        if let Some(limit) = limit {
            self.limits.get_or_create(&labels).set(limit as f64);
        }
        self.used.get_or_create(&labels).set(used as f64);
    }
}
