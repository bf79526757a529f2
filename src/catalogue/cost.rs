//! What checking an event against a JSON Schema costs at most, found before any event is checked.
//!
//! The validator has no budget, and a schema of a few lines can branch exponentially: an `anyOf`
//! with two references to an `anyOf` with two references, and so on. This follows the branches that
//! apply to one value, by the number of levels of the event, and counts them. The result is the
//! most checks that any value of an event can need.

use std::collections::HashMap;

use serde_json::{Map, Value};

/// Most bytes of a schema.
const BYTES: usize = 256 * 1024;
/// Most checks for one value of an event. A schema of a large business object needs less than 100.
const CHECKS: u64 = 10_000;
/// Most checks inside of each other, because the validator is recursive.
const DEPTH: u64 = 400;
/// Most levels of an event. See `event::Limits`.
const LEVELS: usize = 100;
/// Most checks for one event. They take a few milliseconds.
const BUDGET: u64 = 250_000;
/// Bytes of text that a pattern reads in the time of one check.
const TEXT: u64 = 32;

/// The most that one value of an event costs, by the number of the event's levels. It stops growing
/// at the last one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cost(Vec<Each>);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Each {
    /// Checks for each value.
    checks: u64,
    /// Patterns that read each text, by their length.
    patterns: u64,
}

impl Cost {
    /// What the schema costs, or why it costs too much.
    pub(super) fn of(schema: &Value) -> Result<Self, String> {
        let bytes = schema.to_string().len();
        if bytes > BYTES {
            return Err(format!("has {bytes} bytes; the limit is {BYTES}"));
        }
        let graph = Graph::of(schema)?;
        let order = graph.order()?;
        graph.most(&order)
    }

    /// Whether an event of this size is checked in a few milliseconds.
    pub(super) fn allows(&self, data: &Value, bytes: usize) -> bool {
        // A value takes two bytes at least. Most events are small, and are not counted.
        let most = Size { values: bytes as u64 / 2, text: bytes as u64, levels: LEVELS };
        self.for_size(most) <= BUDGET || {
            let mut size = Size::default();
            size.add(data, 1);
            self.for_size(size) <= BUDGET
        }
    }

    fn for_size(&self, size: Size) -> u64 {
        let last = self.0.len().saturating_sub(1);
        let each = self.0.get(size.levels.saturating_sub(1).min(last)).copied().unwrap_or_default();
        let checks = size.values.saturating_mul(each.checks);
        checks.saturating_add((size.text / TEXT).saturating_mul(each.patterns))
    }
}

/// The size of an event's data.
#[derive(Clone, Copy, Default)]
struct Size {
    values: u64,
    text: u64,
    levels: usize,
}

impl Size {
    fn add(&mut self, value: &Value, level: usize) {
        self.values += 1;
        self.levels = self.levels.max(level);
        match value {
            Value::String(text) => self.text += text.len() as u64,
            Value::Array(items) => items.iter().for_each(|item| self.add(item, level + 1)),
            Value::Object(fields) => {
                for (key, value) in fields {
                    self.text += key.len() as u64;
                    self.add(value, level + 1);
                }
            }
            _ => {}
        }
    }
}

/// One schema.
#[derive(Default)]
struct Node {
    /// What its own keywords cost.
    own: u64,
    /// What its own patterns cost.
    patterns: u64,
    /// Schemas for the same value.
    here: Vec<usize>,
    /// Those of `here` that the validator tries first and then asks for their errors.
    tried: Vec<usize>,
    /// For each kind of child (a property by name, any other property, an item), its schemas.
    children: Vec<Vec<usize>>,
}

/// The schemas of a document, by number. The first one is the root.
struct Graph<'v> {
    nodes: Vec<Node>,
    numbers: HashMap<*const Value, usize>,
    /// Schemas that are not read yet, each with the document that its references start from.
    unread: Vec<(usize, &'v Value, &'v Value)>,
    /// Schemas with `$id`, `$anchor` or `$dynamicAnchor`, by that name.
    named: HashMap<&'v str, Vec<(&'v Value, &'v Value)>>,
}

impl<'v> Graph<'v> {
    fn of(root: &'v Value) -> Result<Self, String> {
        let mut graph = Self {
            nodes: Vec::new(),
            numbers: HashMap::new(),
            unread: Vec::new(),
            named: HashMap::new(),
        };
        graph.find_names(root, root);
        graph.number(root, root);
        while let Some((number, schema, base)) = graph.unread.pop() {
            graph.nodes[number] = graph.read(schema, base)?;
        }
        Ok(graph)
    }

