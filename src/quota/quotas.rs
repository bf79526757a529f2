//! The quotas on events, applied by one process.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::time::Instant;

use super::bucket::Bucket;
use super::exceeded::Exceeded;
use super::kind::Quota;
use super::limits::{Limits, Overrides};
use super::meter::{Estimate, Meter, USAGE_FRESH, rate_limit};
use fanfare_store::{Ledger, Store, Usage};

/// The quotas on what a tenant holds.
const HELD: [Quota; 2] = [Quota::StoredBytes, Quota::WaitingDeliveries];
/// How old the store's numbers may be while a tenant is far from its quotas. With thousands of busy
/// tenants, reading more often would cost more than it is worth.
const USAGE_KEPT: Duration = Duration::from_secs(5);
/// Meters that are kept before idle ones are forgotten.
const METERS_KEPT: usize = 4_096;

/// What becomes of entries of the stream that exceed a rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OverRate {
    /// Their deliveries wait in the queues until the rate allows them.
    Wait,
    /// They become dead letters.
    Reject,
}

/// Applies the quotas on events.
pub struct Quotas {
    ledger: Arc<dyn Ledger>,
    defaults: Limits,
    burst: Duration,
    over_rate: OverRate,
    meters: RwLock<HashMap<Arc<str>, Arc<Meter>>>,
}

impl Quotas {
    /// Applies `defaults` to tenants without quotas of their own. After a pause, a tenant may use
    /// its rates of the time `burst` at once.
    pub fn new(store: &Store, defaults: Limits, burst: Duration, over_rate: OverRate) -> Arc<Self> {
        let (ledger, meters) = (store.ledger.clone(), RwLock::default());
        Arc::new(Self { ledger, defaults, burst, over_rate, meters })
    }

    /// The quotas of a tenant with these overrides.
    pub fn limits(&self, overrides: Option<&Overrides>) -> Limits {
        self.defaults.with(overrides)
    }

    /// Checks a request before its events are decoded: what the tenant holds, and both rates. Takes
    /// the request's bytes.
    pub async fn enter(
        &self,
        tenant: &Arc<str>,
        limits: &Limits,
        bytes: usize,
    ) -> Result<(), Exceeded> {
        let meter = self.meter(tenant);
        let checked = self.check_usage(&meter, limits).await.and_then(|()| {
            self.rate(&meter.events, limits, Quota::EventsPerSecond, 0)?;
            self.rate(&meter.bytes, limits, Quota::BytesPerSecond, bytes as u64)
        });
        checked.inspect_err(|exceeded| log(&meter, tenant, exceeded))?;
        meter.count(0, bytes as u64, self.burst);
        Ok(())
    }

    /// Takes the events of a request.
    pub fn take_events(
        &self,
        tenant: &Arc<str>,
        limits: &Limits,
        events: usize,
    ) -> Result<(), Exceeded> {
        let meter = self.meter(tenant);
        let taken = self.rate(&meter.events, limits, Quota::EventsPerSecond, events as u64);
        taken.inspect_err(|exceeded| log(&meter, tenant, exceeded))?;
        meter.count(events as u64, 0, self.burst);
        Ok(())
    }

    /// Notes that events became durable, with this many bytes of bodies in total.
    pub fn accepted(&self, tenant: &Arc<str>, events: usize, bytes: u64) {
        self.meter(tenant).accepted(events as u64, bytes);
    }

    /// Takes one event that a producer wrote to the stream, where it cannot be refused any more.
    /// Returns how long its deliveries wait, or why it becomes a dead letter.
    pub fn take_entry(
        &self,
        tenant: &Arc<str>,
        limits: &Limits,
        bytes: usize,
    ) -> Result<Duration, Exceeded> {
        let meter = self.meter(tenant);
        let bytes = bytes as u64;
        let waits = match self.over_rate {
            OverRate::Wait => {
                let events = self.charge(&meter.events, limits, Quota::EventsPerSecond, 1);
                events.max(self.charge(&meter.bytes, limits, Quota::BytesPerSecond, bytes))
            }
            OverRate::Reject => {
                let taken = self.known_usage(&meter, limits).and_then(|()| {
                    self.rate(&meter.events, limits, Quota::EventsPerSecond, 1)?;
                    self.rate(&meter.bytes, limits, Quota::BytesPerSecond, bytes)
                });
                taken.inspect_err(|exceeded| log(&meter, tenant, exceeded))?;
                Duration::ZERO
            }
        };
        if !waits.is_zero() && meter.should_log() {
            tracing::warn!(
                %tenant,
                "a tenant exceeds its rate quota in the stream; its deliveries wait in their queues"
            );
        }
        meter.count(1, bytes, waits + self.burst);
        Ok(waits)
    }

