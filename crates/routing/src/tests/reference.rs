//! The compiled table compared with a reference implementation.
//!
//! The reference works as AWS describes its own matcher. It multiplies out every `$or`, flattens the
//! event into fields with the array elements that contain them, and searches for a choice of fields
//! without two different elements of one array.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::passes;

/// A rule without `$or`: paths and their alternatives.
type Rule = Vec<(Vec<String>, Vec<Value>)>;
/// Array (by its address in the event) to element.
type Places = BTreeMap<String, usize>;
/// A scalar of the event.
type Leaf = (Vec<String>, Value, Places);

fn rules(pattern: &Map<String, Value>, path: &[String]) -> Vec<Rule> {
    pattern.iter().fold(vec![Vec::new()], |rules_so_far, (key, value)| {
        let down = [path, std::slice::from_ref(key)].concat();
        let here: Vec<Rule> = match value {
            Value::Array(branches) if key == "$or" => branches
                .iter()
                .flat_map(|branch| rules(branch.as_object().unwrap(), path))
                .collect(),
            Value::Array(alternatives) => vec![vec![(down, alternatives.clone())]],
            nested => rules(nested.as_object().unwrap(), &down),
        };
        let both =
            |a: &Rule| here.iter().map(|b| [a.clone(), b.clone()].concat()).collect::<Vec<_>>();
        rules_so_far.iter().flat_map(both).collect()
    })
}

/// Only elements that are objects or arrays are places, because a scalar cannot have two fields.
fn flatten(value: &Value, path: &[String], address: &str, places: &Places, into: &mut Vec<Leaf>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let down = [path, std::slice::from_ref(key)].concat();
                flatten(value, &down, &format!("{address}.{key}"), places, into);
            }
        }
        Value::Array(items) => {
            for (i, item) in items.iter().enumerate() {
                let mut inside = places.clone();
                if item.is_object() || item.is_array() {
                    inside.insert(address.to_owned(), i);
                }
                flatten(item, path, &format!("{address}[{i}]"), &inside, into);
            }
        }
        scalar => into.push((path.to_vec(), scalar.clone(), places.clone())),
    }
}

fn consistent(a: &Places, b: &Places) -> bool {
    a.iter().all(|(array, element)| b.get(array).is_none_or(|other| other == element))
}

/// Tries every choice of fields. Missing fields are checked once all others are chosen.
fn search(
    rule: &[(Vec<String>, Vec<Value>)],
    absent: &mut Vec<Vec<String>>,
    leaves: &[Leaf],
    chosen: &Places,
) -> bool {
    let Some(((path, alternatives), rest)) = rule.split_first() else {
        return absent.iter().all(|path| {
            !leaves.iter().any(|(own, _, places)| own == path && consistent(chosen, places))
        });
    };
    let by_value = leaves.iter().any(|(own, value, places)| {
        own == path
            && consistent(chosen, places)
            && alternatives.iter().any(|alternative| accepts(alternative, value))
            && {
                let mut both = chosen.clone();
                both.extend(places.clone());
                search(rest, absent, leaves, &both)
            }
    });
    by_value
        || alternatives.iter().any(|alternative| alternative["exists"] == json!(false)) && {
            absent.push(path.clone());
            let found = search(rest, absent, leaves, chosen);
            absent.pop();
            found
        }
}

