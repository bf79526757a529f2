//! The parameters of one call of a helper.

use handlebars::{Helper, PathAndJson};
use serde_json::Value;

/// What a helper was called with.
pub(super) struct Args<'a, 'rc>(pub(super) &'a Helper<'rc>);

impl<'a> Args<'a, '_> {
    /// All parameters without a name.
    pub(super) fn all(&self) -> impl Iterator<Item = &'a Value> + use<'a, '_> {
        self.0.params().iter().map(PathAndJson::value)
    }

    /// The parameter at an index, if there is one.
    pub(super) fn at(&self, index: usize) -> Option<&'a Value> {
        self.0.param(index).map(PathAndJson::value)
    }

    /// The parameter at an index, which the helper requires.
    pub(super) fn get(&self, index: usize) -> Result<&'a Value, String> {
        self.at(index).ok_or_else(|| format!("parameter {} is missing; add it", index + 1))
    }

    /// The text at an index, if the parameter is text.
    pub(super) fn text(&self, index: usize) -> Option<&'a str> {
        self.at(index).and_then(Value::as_str)
    }

    /// The parameter with a name, unless it is null.
    pub(super) fn named(&self, name: &str) -> Option<&'a Value> {
        self.0.hash_get(name).map(PathAndJson::value).filter(|value| !value.is_null())
    }

    /// A number of characters or items, by name or at an index.
    pub(super) fn size(&self, name: &str, index: usize, default: usize) -> usize {
        let given = self.named(name).or_else(|| self.at(index));
        given.and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok()).unwrap_or(default)
    }
}

/// Computes a helper's result from its parameters, or says what is wrong with them.
pub(super) type Function = fn(&Args<'_, '_>) -> Result<Value, String>;
