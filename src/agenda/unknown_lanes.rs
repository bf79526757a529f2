//! Lanes that are in the agenda but not in this process's table.
//!
//! Either the destination was removed, or this process does not know it yet: another process may
//! have loaded a newer table and parked deliveries already. So a lane counts as removed once it has
//! been unknown for longer than a change takes to reach every process.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::flow::UNKNOWN_IS_REMOVED_MS;
use fanfare_store::{LaneKey, Ms};

/// Since when lanes have been unknown. Holds only lanes that have something waiting.
#[derive(Default)]
pub(super) struct UnknownLanes {
    since: Mutex<HashMap<LaneKey, Ms>>,
}

impl UnknownLanes {
    fn lock(&self) -> MutexGuard<'_, HashMap<LaneKey, Ms>> {
        self.since.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An unknown lane was claimed. True once it has been unknown for so long that it was removed.
    pub(super) fn is_removed(&self, lane: &LaneKey, now: Ms) -> bool {
        let mut since = self.lock();
        let removed = now - *since.entry(lane.clone()).or_insert(now) >= UNKNOWN_IS_REMOVED_MS;
        if removed {
            since.remove(lane);
        }
        removed
    }

    /// The table has the lane.
    pub(super) fn known(&self, lane: &LaneKey) {
        self.lock().remove(lane);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_time_makes_an_unknown_lane_a_removed_one() {
        let unknown = UnknownLanes::default();
        let lane = LaneKey { tenant: "acme".into(), id: "hook".into() };
        assert!(!unknown.is_removed(&lane, 0));
        assert!(!unknown.is_removed(&lane, UNKNOWN_IS_REMOVED_MS - 1));
        unknown.known(&lane);
        assert!(!unknown.is_removed(&lane, UNKNOWN_IS_REMOVED_MS), "the time starts again");
        assert!(unknown.is_removed(&lane, 2 * UNKNOWN_IS_REMOVED_MS));
        assert!(unknown.lock().is_empty());
    }
}