    fn find_names(&mut self, value: &'v Value, base: &'v Value) {
        match value {
            Value::Object(fields) => {
                let id = fields.get("$id").and_then(Value::as_str);
                let base = if id.is_some() { value } else { base };
                for key in ["$anchor", "$dynamicAnchor"] {
                    if let Some(Value::String(name)) = fields.get(key) {
                        self.named.entry(name).or_default().push((value, base));
                    }
                }
                if let Some(id) = id {
                    let id = id.trim_end_matches('#');
                    self.named.entry(id).or_default().push((value, base));
                    if let Some((_, last)) = id.rsplit_once('/') {
                        self.named.entry(last).or_default().push((value, base));
                    }
                }
                fields.values().for_each(|field| self.find_names(field, base));
            }
            Value::Array(items) => items.iter().for_each(|item| self.find_names(item, base)),
            _ => {}
        }
    }

    fn number(&mut self, schema: &'v Value, base: &'v Value) -> usize {
        let next = self.nodes.len();
        let number = *self.numbers.entry(std::ptr::from_ref(schema)).or_insert(next);
        if number == next {
            let has_id = schema.get("$id").is_some_and(Value::is_string);
            self.nodes.push(Node::default());
            self.unread.push((number, schema, if has_id { schema } else { base }));
        }
        number
    }

    fn numbers(&mut self, schemas: Option<&'v Value>, base: &'v Value) -> Vec<usize> {
        match schemas {
            Some(Value::Array(items)) => items.iter().map(|one| self.number(one, base)).collect(),
            Some(Value::Object(fields)) => {
                fields.values().map(|one| self.number(one, base)).collect()
            }
            _ => Vec::new(),
        }
    }

    fn one(&mut self, schema: Option<&'v Value>, base: &'v Value) -> Vec<usize> {
        schema.map(|schema| self.number(schema, base)).into_iter().collect()
    }

    fn read(&mut self, schema: &'v Value, base: &'v Value) -> Result<Node, String> {
        let mut node = Node { own: 1, ..Node::default() };
        let Value::Object(fields) = schema else { return Ok(node) };
        for (key, value) in fields {
            match key.as_str() {
                "allOf" | "dependentSchemas" | "dependencies" => {
                    node.here.extend(self.numbers(Some(value), base));
                }
                "anyOf" | "oneOf" => {
                    let alternatives = self.numbers(Some(value), base);
                    node.here.extend(&alternatives);
                    node.tried.extend(alternatives);
                }
                "not" | "if" | "then" | "else" => node.here.extend(self.one(Some(value), base)),
                "$ref" | "$dynamicRef" | "$recursiveRef" => {
                    for (target, base) in self.resolve(value, base)? {
                        node.here.push(self.number(target, base));
                    }
                }
                "pattern" => node.patterns += pattern(value.as_str().unwrap_or_default()),
                "patternProperties" => {
                    let names = value.as_object().into_iter().flat_map(Map::keys);
                    node.patterns += names.map(|name| pattern(name)).sum::<u64>();
                }
                "properties" | "required" => node.own += 1 + length(value) / 8,
                "$defs" | "definitions" | "title" | "description" | "examples" | "default" => {}
                "items"
                | "prefixItems"
                | "contains"
                | "additionalProperties"
                | "unevaluatedProperties"
                | "unevaluatedItems" => node.own += 1,
                _ => node.own += 1 + members(value) / 16,
            }
        }
        if ["unevaluatedProperties", "unevaluatedItems"].iter().any(|key| fields.contains_key(*key))
        {
            // To find out what was evaluated, the validator tries everything again.
            node.tried.clone_from(&node.here);
        }
        node.children = self.children(fields, base);
        Ok(node)
    }

    /// The schemas for each kind of child.
    fn children(&mut self, fields: &'v Map<String, Value>, base: &'v Value) -> Vec<Vec<usize>> {
        let mut properties = self.numbers(fields.get("patternProperties"), base);
        for key in ["additionalProperties", "unevaluatedProperties", "propertyNames"] {
            properties.extend(self.one(fields.get(key), base));
        }
        let mut items = Vec::new();
        for key in ["items", "contains", "unevaluatedItems", "additionalItems"] {
            items.extend(self.one(fields.get(key), base));
        }
        let with = |named: Vec<usize>, others: &[usize]| {
            let each = named.into_iter().map(|number| [&[number], others].concat());
            each.collect::<Vec<_>>()
        };
        let mut children = with(self.numbers(fields.get("properties"), base), &properties);
        children.extend(with(self.numbers(fields.get("prefixItems"), base), &items));
        children.extend([properties, items]);
        children.retain(|child| !child.is_empty());
        children
    }

