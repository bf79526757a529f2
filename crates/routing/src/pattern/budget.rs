//! What the filters of one table may take together. A tenant writes them, and they stay in memory.

use super::wildcards::{Registry, WildcardSet};

/// Most values in all filters of a table.
const MAX_TABLE_VALUES: usize = 500_000;
/// Most bytes of text in all filters of a table.
const MAX_TABLE_TEXT: usize = 16 * 1024 * 1024;
/// Most fields that all filters of a table copy to multiply out `$or`.
const MAX_TABLE_COPIES: usize = 250_000;

/// The rest, while a table is compiled.
#[derive(Debug)]
pub(crate) struct Budget {
    values: Rest,
    text: Rest,
    copies: Rest,
    pub(super) wildcards: Registry,
}

/// What is left of one limit. It is exceeded once: the first error is enough.
#[derive(Debug)]
struct Rest {
    left: usize,
    exceeded: bool,
}

impl Rest {
    fn new(left: usize) -> Self {
        Self { left, exceeded: false }
    }

    fn take(&mut self, count: usize, message: impl FnOnce() -> String) -> Result<(), String> {
        match self.left.checked_sub(count) {
            Some(left) => self.left = left,
            None if self.exceeded => {}
            None => {
                self.exceeded = true;
                return Err(message());
            }
        }
        Ok(())
    }
}

impl Budget {
    /// A budget for one table.
    pub(crate) fn new() -> Self {
        Self {
            values: Rest::new(MAX_TABLE_VALUES),
            text: Rest::new(MAX_TABLE_TEXT),
            copies: Rest::new(MAX_TABLE_COPIES),
            wildcards: Registry::default(),
        }
    }

    pub(super) fn take_value(&mut self) -> Result<(), String> {
        self.values.take(1, || {
            format!(
                "is one value too many: the filters of all routes of a tenant may have \
                 {MAX_TABLE_VALUES} values together; use fewer routes or fewer values"
            )
        })
    }

    pub(super) fn take_text(&mut self, bytes: usize) -> Result<(), String> {
        self.text.take(bytes, || {
            format!(
                "is one text too many: the filters of all routes of a tenant may have \
                 {MAX_TABLE_TEXT} bytes of text together; use fewer or shorter values"
            )
        })
    }

    pub(super) fn take_copies(&mut self, fields: usize) -> Result<(), String> {
        self.copies.take(fields, || {
            format!(
                "has one combination of `$or` too many: the routes of a tenant may multiply out \
                 {MAX_TABLE_COPIES} fields together; move the `$or` into the nested field"
            )
        })
    }

    /// The wildcards of the table.
    pub(crate) fn into_wildcards(self) -> Box<[WildcardSet]> {
        self.wildcards.build()
    }
}
