//! Lanes that are in the agenda but not in this process's table.
//!
//! Either the destination was removed, or this process has not heard of it yet: another may have
//! loaded a newer table and parked deliveries already. Only time tells, so a lane counts as removed
//! when it has been unknown for longer than it takes a change to reach every process.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use fanfare_store::{LaneKey, Ms};

/// A change of the directory is noticed within a second; a store that is away takes longer.
const NEWS_TRAVEL_MS: Ms = 10_000;

/// Since when lanes have been unknown. Holds only lanes that have something waiting.
#[derive(Default)]
pub(super) struct Strangers {
    since: Mutex<HashMap<LaneKey, Ms>>,
}

impl Strangers {
    fn lock(&self) -> MutexGuard<'_, HashMap<LaneKey, Ms>> {
        self.since.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An unknown lane was claimed. True once it has been unknown for so long that it is removed.
    pub(super) fn is_removed(&self, lane: &LaneKey, now: Ms) -> bool {
        let mut since = self.lock();
        let removed = now - *since.entry(lane.clone()).or_insert(now) >= NEWS_TRAVEL_MS;
        if removed {
            since.remove(lane);
        }
        removed
    }

    /// The table has it.
    pub(super) fn known(&self, lane: &LaneKey) {
        self.lock().remove(lane);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_time_makes_an_unknown_lane_a_removed_one() {
        let strangers = Strangers::default();
        let lane = LaneKey { tenant: "acme".into(), id: "hook".into() };
        assert!(!strangers.is_removed(&lane, 0));
        assert!(!strangers.is_removed(&lane, NEWS_TRAVEL_MS - 1));
        strangers.known(&lane);
        assert!(!strangers.is_removed(&lane, NEWS_TRAVEL_MS), "it begins anew");
        assert!(strangers.is_removed(&lane, 2 * NEWS_TRAVEL_MS));
        assert!(strangers.lock().is_empty());
    }
}
