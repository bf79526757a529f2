//! Why a filter does not match: the first field that fails, the expected value, and the found one.

use serde::Serialize;
use serde_json::{Map, Value};

use super::eval::{self, Outcome};
use super::scalar::any_scalar;
use super::{Leaf, Node, Object};

/// Most characters of a found value.
const SHOWN_CHARS: usize = 120;
/// Most branches of an `$or` that are shown.
const SHOWN_BRANCHES: usize = 4;

/// The first condition of a route that an event does not meet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WhyNot {
    /// The field of the event: `type`, `data.risk_score`, `data.$or`.
    pub field: String,
    /// What would match, in words.
    pub expected: String,
    /// What the event has: the start of its JSON, or `nothing`.
    pub found: String,
}

/// The first field that fails, or `None` if the envelope matches.
pub(super) fn why_not(root: &Object, envelope: &Value) -> Option<WhyNot> {
    match envelope {
        Value::Object(map) => first_failure(root, map, &mut Vec::new()),
        other => Some(WhyNot {
            field: "event".to_owned(),
            expected: "a JSON object".to_owned(),
            found: found(Some(other)),
        }),
    }
}

fn first_failure<'p>(
    pattern: &'p Object,
    map: &Map<String, Value>,
    path: &mut Vec<&'p str>,
) -> Option<WhyNot> {
    for field in &pattern.fields {
        let value = map.get(&*field.key);
        if eval::node(&field.node, value) == Outcome::No {
            path.push(&field.key);
            let why = node_failure(&field.node, value, path);
            path.pop();
            return Some(why);
        }
    }
    let failed = |branches: &&Vec<Object>| eval::any_branch(branches, map) == Outcome::No;
    pattern.groups.iter().find(failed).map(|branches| group_failure(branches, map, path))
}

fn node_failure<'p>(node: &'p Node, value: Option<&Value>, path: &mut Vec<&'p str>) -> WhyNot {
    let inner = match node {
        Node::Leaf(leaf) => return leaf_failure(leaf, found(value)),
        Node::Object(inner) => inner,
    };
    let mut elements = Vec::new();
    if let Some(value) = value {
        objects(value, &mut elements);
    }
    let why = match elements.as_slice() {
        [] => missing_failure(inner),
        [one] => first_failure(inner, one, path),
        several => spread_failure(inner, several, &mut Vec::new()),
    };
    why.unwrap_or_else(|| WhyNot {
        field: path.join("."),
        expected: format!("one element with {}", summary(inner)),
        found: format!("no such element among {}", elements.len()),
    })
}

fn leaf_failure(leaf: &Leaf, found: String) -> WhyNot {
    WhyNot { field: leaf.path(), expected: leaf.to_string(), found }
}

/// The objects at this place: the value itself, or the elements of an array.
fn objects<'v>(value: &'v Value, into: &mut Vec<&'v Map<String, Value>>) {
    match value {
        Value::Object(map) => into.push(map),
        Value::Array(items) => items.iter().for_each(|item| objects(item, into)),
        _ => {}
    }
}

/// The first leaf that needs a value where there is none.
fn missing_failure(pattern: &Object) -> Option<WhyNot> {
    let in_fields = pattern.fields.iter().find_map(|field| match &field.node {
        Node::Leaf(leaf) if leaf.accepts_missing => None,
        Node::Leaf(leaf) => Some(leaf_failure(leaf, found(None))),
        Node::Object(inner) => missing_failure(inner),
    });
    in_fields.or_else(|| {
        let group = pattern.groups.iter().find(|group| group.iter().all(|b| !b.absentable))?;
        group.first().and_then(missing_failure)
    })
}

/// The first leaf that no element of an array satisfies.
fn spread_failure<'p>(
    pattern: &'p Object,
    elements: &[&Map<String, Value>],
    keys: &mut Vec<&'p str>,
) -> Option<WhyNot> {
    for field in &pattern.fields {
        keys.push(&field.key);
        let why = match &field.node {
            Node::Object(inner) => spread_failure(inner, elements, keys),
            Node::Leaf(leaf) => {
                let mut values = Vec::new();
                for element in elements {
                    if let Some(value) = element.get(keys[0]) {
                        collect(value, &keys[1..], &mut values);
                    }
                }
                let matched = values
                    .iter()
                    .any(|value| any_scalar(value, &mut |scalar| leaf.accepts(scalar)))
                    || (leaf.accepts_missing && values.len() < elements.len());
                let seen = || match values.as_slice() {
                    [] => found(None),
                    values => shorten(&values.iter().copied().cloned().collect()),
                };
                (!matched).then(|| leaf_failure(leaf, seen()))
            }
        };
        keys.pop();
        if why.is_some() {
            return why;
        }
    }
    None
}

/// The conditions for one element, when each is met, but not all by the same element.
fn summary(pattern: &Object) -> String {
    let fields = pattern.fields.iter().map(|field| match &field.node {
        Node::Leaf(leaf) => format!("{}: {leaf}", field.key),
        Node::Object(inner) => format!("{} with {}", field.key, summary(inner)),
    });
    let groups = pattern.groups.iter().map(|_| "one branch of its $or".to_owned());
    fields.chain(groups).collect::<Vec<_>>().join(" and ")
}

/// Collects all scalars at the path.
fn collect<'v>(value: &'v Value, keys: &[&str], into: &mut Vec<&'v Value>) {
    match (value, keys) {
        (Value::Array(items), _) => items.iter().for_each(|item| collect(item, keys, into)),
        (Value::Object(map), [key, rest @ ..]) => {
            if let Some(value) = map.get(*key) {
                collect(value, rest, into);
            }
        }
        (Value::Object(_), []) | (_, [_, ..]) => {}
        (scalar, []) => into.push(scalar),
    }
}

fn group_failure<'p>(
    branches: &'p [Object],
    map: &Map<String, Value>,
    path: &mut Vec<&'p str>,
) -> WhyNot {
    let shown = branches.iter().take(SHOWN_BRANCHES);
    let whys: Vec<_> = shown.filter_map(|branch| first_failure(branch, map, path)).collect();
    let each = |part: fn(&WhyNot) -> &str, between| {
        let parts = whys.iter().map(|why| format!("{}: {}", why.field, part(why)));
        parts.collect::<Vec<_>>().join(between)
    };
    let more = match branches.len().saturating_sub(SHOWN_BRANCHES) {
        0 => String::new(),
        more => format!(", or {more} more"),
    };
    path.push("$or");
    let field = path.join(".");
    path.pop();
    WhyNot {
        field,
        expected: each(|why| &why.expected, ", or ") + &more,
        found: each(|why| &why.found, ", "),
    }
}

fn found(value: Option<&Value>) -> String {
    match value {
        None => "nothing".to_owned(),
        Some(Value::Object(_)) => "an object".to_owned(),
        Some(list @ Value::Array(_)) if !any_scalar(list, &mut |_| true) => {
            "a list without plain values".to_owned()
        }
        Some(value) => shorten(value),
    }
}

fn shorten(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(SHOWN_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
