//! The wildcards of a table while it is compiled: grouped by field, and bounded.

use std::collections::HashMap;
use std::sync::Arc;

use super::one::Wildcard;
use super::set::WildcardSet;

/// Most bytes of all wildcards of a table. The automaton takes up to 13 times as much memory.
const MAX_BYTES: usize = 2 * 1024 * 1024;
/// Most stars of all wildcards of a table. Each can cost a step for every event.
const MAX_STARS: usize = 100_000;

/// A wildcard's place among those of its table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::pattern) struct Slot {
    /// The set of its field.
    pub(in crate::pattern) set: u32,
    /// Its number in the set.
    pub(in crate::pattern) number: u32,
}

/// The wildcards of a table. Equal wildcards for one field are one.
#[derive(Debug, Default)]
pub(in crate::pattern) struct Registry {
    sets: HashMap<Box<[Arc<str>]>, u32>,
    slots: HashMap<(u32, Arc<Wildcard>), u32>,
    wildcards: Vec<Vec<Arc<Wildcard>>>,
    bytes: usize,
    stars: usize,
    /// Whether the table was refused. The first error is enough.
    refused: bool,
}

impl Registry {
    /// Adds a wildcard for the field at a path. Fails if the table has too many.
    pub(in crate::pattern) fn add(
        &mut self,
        path: &[Arc<str>],
        wildcard: Wildcard,
    ) -> Result<(Arc<Wildcard>, Slot), String> {
        if self.refused {
            return Ok((Arc::new(wildcard), Slot { set: 0, number: 0 }));
        }
        let new = u32::try_from(self.wildcards.len()).unwrap_or(u32::MAX);
        let set = match self.sets.get(path) {
            Some(set) => *set,
            None => {
                self.sets.insert(path.into(), new);
                self.wildcards.push(Vec::new());
                new
            }
        };
        let wildcard = Arc::new(wildcard);
        if let Some((known, number)) = self.slots.get_key_value(&(set, Arc::clone(&wildcard))) {
            return Ok((Arc::clone(&known.1), Slot { set, number: *number }));
        }
        self.bytes += wildcard.len();
        self.stars += wildcard.stars();
        self.refused = self.bytes > MAX_BYTES || self.stars > MAX_STARS;
        if self.bytes > MAX_BYTES {
            return Err(format!(
                "is one wildcard too many: the wildcards of all routes of a tenant may have \
                 {MAX_BYTES} bytes together; shorten them, or use prefix and suffix"
            ));
        }
        if self.stars > MAX_STARS {
            return Err(format!(
                "is one wildcard too many: the wildcards of all routes of a tenant may have \
                 {MAX_STARS} stars together; use fewer, or use prefix and suffix"
            ));
        }
        let own = &mut self.wildcards[set as usize];
        let number = u32::try_from(own.len()).unwrap_or(u32::MAX);
        own.push(Arc::clone(&wildcard));
        self.slots.insert((set, Arc::clone(&wildcard)), number);
        Ok((wildcard, Slot { set, number }))
    }

    /// The sets, in the order of their numbers.
    pub(in crate::pattern) fn build(self) -> Box<[WildcardSet]> {
        self.wildcards.into_iter().map(WildcardSet::new).collect()
    }
}
