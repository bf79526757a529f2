//! What is not counted but looked at when somebody asks.

use std::time::Duration;

use super::metrics::count;

/// What is not counted but looked at when somebody asks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Now {
    /// Whether the store answers.
    pub store_up: bool,
    /// Deliveries in all queues of the store.
    pub waiting: u64,
    /// How long ago the event of the oldest of them was received.
    pub oldest: Duration,
    /// Tenants loaded.
    pub tenants: usize,
    /// Lanes loaded: destinations, or recipients of them.
    pub lanes: usize,
    /// Lanes whose circuit is open.
    pub circuits_open: usize,
    /// Attempts in flight on these lanes.
    pub in_flight: usize,
    /// Deliveries in line in memory.
    pub in_line: usize,
    /// Places of the window.
    pub window: usize,
}

impl Now {
    pub(super) const NAMES: [(&'static str, &'static str); 9] = [
        ("store_up", "1 when the store answered just now"),
        ("deliveries_waiting", "Deliveries in all queues of the store, of all replicas"),
        ("oldest_waiting_age_seconds", "Since the oldest waiting delivery's event arrived"),
        ("tenants", "Tenants loaded"),
        ("lanes", "Destinations, or recipients of them, that are loaded"),
        ("circuits_open", "Lanes to which nothing is sent for a while, for they keep failing"),
        ("attempts_in_flight", "Attempts under way"),
        ("deliveries_in_line", "Deliveries that stand in line in memory"),
        ("window_size", "Most events that may be read and not settled"),
    ];

    pub(super) fn values(&self) -> [f64; 9] {
        #[expect(clippy::cast_precision_loss, reason = "exact below 2^53")]
        let waiting = self.waiting as f64;
        [
            f64::from(u8::from(self.store_up)),
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
