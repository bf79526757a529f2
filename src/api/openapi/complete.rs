//! Completes the OpenAPI document with what all operations have in common, so that no handler
//! repeats it: the envelope, errors, headers, parameters and examples.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::errors::{self, FAILURES};
use super::{access, destinations, examples};
use crate::tenant::Channels;

/// Completes the document.
pub(super) fn complete(document: &mut Value, channels: &Channels) {
    document["info"]["license"] =
        json!({"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"});
    document["info"]["contact"] = json!({"name": "Fanfare"});
    // One scheme for all operations. The roles are in `x-fanfare-roles`.
    document["security"] = json!([{"key": []}]);
    document["servers"] = json!([{"url": "/", "description": "This server."}]);
    let components = &mut document["components"];
    components["securitySchemes"] = json!({"key": {
        "type": "http", "scheme": "bearer",
        "description": "An API key: `Authorization: Bearer sk_live_…`. Each operation lists the roles \
                        that may call it (`x-fanfare-roles`), and what the key's environment means for \
                        it (`x-fanfare-environment`): `own`, a test key sees and changes test things \
                        only; `shared`, the same for both; `live`, only for live keys.",
    }});
    components["headers"] = headers();
    components["responses"] = errors::responses().into();
    let schemas = components["schemas"].as_object_mut().expect("the API has schemas");
    schemas.extend(errors::schemas());
    let parts = schemas.clone();
    schemas.values_mut().for_each(|schema| merge_parts(schema, &parts));
    destinations::complete(schemas, channels);
    name_lists(document);
    free_form(&mut document["components"]["schemas"]);
    plain_numbers(&mut document["components"]["schemas"]);
    let schemas = document["components"]["schemas"].as_object().cloned().unwrap_or_default();
    let paths = document["paths"].as_object_mut().expect("the API has paths");
    for (path, item) in paths.iter_mut() {
        let item = item.as_object_mut().expect("a path has operations");
        let versioned = ["put", "patch"].iter().any(|method| item.contains_key(*method));
        for (method, operation) in item.iter_mut() {
            complete_operation(path, method, operation, versioned, &schemas);
        }
    }
    share_parameters(document);
    share_responses(document);
    for schema in document["components"]["schemas"].as_object_mut().into_iter().flatten() {
        drop_examples(schema.1);
    }
    drop_unused(document);
}

fn headers() -> Value {
    let text = |about: &str| json!({"description": about, "schema": {"type": "string"}});
    let number = |about: &str| json!({"description": about, "schema": {"type": "integer"}});
    json!({
        "RequestId": text("The id of the request: the caller's `X-Request-Id`, or a generated one."),
        "ETag": text(
            "The version of the resource. Send it as `If-Match` to change the resource only if it is \
             still this version.",
        ),
        "RetryAfter": number("In how many seconds to send the request again."),
        "RateLimit": number("How many requests the key may make at once after a pause."),
        "RateRemaining": number("How many more requests the key may make now."),
        "RateReset": number("When the limit fully resets, in Unix seconds."),
    })
}

/// Names the schemas of lists: `DestinationList` instead of the generic type's name.
fn name_lists(document: &mut Value) {
    let schemas = document["components"]["schemas"].as_object_mut().expect("the API has schemas");
    let lists: Vec<String> =
        schemas.keys().filter(|name| name.starts_with("Page_")).cloned().collect();
    let mut names = HashMap::new();
    if !lists.is_empty() {
        let about = "Pass it as `cursor` to get the next page. Null on the last page.";
        let cursor = json!({"type": ["string", "null"], "description": about});
        schemas.insert("NextCursor".to_owned(), cursor);
    }
    for old in lists {
        let item = &old["Page_".len()..];
        let new = format!("{item}List");
        if schemas.remove(&old).is_some() {
            let item = json!({"$ref": format!("#/components/schemas/{item}")});
            let list = json!({
                "type": "object", "required": ["data", "next_cursor"],
                "description": "One page of a list. It may be short although there is a next page.",
                "properties": {
                    "data": {"type": "array", "items": item},
                    "next_cursor": {"$ref": "#/components/schemas/NextCursor"},
                },
            });
            schemas.insert(new.clone(), list);
        }
        let place = |name: &str| format!("#/components/schemas/{name}");
        names.insert(place(&old), place(&new));
    }
    rename(document, &names);
}

