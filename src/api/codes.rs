//! Every error code of the API, with its status and its meaning. Codes are stable.
//!
//! `ApiError::new` checks in debug builds that its code is in this table, so that the documented
//! list is complete.

/// A code, the statuses that it comes with, and what it means.
pub(super) struct Code {
    pub(super) word: &'static str,
    pub(super) statuses: &'static [u16],
    pub(super) meaning: &'static str,
}

const fn code(word: &'static str, statuses: &'static [u16], meaning: &'static str) -> Code {
    Code { word, statuses, meaning }
}

/// The categories of errors, with what a client should do.
pub(super) const TYPES: [(&str, &str); 8] = [
    ("invalid_request", "the request is wrong; change it"),
    ("unauthorized", "the key is missing or not valid"),
    ("forbidden", "the key may not do this"),
    ("not_found", "the resource does not exist for this key"),
    ("conflict", "the request does not fit the state of the resource"),
    ("rate_limited", "a rate or a quota is exceeded; wait for `Retry-After`"),
    ("unavailable", "the server cannot answer now; retry after `Retry-After`"),
    ("internal", "a fault of the server; its log has the details"),
];

/// All codes, sorted.
pub(super) const CODES: &[Code] = &[
    code("all_refused", &[422], "No event of the batch was accepted. `details` has the reasons."),
    code("bad_batch", &[422], "The batch is empty or has too many events."),
    code("bad_body", &[400, 413], "The body is too large or was cut off."),
    code("bad_created", &[422], "The event's `created` is not a Unix time in seconds."),
    code("bad_encoding", &[400, 422], "The compressed body cannot be decompressed."),
    code("bad_id", &[422], "The event's id has an invalid form."),
    code("bad_key", &[422], "The `Idempotency-Key` has an invalid form."),
    code("bad_query", &[422], "The cursor is not valid for this list."),
    code("bad_signature", &[401], "The signature of the source does not match its secret."),
    code("bad_tenant", &[422], "The tenant's id has an invalid form."),
    code("bad_type", &[422], "The event's type has an invalid form."),
    code("busy", &[409], "The resource was changed at the same time. Try again."),
    code("conflicting_tenants", &[422], "The request names two different tenants."),
    code("duplicate_key", &[422], "A key occurs twice in one JSON object."),
    code("exists", &[409], "A resource with this id exists already."),
    code("expired_key", &[401], "The API key has expired."),
    code("forbidden", &[403], "The key's role does not allow this operation."),
    code("foreign_host", &[403], "In development, the request names another host."),
    code("foreign_origin", &[403], "In development, the request comes from another website."),
    code("in_progress", &[409], "A request with this `Idempotency-Key` is in progress."),
    code("internal", &[500], "An internal error. The server's log has the details."),
    code("invalid_fields", &[422], "Fields are missing, unknown or wrong. `details` lists them."),
    code("invalid_settings", &[409], "The tenant's stored settings cannot be used."),
    code("key_reused", &[422], "The `Idempotency-Key` was used for a different request."),
    code("live_key_required", &[403], "A test key may not change what live events use."),
    code("missing_field", &[422], "The event has no `type` or no `data`."),
    code("no_connections", &[503], "All connections of the server are in use."),
    code("no_digest", &[409], "The destination collects no digest."),
    code("no_event", &[422], "The entry has no event."),
    code("no_key", &[401], "No API key was sent."),
    code("no_mailbox", &[409], "The destination is not a mailbox."),
    code("no_master_key", &[409], "The server has no master key to encrypt the secret."),
    code("no_memory", &[429, 503], "There is no memory for the body at the moment."),
    code("no_metrics", &[404], "Metrics are disabled."),
    code("no_randomness", &[409], "The operating system gave no random bytes."),
    code("no_secret", &[409], "The destination has no secret to rotate."),
    code("no_such_path", &[404], "There is no such path."),
    code("no_tenant", &[422], "The key belongs to no tenant, and the request names none."),
    code("not_appending", &[503], "No event can be appended to the log."),
    code("not_found", &[404], "The resource does not exist, or the key may not see it."),
    code("not_json", &[422], "The body is not JSON."),
    code("not_reading", &[503], "No events are read from the log at the moment."),
    code("not_serving", &[503], "Waiting deliveries are not served at the moment."),
    code("not_settling", &[503], "Outcomes are not written at the moment."),
    code("not_utf8", &[422], "The event is not UTF-8."),
    code("precondition_failed", &[412], "The resource changed since you read it."),
    code("quota_exceeded", &[422, 429], "A quota of the tenant is exceeded."),
    code("recipient_removed", &[409], "The recipient of the delivery was removed."),
    code("reserved_id", &[422], "The event's id is reserved for Fanfare's own events."),
    code("reserved_type", &[422], "The event's type is reserved for Fanfare's own events."),
    code("schema_mismatch", &[422], "The event does not match the schema of its type."),
    code("slow_body", &[408], "The body arrived too slowly."),
    code("stopping", &[503], "The server is stopping."),
    code("store_away", &[503], "The store cannot be reached. Nothing was changed."),
    code("store_full", &[503], "The store has no space. Nothing was changed."),
    code("too_deep", &[422], "The event is nested too deeply."),
    code("too_large", &[413, 422], "The event is too large."),
    code("too_many_requests", &[429], "The key exceeded its rate limit."),
    code("too_many_templates", &[503], "Too many templates are being compiled."),
    code("too_many_values", &[422], "The body has too many values."),
    code("too_many_waiting", &[429, 503], "Too many requests wait for an event."),
    code("unknown_outcome", &[409], "It is unknown whether the first request was executed."),
    code("unknown_source", &[404], "There is no ingest source with this name."),
    code("unknown_tenant", &[404, 422], "The tenant does not exist for this key."),
    code(
        "unsupported_encoding",
        &[415],
        "The body has a `Content-Encoding` that is not supported.",
    ),
    code("unsupported_media_type", &[415], "The content type is not supported."),
    code("unusable_tenant", &[503], "The tenant's stored settings cannot be used."),
    code("wrong_key", &[401], "The API key is unknown or revoked."),
    code("wrong_method", &[405], "The path does not support the method."),
    code("wrong_state", &[409], "The delivery's state does not allow this."),
    code("wrong_type", &[422], "A field of the event has the wrong type."),
];

/// Whether a code is documented.
pub(super) fn is_known(code: &str) -> bool {
    CODES.iter().any(|known| known.word == code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_listed_once_and_sorted() {
        assert!(CODES.is_sorted_by(|a, b| a.word < b.word));
    }
}
