//! Whether a filter matches an event.
//!
//! The evaluation walks the tree without expanding `$or`, so its cost is at most the number of the
//! filter's fields times the number of the event's nodes. Every step is counted, and when the steps
//! of the event run out, all outcomes are void ([`super::steps`]). The walk tests all conditions of
//! a nested object on one element of an array at a time, which is array consistency. It relies on
//! [`super::merge`]: the conditions for one array are in one place of the tree.

use fanfare_contract::Json;
use fanfare_contract::json::Object as Fields;

use super::probe::Probe;
use super::scalar::any_scalar;
use super::{Node, Object};

/// The result of a pattern on a value. The order is from worst to best.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Outcome {
    /// It does not match.
    No,
    /// It matches only because fields are absent. In an array, the fields must be absent from all
    /// elements, not just from one.
    Absent,
    /// It matches, and at least one present value is part of the match.
    Bound,
}

/// All fields must match, and one branch of each group.
pub(super) fn object(pattern: &Object, map: &Fields, probe: &Probe<'_>) -> Outcome {
    let mut outcome = Outcome::Absent;
    for field in &pattern.fields {
        if !probe.steps.spend(1) {
            return Outcome::No;
        }
        match node(&field.node, map.get(&field.key), probe) {
            Outcome::No => return Outcome::No,
            found => outcome = outcome.max(found),
        }
    }
    for branches in &pattern.groups {
        match any_branch(branches, map, probe) {
            Outcome::No => return Outcome::No,
            found => outcome = outcome.max(found),
        }
    }
    outcome
}

/// The best outcome of the branches.
pub(super) fn any_branch(branches: &[Object], map: &Fields, probe: &Probe<'_>) -> Outcome {
    let mut best = Outcome::No;
    for branch in branches {
        best = best.max(object(branch, map, probe));
        if best == Outcome::Bound {
            break;
        }
    }
    best
}

/// One field of the pattern on the value that the event has there, if any.
pub(super) fn node(pattern: &Node, value: Option<&Json>, probe: &Probe<'_>) -> Outcome {
    let missing = |absentable| if absentable { Outcome::Absent } else { Outcome::No };
    match (pattern, value) {
        (Node::Leaf(leaf), None) => missing(leaf.accepts_missing),
        (Node::Leaf(leaf), Some(value)) => {
            if any_scalar(value, probe, &mut |scalar| leaf.accepts(scalar, probe)) {
                Outcome::Bound
            } else {
                missing(leaf.accepts_missing && !any_scalar(value, probe, &mut |_| true))
            }
        }
        (Node::Object(inner), Some(Json::Object(map))) => object(inner, map, probe),
        (Node::Object(inner), Some(value @ Json::List(_))) => {
            if element_matches(inner, value, probe) {
                Outcome::Bound
            } else {
                missing(inner.absentable && absent(inner, value, &mut Vec::new(), probe))
            }
        }
        (Node::Object(inner), None | Some(_)) => missing(inner.absentable),
    }
}

/// Whether one element, also in nested arrays, matches with a present value.
fn element_matches(pattern: &Object, value: &Json, probe: &Probe<'_>) -> bool {
    if !probe.steps.spend(1) {
        return false;
    }
    match value {
        Json::List(items) => items.iter().any(|item| element_matches(pattern, item, probe)),
        Json::Object(map) => object(pattern, map, probe) == Outcome::Bound,
        _ => false,
    }
}

/// Whether the pattern only requires fields to be absent, and no element of `value` has them.
fn absent<'p>(
    pattern: &'p Object,
    value: &Json,
    keys: &mut Vec<&'p str>,
    probe: &Probe<'_>,
) -> bool {
    let fields = pattern.fields.iter().all(|field| {
        keys.push(&field.key);
        let gone = match &field.node {
            Node::Leaf(leaf) => leaf.accepts_missing && !has_scalar(value, keys, probe),
            Node::Object(inner) => inner.absentable && absent(inner, value, keys, probe),
        };
        keys.pop();
        gone
    });
    fields
        && pattern.groups.iter().all(|branches| {
            branches.iter().any(|branch| branch.absentable && absent(branch, value, keys, probe))
        })
}

/// Whether there is a scalar at the path, in any element of the arrays on the way.
fn has_scalar(value: &Json, keys: &[&str], probe: &Probe<'_>) -> bool {
    if !probe.steps.spend(1) {
        return false;
    }
    match (value, keys) {
        (Json::List(items), _) => items.iter().any(|item| has_scalar(item, keys, probe)),
        (Json::Object(map), [key, rest @ ..]) => {
            map.get(key).is_some_and(|value| has_scalar(value, rest, probe))
        }
        (Json::Object(_), []) => false,
        (_, keys) => keys.is_empty(),
    }
}
