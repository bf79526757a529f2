//! `/openapi.json`: collected from the handlers' annotations, then completed with what all
//! operations have in common (the envelope, errors, headers).

mod access;
mod complete;
mod destinations;
mod errors;
mod examples;

use std::sync::{Arc, OnceLock};

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde_json::{Value, json};

use super::state::ApiState;
use super::v1;

/// The finished document.
static DOCUMENT: OnceLock<Bytes> = OnceLock::new();

/// What the handlers' annotations say.
fn collected() -> Value {
    json!(v1::resource_paths().merge(v1::ingest_paths()).split_for_parts().1)
}

/// `GET /openapi.json`.
pub(super) async fn serve(State(state): State<Arc<ApiState>>) -> Response {
    let document = DOCUMENT.get_or_init(|| {
        let mut document = collected();
        complete::complete(&mut document, state.registry.channels());
        document.to_string().into()
    });
    ([(header::CONTENT_TYPE, "application/json")], document.clone()).into_response()
}

/// Every operation, such as `GET /v1/tenants/{tenant}`.
#[cfg(test)]
pub(crate) fn all_operations() -> std::collections::BTreeSet<String> {
    let document = collected();
    let paths = document["paths"].as_object().expect("the API has paths");
    let methods = ["get", "put", "post", "patch", "delete"];
    let of = |(path, item): (&String, &Value)| {
        let present = methods.iter().filter(|method| item.get(**method).is_some());
        present.map(|method| format!("{} {path}", method.to_uppercase())).collect::<Vec<_>>()
    };
    paths.iter().flat_map(of).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::Map;

    use super::*;

    /// The schemas of all request bodies, by name.
    fn bodies(document: &Value) -> BTreeMap<String, Value> {
        let items = document["paths"].as_object().into_iter().flat_map(Map::values);
        let operations = items.filter_map(Value::as_object).flat_map(Map::values);
        let contents = operations
            .filter_map(|operation| operation["requestBody"]["content"].as_object())
            .flat_map(Map::values);
        let named = contents.filter_map(|content| {
            let schema = &content["schema"];
            let place = schema["$ref"].as_str().or_else(|| schema["oneOf"][0]["$ref"].as_str())?;
            let name = place.rsplit('/').next()?.to_owned();
            let schema = document["components"]["schemas"][&name].clone();
            Some((name, schema))
        });
        named.collect()
    }

    #[test]
    fn every_request_body_has_a_schema_that_compiles() {
        let document = collected();
        let bodies = bodies(&document);
        assert!(bodies.len() > 10, "{}", bodies.len());
        for (name, mut schema) in bodies {
            schema["components"] = document["components"].clone();
            let validator = jsonschema::draft202012::new(&schema).expect("a valid schema");
            assert!(!validator.is_valid(&json!("a text is no body")), "{name}");
        }
    }
}