    /// The schemas that a reference can mean.
    fn resolve(
        &self,
        reference: &'v Value,
        base: &'v Value,
    ) -> Result<Vec<(&'v Value, &'v Value)>, String> {
        let Value::String(text) = reference else { return Ok(Vec::new()) };
        if text.starts_with("https://json-schema.org/")
            || text.starts_with("http://json-schema.org/")
        {
            return Ok(Vec::new());
        }
        let (document, fragment) = text.split_once('#').unwrap_or((text, ""));
        let bases = match document {
            "" => vec![(base, base)],
            id => {
                let last = id.rsplit('/').next().unwrap_or(id);
                self.named.get(id).or_else(|| self.named.get(last)).cloned().unwrap_or_default()
            }
        };
        let found: Vec<_> = match fragment {
            "" => bases,
            pointer if pointer.starts_with('/') => {
                let pointer = percent_encoding::percent_decode_str(pointer).decode_utf8_lossy();
                let at = |(root, base): (&'v Value, _)| Some((root.pointer(&pointer)?, base));
                bases.into_iter().filter_map(at).collect()
            }
            anchor => self.named.get(anchor).cloned().unwrap_or_default(),
        };
        if found.is_empty() {
            return Err(format!(
                "has a reference to `{text}`, which is not in the schema; write `#/$defs/…`"
            ));
        }
        Ok(found)
    }

    /// The schemas, each after those that it applies to the same value.
    fn order(&self) -> Result<Vec<usize>, String> {
        #[derive(Clone, Copy, PartialEq)]
        enum Mark {
            New,
            Open,
            Done,
        }
        let mut marks = vec![Mark::New; self.nodes.len()];
        let mut order = Vec::with_capacity(self.nodes.len());
        for start in 0..self.nodes.len() {
            let mut path = vec![(start, 0)];
            while let Some((number, next)) = path.pop() {
                if next == 0 {
                    if marks[number] != Mark::New {
                        continue;
                    }
                    marks[number] = Mark::Open;
                }
                let Some(&to) = self.nodes[number].here.get(next) else {
                    marks[number] = Mark::Done;
                    order.push(number);
                    continue;
                };
                if marks[to] == Mark::Open {
                    return Err("refers to itself without going into a field or an item, so the \
                                check would not end"
                        .to_owned());
                }
                path.push((number, next + 1));
                path.push((to, 0));
            }
        }
        Ok(order)
    }

    /// The most that one value costs.
    fn most(&self, order: &[usize]) -> Result<Cost, String> {
        let mut before = vec![Totals::default(); self.nodes.len()];
        let mut levels = Vec::new();
        for _ in 0..LEVELS {
            let mut now = vec![Totals::default(); self.nodes.len()];
            for &number in order {
                now[number] = self.nodes[number].totals(&now, &before);
            }
            let Totals { checks, patterns, depth, .. } = now[0];
            if checks > CHECKS || patterns > CHECKS {
                return Err(format!(
                    "branches too much: an event may need more than {CHECKS} checks for one value; \
                     use fewer alternatives, or references that do not repeat each other"
                ));
            }
            if depth > DEPTH {
                return Err(format!("has more than {DEPTH} schemas inside of each other"));
            }
            if now == before {
                break;
            }
            levels.push(Each { checks: checks.max(1), patterns });
            before = now;
        }
        Ok(Cost(levels))
    }
}

/// What a schema costs for a value and along the most expensive way down into it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Totals {
    /// To find out whether the value is valid.
    valid: u64,
    /// To find out what is wrong.
    checks: u64,
    patterns: u64,
    depth: u64,
}

impl Node {
    fn totals(&self, now: &[Totals], before: &[Totals]) -> Totals {
        let sum = |numbers: &[usize], all: &[Totals], of: fn(&Totals) -> u64| {
            numbers.iter().fold(0_u64, |sum, &number| sum.saturating_add(of(&all[number])))
        };
        let below = |of: fn(&Totals) -> u64| {
            self.children.iter().map(|child| sum(child, before, of)).max().unwrap_or_default()
        };
        let total = |own: u64, of: fn(&Totals) -> u64| {
            own.saturating_add(sum(&self.here, now, of)).saturating_add(below(of))
        };
        let tried = sum(&self.tried, now, |totals| totals.valid);
        let here = self.here.iter().map(|&number| now[number].depth);
        let there = self.children.iter().flatten().map(|&number| before[number].depth);
        Totals {
            valid: total(self.own, |totals| totals.valid),
            checks: total(self.own, |totals| totals.checks).saturating_add(tried),
            patterns: total(self.patterns, |totals| totals.patterns),
            depth: 1 + here.chain(there).max().unwrap_or_default(),
        }
    }
}

