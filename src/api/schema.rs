//! Checks request bodies against JSON Schemas, and reports every wrong field at once.
//!
//! The schemas come from the same `ToSchema` implementations as those in `/openapi.json`, so a body
//! is accepted exactly if it is valid as documented.

use std::any::TypeId;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, PoisonError, RwLock};

use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::{ValidationError, Validator};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::answer::Detail;
use fanfare_routing::did_you_mean;

/// Most errors reported for one body.
const MAX_DETAILS: usize = 50;

/// The schema of one type of body.
struct BodySchema {
    validator: Validator,
    /// Names of the fields at the top level, for suggestions.
    fields: Vec<String>,
}

/// Schemas by type. Each is compiled when the first such body arrives, because most processes see
/// few of them.
static SCHEMAS: LazyLock<RwLock<HashMap<TypeId, Arc<BodySchema>>>> = LazyLock::new(RwLock::default);

/// Returns everything wrong with a body of type `T`.
pub(super) fn check<T: ToSchema + 'static>(body: &Value) -> Vec<Detail> {
    schema_of::<T>().check(body)
}

fn schema_of<T: ToSchema + 'static>() -> Arc<BodySchema> {
    let id = TypeId::of::<T>();
    let known = SCHEMAS.read().unwrap_or_else(PoisonError::into_inner).get(&id).cloned();
    known.unwrap_or_else(|| {
        let mut schemas = SCHEMAS.write().unwrap_or_else(PoisonError::into_inner);
        schemas.entry(id).or_insert_with(|| Arc::new(BodySchema::new::<T>())).clone()
    })
}

impl BodySchema {
    fn new<T: ToSchema>() -> Self {
        let mut referenced = Vec::new();
        T::schemas(&mut referenced);
        let referenced: Map<String, Value> =
            referenced.into_iter().map(|(name, schema)| (name, json!(schema))).collect();
        let mut schema = json!(T::schema());
        let fields = schema["properties"].as_object().into_iter().flat_map(Map::keys).cloned();
        let fields = fields.collect();
        // References have the form `#/components/schemas/Name`.
        schema["components"] = json!({"schemas": referenced});
        let validator = jsonschema::draft202012::new(&schema);
        let validator =
            validator.expect("generated schemas are valid; a test compiles each of them");
        Self { validator, fields }
    }

    fn check(&self, body: &Value) -> Vec<Detail> {
        let errors = self.validator.iter_errors(body).take(MAX_DETAILS);
        errors.flat_map(|error| self.details(&error)).collect()
    }

    /// An error may be about several fields.
    fn details(&self, error: &ValidationError<'_>) -> Vec<Detail> {
        let path = error.instance_path().to_string();
        let path = path.trim_start_matches('/').replace('/', ".");
        let under = |name: &str| match path.as_str() {
            "" => name.to_owned(),
            path => format!("{path}.{name}"),
        };
        match error.kind() {
            ValidationErrorKind::Required { property } => {
                let name = property.as_str().unwrap_or_default();
                vec![Detail::new(under(name), "is missing")]
            }
            ValidationErrorKind::AdditionalProperties { unexpected } => {
                let unknown = |name: &String| {
                    let is_top = path.is_empty();
                    let suggestion = if is_top { self.suggest(name) } else { String::new() };
                    Detail::new(under(name), format!("is unknown{suggestion}"))
                };
                unexpected.iter().map(unknown).collect()
            }
            ValidationErrorKind::Type { kind } => {
                let types: Vec<String> = match kind {
                    TypeKind::Single(one) => vec![one.to_string()],
                    TypeKind::Multiple(several) => {
                        several.iter().map(|one| one.to_string()).collect()
                    }
                };
                vec![Detail::new(&*path, format!("must be of type {}", types.join(" or ")))]
            }
            ValidationErrorKind::Enum { options } => {
                let words: Vec<&str> =
                    options.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
                let given = error.instance().as_str().unwrap_or_default();
                let suggestion = did_you_mean(given, words.iter().copied());
                let message = format!("must be {}{suggestion}", any_of(&words));
                vec![Detail::new(&*path, message)]
            }
            _ => {
                // The message must not repeat the value, because it may be a secret.
                let message = error.masked_with("it").to_string();
                let message = message.strip_prefix("it ").unwrap_or(&message);
                vec![Detail::new(&*path, message)]
            }
        }
    }

    fn suggest(&self, name: &str) -> String {
        did_you_mean(name, self.fields.iter().map(String::as_str))
    }
}

/// The words as a list for people.
fn any_of(words: &[&str]) -> String {
    let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match &words[..] {
        [first @ .., last] if !first.is_empty() => format!("{} or {last}", first.join(", ")),
        words => words.concat(),
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize, ToSchema)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only its schema is used")]
    struct Outer {
        name: String,
        inner: Option<Inner>,
    }

    #[derive(Deserialize, ToSchema)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only its schema is used")]
    struct Inner {
        #[schema(minimum = 1)]
        count: u32,
    }

    #[test]
    fn every_wrong_field_is_reported_at_once() {
        let body = json!({"nam": "x", "inner": {"count": 0, "other": 1}});
        let mut details = check::<Outer>(&body);
        details.sort_by(|a, b| a.field.cmp(&b.field));
        let fields: Vec<&str> = details.iter().map(|detail| &*detail.field).collect();
        assert!(fields.contains(&"name") && fields.contains(&"nam"), "{details:?}");
        assert!(fields.iter().any(|field| field.starts_with("inner")), "{details:?}");
        let unknown = details.iter().find(|detail| detail.field == "nam").unwrap();
        assert_eq!(unknown.message, "is unknown; did you mean `name`?");
        assert!(check::<Outer>(&json!({"name": "x", "inner": {"count": 1}})).is_empty());
    }

    #[test]
    fn a_message_does_not_repeat_the_value() {
        let details = check::<Outer>(&json!({"name": 123_456_789}));
        assert_eq!(details, [Detail::new("name", "must be of type string")]);
        let details = check::<Outer>(&json!({"name": "x", "inner": {"count": -123_456_789}}));
        assert!(!details.is_empty());
        assert!(!format!("{details:?}").contains("123456789"), "{details:?}");
    }
}
