//! The changes that made a message fit, for the receipt's remark.

use std::collections::BTreeMap;

/// The changes, and how often each was made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notes(BTreeMap<String, usize>);

impl Notes {
    /// Records one change.
    pub fn add(&mut self, what: impl Into<String>) {
        *self.0.entry(what.into()).or_default() += 1;
    }

    /// Whether there are no changes.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One line for the receipt. `None` if there are no changes.
    pub fn line(&self) -> Option<String> {
        let line = self.0.iter().map(|(what, count)| match count {
            1 => what.clone(),
            count => format!("{what} (×{count})"),
        });
        let line: Vec<String> = line.collect();
        (!line.is_empty()).then(|| line.join(", "))
    }
}
