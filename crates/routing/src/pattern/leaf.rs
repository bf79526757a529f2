//! The alternatives of one field: exact values and operators.

use std::sync::Arc;

use super::operator::Operator;
use super::probe::Probe;
use super::scalar::{Exact, Scalar};

/// A list of alternatives at the end of a path.
#[derive(Debug)]
pub(crate) struct Leaf {
    /// The names of the fields from the envelope down.
    pub(crate) keys: Box<[Arc<str>]>,
    /// The exact values, which are the most common alternatives.
    pub(crate) exact: Exact,
    /// All other alternatives.
    pub(super) operators: Box<[Operator]>,
    /// Whether `exists = false` is one of them.
    pub(super) accepts_missing: bool,
    /// The steps of testing a scalar.
    pub(super) cost: usize,
}

impl Leaf {
    /// Whether one alternative accepts this scalar.
    pub(crate) fn accepts(&self, scalar: &Scalar<'_>, probe: &Probe<'_>) -> bool {
        probe.steps.spend(self.cost)
            && (self.exact.contains(scalar)
                || self.operators.iter().any(|operator| operator.accepts(scalar, probe)))
    }

    /// Whether the leaf has exact values only.
    pub(crate) fn is_exact(&self) -> bool {
        self.operators.is_empty()
    }

    /// The path in the event, for people: `data.risk_score`.
    pub(super) fn path(&self) -> String {
        self.keys.join(".")
    }
}