fn rename(value: &mut Value, names: &HashMap<String, String>) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| rename(item, names)),
        Value::Object(object) => {
            if let Some(Value::String(place)) = object.get_mut("$ref")
                && let Some(new) = names.get(place)
            {
                place.clone_from(new);
            }
            object.values_mut().for_each(|value| rename(value, names));
        }
        _ => {}
    }
}

/// Says of an object without fields of its own that it may have any. Generators of clients
/// otherwise allow none.
fn free_form(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(free_form),
        Value::Object(object) => {
            let is_object = match object.get("type") {
                Some(Value::String(kind)) => kind == "object",
                Some(Value::Array(kinds)) => kinds.iter().any(|kind| kind == "object"),
                _ => false,
            };
            let is_open =
                !object.contains_key("properties") && !object.contains_key("additionalProperties");
            if is_object && is_open {
                object.insert("additionalProperties".to_owned(), true.into());
            }
            for (key, value) in object {
                if !["example", "default", "const"].contains(&key.as_str()) {
                    free_form(value);
                }
            }
        }
        _ => {}
    }
}

/// Moves parameters that several operations have to `components`.
fn share_parameters(document: &mut Value) {
    let mut counts: HashMap<String, usize> = HashMap::new();
    for parameter in parameters(&mut document["paths"]) {
        *counts.entry(parameter.to_string()).or_default() += 1;
    }
    let mut shared = Map::new();
    for parameter in parameters(&mut document["paths"]) {
        if counts[&parameter.to_string()] < 2 {
            continue;
        }
        let mut name = pascal(parameter["name"].as_str().unwrap_or_default());
        // Another parameter may have the same name.
        while shared.get(&name).is_some_and(|other| other != &*parameter) {
            name.push_str(&pascal(parameter["in"].as_str().unwrap_or_default()));
        }
        let reference = json!({"$ref": format!("#/components/parameters/{name}")});
        shared.insert(name, std::mem::replace(parameter, reference));
    }
    document["components"]["parameters"] = shared.into();
}

/// The parameters of all operations.
fn parameters(paths: &mut Value) -> impl Iterator<Item = &mut Value> {
    let items = paths.as_object_mut().into_iter().flat_map(Map::values_mut);
    let operations = items.filter_map(Value::as_object_mut).flat_map(Map::values_mut);
    let lists = operations.filter_map(|operation| operation.get_mut("parameters")?.as_array_mut());
    lists.flatten()
}

fn pascal(name: &str) -> String {
    let mut pascal = String::with_capacity(name.len());
    for word in name.split(['_', '-']) {
        let (first, rest) = word.split_at(word.len().min(1));
        pascal.push_str(&first.to_ascii_uppercase());
        pascal.push_str(rest);
    }
    pascal
}

/// Moves successes that several operations have to `components`.
fn share_responses(document: &mut Value) {
    let mut counts: HashMap<String, usize> = HashMap::new();
    for (_, response) in successes(&mut document["paths"]) {
        *counts.entry(response["content"].to_string()).or_default() += 1;
    }
    let mut shared = Map::new();
    for (status, response) in successes(&mut document["paths"]) {
        let content = response["content"].to_string();
        let schema = &response["content"]["application/json"]["schema"];
        let data = schema["properties"]["data"]["$ref"].as_str();
        let Some(data) = data.and_then(|place| place.rsplit('/').next()) else { continue };
        if counts[&content] < 2 {
            continue;
        }
        let tagged = if response["headers"].get("ETag").is_some() { "Versioned" } else { "" };
        let name = format!("{tagged}{data}{status}");
        let reference = json!({"$ref": format!("#/components/responses/{name}")});
        let response = std::mem::replace(response, reference);
        shared.entry(name).or_insert(response);
    }
    if let Some(all) = document["components"]["responses"].as_object_mut() {
        all.extend(shared);
    }
}

