//! The metrics, named by Prometheus' conventions: base units, `_total` for counters, few labels.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use fanfare_contract::Event;
use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use super::connections::ConnectionMetrics;
use super::gauges::Gauges;
use super::labels::{
    ACCEPTED, AUTH_FAILURES, Accepted, CHANNELS, OUTCOMES, REFUSALS, RESULTS, STATES, Source,
    place, result,
};
use super::process::Process;
use super::quotas::QuotaGauges;
use super::series::{count, histograms, row, table};
use crate::quota::Quota;
use fanfare_store::{Call, DeliveryUpdate, Findings, Ms, Outcome, StateKind};

/// Buckets for one attempt: 1 ms to one minute, which is longer than any attempt.
const ATTEMPT_S: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0];
/// Buckets for a delivery with all its retries: 1 ms to three days.
const PATH_S: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0, 300.0, 3_600.0, 21_600.0,
    259_200.0,
];
/// Buckets for one call of the store: 100 µs to 10 s.
const STORE_S: &[f64] =
    &[0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.0, 10.0];
/// Buckets for the number of items that one call of the store moves.
const ITEMS: &[f64] = &[1.0, 4.0, 16.0, 64.0, 256.0, 1_024.0, 4_096.0];

type Table<const N: usize, const M: usize> = [[Counter; M]; N];
type ByTenant = Family<[(&'static str, Arc<str>); 2], Counter>;
type ByDestination = Family<[(&'static str, Arc<str>); 3], Counter>;

/// All metrics, with a handle for each series.
pub struct Metrics {
    registry: Registry,
    /// The connections of clients.
    pub connections: ConnectionMetrics,
    http: [Counter; ACCEPTED.len()],
    events: Table<{ Source::ALL.len() }, { OUTCOMES.len() }>,
    /// One row for HTTP, one for the log.
    rejected: Table<2, { REFUSALS.len() }>,
    quotas: [Counter; Quota::ALL.len()],
    filters_stopped: Counter,
    auth_failures: [Counter; AUTH_FAILURES.len()],
    settle_time: Histogram,
    attempts: Table<{ CHANNELS.len() }, { RESULTS.len() }>,
    attempt_time: Vec<Histogram>,
    deliveries: Table<{ CHANNELS.len() }, { STATES.len() }>,
    delivery_time: Vec<Histogram>,
    calls: Calls,
    repairs: [Counter; Findings::KINDS.len()],
    leases: Gauge,
    on_path: Gauge,
    gauges: [Gauge<f64, AtomicU64>; Gauges::NAMES.len()],
    per_tenant: Option<(ByTenant, ByDestination)>,
    by_quota: Option<QuotaGauges>,
}

/// The store's calls, by the number of the [`Call`].
struct Calls {
    time: [Option<Histogram>; Call::ALL.len()],
    items: [Option<Histogram>; Call::ALL.len()],
    failures: [Counter; Call::ALL.len()],
}

impl Metrics {
    /// Creates all series with the value 0. `per_tenant` adds series with the ids of tenants and
    /// destinations.
    pub fn new(per_tenant: bool) -> Self {
        let mut root = Registry::default();
        // These names have no prefix, so that existing dashboards find them.
        root.register_collector(Box::new(Process::new()));
        let all = root.sub_registry_with_prefix("fanfare");
        let build = [("version", env!("CARGO_PKG_VERSION"))];
        all.register("build", "Build information", Info::new(build));

        let help = "Events sent to POST /v1/events, by result";
        let http = row(all, "http_events", help, ("outcome", &ACCEPTED));
        let connections = ConnectionMetrics::new(all);
        let help = "Entries of the log that were settled, by source and outcome";
        let events = table(all, "events", help, ("source", &Source::ALL), ("outcome", &OUTCOMES));
        let help = "Events that were refused, by source and error code";
        let rejected =
            table(all, "events_rejected", help, ("via", &["http", "log"]), ("code", &REFUSALS));
        let help = "Requests, entries and changes that a tenant's quota refused, by quota";
        let quotas = row(all, "quota_exceeded", help, ("quota", &Quota::ALL.map(Quota::name)));
        let filters_stopped = Counter::default();
        let help = "Events whose filters were not all tested, because the work reached its limit";
        all.register("filters_stopped", help, filters_stopped.clone());
        let help = "Requests whose API key is missing or not valid, by error code";
        let auth_failures = row(all, "auth_failures", help, ("code", &AUTH_FAILURES));
        let settle_time = Histogram::new(PATH_S.iter().copied());
        let help = "Time from an event's arrival until each of its deliveries durably has an \
                            outcome or waits in its queue";
        all.register_with_unit("event_settle", help, Unit::Seconds, settle_time.clone());

        let channels = ("channel", &CHANNELS);
        let help = "Delivery attempts, by result class";
        let attempts = table(all, "attempts", help, channels, ("result", &RESULTS));
        let name = ("attempt", Some(Unit::Seconds));
        let labels = ("channel", &CHANNELS[..]);
        let attempt_time = histograms(all, name, "Duration of one attempt", labels, ATTEMPT_S);
        let help = "State changes of deliveries, by new state; a delivery counts as waiting each time it is \
                            rescheduled";
        let deliveries = table(all, "deliveries", help, channels, ("state", &STATES));
        let help = "Time from an event's arrival until a receiver accepted it, including retries";
        let name = ("delivery", Some(Unit::Seconds));
        let delivery_time = histograms(all, name, help, labels, PATH_S);

        let calls = Calls::new(all);
        let help = "What reconciliation found in disagreement and repaired, by kind";
        let repairs = row(all, "store_repairs", help, ("kind", &Findings::KINDS));
        let leases = Gauge::default();
        all.register(
            "leases_held",
            "Lanes with queued deliveries that this process is serving",
            leases.clone(),
        );
        let on_path = Gauge::default();
        all.register(
            "window_used",
            "Events that were read and are not settled yet",
            on_path.clone(),
        );
        let gauges = Gauges::NAMES.map(|(name, help)| {
            let gauge = Gauge::default();
            all.register(name, help, gauge.clone());
            gauge
        });
        let by_quota = per_tenant.then(|| QuotaGauges::new(all));
        let per_tenant = per_tenant.then(|| by_tenant(all));
        Self {
            connections,
            http,
            events,
            rejected,
            quotas,
            filters_stopped,
            auth_failures,
            settle_time,
            attempts,
            attempt_time,
            deliveries,
            delivery_time,
            calls,
            repairs,
            leases,
            on_path,
            gauges,
            per_tenant,
            by_quota,
            registry: root,
        }
    }

    /// Counts the result of `POST /v1/events` for one event.
    pub fn http(&self, answer: Accepted) {
        let at = match answer {
            Accepted::Accepted => 0,
            Accepted::Duplicate => 1,
            Accepted::Rejected(code) => {
                self.rejected[0][place(&REFUSALS, code)].inc();
                2
            }
            Accepted::Failed => 3,
        };
        self.http[at].inc();
    }

    /// Counts a refusal because of a quota.
    pub fn quota_exceeded(&self, quota: Quota) {
        self.quotas[quota as usize].inc();
    }

    /// The gauges of each tenant's quotas, if tenants are counted.
    pub fn by_quota(&self) -> Option<&QuotaGauges> {
        self.by_quota.as_ref()
    }

    /// Counts an event whose filters were not all tested.
    pub(crate) fn filters_stopped(&self) {
        self.filters_stopped.inc();
    }

    /// Counts a request that was not authenticated, by the code of its error.
    pub fn auth_failed(&self, code: &str) {
        self.auth_failures[place(&AUTH_FAILURES, code)].inc();
    }

    /// Counts entries of the log that were read. Each will be settled.
    pub(crate) fn read(&self, entries: usize) {
        self.on_path.inc_by(i64::try_from(entries).unwrap_or(0));
    }

    /// Counts a settled entry of the log.
    pub(super) fn settled(&self, source: Source, outcome: &Outcome, now: Ms) {
        let (at, event) = match outcome {
            Outcome::Routed(event, updates) => {
                for update in updates {
                    self.delivery(event, update);
                }
                (0, Some(event))
            }
            Outcome::Unrouted(event) => (1, Some(event)),
            Outcome::Duplicate => (2, None),
            Outcome::Rejected(rejected) => {
                self.rejected[1][place(&REFUSALS, &rejected.code)].inc();
                (3, None)
            }
        };
        self.events[source as usize][at].inc();
        self.on_path.dec();
        let Some(event) = event else { return };
        self.settle_time.observe(seconds(now - event.received_ms));
        if let Some((tenants, _)) = &self.per_tenant {
            let labels = [("tenant", event.tenant.clone()), ("outcome", OUTCOMES[at].into())];
            tenants.get_or_create(&labels).inc();
        }
    }

    /// Counts a delivery's change of state.
    pub(super) fn delivery(&self, event: &Event, update: &DeliveryUpdate) {
        let kind = update.change.target_kind();
        let (channel, state) = (place(&CHANNELS, &update.channel), place(&STATES, kind.as_str()));
        self.deliveries[channel][state].inc();
        if kind == StateKind::Delivered {
            self.delivery_time[channel].observe(seconds(update.at_ms - event.received_ms));
        }
        if let Some((_, destinations)) = &self.per_tenant {
            // Without the recipient, which must not become a label.
            let labels = [
                ("tenant", event.tenant.clone()),
                ("destination", update.lane.destination().into()),
                ("state", STATES[state].into()),
            ];
            destinations.get_or_create(&labels).inc();
        }
    }

    /// Counts an attempt.
    pub(super) fn attempt(&self, channel: &str, took: Duration, code: Result<(), &str>) {
        let channel = place(&CHANNELS, channel);
        self.attempts[channel][result(code)].inc();
        self.attempt_time[channel].observe(took.as_secs_f64());
    }

    /// Counts a call of the store.
    pub(super) fn call(&self, call: Call, took: Duration, items: usize, failed: bool) {
        let at = call as usize;
        if let Some(time) = &self.calls.time[at] {
            time.observe(took.as_secs_f64());
        }
        if failed {
            self.calls.failures[at].inc();
        }
        // A call that found nothing has no size.
        if let Some(sizes) = self.calls.items[at].as_ref().filter(|_| items > 0) {
            sizes.observe(count(items));
        }
        // Every claim is released exactly once, even if that fails.
        match call {
            Call::Claim => _ = self.leases.inc_by(i64::try_from(items).unwrap_or(0)),
            Call::Release => _ = self.leases.dec(),
            _ => {}
        }
    }

    /// Counts what reconciliation repaired.
    pub(crate) fn reconciled(&self, found: &Findings) {
        for (counter, count) in self.repairs.iter().zip(found.counts()) {
            counter.inc_by(count);
        }
    }

    /// All metrics as `OpenMetrics` text. `gauges` are values computed for this scrape.
    pub fn text(&self, gauges: &Gauges) -> String {
        for (gauge, value) in self.gauges.iter().zip(gauges.values()) {
            gauge.set(value);
        }
        let mut text = String::with_capacity(64 * 1024);
        // Writing to a string cannot fail.
        let _ = text::encode(&mut text, &self.registry);
        text
    }
}

impl Calls {
    fn new(all: &mut Registry) -> Self {
        let some = |chosen: fn(Call) -> bool| {
            let calls = Call::ALL.into_iter().filter(move |call| chosen(*call));
            calls.map(Call::word).collect::<Vec<_>>()
        };
        let in_place = |chosen: fn(Call) -> bool, made: Vec<Histogram>| {
            let mut made = made.into_iter();
            Call::ALL.map(|call| if chosen(call) { made.next() } else { None })
        };
        let help = "Duration of one call of the store, except reads, which wait for entries";
        let labels = some(Call::is_timed);
        let name = ("store_call", Some(Unit::Seconds));
        let time = histograms(all, name, help, ("call", &labels), STORE_S);
        let help = "Events, deliveries or lanes moved by one call of the store";
        let labels = some(Call::has_size);
        let items = histograms(all, ("store_call_items", None), help, ("call", &labels), ITEMS);
        let labels = Call::ALL.map(Call::word);
        Self {
            time: in_place(Call::is_timed, time),
            items: in_place(Call::has_size, items),
            failures: row(
                all,
                "store_call_failures",
                "Calls of the store that failed",
                ("call", &labels),
            ),
        }
    }
}

fn by_tenant(all: &mut Registry) -> (ByTenant, ByDestination) {
    let (tenants, destinations) = (ByTenant::default(), ByDestination::default());
    let help = "A tenant's events that were settled, by outcome";
    all.register("tenant_events", help, tenants.clone());
    let help = "State changes of a destination's deliveries, by new state";
    all.register("destination_deliveries", help, destinations.clone());
    (tenants, destinations)
}

/// Clocks of two machines may differ, so a negative time counts as 0.
#[expect(clippy::cast_precision_loss, reason = "exact below 2^53")]
fn seconds(ms: Ms) -> f64 {
    ms.max(0) as f64 / 1_000.0
}
