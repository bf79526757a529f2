//! Holding a pattern against an event.
//!
//! The tree is walked as it is: the cost is bounded by the pattern's fields times the event's
//! nodes, whatever the `$or`s. Array consistency falls out of the walk, because all that a nested
//! pattern says of an array is asked of one element at a time ([`super::merge`] sees to it that
//! the pattern mentions an array in one place only).

use serde_json::{Map, Value};

use super::leaf::any_scalar;
use super::{Node, Object};

/// How a pattern fared on a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Outcome {
    /// It does not match.
    No,
    /// It matches, and only because fields are absent. In an array this is not about one element:
    /// the fields must be absent from all of them.
    Absent,
    /// It matches, and a value that is there helped.
    Bound,
}

/// All fields must match, and one branch of each group.
pub(super) fn object(pattern: &Object, map: &Map<String, Value>) -> Outcome {
    let mut outcome = Outcome::Absent;
    for field in &pattern.fields {
        match node(&field.node, map.get(&*field.key)) {
            Outcome::No => return Outcome::No,
            found => outcome = outcome.max(found),
        }
    }
    for branches in &pattern.groups {
        match any_branch(branches, map) {
            Outcome::No => return Outcome::No,
            found => outcome = outcome.max(found),
        }
    }
    outcome
}

/// The best outcome of the branches.
pub(super) fn any_branch(branches: &[Object], map: &Map<String, Value>) -> Outcome {
    let mut best = Outcome::No;
    for branch in branches {
        best = best.max(object(branch, map));
        if best == Outcome::Bound {
            break;
        }
    }
    best
}

/// One field of the pattern against what the event has in its place.
pub(super) fn node(pattern: &Node, value: Option<&Value>) -> Outcome {
    let missing = |absentable| if absentable { Outcome::Absent } else { Outcome::No };
    match (pattern, value) {
        (Node::Leaf(leaf), None) => missing(leaf.accepts_missing),
        (Node::Leaf(leaf), Some(value)) => {
            if any_scalar(value, &mut |scalar| leaf.accepts(scalar)) {
                Outcome::Bound
            } else {
                missing(leaf.accepts_missing && !any_scalar(value, &mut |_| true))
            }
        }
        (Node::Object(inner), Some(Value::Object(map))) => object(inner, map),
        (Node::Object(inner), Some(value @ Value::Array(_))) => {
            if element_matches(inner, value) {
                Outcome::Bound
            } else {
                missing(inner.absentable && absent(inner, value, &mut Vec::new()))
            }
        }
        (Node::Object(inner), None | Some(_)) => missing(inner.absentable),
    }
}

/// Whether one element, at any depth of arrays in arrays, matches by a value that it has.
fn element_matches(pattern: &Object, value: &Value) -> bool {
    match value {
        Value::Array(items) => items.iter().any(|item| element_matches(pattern, item)),
        Value::Object(map) => object(pattern, map) == Outcome::Bound,
        _ => false,
    }
}

/// Whether all that the pattern asks of `value` is that fields be absent, and none of the
/// elements has them.
fn absent<'p>(pattern: &'p Object, value: &Value, keys: &mut Vec<&'p str>) -> bool {
    let fields = pattern.fields.iter().all(|field| {
        keys.push(&field.key);
        let gone = match &field.node {
            Node::Leaf(leaf) => leaf.accepts_missing && !has_scalar(value, keys),
            Node::Object(inner) => inner.absentable && absent(inner, value, keys),
        };
        keys.pop();
        gone
    });
    fields
        && pattern.groups.iter().all(|branches| {
            branches.iter().any(|branch| branch.absentable && absent(branch, value, keys))
        })
}

/// Whether there is a scalar at the path, through any element of the arrays on the way.
fn has_scalar(value: &Value, keys: &[&str]) -> bool {
    match (value, keys) {
        (Value::Array(items), _) => items.iter().any(|item| has_scalar(item, keys)),
        (Value::Object(map), [key, rest @ ..]) => {
            map.get(*key).is_some_and(|value| has_scalar(value, rest))
        }
        (Value::Object(_), []) => false,
        (_, keys) => keys.is_empty(),
    }
}
