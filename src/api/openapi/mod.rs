//! The API's description: what the handlers say of themselves, completed with what is the same for
//! all of them (the envelope, errors, headers), served at `/openapi.json`, and the very schemas that
//! bodies are checked by.

mod complete;

use std::collections::HashMap;
use std::sync::{LazyLock, OnceLock};

use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use jsonschema::Validator;
use jsonschema::error::ValidationErrorKind;
use serde_json::{Map, Value, json};

use super::answer::Detail;
use fanfare_routing::did_you_mean;

/// The finished document.
struct Document {
    text: Bytes,
    /// Of every schema that a request's body has.
    bodies: HashMap<String, Schema>,
}

struct Schema {
    /// Its reference within the document.
    place: String,
    /// Names of the fields at its top, for suggestions.
    fields: Vec<String>,
    /// Made when the first such body comes: most processes see few of them.
    validator: OnceLock<Validator>,
}

static DOCUMENT: LazyLock<Document> = LazyLock::new(|| {
    let described = super::v1::routes().merge(super::v1::ingest()).split_for_parts().1;
    let mut document = serde_json::to_value(described).expect("a description is JSON");
    complete::complete(&mut document);
    Document { text: document.to_string().into(), bodies: bodies(&document) }
});

/// Every operation: `GET /v1/tenants/{tenant}`.
#[cfg(test)]
pub(crate) fn all_operations() -> std::collections::BTreeSet<String> {
    let document: Value = serde_json::from_slice(&DOCUMENT.text).expect("it is JSON");
    let paths = document["paths"].as_object().expect("paths");
    let methods = ["get", "put", "post", "patch", "delete"];
    let of = |(path, item): (&String, &Value)| {
        let there = methods.iter().filter(|method| item.get(**method).is_some());
        there.map(|method| format!("{} {path}", method.to_uppercase())).collect::<Vec<_>>()
    };
    paths.iter().flat_map(of).collect()
}

/// `GET /openapi.json`.
pub(super) async fn serve() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT.text.clone()).into_response()
}

/// All that is wrong with a body by the schema of this name.
pub(super) fn check(name: &str, body: &Value) -> Vec<Detail> {
    let Some(schema) = DOCUMENT.bodies.get(name) else { return Vec::new() };
    let fields = || schema.fields.iter().map(String::as_str);
    let mut details = Vec::new();
    for error in schema.validator().iter_errors(body).take(50) {
        let path = error.instance_path().to_string();
        let path = path.trim_start_matches('/').replace('/', ".");
        let under = |name: &str| match path.as_str() {
            "" => name.to_owned(),
            path => format!("{path}.{name}"),
        };
        match error.kind() {
            ValidationErrorKind::Required { property } => {
                let name = property.as_str().unwrap_or_default();
                details.push(Detail::new(under(name), "is missing"));
            }
            ValidationErrorKind::AdditionalProperties { unexpected } => {
                for name in unexpected {
                    let near =
                        if path.is_empty() { did_you_mean(name, fields()) } else { String::new() };
                    details.push(Detail::new(under(name), format!("is unknown{near}")));
                }
            }
            _ => {
                // Values may be secrets: they are not repeated.
                let message = error.masked_with("it").to_string();
                let message = message.strip_prefix("it ").unwrap_or(&message);
                details.push(Detail::new(path, message));
            }
        }
    }
    details
}

impl Schema {
    fn validator(&self) -> &Validator {
        self.validator.get_or_init(|| {
            let document: Value = serde_json::from_slice(&DOCUMENT.text).expect("it is JSON");
            let schema = json!({"$ref": self.place, "components": document["components"]});
            jsonschema::draft202012::new(&schema)
                .expect("a schema of our own; a test goes through all of them")
        })
    }
}

fn bodies(document: &Value) -> HashMap<String, Schema> {
    let mut bodies = HashMap::new();
    for operation in operations(document) {
        let body = operation.get("requestBody");
        let content = body.and_then(|body| body["content"].as_object());
        for reference in content.into_iter().flat_map(Map::values) {
            let Some(place) = reference["schema"]["$ref"].as_str() else { continue };
            let name = place.rsplit('/').next().unwrap_or_default().to_owned();
            let properties = document["components"]["schemas"][&name]["properties"].as_object();
            let fields = properties.into_iter().flat_map(Map::keys).cloned().collect();
            let place = place.to_owned();
            bodies.insert(name, Schema { place, fields, validator: OnceLock::new() });
        }
    }
    bodies
}

fn operations(document: &Value) -> impl Iterator<Item = &Map<String, Value>> {
    let items = document["paths"].as_object().into_iter().flat_map(Map::values);
    items.filter_map(Value::as_object).flat_map(Map::values).filter_map(Value::as_object)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_body_can_be_checked() {
        assert!(DOCUMENT.bodies.len() > 10, "{}", DOCUMENT.bodies.len());
        for (name, schema) in &DOCUMENT.bodies {
            assert!(!schema.validator().is_valid(&json!("no body is text")), "{name}");
        }
    }
}