fn accepts(alternative: &Value, value: &Value) -> bool {
    let Some((operator, wanted)) = alternative.as_object().and_then(|map| map.iter().next()) else {
        return same(alternative, value);
    };
    let text = value.as_str();
    match operator.as_str() {
        "exists" => *wanted == json!(true),
        "prefix" => {
            text.is_some_and(|text| compare(wanted, text, |text, with| text.starts_with(with)))
        }
        "suffix" => {
            text.is_some_and(|text| compare(wanted, text, |text, with| text.ends_with(with)))
        }
        "equals-ignore-case" => {
            text.is_some_and(|text| text.to_uppercase() == wanted.as_str().unwrap().to_uppercase())
        }
        "wildcard" => {
            text.is_some_and(|text| glob(wanted.as_str().unwrap().as_bytes(), text.as_bytes()))
        }
        "numeric" => value.as_f64().is_some_and(|number| {
            wanted.as_array().unwrap().chunks(2).all(|pair| {
                let limit = pair[1].as_f64().unwrap();
                match pair[0].as_str().unwrap() {
                    "<" => number < limit,
                    "<=" => number <= limit,
                    ">" => number > limit,
                    ">=" => number >= limit,
                    _ => (number - limit).abs() < f64::EPSILON,
                }
            })
        }),
        "anything-but" => match wanted {
            Value::Array(these) => !these.iter().any(|this| same(this, value)),
            Value::Object(inner) => {
                let (operator, these) = inner.iter().next().unwrap();
                let these = these.as_array().cloned().unwrap_or_else(|| vec![these.clone()]);
                !these.iter().any(|this| accepts(&json!({ operator: this }), value))
            }
            this => !same(this, value),
        },
        other => panic!("the reference does not know {other}"),
    }
}

fn compare(wanted: &Value, text: &str, by: fn(&str, &str) -> bool) -> bool {
    match wanted {
        Value::String(with) => by(text, with),
        any_case => {
            let with = any_case["equals-ignore-case"].as_str().unwrap();
            by(&text.to_uppercase(), &with.to_uppercase())
        }
    }
}

fn same(a: &Value, b: &Value) -> bool {
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => (a - b).abs() < f64::EPSILON,
        _ => a == b,
    }
}

fn glob(pattern: &[u8], text: &[u8]) -> bool {
    match pattern {
        [] => text.is_empty(),
        [b'*', rest @ ..] => (0..=text.len()).any(|n| glob(rest, &text[n..])),
        [c, rest @ ..] => text.first() == Some(c) && glob(rest, &text[1..]),
    }
}

fn reference(when: &Value, envelope: &Value) -> bool {
    let mut leaves = Vec::new();
    flatten(envelope, &[], "", &Places::new(), &mut leaves);
    rules(when.as_object().unwrap(), &[])
        .iter()
        .any(|rule| search(rule, &mut Vec::new(), &leaves, &Places::new()))
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        prop::sample::select(vec!["", "a", "ab", "AB", "b", "ba"]).prop_map(|text| json!(text)),
        (0..3_i32).prop_map(|n| json!(n)),
        prop::sample::select(vec![0.5, 1.0, 2.0]).prop_map(|n| json!(n)),
        any::<bool>().prop_map(|truth| json!(truth)),
        Just(json!(null)),
    ]
}

fn alternative() -> impl Strategy<Value = Value> {
    let text = || prop::sample::select(vec!["a", "ab", "B"]);
    let texts = || prop::collection::vec(text(), 1..3);
    prop_oneof![
        4 => scalar(),
        2 => any::<bool>().prop_map(|truth| json!({"exists": truth})),
        1 => (prop::sample::select(vec!["prefix", "suffix", "equals-ignore-case", "wildcard"]), text())
            .prop_map(|(operator, text)| json!({operator: text})),
        1 => (prop::sample::select(vec!["prefix", "suffix"]), text())
            .prop_map(|(operator, text)| json!({operator: {"equals-ignore-case": text}})),
        1 => prop::sample::select(vec!["*a", "a*", "*", "a*b"]).prop_map(|text| json!({"wildcard": text})),
        1 => (prop::sample::select(vec!["<", "<=", ">", ">=", "="]), 0..3_i32)
            .prop_map(|(sign, n)| json!({"numeric": [sign, n]})),
        1 => texts().prop_map(|texts| json!({"anything-but": texts})),
        1 => prop::collection::vec(0..3_i32, 1..3).prop_map(|these| json!({"anything-but": these})),
        1 => (prop::sample::select(vec!["prefix", "suffix", "equals-ignore-case", "wildcard"]), texts())
            .prop_map(|(operator, texts)| json!({"anything-but": {operator: texts}})),
    ]
}

