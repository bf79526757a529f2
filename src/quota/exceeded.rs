//! What is said when a tenant has used up a quota.

use std::time::Duration;

use super::bucket::RateDecision;
use super::kind::Quota;

/// Events were refused because their tenant has used up a quota.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the tenant's quota `{quota}` {}", self.detail())]
pub struct Exceeded {
    /// The quota.
    pub quota: Quota,
    /// Its value for this tenant.
    pub limit: u64,
    /// What the tenant uses. `None` for a rate.
    pub used: Option<u64>,
    /// The decision about a rate.
    pub rate: Option<RateDecision>,
}

/// When to try again if deliveries must leave their queues first.
const QUEUE_RETRY: Duration = Duration::from_secs(10);

impl Exceeded {
    /// When another try makes sense. `None` if only a change of settings or of data helps.
    pub fn retry_after(&self) -> Option<Duration> {
        match self.quota {
            Quota::WaitingDeliveries => Some(QUEUE_RETRY),
            _ => self.rate.map(|rate| rate.next_in.max(Duration::from_secs(1))),
        }
    }

    /// What is wrong and what to do. It continues a sentence that begins with the quota.
    pub fn detail(&self) -> String {
        let Self { quota, limit, .. } = self;
        let used = self.used.unwrap_or_default();
        let seconds = self.retry_after().map_or(1, seconds_up);
        match quota {
            Quota::StoredBytes => format!(
                "is {limit}, and the tenant's events take {used} bytes; erase events, or ask an \
                 operator for a higher quota"
            ),
            Quota::WaitingDeliveries => format!(
                "is {limit}, and {used} deliveries of the tenant wait; repair or disable the \
                 destinations that do not accept them, then send the events again"
            ),
            _ => format!(
                "is {limit} and used up; send the events again in {seconds} s, or ask an operator \
                 for a higher quota"
            ),
        }
    }
}

fn seconds_up(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}
