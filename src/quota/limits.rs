//! The values of the quotas.

use std::collections::BTreeMap;

use super::kind::Quota;

/// The quotas that an operator set for one tenant. The value 0 means no limit.
pub type Overrides = BTreeMap<Quota, u64>;

/// The value of every quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits([u64; Quota::ALL.len()]);

impl Limits {
    /// The values by quota. 0 means no limit.
    pub fn new(value: impl Fn(Quota) -> u64) -> Self {
        Self(Quota::ALL.map(value))
    }

    /// No limits at all.
    pub fn none() -> Self {
        Self::new(|_| 0)
    }

    /// The value of a quota. `None` for no limit.
    pub fn get(&self, quota: Quota) -> Option<u64> {
        Some(self.0[quota as usize]).filter(|value| *value > 0)
    }

    /// These values, except where `overrides` has others.
    #[must_use]
    pub fn with(mut self, overrides: Option<&Overrides>) -> Self {
        for (quota, value) in overrides.into_iter().flatten() {
            self.0[*quota as usize] = *value;
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenants_own_quota_wins_and_zero_means_no_limit() {
        let limits = Limits::new(|quota| if quota == Quota::Keys { 0 } else { 5 });
        assert_eq!(limits.get(Quota::Keys), None);
        assert_eq!(limits.get(Quota::Routes), Some(5));
        let own = Overrides::from([(Quota::Keys, 3), (Quota::Routes, 0)]);
        let limits = limits.with(Some(&own));
        assert_eq!((limits.get(Quota::Keys), limits.get(Quota::Routes)), (Some(3), None));
        assert_eq!(limits.with(None), limits);
    }
}
