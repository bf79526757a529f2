//! A route's filter as conditions that people read and edit.
//!
//! Most filters are a few conditions that must all hold, such as "`data.risk_score` is at least 70".
//! They are rows of a form. A filter that is not of this kind is shown and edited as JSON.

use serde_json::{Map, Value, json};

/// The comparisons: name in the form, words, and whether a value follows.
pub(super) const COMPARISONS: [(&str, &str, bool); 14] = [
    ("is", "is", true),
    ("any", "is one of", true),
    ("not", "is not", true),
    ("none", "is none of", true),
    ("begins", "begins with", true),
    ("ends", "ends with", true),
    ("contains", "contains", true),
    ("wildcard", "matches (* is any text)", true),
    (">=", "is at least", true),
    (">", "is more than", true),
    ("<=", "is at most", true),
    ("<", "is less than", true),
    ("exists", "is present", false),
    ("missing", "is missing", false),
];

/// One condition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Condition {
    /// A dotted path, such as `data.risk_score`.
    pub(super) field: String,
    /// A name of [`COMPARISONS`].
    pub(super) comparison: String,
    /// The value as it is typed.
    pub(super) value: String,
}

impl Condition {
    /// For a sentence: "`risk_score` is at least 70".
    pub(super) fn words(&self) -> String {
        let field = self.field.strip_prefix("data.").unwrap_or(&self.field);
        let found = COMPARISONS.iter().find(|(name, ..)| *name == self.comparison);
        match found {
            Some((_, _, false)) | None => format!("{field} {}", found.map_or("", |one| one.1)),
            Some(("wildcard", ..)) => format!("{field} matches {}", self.value),
            Some((_, words, true)) => format!("{field} {words} {}", self.value),
        }
    }

    /// The same, as short as it can be: `risk_score ≥ 70`.
    pub(super) fn short(&self) -> String {
        let field = self.field.rsplit('.').next().unwrap_or_default();
        let sign = match &*self.comparison {
            "is" | "any" => "=",
            "not" | "none" => "≠",
            ">=" => "≥",
            "<=" => "≤",
            sign @ (">" | "<") => sign,
            _ => return self.words(),
        };
        format!("{field} {sign} {}", self.value)
    }
}

/// The conditions of a filter. `None` if it is not of this kind.
pub(super) fn conditions(filter: &Map<String, Value>) -> Option<Vec<Condition>> {
    let mut found = Vec::new();
    walk("", filter, &mut found)?;
    Some(found)
}

/// A filter in a few words. One that is not made of conditions is "a filter".
pub(super) fn words(filter: &Map<String, Value>) -> String {
    let all = conditions(filter);
    all.filter(|all| !all.is_empty()).map_or_else(
        || "a filter matches".to_owned(),
        |all| all.iter().map(Condition::words).collect::<Vec<_>>().join(" and "),
    )
}

/// The first condition of a filter, as short as it can be, for a small label.
pub(super) fn label(filter: &Map<String, Value>) -> String {
    match conditions(filter).as_deref() {
        Some([only]) => only.short(),
        Some([first, ..]) => format!("{} …", first.short()),
        _ => "filtered".to_owned(),
    }
}

fn walk(place: &str, filter: &Map<String, Value>, found: &mut Vec<Condition>) -> Option<()> {
    for (name, value) in filter {
        // A field whose own name has a dot cannot be told from a path.
        if name.starts_with('$') || name.contains('.') || name.is_empty() {
            return None;
        }
        let field = if place.is_empty() { name.clone() } else { format!("{place}.{name}") };
        match value {
            Value::Object(inner) => walk(&field, inner, found)?,
            Value::Array(list) => {
                let all = of_list(list)?;
                let all = all.into_iter().map(|(comparison, value)| Condition {
                    field: field.clone(),
                    comparison: comparison.to_owned(),
                    value,
                });
                found.extend(all);
            }
            _ => return None,
        }
    }
    Some(())
}

/// The comparisons of one field.
fn of_list(list: &[Value]) -> Option<Vec<(&'static str, String)>> {
    if let [Value::Object(operator)] = list {
        return of_operator(operator);
    }
    let texts: Vec<String> = list.iter().map(typed).collect::<Option<_>>()?;
    match &texts[..] {
        [] => None,
        [only] => Some(vec![("is", only.clone())]),
        several if several.iter().any(|text| text.contains(',')) => None,
        several => Some(vec![("any", several.join(", "))]),
    }
}