/// The successes of all operations, with their status.
fn successes(paths: &mut Value) -> impl Iterator<Item = (String, &mut Value)> {
    let items = paths.as_object_mut().into_iter().flat_map(Map::values_mut);
    let operations = items.filter_map(Value::as_object_mut).flat_map(Map::values_mut);
    let all = operations.filter_map(|operation| operation.get_mut("responses")?.as_object_mut());
    all.flatten()
        .filter(|(status, _)| status.starts_with('2'))
        .map(|(status, response)| (status.clone(), response))
}

/// Removes what says nothing about a JSON number: its size in memory, and that it is not negative.
fn plain_numbers(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(plain_numbers),
        Value::Object(object) => {
            if object.get("format").is_some_and(|format| format == "int64" || format == "int32") {
                object.shift_remove("format");
                if object.get("minimum").is_some_and(|least| least == 0) {
                    object.shift_remove("minimum");
                }
            }
            object.values_mut().for_each(plain_numbers);
        }
        _ => {}
    }
}

/// Removes the examples of fields: the examples of requests and answers are composed of them. Removes
/// defaults too, because generators of clients require fields that have one.
fn drop_examples(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(drop_examples),
        Value::Object(object) => {
            if let Some(Value::Object(fields)) = object.get_mut("properties") {
                fields.values_mut().for_each(drop_examples);
            }
            object.shift_remove("example");
            object.shift_remove("default");
            for key in ["items", "oneOf", "anyOf", "allOf", "additionalProperties"] {
                object.get_mut(key).map(drop_examples);
            }
        }
        _ => {}
    }
}

/// Removes schemas that nothing refers to any more.
fn drop_unused(document: &mut Value) {
    loop {
        let text = document.to_string();
        let schemas = document["components"]["schemas"].as_object_mut().expect("schemas");
        let before = schemas.len();
        schemas.retain(|name, _| text.contains(&format!("\"#/components/schemas/{name}\"")));
        if schemas.len() == before {
            return;
        }
    }
}

/// Turns every schema that is composed of several (`allOf`) into a single object. As a composition
/// it could match nothing, because each part forbids the fields of the others.
fn merge_parts(value: &mut Value, schemas: &Map<String, Value>) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| merge_parts(item, schemas)),
        Value::Object(object) => {
            object.values_mut().for_each(|value| merge_parts(value, schemas));
            if let Some(parts) = object.get("allOf").and_then(Value::as_array) {
                *value = merged(parts, object.get("description"), schemas);
            }
        }
        _ => {}
    }
}

fn merged(parts: &[Value], description: Option<&Value>, schemas: &Map<String, Value>) -> Value {
    let (mut required, mut properties) = (Vec::new(), Map::new());
    for part in parts {
        let name = part["$ref"].as_str().and_then(|place| place.rsplit('/').next());
        let part = name.and_then(|name| schemas.get(name)).unwrap_or(part);
        required.extend(part["required"].as_array().cloned().unwrap_or_default());
        properties.extend(part["properties"].as_object().cloned().unwrap_or_default());
    }
    let mut whole = json!({"type": "object", "required": required, "properties": properties});
    if let Some(description) = description {
        whole["description"] = description.clone();
    }
    whole
}

fn complete_operation(
    path: &str,
    method: &str,
    operation: &mut Value,
    versioned: bool,
    schemas: &Map<String, Value>,
) {
    mark_optional_body(operation);
    free_form(operation);
    add_request_examples(operation, schemas);
    let conditional = versioned && matches!(method, "put" | "patch" | "delete");
    let mut parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
    parameters.extend(header_parameters(path, method, conditional));
    let has_body = operation.get("requestBody").is_some();
    let traits = Traits {
        conditional,
        finds: path.contains('{') || path.ends_with("/events"),
        changes: method != "get",
        // Every path refuses unknown query parameters.
        checked: has_body || !parameters.is_empty() || path.starts_with("/v1/"),
    };
    let responses = operation["responses"].as_object_mut().expect("an operation has responses");
    let has_tag = versioned && method != "delete" && method != "post";
    for (status, response) in responses.iter_mut() {
        complete_success(response, has_tag && status != "204", schemas);
    }
    for failure in FAILURES.iter().filter(|failure| traits.can_fail_with(failure.status)) {
        responses.entry(failure.status.to_string()).or_insert_with(|| failure.reference());
    }
    responses.insert("default".to_owned(), errors::any());
    responses.sort_keys();
    if !parameters.is_empty() {
        operation["parameters"] = parameters.into();
    }
    if let Some(operation) = operation.as_object_mut() {
        access::complete(path, operation);
        operation.shift_remove("security");
    }
}

