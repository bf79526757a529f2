//! From the JSON of a filter to its tree. All mistakes are found at once.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::cursor::Cursor;
use super::operator::Operator;
use super::scalar::Exact;
use super::{Budget, Field, Leaf, MAX_DEPTH, MAX_KEY, Node, Object, Pattern, merge};
use super::{parse_operator, range};
use crate::error::Fault;
use crate::{exact, spec};

/// The key of a group of alternatives.
const OR: &str = "$or";

/// Compiles the `when` of a route, with what is left for all routes of the table.
pub(crate) fn parse(when: &Value, budget: &mut Budget) -> Result<Pattern, Vec<Fault>> {
    let mut cursor = Cursor::new("when", budget);
    let root = match when {
        Value::Object(map) if spec::not_json(when).is_none() => object(&mut cursor, map),
        _ => {
            cursor.fault(
                "must be an object in the shape of the event, such as \
                 { data = { status = [\"done\"] } }",
            );
            Object::default()
        }
    };
    if !cursor.faults.is_empty() {
        return Err(cursor.faults);
    }
    let root = merge::join_arrays(root, budget).map_err(|fault| vec![fault])?;
    Ok(Pattern { root })
}

fn object(cursor: &mut Cursor<'_>, map: &Map<String, Value>) -> Object {
    if map.is_empty() {
        cursor.fault("is an empty object; name a field in it, or leave it out");
    }
    if cursor.depth == MAX_DEPTH {
        cursor.fault(format!("is nested deeper than {MAX_DEPTH} levels; use fewer levels"));
        return Object::default();
    }
    cursor.depth += 1;
    let mut fields = Vec::new();
    let mut groups = Vec::new();
    for (key, value) in map {
        cursor.within(&step(key), |cursor| {
            if key == OR {
                groups.push(group(cursor, value));
            } else {
                fields.extend(field(cursor, key, value));
            }
        });
    }
    cursor.depth -= 1;
    Object::new(fields, groups)
}

fn group(cursor: &mut Cursor<'_>, value: &Value) -> Vec<Object> {
    let Some(branches) = value.as_array().filter(|branches| branches.len() >= 2) else {
        cursor.fault(
            "must be a list of two or more objects, one of which must match; write a single one \
             without `$or`",
        );
        return Vec::new();
    };
    let mut read = Vec::with_capacity(branches.len());
    for (i, branch) in branches.iter().enumerate() {
        cursor.within(&format!("[{i}]"), |cursor| match branch {
            Value::Object(map) => {
                refuse_operators(cursor, map);
                read.push(object(cursor, map));
            }
            _ => cursor.fault("must be an object of fields, such as { status = [\"done\"] }"),
        });
    }
    read
}

/// Refuses operators in a branch of `$or`, which takes fields.
fn refuse_operators(cursor: &mut Cursor<'_>, map: &Map<String, Value>) {
    for key in map.keys().filter(|key| parse_operator::NAMES.contains(&key.as_str())) {
        cursor.within(&step(key), |cursor| {
            cursor.fault(format!(
                "`{key}` is an operator, but `$or` takes fields; list the alternatives of one \
                 field without `$or`: field = [{{ {key} = … }}, …]"
            ));
        });
    }
}

fn field(cursor: &mut Cursor<'_>, key: &str, value: &Value) -> Option<Field> {
    if let Some(message) = spec::not_json(value) {
        cursor.fault(format!("{message}, in a list"));
        return None;
    }
    if let Some(inner) = key.strip_prefix("data.").filter(|_| cursor.keys.is_empty()) {
        cursor.fault(format!(
            "is one name, and its dot does not lead into `data`; write data = {{ {inner} = {value} }}"
        ));
        return None;
    }
    if key.len() > MAX_KEY {
        cursor.fault(format!("has a name of {} bytes; the limit is {MAX_KEY}", key.len()));
        return None;
    }
    let key: Arc<str> = key.into();
    cursor.keys.push(Arc::clone(&key));
    let node = match value {
        Value::Array(items) => Some(Node::Leaf(Arc::new(leaf(cursor, items)))),
        Value::Object(map) => {
            (!refuse_bare_operator(cursor, map)).then(|| Node::Object(object(cursor, map)))
        }
        bare => {
            cursor.fault(format!("must be a list of alternatives; write [{bare}]"));
            None
        }
    };
    cursor.keys.pop();
    node.map(|node| Field { key, node })
}

/// Refuses an operator that is not in a list. It would be read as the name of a field.
fn refuse_bare_operator(cursor: &mut Cursor<'_>, map: &Map<String, Value>) -> bool {
    let bare = map.iter().find(|(key, value)| match key.as_str() {
        "anything-but" | "equals-ignore-case" => true,
        "numeric" => value.get(0).and_then(Value::as_str).is_some_and(range::is_comparison),
        name => parse_operator::NAMES.contains(&name) && !value.is_array() && !value.is_object(),
    });
    let Some((key, value)) = bare.filter(|_| map.len() == 1) else { return false };
    cursor.fault(format!("an operator must be in a list; write [{{ {key} = {value} }}]"));
    true
}

fn leaf(cursor: &mut Cursor<'_>, items: &[Value]) -> Leaf {
    if items.is_empty() {
        cursor.fault("is an empty list, so no event could match; add a value, or leave it out");
    }
    let mut exact = Vec::new();
    let mut operators = Vec::new();
    for (i, item) in items.iter().enumerate() {
        cursor.within(&format!("[{i}]"), |cursor| match (spec::not_json(item), item) {
            (Some(message), _) => cursor.fault(message),
            (None, Value::Array(_)) => {
                cursor.fault("is a list in a list; write all alternatives in one list");
            }
            (None, number) if exact::is_number(number) => match exact::fault(number) {
                Some(message) => cursor.fault(message),
                None => exact.extend(cursor.count_value().then_some(number)),
            },
            (None, Value::Object(operator)) => {
                if let Some(value) = parse_operator::exactly(cursor, operator) {
                    return exact.push(value);
                }
                operators.extend(parse_operator::parse(cursor, operator));
            }
            (None, scalar) => exact.extend(cursor.count_scalar(scalar).then_some(scalar)),
        });
    }
    Leaf {
        keys: cursor.keys.as_slice().into(),
        exact: Exact::new(exact),
        cost: 1 + operators.iter().map(Operator::cost).sum::<usize>(),
        accepts_missing: operators.iter().any(|it| matches!(it, Operator::Exists(false))),
        operators: operators.into(),
    }
}

/// One step of a path as it is written. Unusual names are quoted.
fn step(key: &str) -> String {
    let usual = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '$');
    if !key.is_empty() && key.chars().all(usual) { format!(".{key}") } else { format!(".{key:?}") }
}
