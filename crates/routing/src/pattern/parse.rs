//! From the JSON of a pattern to its tree, with every fault found at once.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::leaf::{Exact, Test};
use super::{Field, Leaf, MAX_DEPTH, MAX_VALUES, Node, Object, Pattern, merge, operators};
use crate::error::Fault;
use crate::spec;

/// The key of a group of alternatives.
const OR: &str = "$or";

/// Compiles the `when` of a route.
pub(crate) fn parse(when: &Value) -> Result<Pattern, Vec<Fault>> {
    let mut parser = Parser { at: "when".to_owned(), ..Parser::default() };
    let root = match when {
        Value::Object(map) if spec::foreign(when).is_none() => parser.object(map),
        _ => {
            parser.fault("must be an object with the shape of the event, such as { data = { status = [\"done\"] } }");
            Object::default()
        }
    };
    let root = if parser.faults.is_empty() {
        merge::join_arrays(root).map_err(|fault| vec![fault])?
    } else {
        return Err(parser.faults);
    };
    Ok(Pattern { root })
}

/// Where the parser is, and what it found.
#[derive(Default)]
pub(super) struct Parser {
    faults: Vec<Fault>,
    /// The path as written: `when.data.$or[1].x`.
    at: String,
    /// The path in the event: `data`, `x`.
    keys: Vec<Arc<str>>,
    depth: usize,
    values: usize,
}

/// A leaf that is being read.
#[derive(Default)]
struct Draft {
    exact: Exact,
    tests: Vec<Test>,
    accepts_missing: bool,
}

impl Parser {
    /// Notes a fault at the current place.
    pub(super) fn fault(&mut self, message: impl Into<String>) {
        self.faults.push(Fault::new(self.at.clone(), message));
    }

    /// Runs `read` one step further down.
    pub(super) fn within<T>(&mut self, step: &str, read: impl FnOnce(&mut Self) -> T) -> T {
        let len = self.at.len();
        self.at.push_str(step);
        let result = read(self);
        self.at.truncate(len);
        result
    }

    /// Counts a value, and refuses the first one too many.
    pub(super) fn count_value(&mut self) -> bool {
        self.values += 1;
        if self.values == MAX_VALUES + 1 {
            self.fault(format!(
                "is value number {} of this filter; the limit is {MAX_VALUES}, so split the route",
                self.values
            ));
        }
        self.values <= MAX_VALUES
    }

    fn object(&mut self, map: &Map<String, Value>) -> Object {
        if map.is_empty() {
            self.fault(
                "is an empty object, which says nothing; name a field in it, or leave it out",
            );
        }
        if self.depth == MAX_DEPTH {
            self.fault(format!("is nested deeper than {MAX_DEPTH} levels"));
            return Object::default();
        }
        self.depth += 1;
        let mut fields = Vec::new();
        let mut groups = Vec::new();
        for (key, value) in map {
            self.within(&step(key), |parser| {
                if key == OR {
                    groups.push(parser.group(value));
                } else {
                    fields.extend(parser.field(key, value));
                }
            });
        }
        self.depth -= 1;
        Object::new(fields, groups)
    }

    fn group(&mut self, value: &Value) -> Vec<Object> {
        let Some(branches) = value.as_array().filter(|branches| branches.len() >= 2) else {
            self.fault(
                "must be a list of two or more patterns, of which one has to match; \
                 a single one goes in without `$or`",
            );
            return Vec::new();
        };
        let mut read = Vec::with_capacity(branches.len());
        for (i, branch) in branches.iter().enumerate() {
            self.within(&format!("[{i}]"), |parser| match branch {
                Value::Object(map) => {
                    parser.branch_names(map);
                    read.push(parser.object(map));
                }
                _ => parser.fault("must be an object of fields, such as { status = [\"done\"] }"),
            });
        }
        read
    }

    /// `$or` is between patterns of fields, not between the alternatives of one.
    fn branch_names(&mut self, map: &Map<String, Value>) {
        for key in map.keys().filter(|key| operators::NAMES.contains(&key.as_str())) {
            self.within(&step(key), |parser| {
                parser.fault(format!(
                    "`{key}` is an operator, and a field's name is needed here; the alternatives \
                     of one field are listed without `$or`: field = [{{ {key} = … }}, …]"
                ));
            });
        }
    }

    fn field(&mut self, key: &str, value: &Value) -> Option<Field> {
        if let Some(message) = spec::foreign(value) {
            self.fault(format!("{message}, in a list"));
            return None;
        }
        if let Some(inner) = key.strip_prefix("data.").filter(|_| self.keys.is_empty()) {
            self.fault(format!(
                "names are compared whole, so the dot leads nowhere: write data = {{ {inner} = {value} }}"
            ));
            return None;
        }
        let key: Arc<str> = key.into();
        self.keys.push(Arc::clone(&key));
        let node = match value {
            Value::Array(items) => Some(Node::Leaf(Arc::new(self.leaf(items)))),
            Value::Object(map) => self.nested(map).then(|| Node::Object(self.object(map))),
            bare => {
                self.fault(format!("must be a list of alternatives: write [{bare}]"));
                None
            }
        };
        self.keys.pop();
        node.map(|node| Field { key, node })
    }

    /// Refuses what looks like an operator that lacks its list, and would be read as a field.
    fn nested(&mut self, map: &Map<String, Value>) -> bool {
        let mistaken = map.iter().find(|(key, value)| match key.as_str() {
            "anything-but" | "equals-ignore-case" => true,
            "numeric" => value.get(0).and_then(Value::as_str).is_some_and(operators::is_comparison),
            name => operators::NAMES.contains(&name) && !value.is_array() && !value.is_object(),
        });
        if let Some((key, value)) = mistaken.filter(|_| map.len() == 1) {
            self.fault(format!("an operator goes into a list: write [{{ {key} = {value} }}]"));
            return false;
        }
        true
    }

    fn leaf(&mut self, items: &[Value]) -> Leaf {
        if items.is_empty() {
            self.fault(
                "is an empty list, which nothing matches; put in a value, or leave the field out",
            );
        }
        let mut draft = Draft::default();
        for (i, item) in items.iter().enumerate() {
            self.within(&format!("[{i}]"), |parser| parser.alternative(item, &mut draft));
        }
        Leaf {
            keys: self.keys.as_slice().into(),
            exact: draft.exact.seal(),
            tests: draft.tests.into(),
            accepts_missing: draft.accepts_missing,
        }
    }

    fn alternative(&mut self, item: &Value, draft: &mut Draft) {
        if let Some(message) = spec::foreign(item) {
            self.fault(message);
            return;
        }
        match item {
            Value::Array(_) => {
                self.fault("is a list in a list; write the alternatives in one list");
            }
            Value::Object(operator) => {
                let Some(test) = operators::read(self, operator) else { return };
                draft.accepts_missing |= matches!(test, Test::Exists(false));
                draft.tests.push(test);
            }
            scalar => {
                if self.count_value() {
                    draft.exact.push(scalar);
                }
            }
        }
    }
}

/// One step of a written path; unusual names are quoted.
fn step(key: &str) -> String {
    let usual = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '$');
    if !key.is_empty() && key.chars().all(usual) { format!(".{key}") } else { format!(".{key:?}") }
}