/// Marks a body that may be omitted. utoipa describes such a body as nullable, but null is invalid.
fn mark_optional_body(operation: &mut Value) {
    let Some(body) = operation.get_mut("requestBody") else { return };
    let content = body.get_mut("content").and_then(Value::as_object_mut);
    let mut is_optional = false;
    for content in content.into_iter().flat_map(Map::values_mut) {
        let first = content["schema"]["oneOf"].get(0).filter(|one| one.get("$ref").is_some());
        let null = content["schema"]["oneOf"].get(1).is_some_and(|one| one["type"] == "null");
        if let Some(first) = first.filter(|_| null).cloned() {
            content["schema"] = first;
            is_optional = true;
        }
    }
    if is_optional {
        body["required"] = false.into();
    }
}

/// Adds an example to every body of JSON.
fn add_request_examples(operation: &mut Value, schemas: &Map<String, Value>) {
    let content = operation.get_mut("requestBody").and_then(|body| body.get_mut("content"));
    for (kind, content) in content.and_then(Value::as_object_mut).into_iter().flatten() {
        if kind.ends_with("json")
            && content.get("example").is_none()
            && kind != "application/x-ndjson"
        {
            content["example"] = examples::of(&content["schema"], schemas);
        }
    }
}

fn header_parameters(path: &str, method: &str, conditional: bool) -> Vec<Value> {
    let mut parameters = Vec::new();
    if path == "/v1/events" || path.starts_with("/v1/ingest/") {
        parameters.push(json!({
            "name": "Fanfare-Tenant", "in": "header", "required": false,
            "description": "The tenant's id, as an alternative to the query parameter `tenant`.",
            "schema": {"type": "string", "pattern": "^[a-z0-9_-]{1,64}$"},
        }));
    }
    if method == "post" {
        parameters.push(json!({
            "name": "Idempotency-Key", "in": "header", "required": false,
            "description": "Makes it safe to retry the request. The same key with the same request \
                            returns the first answer for 24 hours.",
            "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
        }));
    }
    if conditional {
        parameters.push(json!({
            "name": "If-Match", "in": "header", "required": false,
            "description": "The `ETag` that you read. If the resource has changed since, the request \
                            fails with 412 and changes nothing.",
            "schema": {"type": "string", "pattern": "^[!-~]+$"}, "example": "*",
        }));
    }
    parameters
}

/// Adds the headers, wraps JSON content in the envelope, and adds an example. A stream of lines has
/// no envelope.
fn complete_success(response: &mut Value, has_tag: bool, schemas: &Map<String, Value>) {
    if has_tag {
        response["headers"] = json!({"ETag": {"$ref": "#/components/headers/ETag"}});
    }
    let content = response.get_mut("content").and_then(Value::as_object_mut);
    let content = content.into_iter().flat_map(Map::iter_mut);
    for (_, content) in content.filter(|(kind, _)| *kind == "application/json") {
        let data = content["schema"].take();
        let example = examples::of(&data, schemas);
        content["schema"] = json!({
            "type": "object", "required": ["status", "data"],
            "properties": {"status": {"const": "success"}, "data": data},
        });
        content["example"] = json!({"status": "success", "data": example});
    }
}

/// The traits of an operation that determine how it can fail.
struct Traits {
    conditional: bool,
    finds: bool,
    changes: bool,
    checked: bool,
}

impl Traits {
    /// Whether the operation has a failure that not every operation has.
    fn can_fail_with(&self, status: u16) -> bool {
        match status {
            404 => self.finds,
            409 => self.changes,
            412 => self.conditional,
            _ => self.checked,
        }
    }
}