fn of_operator(operator: &Map<String, Value>) -> Option<Vec<(&'static str, String)>> {
    let (name, value) = operator.iter().next().filter(|_| operator.len() == 1)?;
    let one = |comparison, value: String| Some(vec![(comparison, value)]);
    match (&**name, value) {
        ("$number", Value::String(text)) => one("is", text.clone()),
        ("exists", Value::Bool(true)) => one("exists", String::new()),
        ("exists", Value::Bool(false)) => one("missing", String::new()),
        ("prefix", Value::String(text)) => one("begins", text.clone()),
        ("suffix", Value::String(text)) => one("ends", text.clone()),
        ("wildcard", Value::String(text)) => one("wildcard", text.clone()),
        ("anything-but", Value::Array(list)) => {
            let texts: Vec<String> = list.iter().map(typed).collect::<Option<_>>()?;
            match &texts[..] {
                [only] => one("not", only.clone()),
                several if several.iter().any(|text| text.contains(',')) => None,
                several => one("none", several.join(", ")),
            }
        }
        ("anything-but", value) => one("not", typed(value)?),
        ("numeric", Value::Array(parts)) => {
            let pair = |pair: &[Value]| {
                let [Value::String(sign), number] = pair else { return None };
                let known = ["=", "<", "<=", ">", ">="].into_iter().find(|known| known == sign)?;
                Some((if known == "=" { "is" } else { known }, number_text(number)?))
            };
            let pairs = parts.chunks(2).map(pair).collect::<Option<Vec<_>>>()?;
            (!pairs.is_empty()).then_some(pairs)
        }
        _ => None,
    }
}

/// A plain value as it is typed. A text that looks like another kind of value has quotes.
fn typed(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => {
            let looks_else = !matches!(read(text), Value::String(_)) || text.trim() != text;
            Some(if looks_else { json!(text).to_string() } else { text.clone() })
        }
        Value::Object(_) => number_text(value),
        Value::Array(_) => None,
        other => Some(other.to_string()),
    }
}

/// The text of a number. One that most JSON libraries cannot hold is `{"$number": "1e-400"}`.
fn number_text(value: &Value) -> Option<String> {
    match value {
        Value::Number(number) => Some(number.to_string()),
        Value::Object(map) if map.len() == 1 => map.get("$number")?.as_str().map(str::to_owned),
        _ => None,
    }
}

/// What a typed value means: a number, `true`, `false`, `null`, a text in quotes, or a text.
fn read(text: &str) -> Value {
    let parsed = fanfare_routing::exact::parse(text).ok();
    let is_plain = |value: &Value| match value {
        Value::Object(_) => number_text(value).is_some() && !text.starts_with('{'),
        Value::Array(_) => false,
        _ => true,
    };
    parsed.filter(is_plain).unwrap_or_else(|| json!(text))
}

/// The filter that conditions mean, or what is wrong: the position of a condition, and a message.
pub(super) fn build(all: &[Condition]) -> Result<Map<String, Value>, (usize, String)> {
    let mut filter = Map::new();
    for (at, condition) in all.iter().enumerate() {
        let parts: Vec<&str> = condition.field.split('.').collect();
        if parts.iter().any(|part| part.trim().is_empty()) {
            let message = "names no field; write a path such as data.risk_score";
            return Err((at, message.to_owned()));
        }
        let entry = entry(condition).map_err(|message| (at, message))?;
        insert(&mut filter, &parts, entry).map_err(|message| (at, message))?;
    }
    Ok(filter)
}

fn entry(condition: &Condition) -> Result<Value, String> {
    let value = condition.value.trim();
    let needs = COMPARISONS.iter().any(|(name, _, needs)| *name == condition.comparison && *needs);
    if needs && value.is_empty() {
        return Err("has no value; type one, or choose \"is missing\"".to_owned());
    }
    let items = || value.split(',').map(str::trim).filter(|item| !item.is_empty()).map(read);
    let escaped = || value.replace('\\', "\\\\").replace('*', "\\*");
    Ok(match &*condition.comparison {
        "is" => json!([read(value)]),
        "any" => items().collect(),
        "not" => json!([{"anything-but": [read(value)]}]),
        "none" => json!([{"anything-but": items().collect::<Vec<_>>()}]),
        "begins" => json!([{"prefix": value}]),
        "ends" => json!([{"suffix": value}]),
        "contains" => json!([{"wildcard": format!("*{}*", escaped())}]),
        "wildcard" => json!([{"wildcard": value}]),
        "exists" => json!([{"exists": true}]),
        "missing" => json!([{"exists": false}]),
        sign @ (">=" | ">" | "<=" | "<") => match read(value) {
            number if number_text(&number).is_some() => json!([{"numeric": [sign, number]}]),
            _ => return Err("compares numbers; type a number such as 70".to_owned()),
        },
        _ => return Err("has no comparison; choose one".to_owned()),
    })
}

