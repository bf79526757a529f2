//! Errors in the description: one response per status in `components`, the schema of the body, and
//! the list of all codes.

use serde_json::{Map, Value, json};

use crate::api::codes::{CODES, TYPES};

/// A status with which requests can fail.
pub(super) struct Failure {
    pub(super) status: u16,
    /// The name of its response in `components`.
    name: &'static str,
    kind: &'static str,
    /// The code of the example.
    code: &'static str,
    meaning: &'static str,
}

/// The statuses that only some operations have, in order.
pub(super) const FAILURES: [Failure; 4] = [
    failure(
        404,
        "NotFound",
        "not_found",
        "not_found",
        "The resource does not exist, or the key may not access its tenant.",
    ),
    failure(
        409,
        "Conflict",
        "conflict",
        "busy",
        "The request conflicts with the resource's state, or with concurrent changes.",
    ),
    failure(
        412,
        "PreconditionFailed",
        "conflict",
        "precondition_failed",
        "The resource changed since you read it: its `ETag` does not match `If-Match`.",
    ),
    failure(
        422,
        "Invalid",
        "invalid_request",
        "invalid_fields",
        "The request is invalid. `details` lists every wrong field.",
    ),
];

/// What every operation can answer besides.
const ANY: Failure = failure(
    0,
    "Error",
    "rate_limited",
    "too_many_requests",
    "Any other error: 400 or 408 for a body that did not arrive, 401 for a missing or wrong key, 403 \
     for a key that may not do this, 413 for a large body, 415 for a wrong content type, 429 for a \
     rate or a quota, 500 for a fault of the server, 503 while it is unavailable.",
);

/// A reference to the response for all other errors.
pub(super) fn any() -> Value {
    ANY.reference()
}

const fn failure(
    status: u16,
    name: &'static str,
    kind: &'static str,
    code: &'static str,
    meaning: &'static str,
) -> Failure {
    Failure { status, name, kind, code, meaning }
}

impl Failure {
    /// A reference to its response.
    pub(super) fn reference(&self) -> Value {
        json!({"$ref": format!("#/components/responses/{}", self.name)})
    }

    fn response(&self) -> Value {
        let header = |name: &str| json!({"$ref": format!("#/components/headers/{name}")});
        let mut headers = json!({"X-Request-Id": header("RequestId")});
        if self.status == 0 {
            headers["Retry-After"] = header("RetryAfter");
            headers["X-RateLimit-Limit"] = header("RateLimit");
            headers["X-RateLimit-Remaining"] = header("RateRemaining");
            headers["X-RateLimit-Reset"] = header("RateReset");
        }
        let mut error = json!({
            "type": self.kind, "code": self.code,
            "message": if self.status == 0 { "the key exceeded its rate limit" } else { self.meaning },
            "request_id": "req_0b9cbb6e7c1d4f2e9d0a3f8f9d1c2b3a",
        });
        if self.code == "invalid_fields" {
            error["details"] =
                json!([{"field": "settings.url", "message": "has no host; use https://host/path"}]);
        }
        json!({
            "description": self.meaning,
            "headers": headers,
            "content": {"application/json": {
                "schema": {"$ref": "#/components/schemas/Error"},
                "example": {"status": "error", "error": error},
            }},
        })
    }
}

/// All responses, by name.
pub(super) fn responses() -> Map<String, Value> {
    FAILURES
        .iter()
        .chain([&ANY])
        .map(|failure| (failure.name.to_owned(), failure.response()))
        .collect()
}

/// The schemas of an error, by name.
pub(super) fn schemas() -> Map<String, Value> {
    let types: Vec<_> = TYPES.iter().map(|(name, _)| *name).collect();
    let codes: Vec<_> = CODES.iter().map(|code| code.word).collect();
    let type_lines: Vec<_> =
        TYPES.iter().map(|(name, what)| format!("\n- `{name}`: {what}")).collect();
    let type_lines = type_lines.concat();
    let code_lines: Vec<_> = CODES
        .iter()
        .map(|code| {
            let statuses: Vec<_> = code.statuses.iter().map(u16::to_string).collect();
            format!("\n- `{}` ({}): {}", code.word, statuses.join(", "), code.meaning)
        })
        .collect();
    let code_lines = code_lines.concat();
    let schemas = json!({
        "Error": {
            "type": "object",
            "description": "A failed request.",
            "required": ["status", "error"],
            "properties": {
                "status": {"const": "error"},
                "error": {"$ref": "#/components/schemas/ErrorBody"},
            },
        },
        "ErrorBody": {
            "type": "object",
            "description": "What is wrong.",
            "required": ["type", "code", "message", "request_id"],
            "properties": {
                "type": {"$ref": "#/components/schemas/ErrorType"},
                "code": {"$ref": "#/components/schemas/ErrorCode"},
                "message": {
                    "type": "string",
                    "description": "What is wrong and how to fix it, for people. It may change.",
                },
                "request_id": {
                    "type": "string",
                    "description": "The id of the request, as in `X-Request-Id`.",
                },
                "details": {
                    "type": "array",
                    "description": "Every wrong field, if the request is invalid.",
                    "items": {"$ref": "#/components/schemas/ErrorDetail"},
                },
            },
        },
        "ErrorDetail": {
            "type": "object",
            "description": "A wrong field.",
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
        "ErrorType": {
            "type": "string", "enum": types,
            "description": format!("The category of an error:\n{type_lines}"),
        },
        "ErrorCode": {
            "type": "string", "enum": codes,
            "description": format!(
                "The exact error, with the statuses that it comes with. Codes are stable, so programs \
                 can rely on them.\n{code_lines}"
            ),
        },
    });
    schemas.as_object().cloned().unwrap_or_default()
}
