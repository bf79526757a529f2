//! The section of the settings with the quotas of each tenant.

use serde::{Deserialize, Serialize};

use super::Period;

/// `[quotas]`: for every tenant without quotas of its own. 0 means no limit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Quotas {
    /// Events per second that a tenant may send to each process.
    pub events_per_second: u64,
    /// Bytes per second that a tenant may send to each process.
    pub bytes_per_second: u64,
    /// A tenant may use both rates of this time at once after a pause.
    pub burst: Period,
    /// What becomes of stream entries that exceed a rate.
    pub stream_over_rate: OverRate,
    /// Bytes of a tenant's events in the store.
    pub stored_bytes: u64,
    /// Deliveries of a tenant that wait.
    pub waiting_deliveries: u64,
    /// Destinations of a tenant.
    pub destinations: u64,
    /// Routes of a tenant.
    pub routes: u64,
    /// API keys of a tenant that have not expired.
    pub keys: u64,
    /// Values in the filters of all routes of a tenant.
    pub filter_values: u64,
    /// Bytes of all templates of a tenant.
    pub template_bytes: u64,
}

/// What becomes of stream entries that exceed a rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OverRate {
    /// Their deliveries wait until the rate allows them.
    Wait,
    /// They become dead letters.
    Reject,
}

impl Default for Quotas {
    fn default() -> Self {
        Self {
            events_per_second: 20_000,
            bytes_per_second: 64 * 1024 * 1024,
            burst: Period::seconds(5),
            stream_over_rate: OverRate::Wait,
            stored_bytes: 50 * 1024 * 1024 * 1024,
            waiting_deliveries: 2_000_000,
            destinations: 1_000,
            routes: 2_000,
            keys: 1_000,
            filter_values: 50_000,
            template_bytes: 4 * 1024 * 1024,
        }
    }
}