/// A pattern with leaves `a`, `b`, `c` and nested fields `o`, `p`.
fn pattern() -> impl Strategy<Value = Value> {
    let leaf = prop::collection::vec(alternative(), 1..3).prop_map(Value::Array);
    let leaves = prop::collection::btree_map(prop::sample::select(vec!["a", "b", "c"]), leaf, 1..3)
        .prop_map(|map| json!(map));
    leaves.prop_recursive(3, 12, 3, |inner| {
        let nested =
            prop::collection::btree_map(prop::sample::select(vec!["o", "p"]), inner.clone(), 0..3);
        let or = prop::option::of(prop::collection::vec(inner.clone(), 2..4));
        (inner, nested, or).prop_map(|(leaves, nested, or)| {
            let mut map = leaves.as_object().unwrap().clone();
            map.extend(nested.into_iter().map(|(key, value)| (key.to_owned(), value)));
            if let Some(or) = or {
                map.insert("$or".to_owned(), Value::Array(or));
            }
            Value::Object(map)
        })
    })
}

/// Any value under any name, most often an array of objects.
fn envelope() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![3 => scalar(), 1 => prop::collection::vec(scalar(), 0..3).prop_map(Value::Array)];
    let flat = prop::collection::btree_map(prop::sample::select(vec!["a", "b", "c"]), leaf, 0..3)
        .prop_map(|map| json!(map));
    flat.prop_recursive(3, 24, 3, |inner| {
        let list = prop::collection::vec(prop_oneof![5 => inner.clone(), 1 => scalar()], 0..4);
        let list = list.prop_map(Value::Array);
        let lists = prop::collection::vec(list.clone(), 0..3).prop_map(Value::Array);
        let value = prop_oneof![3 => list, 2 => inner.clone(), 1 => lists, 1 => scalar()];
        let nested =
            prop::collection::btree_map(prop::sample::select(vec!["o", "p", "a"]), value, 0..3);
        (inner, nested).prop_map(|(own, nested)| {
            let mut map = own.as_object().unwrap().clone();
            map.extend(nested.into_iter().map(|(key, value)| (key.to_owned(), value)));
            Value::Object(map)
        })
    })
}

/// Conditions for the elements of one array, in one place.
fn about_elements() -> impl Strategy<Value = Value> {
    let list =
        prop_oneof![3 => (0..2_u8).prop_map(|n| json!([n])), 1 => Just(json!([{"exists": false}]))];
    let keys = prop::sample::select(vec!["a", "b", "c"]);
    prop::collection::btree_map(keys, list, 1..3).prop_map(|map| json!(map))
}

/// Patterns with conditions for one array in several places, through `$or`.
fn scattered() -> impl Strategy<Value = Value> {
    let place = about_elements().prop_map(|elements| json!({"o": elements}));
    let within = (about_elements(), prop::collection::vec(about_elements(), 2..3)).prop_map(
        |(own, branches)| {
            let mut own = own.as_object().unwrap().clone();
            own.insert("$or".to_owned(), Value::Array(branches));
            json!({ "o": own })
        },
    );
    prop_oneof![place, within].prop_recursive(2, 8, 3, |inner| {
        (inner.clone(), prop::collection::vec(inner, 2..4)).prop_map(|(own, branches)| {
            let mut own = own.as_object().unwrap().clone();
            own.entry("$or").or_insert(Value::Array(branches));
            Value::Object(own)
        })
    })
}

fn one_array() -> impl Strategy<Value = Value> {
    let keys = prop::sample::select(vec!["a", "b", "c"]);
    let element = prop::collection::btree_map(keys, 0..2_u8, 0..4);
    prop::collection::vec(element, 0..4).prop_map(|elements| json!({"o": elements}))
}

/// Whether the search is fast enough for the pattern. Its cost is exponential.
fn small(when: &Value) -> bool {
    let all = rules(when.as_object().unwrap(), &[]);
    all.len() <= 60 && all.iter().all(|rule| rule.len() <= 10)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 800, ..ProptestConfig::default() })]
    #[test]
    fn the_compiled_filter_agrees_with_the_reference(when in pattern(), envelope in envelope()) {
        prop_assume!(small(&when));
        prop_assert_eq!(passes(&when, &envelope), reference(&when, &envelope));
    }

    #[test]
    fn one_array_in_several_places_agrees_with_the_reference(when in scattered(), envelope in one_array()) {
        prop_assume!(small(&when));
        prop_assert_eq!(passes(&when, &envelope), reference(&when, &envelope));
    }
}
