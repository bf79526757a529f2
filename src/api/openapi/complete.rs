//! What is the same for all operations, and no handler repeats: the envelope, errors, headers.

use serde_json::{Map, Value, json};

/// Completes the document with what no handler repeats.
pub(super) fn complete(document: &mut Value) {
    document["components"]["securitySchemes"] = json!({"key": {
        "type": "http", "scheme": "bearer",
        "description": "An API key: `Authorization: Bearer sk_live_…`. What stands in an operation's \
                        requirement is the least role that it takes: reader, publisher, admin or \
                        operator.",
    }});
    document["components"]["schemas"]["Error"] = error_schema();
    document["components"]["headers"] = json!({
        "RequestId": {
            "description": "The request's id: the caller's own `X-Request-Id`, or one made here.",
            "schema": {"type": "string"},
        },
        "ETag": {
            "description": "This version of the resource, for `If-Match`.",
            "schema": {"type": "string"},
        },
    });
    let schemas = document["components"]["schemas"].as_object().cloned().unwrap_or_default();
    merge_parts(&mut document["components"]["schemas"], &schemas);
    let paths = document["paths"].as_object_mut().expect("the API has paths");
    for (path, item) in paths.iter_mut() {
        let item = item.as_object_mut().expect("a path has operations");
        let versioned = ["put", "patch"].iter().any(|method| item.contains_key(*method));
        for (method, operation) in item.iter_mut() {
            finish(path, method, operation, versioned);
        }
    }
}

/// Makes one object of those that are put together of several: the parts refuse each other's fields.
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

fn merged(parts: &[Value], about: Option<&Value>, schemas: &Map<String, Value>) -> Value {
    let (mut required, mut properties) = (Vec::new(), Map::new());
    for part in parts {
        let name = part["$ref"].as_str().and_then(|place| place.rsplit('/').next());
        let part = name.and_then(|name| schemas.get(name)).unwrap_or(part);
        required.extend(part["required"].as_array().cloned().unwrap_or_default());
        properties.extend(part["properties"].as_object().cloned().unwrap_or_default());
    }
    let mut whole = json!({"type": "object", "required": required, "properties": properties});
    if let Some(about) = about {
        whole["description"] = about.clone();
    }
    whole
}

/// A body that may be left out: utoipa says that it may be null, which it may not.
fn optional_body(operation: &mut Value) {
    let Some(body) = operation.get_mut("requestBody") else { return };
    let content = body.get_mut("content").and_then(Value::as_object_mut);
    let mut may_be_left_out = false;
    for content in content.into_iter().flat_map(Map::values_mut) {
        let first = content["schema"]["oneOf"].get(0).filter(|one| one.get("$ref").is_some());
        let null = content["schema"]["oneOf"].get(1).is_some_and(|one| one["type"] == "null");
        if let Some(first) = first.filter(|_| null).cloned() {
            content["schema"] = first;
            may_be_left_out = true;
        }
    }
    if may_be_left_out {
        body["required"] = false.into();
    }
}

fn finish(path: &str, method: &str, operation: &mut Value, versioned: bool) {
    let summary = operation["summary"].as_str().unwrap_or_default().to_lowercase();
    let summary = summary.replace(|c: char| !c.is_ascii_alphanumeric() && c != ' ', "");
    let words = summary.split(' ').filter(|word| !["a", "an", "the", "all"].contains(word));
    operation["operationId"] = words.collect::<Vec<_>>().join("_").into();
    optional_body(operation);
    let secured = operation.get("security").is_some();
    let has_body = operation.get("requestBody").is_some();
    let mut parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
    if method == "post" {
        parameters.push(json!({
            "name": "Idempotency-Key", "in": "header", "required": false,
            "description": "The same key with the same request gets the same answer for 24 hours.",
            "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
        }));
    }
    let conditional = versioned && matches!(method, "put" | "patch" | "delete");
    if conditional {
        parameters.push(json!({
            "name": "If-Match", "in": "header", "required": false,
            "description": "The `ETag` that was read: refused with 412 when it has changed since.",
            "schema": {"type": "string", "pattern": "^[!-~]+$"}, "example": "*",
        }));
    }
    let responses = operation["responses"].as_object_mut().expect("an operation has answers");
    for (status, response) in responses.iter_mut() {
        let mut headers = json!({"X-Request-Id": {"$ref": "#/components/headers/RequestId"}});
        if versioned && status != "204" && method != "delete" && method != "post" {
            headers["ETag"] = json!({"$ref": "#/components/headers/ETag"});
        }
        response["headers"] = headers;
        let content = response.get_mut("content").and_then(Value::as_object_mut);
        // A stream of lines is no envelope.
        let content = content.into_iter().flat_map(Map::iter_mut);
        for (_, content) in content.filter(|(kind, _)| *kind == "application/json") {
            let data = content["schema"].take();
            content["schema"] = json!({
                "type": "object", "required": ["status", "data"],
                "properties": {"status": {"const": "success"}, "data": data},
            });
        }
    }
    let asked = Asked {
        secured,
        has_body,
        conditional,
        finds: path.contains('{') || path.ends_with("/events"),
        changes: method != "get",
        checked: has_body || method == "post" || !parameters.is_empty(),
    };
    let errors = asked.errors();
    for (status, kind, code, message) in errors {
        responses.entry(status.to_string()).or_insert_with(|| error_response(kind, code, message));
    }
    responses.sort_keys();
    if !parameters.is_empty() {
        operation["parameters"] = parameters.into();
    }
}