    /// What a tenant holds in the store, read now if the last answer is not fresh.
    pub async fn usage(&self, tenant: &Arc<str>) -> Usage {
        let meter = self.meter(tenant);
        meter.read(&self.ledger).await;
        meter.estimate().usage
    }

    /// Events and bytes of a tenant that this process took in the last full second.
    pub fn rates(&self, tenant: &str) -> [u64; 2] {
        let meters = self.meters.read().unwrap_or_else(PoisonError::into_inner);
        meters.get(tenant).map_or([0; 2], |meter| meter.rates())
    }

    fn meter(&self, tenant: &Arc<str>) -> Arc<Meter> {
        let meters = self.meters.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(meter) = meters.get(tenant) {
            return meter.clone();
        }
        drop(meters);
        let mut meters = self.meters.write().unwrap_or_else(PoisonError::into_inner);
        if meters.len() >= METERS_KEPT {
            let now = Instant::now();
            meters.retain(|_, meter| !meter.is_idle(now));
        }
        let meter = meters.entry(tenant.clone());
        meter.or_insert_with(|| Arc::new(Meter::new(tenant.clone()))).clone()
    }

    /// Refuses if the tenant holds too much. A refusal always follows fresh numbers.
    async fn check_usage(&self, meter: &Arc<Meter>, limits: &Limits) -> Result<(), Exceeded> {
        if HELD.iter().all(|quota| limits.get(*quota).is_none()) {
            return Ok(());
        }
        if meter.estimate().age.is_none() {
            meter.read(&self.ledger).await;
        }
        if self.known_usage(meter, limits).is_ok() {
            return Ok(());
        }
        meter.read(&self.ledger).await;
        self.known_usage(meter, limits)
    }

    /// The same by the numbers that are known. Old ones are read again in the background.
    fn known_usage(&self, meter: &Arc<Meter>, limits: &Limits) -> Result<(), Exceeded> {
        let known = meter.estimate();
        let fresh_for = if is_near(known, limits) { USAGE_FRESH } else { USAGE_KEPT };
        if known.age.is_none_or(|age| age > fresh_for) {
            meter.read_behind(&self.ledger);
        }
        for (quota, used) in HELD.into_iter().zip(held(known.usage)) {
            if let Some(limit) = limits.get(quota).filter(|limit| used >= *limit) {
                return Err(Exceeded { quota, limit, used: Some(used), rate: None });
            }
        }
        Ok(())
    }

    fn rate(
        &self,
        bucket: &Bucket,
        limits: &Limits,
        quota: Quota,
        cost: u64,
    ) -> Result<(), Exceeded> {
        let Some(limit) = limits.get(quota) else { return Ok(()) };
        let rate = bucket.take(rate_limit(limit, self.burst), cost, Instant::now());
        if rate.allowed {
            return Ok(());
        }
        Err(Exceeded { quota, limit, used: None, rate: Some(rate) })
    }

    fn charge(&self, bucket: &Bucket, limits: &Limits, quota: Quota, cost: u64) -> Duration {
        limits.get(quota).map_or(Duration::ZERO, |limit| {
            bucket.charge(rate_limit(limit, self.burst), cost, Instant::now())
        })
    }
}

/// The numbers of the quotas in [`HELD`].
fn held(usage: Usage) -> [u64; HELD.len()] {
    [usage.stored_bytes, usage.waiting]
}

/// Whether a tenant uses half of a quota, if each event that was accepted since the store answered
/// became a waiting delivery.
fn is_near(known: Estimate, limits: &Limits) -> bool {
    let usage = Usage { waiting: known.usage.waiting + known.events, ..known.usage };
    let mut used = HELD.into_iter().zip(held(usage));
    used.any(|(quota, used)| limits.get(quota).is_some_and(|limit| used >= limit / 2))
}

fn log(meter: &Meter, tenant: &str, exceeded: &Exceeded) {
    if meter.should_log() {
        let Exceeded { quota, limit, .. } = exceeded;
        tracing::warn!(tenant, %quota, limit, "a tenant is at its quota; its events are refused");
    }
}

#[cfg(test)]
mod tests;
