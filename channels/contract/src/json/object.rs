//! The fields of a JSON object, in the order in which they were written.

use std::collections::HashMap;

use super::Json;

/// Most fields that are searched one by one.
const FEW: usize = 12;

/// An object's fields. Finding one takes logarithmic time, so an object with many fields cannot make
/// a filter slow.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Object {
    fields: Vec<(Box<str>, Json)>,
    /// Places in `fields`, sorted by name. Empty if there are few fields.
    sorted: Box<[usize]>,
}

impl Object {
    /// An object with these fields. The last of several fields with one name counts.
    pub fn new(fields: Vec<(Box<str>, Json)>) -> Self {
        let name = |at: usize| &*fields[at].0;
        if fields.len() <= FEW {
            let twice = (1..fields.len()).any(|at| (0..at).any(|other| name(at) == name(other)));
            let fields = if twice { deduplicated(fields) } else { fields };
            return Self { fields, sorted: Box::default() };
        }
        let mut sorted: Vec<usize> = (0..fields.len()).collect();
        sorted.sort_by(|a, b| name(*a).cmp(name(*b)));
        if sorted.windows(2).any(|pair| name(pair[0]) == name(pair[1])) {
            return Self::new(deduplicated(fields));
        }
        Self { fields, sorted: sorted.into() }
    }

    /// The value of a field.
    pub fn get(&self, key: &str) -> Option<&Json> {
        if self.sorted.is_empty() {
            return self.fields.iter().find(|(name, _)| **name == *key).map(|(_, value)| value);
        }
        let name = |at: &usize| (*self.fields[*at].0).cmp(key);
        let at = self.sorted.binary_search_by(name).ok()?;
        Some(&self.fields[self.sorted[at]].1)
    }

    /// The number of fields.
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Whether there are no fields.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// The fields in the order in which they were written.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Json)> {
        self.fields.iter().map(|(key, value)| (&**key, value))
    }
}

/// The fields with each name once, at its first place and with its last value.
fn deduplicated(fields: Vec<(Box<str>, Json)>) -> Vec<(Box<str>, Json)> {
    let mut kept: Vec<(Box<str>, Json)> = Vec::with_capacity(fields.len());
    let mut places: HashMap<Box<str>, usize> = HashMap::with_capacity(fields.len());
    for (key, value) in fields {
        let at = *places.entry(key.clone()).or_insert(kept.len());
        match kept.get_mut(at) {
            Some(field) => field.1 = value,
            None => kept.push((key, value)),
        }
    }
    kept
}
