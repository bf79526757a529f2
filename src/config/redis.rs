//! `[redis]`: how the Redis store is laid out, and what it waits for.

use serde::{Deserialize, Serialize};

use super::Period;

/// `[redis]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Redis {
    /// The stream that producers write to.
    pub stream: String,
    /// The consumer group that replicas share.
    pub group: String,
    /// What all other keys begin with.
    pub prefix: String,
    /// Silence after which a replica's entries are taken over.
    pub dead_after: Period,
    /// Replicas of Redis that must confirm what is answered or acknowledged.
    pub wait_replicas: usize,
    /// How long they are given.
    pub wait_timeout: Period,
}

impl Default for Redis {
    fn default() -> Self {
        Self {
            stream: "fanfare:events".to_owned(),
            group: "fanfare".to_owned(),
            prefix: "fanfare".to_owned(),
            dead_after: Period::seconds(8),
            wait_replicas: 0,
            wait_timeout: Period::seconds(1),
        }
    }
}
