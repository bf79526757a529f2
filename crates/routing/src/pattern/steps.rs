//! The work that filters may do for one event.
//!
//! The time of a filter depends on the event and on the filter, and a tenant chooses both. So the
//! work is counted, and it ends at a limit. The limit counts steps and not time, so the same table
//! and the same event always have the same result.

use std::cell::Cell;

/// Most steps for one event. A step is about a test of one value: 10 to 50 nanoseconds.
pub const MAX_STEPS: usize = 4_000_000;

/// The steps that are left.
#[derive(Debug)]
pub(crate) struct Steps {
    left: Cell<usize>,
}

impl Steps {
    /// As many steps as one event may take.
    pub(crate) fn for_event() -> Self {
        Self::new(MAX_STEPS)
    }

    pub(crate) fn new(steps: usize) -> Self {
        Self { left: Cell::new(steps) }
    }

    /// Takes steps. False if there are not enough left.
    pub(crate) fn spend(&self, steps: usize) -> bool {
        let left = self.left.get().saturating_sub(steps);
        self.left.set(left);
        left > 0
    }

    /// Whether there are none left. The results of all tests are then void.
    pub(crate) fn exhausted(&self) -> bool {
        self.left.get() == 0
    }

    /// How many are left.
    #[cfg(test)]
    pub(crate) fn left(&self) -> usize {
        self.left.get()
    }
}
