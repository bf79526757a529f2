//! Why a filter does not match: the first field that fails, the expected value, and the found one.

use fanfare_contract::Json;
use fanfare_contract::json::Object as Fields;
use serde::Serialize;

use super::eval::{self, Outcome};
use super::probe::Probe;
use super::scalar::any_scalar;
use super::steps::MAX_STEPS;
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

impl WhyNot {
    /// The filter was not evaluated to its end.
    pub(crate) fn too_costly() -> Self {
        Self {
            field: "event".to_owned(),
            expected: format!("an event that the tenant's filters can test in {MAX_STEPS} steps"),
            found: "one that takes more; use fewer elements in its arrays, or fewer filters"
                .to_owned(),
        }
    }
}

/// The first field that fails, or `None` if the envelope matches.
pub(super) fn why_not(root: &Object, probe: &Probe<'_>) -> Option<WhyNot> {
    match probe.envelope {
        Json::Object(map) => first_failure(root, map, &mut Vec::new(), probe),
        other => Some(WhyNot {
            field: "event".to_owned(),
            expected: "a JSON object".to_owned(),
            found: found(Some(other), probe),
        }),
    }
}

fn first_failure<'p>(
    pattern: &'p Object,
    map: &Fields,
    path: &mut Vec<&'p str>,
    probe: &Probe<'_>,
) -> Option<WhyNot> {
    for field in &pattern.fields {
        let value = map.get(&field.key);
        if eval::node(&field.node, value, probe) == Outcome::No {
            path.push(&field.key);
            let why = node_failure(&field.node, value, path, probe);
            path.pop();
            return Some(why);
        }
    }
    let failed = |branches: &&Vec<Object>| eval::any_branch(branches, map, probe) == Outcome::No;
    pattern.groups.iter().find(failed).map(|branches| group_failure(branches, map, path, probe))
}

fn node_failure<'p>(
    node: &'p Node,
    value: Option<&Json>,
    path: &mut Vec<&'p str>,
    probe: &Probe<'_>,
) -> WhyNot {
    let inner = match node {
        Node::Leaf(leaf) => return leaf_failure(leaf, found(value, probe)),
        Node::Object(inner) => inner,
    };
    let mut elements = Vec::new();
    if let Some(value) = value {
        objects(value, &mut elements, probe);
    }
    let why = match elements.as_slice() {
        [] => missing_failure(inner),
        [one] => first_failure(inner, one, path, probe),
        several => spread_failure(inner, several, &mut Vec::new(), probe),
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
fn objects<'v>(value: &'v Json, into: &mut Vec<&'v Fields>, probe: &Probe<'_>) {
    if !probe.steps.spend(1) {
        return;
    }
    match value {
        Json::Object(map) => into.push(map),
        Json::List(items) => items.iter().for_each(|item| objects(item, into, probe)),
        _ => {}
    }
}

/// The first leaf that needs a value where there is none.
fn missing_failure(pattern: &Object) -> Option<WhyNot> {
    let in_fields = pattern.fields.iter().find_map(|field| match &field.node {
        Node::Leaf(leaf) if leaf.accepts_missing => None,
        Node::Leaf(leaf) => Some(leaf_failure(leaf, NOTHING.to_owned())),
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
    elements: &[&Fields],
    keys: &mut Vec<&'p str>,
    probe: &Probe<'_>,
) -> Option<WhyNot> {
    for field in &pattern.fields {
        keys.push(&field.key);
        let why = match &field.node {
            Node::Object(inner) => spread_failure(inner, elements, keys, probe),
            Node::Leaf(leaf) => {
                let mut values = Vec::new();
                for element in elements {
                    if !probe.steps.spend(1) {
                        return None;
                    }
                    if let Some(value) = element.get(keys[0]) {
                        collect(value, &keys[1..], &mut values, probe);
                    }
                }
                let matched = values.iter().any(|value| {
                    any_scalar(value, probe, &mut |scalar| leaf.accepts(scalar, probe))
                }) || (leaf.accepts_missing && values.len() < elements.len());
                let seen = || match values.as_slice() {
                    [] => NOTHING.to_owned(),
                    values => list(values),
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
fn collect<'v>(value: &'v Json, keys: &[&str], into: &mut Vec<&'v Json>, probe: &Probe<'_>) {
    if !probe.steps.spend(1) {
        return;
    }
    match (value, keys) {
        (Json::List(items), _) => {
            for item in items {
                collect(item, keys, into, probe);
            }
        }
        (Json::Object(map), [key, rest @ ..]) => {
            if let Some(value) = map.get(key) {
                collect(value, rest, into, probe);
            }
        }
        (Json::Object(_), []) | (_, [_, ..]) => {}
        (scalar, []) => into.push(scalar),
    }
}

fn group_failure<'p>(
    branches: &'p [Object],
    map: &Fields,
    path: &mut Vec<&'p str>,
    probe: &Probe<'_>,
) -> WhyNot {
    let shown = branches.iter().take(SHOWN_BRANCHES);
    let whys: Vec<_> = shown.filter_map(|branch| first_failure(branch, map, path, probe)).collect();
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

/// What an event has where there is no value.
const NOTHING: &str = "nothing";

fn found(value: Option<&Json>, probe: &Probe<'_>) -> String {
    match value {
        None => NOTHING.to_owned(),
        Some(Json::Object(_)) => "an object".to_owned(),
        Some(list @ Json::List(_)) if !any_scalar(list, probe, &mut |_| true) => {
            "a list without plain values".to_owned()
        }
        Some(value) => shorten(value),
    }
}

fn list(values: &[&Json]) -> String {
    let mut text = String::new();
    push_list(&mut text, values.iter().copied());
    cut(text)
}

/// The start of a value's JSON. The rest is not written, because a value can be long and an
/// explanation has one for each route.
fn shorten(value: &Json) -> String {
    let mut text = String::new();
    push(&mut text, value);
    cut(text)
}

fn cut(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(SHOWN_CHARS) {
        text.truncate(end);
        text.push('…');
    }
    text
}

/// Whether the text has all characters that are shown.
fn is_full(text: &str) -> bool {
    text.len() > 4 * SHOWN_CHARS
}

fn push(text: &mut String, value: &Json) {
    match value {
        Json::Text(long) => {
            let end = long.char_indices().nth(SHOWN_CHARS + 1).map_or(long.len(), |(end, _)| end);
            text.push_str(&Json::Text(long[..end].into()).to_string());
        }
        Json::Number(digits) => text.push_str(&digits[..digits.len().min(SHOWN_CHARS + 1)]),
        Json::List(items) => push_list(text, items.iter()),
        Json::Object(fields) => {
            text.push('{');
            for (at, (key, value)) in fields.iter().enumerate() {
                if is_full(text) {
                    return;
                }
                text.push_str(if at == 0 { "" } else { "," });
                push(text, &Json::Text(key.into()));
                text.push(':');
                push(text, value);
            }
            text.push('}');
        }
        short => text.push_str(&short.to_string()),
    }
}

fn push_list<'v>(text: &mut String, items: impl Iterator<Item = &'v Json>) {
    text.push('[');
    for (at, item) in items.enumerate() {
        if is_full(text) {
            return;
        }
        text.push_str(if at == 0 { "" } else { "," });
        push(text, item);
    }
    text.push(']');
}
