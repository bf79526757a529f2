//! How often, how fast and how long: the numbers of a channel, overridable per destination.

use std::time::Duration;

/// Numbers that steer the delivery of one destination. The router turns them into times.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// Waits between durable attempts; after the last one the delivery is dead.
    pub schedule: Vec<Duration>,
    /// After the schedule its last wait repeats without end, and nothing dies of it.
    pub endless: bool,
    /// Share of each wait that is random, both ways: 0.2 is ±20 %.
    pub jitter: f64,
    /// Longest wait that a receiver may ask for.
    pub retry_after_cap: Duration,
    /// One attempt, from the first byte to the answer.
    pub attempt_timeout: Duration,
    /// All in-process tries of one durable attempt together.
    pub deadline: Duration,
    /// Tries at once after a broken connection, besides the first.
    pub quick_retries: u32,
    /// Most attempts in flight to one destination.
    pub concurrency: u32,
    /// Pace of one destination; none is as fast as it answers.
    pub rate: Option<Rate>,
    /// Most attempts in flight in the process over the whole channel.
    pub channel_concurrency: usize,
    /// A destination with nothing but failures for so long is disabled; none is never.
    pub disable_after: Option<Duration>,
    /// A lane whose address was refused so often in a row, with no success between, is disabled;
    /// none is never.
    pub bounces: Option<u32>,
}

/// So many messages in a period, evenly spaced after a burst.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Messages in a period, and the largest burst.
    pub messages: u32,
    /// The period.
    pub per: Duration,
}
