//! Which of many filtered routes are worth evaluating on an event.
//!
//! Every filter names its guards ([`super::pattern`]): leaves of which one accepts a value in any
//! event that it matches. They are laid out as a tree of field names. One walk over those parts
//! of the event that the tree knows meets every guard: exact values by hash, others one by one.
//! The walk costs what the event is large, however many fields the routes ask about.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;

use super::pattern::{Leaf, Pattern, Plain, Scalar};

/// Most exact values that the indexes of one table hold together. Guards beyond it are tested
/// one by one: slower, never wrong. It bounds what a small file can make a table weigh.
const MAX_EXACT: usize = 250_000;

/// What is left of [`MAX_EXACT`] while a table is compiled.
pub(super) struct Budget(usize);

impl Budget {
    pub(super) fn new() -> Self {
        Self(MAX_EXACT)
    }
}

/// The filtered routes of one event-type pattern.
#[derive(Debug, Default)]
pub(super) struct FilterIndex {
    /// Routes that may match whatever the event has.
    always: Vec<u32>,
    root: Place,
}

/// A place in the event, and the guards that look at what is there.
#[derive(Debug, Default)]
struct Place {
    fields: HashMap<Arc<str>, Place>,
    texts: HashMap<Box<str>, Vec<u32>>,
    plain: HashMap<Plain, Vec<u32>>,
    tested: Vec<(Arc<Leaf>, u32)>,
}

impl FilterIndex {
    /// Adds a route. Routes are added in ascending order.
    pub(super) fn add(&mut self, route: u32, filter: &Pattern, budget: &mut Budget) {
        let Some(guards) = filter.guards() else {
            self.always.push(route);
            return;
        };
        for leaf in guards {
            let place = leaf.keys.iter().fold(&mut self.root, |place, key| {
                place.fields.entry(Arc::clone(key)).or_default()
            });
            place.add(route, leaf, budget);
        }
    }

    /// Adds the routes that may match `envelope` to `found`.
    pub(super) fn candidates(&self, envelope: &Value, found: &mut NumberSet) {
        self.always.iter().for_each(|route| found.add(*route));
        self.root.walk(envelope, found);
    }
}

impl Place {
    fn add(&mut self, route: u32, leaf: Arc<Leaf>, budget: &mut Budget) {
        let left = budget.0.checked_sub(leaf.exact.len());
        if let Some(left) = left.filter(|_| leaf.is_exact()) {
            budget.0 = left;
            for text in &leaf.exact.texts {
                add_once(self.texts.entry(text.clone()).or_default(), route);
            }
            for plain in &leaf.exact.plain {
                add_once(self.plain.entry(*plain).or_default(), route);
            }
        } else {
            self.tested.push((leaf, route));
        }
    }

    fn walk(&self, value: &Value, found: &mut NumberSet) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| self.walk(item, found)),
            Value::Object(map) if self.fields.len() < map.len() => {
                for (key, place) in &self.fields {
                    if let Some(value) = map.get(&**key) {
                        place.walk(value, found);
                    }
                }
            }
            Value::Object(map) => {
                for (key, value) in map {
                    if let Some(place) = self.fields.get(key.as_str()) {
                        place.walk(value, found);
                    }
                }
            }
            scalar => {
                if let Some(scalar) = Scalar::new(scalar) {
                    self.probe(scalar, found);
                }
            }
        }
    }

    fn probe(&self, scalar: Scalar<'_>, found: &mut NumberSet) {
        let exact = match scalar {
            Scalar::Text(text) => self.texts.get(text),
            Scalar::Plain(plain) => self.plain.get(&plain),
        };
        exact.into_iter().flatten().for_each(|route| found.add(*route));
        for (leaf, route) in &self.tested {
            if !found.has(*route) && leaf.accepts(scalar) {
                found.add(*route);
            }
        }
    }
}

/// One route may have several guards at the same place.
fn add_once(routes: &mut Vec<u32>, route: u32) {
    if routes.last() != Some(&route) {
        routes.push(route);
    }
}

/// A set of small numbers (routes, destinations) that allocates with its first member.
#[derive(Default)]
pub(super) struct NumberSet {
    members: Vec<u32>,
    bits: Vec<u64>,
}

impl NumberSet {
    pub(super) fn has(&self, number: u32) -> bool {
        let word = self.bits.get(number as usize / 64);
        word.is_some_and(|word| word >> (number % 64) & 1 == 1)
    }

    pub(super) fn add(&mut self, number: u32) {
        if !self.has(number) {
            let word = number as usize / 64;
            if word >= self.bits.len() {
                self.bits.resize(word + 1, 0);
            }
            self.bits[word] |= 1 << (number % 64);
            self.members.push(number);
        }
    }

    /// Every member once, in no particular order.
    pub(super) fn members(&self) -> &[u32] {
        &self.members
    }
}