/// A long pattern takes longer, and so does one that counts.
fn pattern(text: &str) -> u64 {
    1 + text.len() as u64 / 16 + if text.contains('{') { 8 } else { 0 }
}

/// The number of items or fields.
fn length(value: &Value) -> u64 {
    value.as_array().map(Vec::len).or_else(|| value.as_object().map(Map::len)).unwrap_or_default()
        as u64
}

/// The number of values in a keyword's value.
fn members(value: &Value) -> u64 {
    match value {
        Value::Array(items) => items.iter().map(|item| 1 + members(item)).sum(),
        Value::Object(fields) => fields.values().map(|field| 1 + members(field)).sum(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// `depth` definitions, each made from a reference to the next one.
    fn chain(depth: usize, make: impl Fn(Value) -> Value) -> Value {
        let definitions: Map<String, Value> = (0..depth)
            .map(|at| (format!("d{at}"), make(json!({ "$ref": format!("#/$defs/d{}", at + 1) }))))
            .chain([(format!("d{depth}"), json!({ "type": "integer" }))])
            .collect();
        json!({ "$ref": "#/$defs/d0", "$defs": definitions })
    }

    #[test]
    fn schemas_that_branch_exponentially_are_refused() {
        for (name, make) in [
            ("anyOf", json!(["anyOf"])),
            ("oneOf", json!(["oneOf"])),
            ("allOf", json!(["allOf"])),
            ("if", json!(["if", "then"])),
            ("not", json!(["not", "else"])),
        ] {
            let schema = chain(28, |next| match name {
                "if" | "not" => {
                    let keys = make.as_array().unwrap().iter().filter_map(Value::as_str);
                    keys.map(|key| (key.to_owned(), next.clone())).collect()
                }
                _ => json!({ name: [next, next] }),
            });
            assert!(Cost::of(&schema).unwrap_err().contains("branches too much"), "{name}");
        }
        // With each level of the event.
        let doubled = json!({ "allOf": [
            { "properties": { "a": { "$ref": "#" } } }, { "properties": { "a": { "$ref": "#" } } },
        ] });
        assert!(Cost::of(&doubled).unwrap_err().contains("branches too much"));
        let twice = json!({ "properties": { "a": { "$ref": "#" } }, "patternProperties": { "a": { "$ref": "#" } } });
        assert!(Cost::of(&twice).unwrap_err().contains("branches too much"));
        let anchors = json!({
            "$id": "https://x.example/root", "anyOf": [{ "$ref": "a" }],
            "$defs": { "a": { "$id": "a", "items": { "anyOf": [{ "$ref": "root" }, { "$ref": "#again" }] },
                "$defs": { "again": { "$anchor": "again", "$ref": "root" } } } },
        });
        assert!(Cost::of(&anchors).unwrap_err().contains("branches too much"));
    }

    #[test]
    fn schemas_that_do_not_end_or_lead_elsewhere_are_refused() {
        for schema in [json!({ "$ref": "#" }), json!({ "anyOf": [{ "allOf": [{ "$ref": "#" }] }] })]
        {
            assert!(Cost::of(&schema).unwrap_err().contains("refers to itself"));
        }
        assert!(Cost::of(&json!({ "$ref": "#/$defs/none" })).unwrap_err().contains("not in the"));
        let deep = chain(500, |next| json!({ "allOf": [next] }));
        assert!(Cost::of(&deep).is_err());
        assert!(Cost::of(&json!({ "title": "x".repeat(300_000) })).is_err());
    }

    #[test]
    fn usual_schemas_are_cheap() {
        let tree = json!({ "type": "object", "properties": {
            "left": { "$ref": "#" }, "right": { "$ref": "#" },
            "items": { "type": "array", "items": { "$ref": "#" } },
        } });
        let tree = Cost::of(&tree).unwrap();
        let nested = json!({ "left": { "items": [{ "left": {} }, { "right": {} }] } });
        assert!(tree.allows(&nested, 250_000) && tree.0.len() > 50, "{tree:?}");
        let countries: Vec<String> = (0..250).map(|number| format!("c{number}")).collect();
        let properties: Map<String, Value> = (0..60)
            .map(|at| (format!("p{at}"), json!({ "enum": countries, "minLength": 2 })))
            .collect();
        let form = json!({ "type": "object", "required": ["p1", "p2"], "properties": properties });
        let cost = Cost::of(&form).unwrap();
        assert!(cost.0.len() == 2 && cost.0[1].checks < 60, "{cost:?}");
        let data: Map<String, Value> = (0..60).map(|at| (format!("p{at}"), json!("c7"))).collect();
        assert!(cost.allows(&Value::Object(data), 250_000));
        assert!(!cost.allows(&json!(vec![1; 120_000]), 250_000));
    }
}
