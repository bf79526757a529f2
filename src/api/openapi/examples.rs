//! An example for every request and every success, composed of the examples of the fields.

use serde_json::{Map, Value, json};

/// Deepest schema that is followed.
const MAX_DEPTH: usize = 12;

/// An example of a schema. Optional fields without an example of their own are left out.
pub(super) fn of(schema: &Value, schemas: &Map<String, Value>) -> Value {
    compose(schema, schemas, MAX_DEPTH).unwrap_or_else(|| json!({}))
}

fn compose(schema: &Value, schemas: &Map<String, Value>, depth: usize) -> Option<Value> {
    let depth = depth.checked_sub(1)?;
    if let Some(example) = schema.get("example") {
        return Some(example.clone());
    }
    if let Some(constant) = schema.get("const") {
        return Some(constant.clone());
    }
    if let Some(words) = schema["enum"].as_array() {
        return words.first().cloned();
    }
    if let Some(name) = schema["$ref"].as_str().and_then(|place| place.rsplit('/').next()) {
        return compose(schemas.get(name)?, schemas, depth);
    }
    if let Some(parts) = schema["allOf"].as_array() {
        let mut whole = Map::new();
        for part in parts {
            if let Some(Value::Object(part)) = compose(part, schemas, depth) {
                whole.extend(part);
            }
        }
        return Some(whole.into());
    }
    if let Some(one) = ["oneOf", "anyOf"].into_iter().find_map(|key| schema[key].as_array()) {
        let real = one.iter().find(|one| one["type"] != "null");
        return compose(real?, schemas, depth);
    }
    if let Some(default) = schema.get("default") {
        return Some(default.clone());
    }
    match kind(schema) {
        "object" => object(schema, schemas, depth),
        "array" => {
            let item = compose(schema.get("items")?, schemas, depth)?;
            Some(json!([item]))
        }
        "boolean" => Some(false.into()),
        "integer" => Some(schema.get("minimum").cloned().unwrap_or_else(|| 1.into())),
        "number" => Some(json!(1)),
        _ => None,
    }
}

fn kind(schema: &Value) -> &str {
    let of_list = |list: &'_ Vec<Value>| list.iter().position(|one| one != "null");
    match &schema["type"] {
        Value::String(kind) => kind,
        Value::Array(list) => of_list(list).and_then(|at| list[at].as_str()).unwrap_or_default(),
        _ => "",
    }
}

fn is_nullable(schema: &Value) -> bool {
    let is_null = |one: &Value| one == "null" || one["type"] == "null";
    let in_type = schema["type"].as_array().is_some_and(|list| list.iter().any(is_null));
    let in_union = schema["oneOf"].as_array().is_some_and(|list| list.iter().any(is_null));
    in_type || in_union
}

fn object(schema: &Value, schemas: &Map<String, Value>, depth: usize) -> Option<Value> {
    let required = schema["required"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut example = Map::new();
    let fields = schema["properties"].as_object().into_iter().flatten();
    for (name, field) in fields {
        let is_required = required.iter().any(|one| one == name);
        let has_own = field.get("example").is_some();
        if !is_required && !has_own {
            continue;
        }
        let value = if has_own { None } else { named(name, field) };
        match value.or_else(|| compose(field, schemas, depth)) {
            Some(value) => _ = example.insert(name.clone(), value),
            None if is_nullable(field) => _ = example.insert(name.clone(), Value::Null),
            None => {}
        }
    }
    if example.is_empty()
        && let Some(values) = schema.get("additionalProperties").filter(|one| one.is_object())
    {
        let value = compose(values, schemas, depth)?;
        example.insert("name".to_owned(), value);
    }
    Some(example.into())
}

/// The example of a field whose name says what it is.
fn named(name: &str, field: &Value) -> Option<Value> {
    // A value of any type.
    if field.as_object().is_some_and(|field| field.keys().all(|key| key == "description")) {
        return Some(Value::Null);
    }
    let is_texts = kind(field) == "array" && kind(&field["items"]) == "string";
    let fits = match name {
        "next_cursor" => true,
        "events" | "to" if kind(field) == "array" => is_texts,
        "events" => false,
        "to" => return Some(json!("hooks.acme.example")).filter(|_| kind(field) == "string"),
        name if name.ends_with("_ms") || name == "created" => kind(field) == "integer",
        _ => kind(field) == "string",
    };
    if !fits {
        return None;
    }
    let example = match name {
        "next_cursor" => json!("17"),
        "route" => json!("rte_5d41402abc"),
        "destination" => json!("backoffice"),
        "events" => json!(["kyc.**"]),
        "to" => json!(["backoffice"]),
        "value" => json!("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
        "message" | "reason" => json!("the receiver answered 410"),
        "raw" => json!("{}"),
        "name" => json!("Acme Bank"),
        "subject" => json!("ann@example.com"),
        name if name.ends_with("_ms") => json!(1_735_228_800_123_i64),
        "created" => json!(1_735_228_800),
        "timestamp" => json!("2026-01-01T00:00:00Z"),
        _ => return None,
    };
    Some(example)
}
