//! The limits and the retry schedule of a channel. A destination can override some of them.

use std::time::Duration;

/// The limits and the retry schedule of one destination.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// The waits between durable attempts. After the last one the delivery is dead.
    pub schedule: Vec<Duration>,
    /// Whether the last wait of the schedule repeats without end, so that no delivery dies.
    pub endless: bool,
    /// The random part of each wait, in both directions: 0.2 is ±20 %.
    pub jitter: f64,
    /// Longest wait that a receiver can ask for, at most [`crate::RETRY_AFTER_MAX`].
    pub retry_after_cap: Duration,
    /// Time limit of one attempt, including the answer.
    pub attempt_timeout: Duration,
    /// Time limit of all in-process tries of one durable attempt together.
    pub deadline: Duration,
    /// Whether an attempt on a dead connection is made again at once on a new one.
    pub quick_retry: bool,
    /// Maximum attempts in flight to one destination.
    pub concurrency: u32,
    /// Maximum rate of one destination. `None`: as fast as it answers.
    pub rate: Option<Rate>,
    /// Maximum attempts in flight over the whole channel in this process.
    pub channel_concurrency: usize,
    /// A destination is disabled if all its attempts fail for this long. `None`: never.
    pub disable_after: Option<Duration>,
    /// A lane is disabled after this many refusals of its address in a row. `None`: never.
    pub bounces: Option<u32>,
}

/// A number of messages per period, evenly spaced after a burst.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Messages per period. Also the largest burst.
    pub messages: u32,
    /// The length of the period.
    pub per: Duration,
}
