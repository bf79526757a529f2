//! Where the parser is in a filter, the mistakes that it has found, and the checks that several
//! operators share.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::{Budget, MAX_VALUES};
use crate::error::Fault;
use fanfare_contract::closest;

/// The state of a parser.
pub(super) struct Cursor<'b> {
    pub(super) faults: Vec<Fault>,
    /// The path as written: `when.data.$or[1].x`.
    at: String,
    /// The path in the event: `data`, `x`.
    pub(super) keys: Vec<Arc<str>>,
    /// How many objects are around this place.
    pub(super) depth: usize,
    /// How many values were read so far.
    values: usize,
    /// What is left for all filters of the table.
    pub(super) budget: &'b mut Budget,
}

impl<'b> Cursor<'b> {
    /// A cursor at the start of the filter that is written under `at`.
    pub(super) fn new(at: &str, budget: &'b mut Budget) -> Self {
        Self {
            faults: Vec::new(),
            at: at.to_owned(),
            keys: Vec::new(),
            depth: 0,
            values: 0,
            budget,
        }
    }

    /// Records a mistake at the current place.
    pub(super) fn fault(&mut self, message: impl Into<String>) {
        self.faults.push(Fault::new(self.at.clone(), message));
    }

    /// The value, or `None` after recording the error.
    pub(super) fn checked<T>(&mut self, result: Result<T, String>) -> Option<T> {
        result.map_err(|message| self.fault(message)).ok()
    }

    /// Runs `read` one step further down.
    pub(super) fn within<T>(&mut self, step: &str, read: impl FnOnce(&mut Self) -> T) -> T {
        let len = self.at.len();
        self.at.push_str(step);
        let result = read(self);
        self.at.truncate(len);
        result
    }

    /// Counts a value, and refuses the first one above the limit.
    pub(super) fn count_value(&mut self) -> bool {
        self.values += 1;
        if self.values == MAX_VALUES + 1 {
            self.fault(format!(
                "is value number {} of this filter; the limit is {MAX_VALUES}, so split the route",
                self.values
            ));
        }
        if self.values > MAX_VALUES {
            return false;
        }
        let within = self.budget.take_value();
        if let Err(message) = within {
            self.fault(message);
        }
        true
    }

    /// Counts an exact value.
    pub(super) fn count_scalar(&mut self, value: &Value) -> bool {
        if let Some(text) = value.as_str() {
            self.count_text(text);
        }
        self.count_value()
    }

    /// Counts the bytes of a text.
    fn count_text(&mut self, text: &str) {
        if let Err(message) = self.budget.take_text(text.len()) {
            self.fault(message);
        }
    }

    /// The only name and value of an operator.
    pub(super) fn single<'v>(
        &mut self,
        operator: &'v Map<String, Value>,
        example: &str,
    ) -> Option<(&'v str, &'v Value)> {
        let mut entries = operator.iter();
        match (entries.next(), entries.next()) {
            (Some((name, value)), None) => Some((name, value)),
            (None, _) => {
                self.fault(format!("is an empty object; write an operator, such as {example}"));
                None
            }
            (Some(_), Some(_)) => {
                self.fault(
                    "has several operators in one object; write one object for each, and any of \
                     them may match: [{ prefix = \"a\" }, { suffix = \"z\" }]",
                );
                None
            }
        }
    }

    /// The value as text.
    pub(super) fn text<'v>(&mut self, value: &'v Value) -> Option<&'v str> {
        match value.as_str() {
            Some(text) => self.count_text(text),
            None => self.fault(format!("must be text, not {}; write it in quotes", kind(value))),
        }
        value.as_str()
    }

    /// Records that there is no operator with this name here.
    pub(super) fn unknown_operator(&mut self, name: &str, known: &[&str]) {
        let list = known.join(", ");
        self.fault(match closest(name, known.iter().copied()) {
            Some(near) => {
                format!("`{name}` is not an operator; did you mean `{near}`? Possible here: {list}")
            }
            None => format!("`{name}` is not an operator; possible here: {list}"),
        });
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
