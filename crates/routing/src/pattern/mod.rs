//! Filters: Amazon EventBridge event patterns, compiled into a typed tree.
//!
//! The rules come from AWS's user guide ("Comparison operators for use in event patterns", "Matching
//! on null values and empty strings", "Arrays in event patterns") and from the README of its
//! open-source matcher, `aws/event-ruler`. `docs/routing.md` describes them for users.
//!
//! # Shape
//!
//! A filter is an object in the shape of the event. All fields that it names must match. The value of
//! a field is a list, and one of its entries must match. `$or`, a list of two or more objects,
//! matches if one of the objects does. Names of fields are compared whole, one level at a time.
//!
//! # Entries of a field
//!
//! | entry | matches |
//! |---|---|
//! | `"x"`, `true`, `null` | this value; null, `""`, and a missing field are three different things |
//! | `300` | the number, however it is written: `300.0`, `3.0e2` |
//! | `{ exactly = "x" }` | the same as `"x"` |
//! | `{ prefix = "x" }`, `{ suffix = "x" }` | text that begins or ends with `x` |
//! | `{ equals-ignore-case = "x" }` | text, ignoring case; also allowed inside `prefix` and `suffix` |
//! | `{ wildcard = "a*b" }` | text; `*` is any number of characters, `\*` and `\\` are a star and a backslash |
//! | `{ numeric = [">", 0, "<=", 5] }` | a number in the range; the signs are `=`, `<`, `<=`, `>`, `>=` |
//! | `{ cidr = "10.0.0.0/8" }` | text that is an IPv4 or IPv6 address in the network |
//! | `{ exists = true }`, `{ exists = false }` | a value that is present, also null; no value |
//! | `{ anything-but = … }` | any value except: a text, a number, a list of texts, or a list of numbers |
//! | `{ anything-but = { prefix = … } }`, also `suffix`, `wildcard`, `equals-ignore-case` | any value except these texts; one text or a list |
//!
//! # Arrays in the event
//!
//! - A list of alternatives matches an array if it matches any of its elements.
//! - A nested object matches an array of objects if one single element matches all of it (array
//!   consistency), also across `$or`.
//! - An empty array counts as missing. An object counts as missing where a list looks for a value.
//! - Where only `exists = false` is asked of an array's elements, all of them must lack the field.
//!
//! # Differences from EventBridge
//!
//! `docs/compatibility.md` lists them with examples.
//!
//! # Bounds
//!
//! The filters of a table have a `Budget`, and the evaluation of one event has `Steps`. All
//! wildcards for one field are matched in one pass over a text (`wildcards`).

mod budget;
mod cursor;
mod describe;
mod eval;
mod guard;
mod leaf;
mod merge;
mod number;
mod operator;
mod parse;
mod parse_operator;
mod probe;
mod range;
mod scalar;
mod steps;
mod text;
mod why;
mod wildcards;

use std::sync::Arc;

use fanfare_contract::Json;

pub(super) use budget::Budget;
pub(super) use leaf::Leaf;
pub(super) use number::Number;
pub(super) use parse::parse;
pub(super) use probe::Probe;
pub(super) use scalar::{Plain, Scalar};
pub use steps::MAX_STEPS;
pub(super) use steps::Steps;
pub use why::WhyNot;
pub(super) use wildcards::WildcardSet;

/// Most levels of objects and `$or` in one filter.
pub const MAX_DEPTH: usize = 32;
/// Most values in one filter, over all its fields.
pub const MAX_VALUES: usize = 10_000;
/// Longest name of a field in a filter, in bytes.
pub const MAX_KEY: usize = 1_024;

/// A compiled filter.
#[derive(Debug)]
pub(super) struct Pattern {
    root: Object,
}

/// Fields that must all match, and groups in each of which one branch must match.
#[derive(Clone, Debug, Default)]
struct Object {
    fields: Vec<Field>,
    groups: Vec<Vec<Object>>,
    /// Whether a missing value can match, because some choice of branches has only `exists = false`.
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
    /// Whether the event's envelope matches. `None` if the steps run out.
    pub(super) fn matches(&self, probe: &Probe<'_>) -> Option<bool> {
        let outcome = match probe.envelope {
            Json::Object(map) => eval::object(&self.root, map, probe),
            _ => eval::Outcome::No,
        };
        (!probe.steps.exhausted()).then_some(outcome != eval::Outcome::No)
    }

    /// The first field that fails, or `None` if the envelope matches.
    pub(super) fn why_not(&self, probe: &Probe<'_>) -> Option<WhyNot> {
        let why = (!probe.steps.exhausted()).then(|| why::why_not(&self.root, probe)).flatten();
        if probe.steps.exhausted() { Some(WhyNot::too_costly()) } else { why }
    }

    /// Leaves at least one of which accepts a value in every event that matches, or `None` if there
    /// are no such leaves.
    pub(super) fn guards(&self) -> Option<Vec<Arc<Leaf>>> {
        guard::guards(&self.root)
    }
}

impl Object {
    /// The object with these parts.
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
