//! `[redis]`: layout and durability of the Redis store.

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
    /// Prefix of all other keys.
    pub prefix: String,
    /// How long a replica of Fanfare may be silent before the others take over its work.
    pub dead_after: Period,
    /// Number of Redis replicas that must confirm a write before Fanfare answers or acknowledges.
    pub wait_replicas: usize,
    /// How long to wait for the confirmation of one write.
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
