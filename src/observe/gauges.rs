//! Gauges that are computed for each scrape.

use std::time::Duration;

use super::series::count;

/// Gauges that are computed for each scrape.
#[derive(Clone, Copy, Debug, Default)]
pub struct Gauges {
    /// Whether the store answers.
    pub store_up: bool,
    /// Whether new events can be appended.
    pub appending: bool,
    /// Whether entries are read, outcomes written, and lanes claimed.
    pub steps: [bool; 3],
    /// The number of deliveries in all queues of the store.
    pub waiting: u64,
    /// The time since the oldest waiting delivery's event was received.
    pub oldest: Duration,
    /// The number of tenants in the store.
    pub tenants: usize,
    /// The number of lanes of the tenants in memory: destinations, or recipients of them.
    pub lanes: usize,
    /// The number of lanes with an open circuit.
    pub circuits_open: usize,
    /// The number of attempts in flight.
    pub in_flight: usize,
    /// The number of deliveries waiting in memory for a slot.
    pub in_line: usize,
    /// The size of the router's window.
    pub window: usize,
}

impl Gauges {
    pub(super) const NAMES: [(&'static str, &'static str); 13] = [
        ("store_up", "1 if the store answered when it was last asked, otherwise 0"),
        ("appending", "1 if new events could be appended when that was last checked, otherwise 0"),
        ("reading", "1 if entries are read from the log, 0 if that has failed for a while"),
        ("settling", "1 if outcomes are written, 0 if that has failed for a while"),
        ("serving", "1 if lanes of the agenda are claimed, 0 if that has failed for a while"),
        ("deliveries_waiting", "Deliveries waiting in the store's queues, for all replicas"),
        ("oldest_waiting_age_seconds", "Time since the oldest waiting delivery's event arrived"),
        ("tenants", "Tenants in the store"),
        (
            "lanes",
            "Lanes of tenants in memory: destinations, or recipients of destinations with several",
        ),
        (
            "circuits_open",
            "Lanes whose circuit is open: attempts are paused after repeated failures",
        ),
        ("attempts_in_flight", "Attempts in flight"),
        ("deliveries_in_line", "Deliveries waiting in memory for a concurrency slot"),
        ("window_size", "Most events that may be read and not settled yet"),
    ];

    pub(super) fn values(&self) -> [f64; 13] {
        #[expect(clippy::cast_precision_loss, reason = "exact below 2^53")]
        let waiting = self.waiting as f64;
        [
            f64::from(u8::from(self.store_up)),
            f64::from(u8::from(self.appending)),
            f64::from(u8::from(self.steps[0])),
            f64::from(u8::from(self.steps[1])),
            f64::from(u8::from(self.steps[2])),
            waiting,
            self.oldest.as_secs_f64(),
            count(self.tenants),
            count(self.lanes),
            count(self.circuits_open),
            count(self.in_flight),
            count(self.in_line),
            count(self.window),
        ]
    }
}
