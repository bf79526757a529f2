//! Completes the OpenAPI document with what all operations have in common, so that no handler
//! repeats it: the envelope, errors, headers and parameters.

use serde_json::{Map, Value, json};

use super::access;

/// Completes the document.
pub(super) fn complete(document: &mut Value) {
    document["components"]["securitySchemes"] = json!({"key": {
        "type": "http", "scheme": "bearer",
        "description": "An API key: `Authorization: Bearer sk_live_…`. Each operation lists the roles \
                        that may call it (`x-fanfare-roles`), and what the key's environment means for \
                        it (`x-fanfare-environment`): `own`, a test key sees and changes test things \
                        only; `shared`, the same for both; `live`, only for live keys.",
    }});
    document["components"]["schemas"]["Error"] = error_schema();
    document["components"]["headers"] = json!({
        "RequestId": {
            "description": "The id of the request: the caller's `X-Request-Id`, or a generated one.",
            "schema": {"type": "string"},
        },
        "ETag": {
            "description": "The version of the resource. Send it as `If-Match` to change the resource \
                            only if it is still this version.",
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
            complete_operation(path, method, operation, versioned);
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

fn complete_operation(path: &str, method: &str, operation: &mut Value, versioned: bool) {
    mark_optional_body(operation);
    let conditional = versioned && matches!(method, "put" | "patch" | "delete");
    let mut parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
    parameters.extend(header_parameters(method, conditional));
    let has_body = operation.get("requestBody").is_some();
    let traits = Traits {
        secured: operation.get("security").is_some(),
        has_body,
        conditional,
        finds: path.contains('{') || path.ends_with("/events"),
        changes: method != "get",
        checked: has_body || !parameters.is_empty(),
    };
    let responses = operation["responses"].as_object_mut().expect("an operation has responses");
    let has_tag = versioned && method != "delete" && method != "post";
    for (status, response) in responses.iter_mut() {
        complete_success(response, has_tag && status != "204");
    }
    for (status, kind, code, message) in traits.errors() {
        responses.entry(status.to_string()).or_insert_with(|| error_response(kind, code, message));
    }
    responses.sort_keys();
    if !parameters.is_empty() {
        operation["parameters"] = parameters.into();
    }
    if let Some(operation) = operation.as_object_mut() {
        access::complete(path, operation);
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

fn header_parameters(method: &str, conditional: bool) -> Vec<Value> {
    let mut parameters = Vec::new();
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

/// Adds the headers, and wraps JSON content in the envelope. A stream of lines has no envelope.
fn complete_success(response: &mut Value, has_tag: bool) {
    let mut headers = json!({"X-Request-Id": {"$ref": "#/components/headers/RequestId"}});
    if has_tag {
        headers["ETag"] = json!({"$ref": "#/components/headers/ETag"});
    }
    response["headers"] = headers;
    let content = response.get_mut("content").and_then(Value::as_object_mut);
    let content = content.into_iter().flat_map(Map::iter_mut);
    for (_, content) in content.filter(|(kind, _)| *kind == "application/json") {
        let data = content["schema"].take();
        content["schema"] = json!({
            "type": "object", "required": ["status", "data"],
            "properties": {"status": {"const": "success"}, "data": data},
        });
    }
}

/// The traits of an operation that determine how it can fail.
struct Traits {
    secured: bool,
    has_body: bool,
    conditional: bool,
    finds: bool,
    changes: bool,
    checked: bool,
}

/// Status, type, code, and description.
type ErrorKind = (u16, &'static str, &'static str, &'static str);

impl Traits {
    fn errors(&self) -> Vec<ErrorKind> {
        const INTERNAL: ErrorKind =
            (500, "internal", "internal", "An internal error. The server's log has the details.");
        const STORE_AWAY: ErrorKind = (
            503,
            "unavailable",
            "store_away",
            "The store is unavailable and nothing was changed. Retry after `Retry-After` seconds.",
        );
        const NO_KEY: ErrorKind = (
            401,
            "unauthorized",
            "no_key",
            "No API key was sent, or the key is unknown, revoked or expired.",
        );
        const FORBIDDEN: ErrorKind =
            (403, "forbidden", "forbidden", "The key's role does not allow this operation.");
        const TOO_MANY: ErrorKind = (
            429,
            "rate_limited",
            "too_many_requests",
            "The key has exceeded its rate limit, or the tenant a quota. Retry after `Retry-After` \
             seconds.",
        );
        const NOT_FOUND: ErrorKind = (
            404,
            "not_found",
            "not_found",
            "The resource does not exist, or the key may not access its tenant.",
        );
        const CONFLICT: ErrorKind = (
            409,
            "conflict",
            "busy",
            "The request conflicts with the resource's state, or with concurrent changes.",
        );
        const CHANGED: ErrorKind = (
            412,
            "conflict",
            "precondition_failed",
            "The resource changed since you read it: its `ETag` does not match `If-Match`.",
        );
        const TOO_SLOW: ErrorKind =
            (408, "invalid_request", "slow_body", "The body arrived too slowly.");
        const TOO_LARGE: ErrorKind = (413, "invalid_request", "bad_body", "The body is too large.");
        const NOT_JSON: ErrorKind =
            (415, "invalid_request", "unsupported_media_type", "The content type is not JSON.");
        const INVALID: ErrorKind = (
            422,
            "invalid_request",
            "invalid_fields",
            "The request is invalid. `details` lists every wrong field.",
        );
        let all = [
            (true, INTERNAL),
            (true, STORE_AWAY),
            (self.secured, NO_KEY),
            (self.secured, FORBIDDEN),
            (self.secured, TOO_MANY),
            (self.finds, NOT_FOUND),
            (self.changes, CONFLICT),
            (self.conditional, CHANGED),
            (self.has_body, TOO_SLOW),
            (self.has_body, TOO_LARGE),
            (self.has_body, NOT_JSON),
            (self.checked, INVALID),
        ];
        all.into_iter().filter(|(possible, _)| *possible).map(|(_, error)| error).collect()
    }
}

fn error_response(kind: &str, code: &str, message: &str) -> Value {
    let mut error = json!({"type": kind, "code": code, "message": message});
    if code == "invalid_fields" {
        error["details"] =
            json!([{"field": "settings.url", "message": "has no host; use https://host/path"}]);
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
        "description": "A failed request.",
        "required": ["status", "error"],
        "properties": {
            "status": {"const": "error"},
            "error": {
                "type": "object",
                "required": ["type", "code", "message"],
                "properties": {
                    "type": {
                        "type": "string",
                        "description": "The category of the error.",
                    },
                    "code": {
                        "type": "string",
                        "description": "The exact error. Codes are stable, so programs can rely on them.",
                    },
                    "message": {
                        "type": "string",
                        "description": "What is wrong and how to fix it, for people. It may change.",
                    },
                    "details": {
                        "type": "array",
                        "description": "Every wrong field, if the request is invalid.",
                        "items": {
                            "type": "object",
                            "required": ["field", "message"],
                            "properties": {
                                "field": {
                                    "type": "string",
                                    "description": "Dotted path of the field. Empty for the request as a whole.",
                                },
                                "message": {
                                    "type": "string",
                                    "description": "What is wrong with the field and how to fix it.",
                                },
                            },
                        },
                    },
                },
            },
        },
    })
}
