//! Finding the filtered routes that can match an event.
//!
//! Every filter has guards ([`Pattern::guards`]): if it matches an event, at least one of them accepts
//! a value of the event. The index holds the guards in a tree of field names. One walk over the parts
//! of the event that are in the tree finds the guards that accept a value: guards with exact values
//! through a hash map, the others one by one. So the cost depends on the size of the event and on the
//! guards with operators, not on the number of fields in all filters.

use std::collections::HashMap;
use std::sync::Arc;

use fanfare_contract::Json;

use super::pattern::{Leaf, Pattern, Plain, Probe, Scalar};

/// Most exact values in all indexes of one table. Further guards are tested one by one, which is
/// slower. The limit bounds the memory that a small file can use.
const MAX_EXACT: usize = 250_000;

/// Guards that were found already and are skipped in one step.
const TESTED_PER_STEP: usize = 8;

/// The rest of [`MAX_EXACT`] while a table is compiled.
pub(super) struct IndexBudget(usize);

impl IndexBudget {
    pub(super) fn new() -> Self {
        Self(MAX_EXACT)
    }
}

/// The filtered routes of one event-type pattern.
#[derive(Debug, Default)]
pub(super) struct FilterIndex {
    /// Routes without a guard, which can match any event.
    always: Vec<u32>,
    root: Place,
}

/// A place in the event, and the guards for the values there.
#[derive(Debug, Default)]
struct Place {
    fields: HashMap<Arc<str>, Place>,
    texts: HashMap<Box<str>, Vec<u32>>,
    plain: HashMap<Plain, Vec<u32>>,
    tested: Vec<(Arc<Leaf>, u32)>,
}

impl FilterIndex {
    /// Adds a route. Routes are added in ascending order.
    pub(super) fn add(&mut self, route: u32, filter: &Pattern, budget: &mut IndexBudget) {
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

    /// Adds the routes that can match `envelope` to `found`.
    pub(super) fn candidates(&self, probe: &Probe<'_>, found: &mut NumberSet) {
        self.always.iter().for_each(|route| found.add(*route));
        self.root.walk(probe.envelope, probe, found);
    }
}

impl Place {
    fn add(&mut self, route: u32, leaf: Arc<Leaf>, budget: &mut IndexBudget) {
        let left = budget.0.checked_sub(leaf.exact.len());
        if let Some(left) = left.filter(|_| leaf.is_exact()) {
            budget.0 = left;
            for text in &leaf.exact.texts {
                add_once(self.texts.entry(text.clone()).or_default(), route);
            }
            for plain in &leaf.exact.plain {
                add_once(self.plain.entry(plain.clone()).or_default(), route);
            }
        } else {
            self.tested.push((leaf, route));
        }
    }

    fn walk(&self, value: &Json, probe: &Probe<'_>, found: &mut NumberSet) {
        if !probe.steps.spend(1) {
            return;
        }
        match value {
            Json::List(items) => items.iter().for_each(|item| self.walk(item, probe, found)),
            Json::Object(map) if self.fields.len() < map.len() => {
                probe.steps.spend(self.fields.len());
                for (key, place) in &self.fields {
                    if let Some(value) = map.get(key) {
                        place.walk(value, probe, found);
                    }
                }
            }
            Json::Object(map) => {
                probe.steps.spend(map.len());
                for (key, value) in map.iter() {
                    if let Some(place) = self.fields.get(key) {
                        place.walk(value, probe, found);
                    }
                }
            }
            scalar => {
                if let Some(scalar) = Scalar::new(scalar, probe) {
                    self.test(&scalar, probe, found);
                }
            }
        }
    }

    fn test(&self, scalar: &Scalar<'_>, probe: &Probe<'_>, found: &mut NumberSet) {
        let exact = match scalar {
            Scalar::Text(text) => self.texts.get(*text),
            Scalar::Plain(plain) => self.plain.get(plain),
        };
        probe.steps.spend(exact.map_or(0, Vec::len));
        exact.into_iter().flatten().for_each(|route| found.add(*route));
        probe.steps.spend(self.tested.len() / TESTED_PER_STEP);
        for (leaf, route) in &self.tested {
            if !found.has(*route) && leaf.accepts(scalar, probe) {
                found.add(*route);
            }
        }
    }
}

/// Adds a route that may already be the last one, because a route can have several guards at the same
/// place.
fn add_once(routes: &mut Vec<u32>, route: u32) {
    if routes.last() != Some(&route) {
        routes.push(route);
    }
}

/// A set of small numbers (routes or destinations). An empty set allocates nothing.
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
