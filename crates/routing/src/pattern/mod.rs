//! Filters: Amazon EventBridge event patterns, compiled into a typed tree.
//!
//! The rules are those of AWS's user guide ("Comparison operators for use in event patterns",
//! "Matching on null values and empty strings", "Arrays in event patterns") and of the README of
//! its open-source matcher, `aws/event-ruler`.
//!
//! # Shape
//! A pattern is an object with the shape of the event. Every field that it names must match
//! (*and*); a field's value in the pattern is a list, of which one entry must match (*or*).
//! `$or`, a list of two or more such objects, matches when one of them does. Field names are
//! compared whole, one level at a time.
//!
//! # Alternatives of a field
//! | written | matches |
//! |---|---|
//! | `"x"`, `true`, `null` | that very value; null, `""` and a missing field are three things |
//! | `300` | the number, however it is spelt: `300.0`, `3.0e2` |
//! | `{ prefix = "x" }`, `{ suffix = "x" }` | text that begins or ends so |
//! | `{ prefix = { equals-ignore-case = "x" } }`, same for `suffix` | the same, whatever the case |
//! | `{ equals-ignore-case = "x" }` | text, whatever the case |
//! | `{ wildcard = "a*b" }` | text; `*` is any number of characters, `\*` and `\\` are themselves |
//! | `{ numeric = [">", 0, "<=", 5] }` | JSON numbers in that range; also `=` |
//! | `{ cidr = "10.0.0.0/8" }` | text that is an IPv4 or IPv6 address in that network |
//! | `{ exists = true }`, `{ exists = false }` | a value that is there (null too), or none |
//! | `{ anything-but = … }` | any value but these: text, number, or a list of either |
//! | `{ anything-but = { prefix = … } }`, also `suffix`, `wildcard`, `equals-ignore-case` | any value but those; one text or a list |
//!
//! # Arrays in the event
//! A list of alternatives matches an array when it matches any of its elements. A nested object
//! pattern matches an array of objects when one single element matches all of it (array
//! consistency), also across `$or`. An empty array, and an object where a list of alternatives
//! looks for a value, count as missing: `exists` works on leaves only. Where nothing but
//! `exists = false` is asked of the elements of an array, all of them must lack the field.
//!
//! # Where this differs from EventBridge
//! - Numbers are compared exactly, without the documented limits of range and precision.
//! - An exact value that happens to be an IP address is compared as text like any other.
//! - `cidr` takes `/32` and `/128` too.
//! - Case is ignored by Unicode's rules for whole characters (`ß` equals `SS`).
//! - A dot in a field's name is an ordinary character.

mod eval;
mod guard;
mod leaf;
mod merge;
mod number;
mod operators;
mod parse;
mod text;
mod why;

use std::sync::Arc;

use serde_json::Value;

pub(super) use leaf::{Leaf, Plain, Scalar};
pub(super) use parse::parse;
pub use why::WhyNot;

/// Deepest nesting of objects and `$or` in one pattern.
pub const MAX_DEPTH: usize = 32;
/// Most values in one pattern, over all its fields.
pub const MAX_VALUES: usize = 10_000;

/// A compiled pattern.
#[derive(Debug)]
pub(super) struct Pattern {
    root: Object,
}

/// Fields that must all match, and groups of which one branch each must match.
#[derive(Clone, Debug, Default)]
struct Object {
    fields: Vec<Field>,
    groups: Vec<Vec<Object>>,
    /// A missing value can satisfy it: only `exists = false` is asked, in some choice of branches.
    absentable: bool,
}

#[derive(Clone, Debug)]
struct Field {
    key: Arc<str>,
    node: Node,
}

#[derive(Clone, Debug)]
enum Node {
    Leaf(Arc<Leaf>),
    Object(Object),
}

impl Pattern {
    /// Whether the event's envelope matches.
    pub(super) fn matches(&self, envelope: &Value) -> bool {
        envelope.as_object().is_some_and(|map| eval::object(&self.root, map) != eval::Outcome::No)
    }

    /// The first field that fails, or none when the envelope matches.
    pub(super) fn why_not(&self, envelope: &Value) -> Option<WhyNot> {
        why::why_not(&self.root, envelope)
    }

    /// Leaves of which at least one must accept a value in every event that matches, or none
    /// when there are no such leaves.
    pub(super) fn guards(&self) -> Option<Vec<Arc<Leaf>>> {
        guard::guards(&self.root)
    }
}

impl Object {
    /// Puts it together, with what follows from the parts.
    fn new(fields: Vec<Field>, groups: Vec<Vec<Self>>) -> Self {
        let absentable = fields.iter().all(|field| field.node.absentable())
            && groups.iter().all(|branches| branches.iter().any(|branch| branch.absentable));
        Self { fields, groups, absentable }
    }
}

impl Node {
    fn absentable(&self) -> bool {
        match self {
            Self::Leaf(leaf) => leaf.accepts_missing,
            Self::Object(object) => object.absentable,
        }
    }
}
