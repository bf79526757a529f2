//! What the evaluation of one event shares among filters: the steps that are left, and the wildcards
//! that were already matched.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use fanfare_contract::Json;

use super::steps::Steps;
use super::wildcards::{Scan, Slot, Wildcard, WildcardSet};

/// Texts up to this length are compared with a wildcard directly, if its field has few of them.
const SHORT: usize = 256;

/// One event under evaluation.
pub(crate) struct Probe<'v> {
    pub(crate) envelope: &'v Json,
    pub(crate) steps: Steps,
    sets: &'v [WildcardSet],
    memory: RefCell<Memory>,
}

#[derive(Default)]
struct Memory {
    scans: HashMap<u32, Scan>,
    /// The wildcards of a set that match a text of the envelope. The text is known by its address,
    /// which is stable because the envelope is borrowed.
    found: HashMap<TextId, Rc<[u32]>>,
    /// The last answer. A leaf asks for one text once for each of its wildcards.
    last: Option<(TextId, Rc<[u32]>)>,
}

/// A set of wildcards, and the address and the length of a text.
type TextId = (u32, usize, usize);

impl<'v> Probe<'v> {
    /// A probe of this envelope with the wildcards of a table.
    pub(crate) fn new(envelope: &'v Json, sets: &'v [WildcardSet], steps: Steps) -> Self {
        Self { envelope, steps, sets, memory: RefCell::default() }
    }

    /// Whether a wildcard matches a text of the envelope.
    pub(super) fn wildcard(&self, wildcard: &Wildcard, slot: Slot, text: &str) -> bool {
        let Some(set) = self.sets.get(slot.set as usize) else { return false };
        if text.len() <= SHORT && set.is_small() {
            return wildcard.matches(text);
        }
        let key = (slot.set, text.as_ptr().addr(), text.len());
        let memory = &mut *self.memory.borrow_mut();
        if let Some((last, found)) = &memory.last
            && *last == key
        {
            return found.binary_search(&slot.number).is_ok();
        }
        let found = memory.found.entry(key).or_insert_with(|| {
            let scan = memory.scans.entry(slot.set).or_default();
            set.matching(text, scan, &self.steps).into()
        });
        memory.last = Some((key, Rc::clone(found)));
        found.binary_search(&slot.number).is_ok()
    }
}
