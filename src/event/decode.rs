//! Decodes bytes into an event, in a single pass over the JSON.
//!
//! Decoding is strict where receivers would disagree. JSON parsers differ on duplicate keys (the
//! first or the last one wins), so an event with duplicate keys could pass a filter here and mean
//! something else to its receiver. It is therefore refused, at any depth. The body is kept as the
//! producer wrote it, and absent fields (`id`, `created`) are inserted at its beginning.

mod scan;
mod strict;
mod walk;

use std::sync::Arc;

use bytes::Bytes;
use fanfare_contract::Event;

use scan::scan;
pub(crate) use strict::{Keys, Text};

use super::limits::Limits;
use super::refusal::Refusal;

/// The byte order mark in UTF-8, which some editors write.
const BOM: &[u8] = b"\xef\xbb\xbf";

/// Values for fields that the producer omitted.
pub struct Fill<'a> {
    /// Generates an id. After a crash, the same entry must get the same id again.
    pub id: &'a dyn Fn() -> String,
    /// Time of arrival in Unix milliseconds.
    pub received_ms: i64,
}

/// Decodes an event.
#[expect(clippy::needless_pass_by_value, reason = "the event keeps a reference to it, not a copy")]
pub fn decode(
    tenant: &Arc<str>,
    raw: Bytes,
    limits: Limits,
    fill: &Fill<'_>,
) -> Result<Event, Refusal> {
    if raw.len() > limits.max_bytes {
        return Err(Refusal::new(
            "too_large",
            format!(
                "the event has {} bytes, and the limit is {}; send a reference to large data instead",
                raw.len(),
                limits.max_bytes
            ),
        ));
    }
    if raw.starts_with(BOM) {
        let message = "the event begins with a byte order mark (EF BB BF), which JSON does not allow; \
                       save the text as UTF-8 without it";
        return Err(Refusal::new("not_json", message));
    }
    let text = std::str::from_utf8(&raw).map_err(|error| {
        let at = error.valid_up_to();
        Refusal::new("not_utf8", format!("byte {at} is not UTF-8; send JSON encoded in UTF-8"))
    })?;
    let head = scan(text, limits)?;
    let kind = head.kind.ok_or_else(|| missing("type", "\"kyc.session.created\""))?;
    if !head.has_data {
        return Err(missing("data", "{}"));
    }
    let (id, id_given) = match head.id {
        Some(id) => (id.into_owned(), true),
        None => ((fill.id)(), false),
    };
    let created = head.created.unwrap_or(fill.received_ms / 1000);
    let kind: Arc<str> = kind.into();
    let body = if id_given && head.created.is_some() {
        raw.clone()
    } else {
        completed(text, (!id_given).then_some(&id), head.created.is_none().then_some(created))
    };
    Ok(Event::new(tenant.clone(), id.into(), kind, created, fill.received_ms, body))
}

fn missing(field: &str, example: &str) -> Refusal {
    Refusal::new(
        "missing_field",
        format!("`{field}` is missing; add it, for example \"{field}\": {example}"),
    )
}

/// Inserts absent fields at the beginning of the envelope. The rest stays as the producer wrote it.
fn completed(text: &str, id: Option<&String>, created: Option<i64>) -> Bytes {
    let (space, rest) = text.split_once('{').unwrap_or_default();
    let mut body = String::with_capacity(text.len() + 64);
    body.push_str(space);
    body.push('{');
    if let Some(id) = id {
        // Ids consist of characters that need no escape.
        body.push_str("\"id\":\"");
        body.push_str(id);
        body.push_str("\",");
    }
    if let Some(created) = created {
        body.push_str("\"created\":");
        body.push_str(itoa::Buffer::new().format(created));
        body.push(',');
    }
    body.push_str(rest);
    body.into()
}

#[cfg(test)]
mod tests;