/// Adds the list of one field. Two comparisons of numbers of the same field become a range.
fn insert(filter: &mut Map<String, Value>, path: &[&str], entry: Value) -> Result<(), String> {
    let (first, rest) = (path[0].trim(), &path[1..]);
    if !rest.is_empty() {
        let inner = filter.entry(first).or_insert_with(|| json!({}));
        return match inner.as_object_mut() {
            Some(inner) => insert(inner, rest, entry),
            None => Err(format!("is below `{first}`, which has a condition of its own")),
        };
    }
    let Some(there) = filter.get_mut(first) else {
        filter.insert(first.to_owned(), entry);
        return Ok(());
    };
    let range = there.pointer_mut("/0/numeric").and_then(Value::as_array_mut);
    let added = entry.pointer("/0/numeric").and_then(Value::as_array);
    match (range, added) {
        (Some(range), Some(added)) if range.len() == 2 => {
            range.extend(added.iter().cloned());
            Ok(())
        }
        _ => {
            Err("has a second condition on the same field; use \"is one of\", or edit the filter \
                  as JSON"
                .to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(value: &Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap()
    }

    fn condition(field: &str, comparison: &str, value: &str) -> Condition {
        let own = str::to_owned;
        Condition { field: own(field), comparison: own(comparison), value: own(value) }
    }

    #[test]
    fn a_filter_and_its_conditions_are_the_same() {
        let filter = map(&json!({
            "data": {
                "risk_score": [{"numeric": [">=", 70, "<", 90]}],
                "final_decision": [{"anything-but": ["approved"]}],
                "country": ["ES", "PT"],
                "code": ["007"],
                "number": ["70"],
                "flag": [true],
                "user": {"email": [{"suffix": "@acme.example"}]},
                "note": [{"exists": false}],
                "path": [{"wildcard": "/a/*"}],
            }
        }));
        let all = conditions(&filter).expect("conditions");
        assert_eq!(all[0], condition("data.risk_score", ">=", "70"));
        assert_eq!(all[1], condition("data.risk_score", "<", "90"));
        assert_eq!(all[4], condition("data.code", "is", "007"));
        assert_eq!(all[5], condition("data.number", "is", "\"70\""), "a text, not a number");
        assert_eq!(build(&all), Ok(filter.clone()));
        assert!(
            words(&filter).starts_with("risk_score is at least 70 and risk_score is less than")
        );
        assert_eq!(label(&filter), "risk_score ≥ 70 …");
    }

    #[test]
    fn numbers_beyond_64_bits_stay_as_they_are() {
        let filter = map(&json!({"data": {"n": []}}));
        assert_eq!(conditions(&filter), None);
        let built = build(&[condition("data.n", ">", "12345678901234567890123")]).unwrap();
        let text = Value::Object(built.clone()).to_string();
        assert!(text.contains("12345678901234567890123"), "{text}");
        assert_eq!(conditions(&built).unwrap()[0].value, "12345678901234567890123");
    }

    #[test]
    fn what_is_not_a_list_of_conditions_is_edited_as_json() {
        for other in [
            json!({"$or": [{"a": [1]}, {"b": [2]}]}),
            json!({"a": [{"cidr": "10.0.0.0/8"}]}),
            json!({"a": ["x", {"prefix": "y"}]}),
            json!({"a.b": [1]}),
            json!({"a": ["x, y", "z"]}),
            json!({"a": [{"equals-ignore-case": "x"}]}),
        ] {
            assert_eq!(conditions(&map(&other)), None, "{other}");
            assert_eq!(words(&map(&other)), "a filter matches");
            assert_eq!(label(&map(&other)), "filtered");
        }
    }

    #[test]
    fn a_wrong_condition_is_named() {
        let wrong = |all: &[Condition]| build(all).unwrap_err();
        assert_eq!(wrong(&[condition("", "is", "x")]).0, 0);
        assert_eq!(wrong(&[condition("a", "is", "1"), condition("b", ">=", "many")]).0, 1);
        assert_eq!(wrong(&[condition("a", "is", "")]).0, 0);
        assert_eq!(wrong(&[condition("a", "is", "1"), condition("a", "is", "2")]).0, 1);
        assert_eq!(wrong(&[condition("a", "is", "1"), condition("a.b", "is", "2")]).0, 1);
    }

    #[test]
    fn a_text_with_stars_is_contained_literally() {
        let built = build(&[condition("data.name", "contains", "a*b\\")]).unwrap();
        assert_eq!(Value::Object(built), json!({"data": {"name": [{"wildcard": "*a\\*b\\\\*"}]}}));
    }
}