/// What an operation asks for, by which it can fail.
struct Asked {
    secured: bool,
    has_body: bool,
    conditional: bool,
    finds: bool,
    changes: bool,
    checked: bool,
}

impl Asked {
    /// Status, type, code, and what it means.
    fn errors(&self) -> Vec<(u16, &'static str, &'static str, &'static str)> {
        let all = [
            (true, 500, "internal", "internal", "Something went wrong here; it was logged."),
            (
                true,
                503,
                "unavailable",
                "store_away",
                "The store is away; nothing was changed. `Retry-After` says when to try again.",
            ),
            (
                self.secured,
                401,
                "unauthorized",
                "no_key",
                "No key, or one that is not known, revoked or past its time.",
            ),
            (self.secured, 403, "forbidden", "forbidden", "The key's role is too small."),
            (
                self.secured,
                429,
                "rate_limited",
                "too_many_requests",
                "Too many requests with this key. `Retry-After` says when to go on.",
            ),
            (
                self.finds,
                404,
                "not_found",
                "not_found",
                "There is no such thing, or no such tenant for this key.",
            ),
            (
                self.changes,
                409,
                "conflict",
                "busy",
                "What is there does not allow it, or others changed it too often meanwhile.",
            ),
            (
                self.conditional,
                412,
                "conflict",
                "precondition_failed",
                "It was changed since: `If-Match` does not fit any more.",
            ),
            (self.has_body, 413, "invalid_request", "bad_body", "The body is too large."),
            (
                self.has_body,
                415,
                "invalid_request",
                "unsupported_media_type",
                "The body is not JSON by its content type.",
            ),
            (
                self.checked,
                422,
                "invalid_request",
                "invalid_fields",
                "The request is not as it should be; `details` has every field.",
            ),
        ];
        let holds = all.into_iter().filter(|(holds, ..)| *holds);
        holds.map(|(_, status, kind, code, message)| (status, kind, code, message)).collect()
    }
}

fn error_response(kind: &str, code: &str, message: &str) -> Value {
    let mut error = json!({"type": kind, "code": code, "message": message});
    if code == "invalid_fields" {
        let message = "is required, for example https://example.com/hook";
        error["details"] = json!([{"field": "settings.url", "message": message}]);
    }
    json!({
        "description": message,
        "headers": {"X-Request-Id": {"$ref": "#/components/headers/RequestId"}},
        "content": {"application/json": {
            "schema": {"$ref": "#/components/schemas/Error"},
            "example": {"status": "error", "error": error},
        }},
    })
}

fn error_schema() -> Value {
    json!({
        "type": "object",
        "description": "What is wrong. `code` is stable; `message` is for people.",
        "required": ["status", "error"],
        "properties": {
            "status": {"const": "error"},
            "error": {
                "type": "object",
                "required": ["type", "code", "message"],
                "properties": {
                    "type": {"type": "string"},
                    "code": {"type": "string"},
                    "message": {"type": "string"},
                    "details": {"type": "array", "items": {
                        "type": "object",
                        "required": ["field", "message"],
                        "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
                    }},
                },
            },
        },
    })
}
