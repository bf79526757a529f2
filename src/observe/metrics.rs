//! The numbers, named as Prometheus asks: base units, `_total` for what only grows, few labels.

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

use super::labels::{
    ACCEPTED, Accepted, CHANNELS, OUTCOMES, REFUSALS, RESULTS, STATES, Source, place, result,
};
use super::now::Now;
use super::process::Process;
use super::series::{histograms, row, table};
use fanfare_store::{Call, DeliveryUpdate, Ms, Outcome, StateKind};

/// 1 ms to a minute: one attempt, which ends in less.
const ATTEMPT_S: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0];
/// 1 ms to three days: a delivery with all its retries.
const PATH_S: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0, 300.0, 3_600.0, 21_600.0,
    259_200.0,
];
/// 100 µs to 10 s.
const STORE_S: &[f64] =
    &[0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.0, 10.0];
/// What one call of the store moves.
const ITEMS: &[f64] = &[1.0, 4.0, 16.0, 64.0, 256.0, 1_024.0, 4_096.0];

type Table<const N: usize, const M: usize> = [[Counter; M]; N];
type ByTenant = Family<[(&'static str, Arc<str>); 2], Counter>;
type ByDestination = Family<[(&'static str, Arc<str>); 3], Counter>;

/// All series, with a handle each.
pub struct Metrics {
    registry: Registry,
    http: [Counter; ACCEPTED.len()],
    events: Table<{ Source::ALL.len() }, { OUTCOMES.len() }>,
    /// Of HTTP, and of the log.
    rejected: Table<2, { REFUSALS.len() }>,
    settle_time: Histogram,
    attempts: Table<{ CHANNELS.len() }, { RESULTS.len() }>,
    attempt_time: Vec<Histogram>,
    deliveries: Table<{ CHANNELS.len() }, { STATES.len() }>,
    delivery_time: Vec<Histogram>,
    calls: Calls,
    leases: Gauge,
    on_path: Gauge,
    now: [Gauge<f64, AtomicU64>; Now::NAMES.len()],
    per_tenant: Option<(ByTenant, ByDestination)>,
}

/// The store's calls, by [`Call`]'s number.
struct Calls {
    time: [Option<Histogram>; Call::ALL.len()],
    items: [Option<Histogram>; Call::ALL.len()],
    failures: [Counter; Call::ALL.len()],
}

impl Metrics {
    /// All series at zero. `per_tenant` adds those with a tenant's or a destination's id.
    pub fn new(per_tenant: bool) -> Self {
        let mut root = Registry::default();
        // Its names have no prefix, so that everybody's dashboards find them.
        root.register_collector(Box::new(Process::new()));
        let all = root.sub_registry_with_prefix("fanfare");
        let build = [("version", env!("CARGO_PKG_VERSION"))];
        all.register("build", "What is running", Info::new(build));

        let help = "Events of POST /v1/events, by what was answered";
        let http = row(all, "http_events", help, ("outcome", &ACCEPTED));
        let help = "Entries of the log that were settled, by who wrote them and how they ended";
        let events = table(all, "events", help, ("source", &Source::ALL), ("outcome", &OUTCOMES));
        let help = "What was refused as an event, by way in and code of the reason";
        let rejected =
            table(all, "events_rejected", help, ("via", &["http", "log"]), ("code", &REFUSALS));
        let settle_time = Histogram::new(PATH_S.iter().copied());
        let help = "From an event's arrival until all its deliveries have an outcome or wait in \
                    their queues, durably";
        all.register_with_unit("event_settle", help, Unit::Seconds, settle_time.clone());

        let channels = ("channel", &CHANNELS);
        let help = "Attempts at deliveries, by the class of the result";
        let attempts = table(all, "attempts", help, channels, ("result", &RESULTS));
        let name = ("attempt", Some(Unit::Seconds));
        let labels = ("channel", &CHANNELS[..]);
        let attempt_time = histograms(all, name, "Time of one attempt", labels, ATTEMPT_S);
        let help = "States that deliveries came into; one that is put off waits again each time";
        let deliveries = table(all, "deliveries", help, channels, ("state", &STATES));
        let help = "From an event's arrival until a receiver took it, retries and all";
        let name = ("delivery", Some(Unit::Seconds));
        let delivery_time = histograms(all, name, help, labels, PATH_S);

        let calls = Calls::new(all);
        let leases = Gauge::default();
        all.register("leases_held", "Lanes with a backlog that are served here", leases.clone());
        let on_path = Gauge::default();
        all.register("window_used", "Events that were read and are not settled", on_path.clone());
        let now = Now::NAMES.map(|(name, help)| {
            let gauge = Gauge::default();
            all.register(name, help, gauge.clone());
            gauge
        });
        let per_tenant = per_tenant.then(|| by_tenant(all));
        Self {
            http,
            events,
            rejected,
            settle_time,
            attempts,
            attempt_time,
            deliveries,
            delivery_time,
            calls,
            leases,
            on_path,
            now,
            per_tenant,
            registry: root,
        }
    }

    /// What `POST /v1/events` answered for one event.
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

    /// So many entries of the log were read; each will be settled.
    pub(crate) fn read(&self, entries: usize) {
        self.on_path.inc_by(i64::try_from(entries).unwrap_or(0));
    }

    /// An entry of the log is settled.
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

    /// A delivery came into a state.
    pub(super) fn delivery(&self, event: &Event, update: &DeliveryUpdate) {
        let kind = update.change.target_kind();
        let (channel, state) = (place(&CHANNELS, &update.channel), place(&STATES, kind.as_str()));
        self.deliveries[channel][state].inc();
        if kind == StateKind::Delivered {
            self.delivery_time[channel].observe(seconds(update.at_ms - event.received_ms));
        }
        if let Some((_, destinations)) = &self.per_tenant {
            // Without the lane's suffix: a recipient is not a label.
            let labels = [
                ("tenant", event.tenant.clone()),
                ("destination", update.lane.destination().into()),
                ("state", STATES[state].into()),
            ];
            destinations.get_or_create(&labels).inc();
        }
    }

    /// An attempt ended.
    pub(super) fn attempt(&self, channel: &str, took: Duration, code: Result<(), &str>) {
        let channel = place(&CHANNELS, channel);
        self.attempts[channel][result(code)].inc();
        self.attempt_time[channel].observe(took.as_secs_f64());
    }

    /// A call of the store ended.
    pub(super) fn call(&self, call: Call, took: Duration, items: usize, failed: bool) {
        let at = call as usize;
        if let Some(time) = &self.calls.time[at] {
            time.observe(took.as_secs_f64());
        }
        if failed {
            self.calls.failures[at].inc();
        }
        // A look that found nothing has no size.
        if let Some(sizes) = self.calls.items[at].as_ref().filter(|_| items > 0) {
            sizes.observe(count(items));
        }
        // Every claim is given back once, whatever comes of that.
        match call {
            Call::Claim => _ = self.leases.inc_by(i64::try_from(items).unwrap_or(0)),
            Call::Release => _ = self.leases.dec(),
            _ => {}
        }
    }

    /// Everything as `OpenMetrics` text, with what was looked at just now.
    pub fn text(&self, now: &Now) -> String {
        for (gauge, value) in self.now.iter().zip(now.values()) {
            gauge.set(value);
        }
        let mut text = String::with_capacity(64 * 1024);
        // Writing to a string does not fail.
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
        let help = "Time of one call of the store; reading waits by design, and has none";
        let labels = some(Call::is_timed);
        let name = ("store_call", Some(Unit::Seconds));
        let time = histograms(all, name, help, ("call", &labels), STORE_S);
        let help = "Events, deliveries or lanes that one call of the store moved";
        let labels = some(Call::has_size);
        let items = histograms(all, ("store_call_items", None), help, ("call", &labels), ITEMS);
        let labels = Call::ALL.map(Call::word);
        Self {
            time: in_place(Call::is_timed, time),
            items: in_place(Call::has_size, items),
            failures: row(all, "store_call_failures", "Calls that failed", ("call", &labels)),
        }
    }
}

fn by_tenant(all: &mut Registry) -> (ByTenant, ByDestination) {
    let (tenants, destinations) = (ByTenant::default(), ByDestination::default());
    let help = "Events of a tenant that were settled, by how they ended";
    all.register("tenant_events", help, tenants.clone());
    let help = "States that deliveries to a destination came into";
    all.register("destination_deliveries", help, destinations.clone());
    (tenants, destinations)
}

#[expect(clippy::cast_precision_loss, reason = "exact below 2^53")]
pub(super) fn count(items: usize) -> f64 {
    items as f64
}

/// Clocks of two machines may disagree: no time is negative.
#[expect(clippy::cast_precision_loss, reason = "exact below 2^53")]
fn seconds(ms: Ms) -> f64 {
    ms.max(0) as f64 / 1_000.0
}
