//! Splits the body of an ingest request into events.
//!
//! Splitting stops at the first event beyond the limit. A list of tiny values would otherwise take
//! many times the memory of its text.

use std::fmt;

use axum::body::Bytes;
use axum::http::{HeaderMap, header};
use serde::de::{
    DeserializeSeed as _, Deserializer as _, Error as _, IgnoredAny, MapAccess, Visitor,
};
use serde_json::value::RawValue;

use crate::api::answer::ApiError;
use crate::api::items::{Items, Limit};
use crate::event::{Text, array_items};

/// Splits a batch: a JSON array, `{"events": […]}`, or NDJSON according to the content type.
/// Returns `None` if the body is a single event.
pub(super) fn split(
    body: &Bytes,
    headers: &HeaderMap,
    max_batch: usize,
) -> Result<Option<Vec<Bytes>>, ApiError> {
    let limit = Limit::new(max_batch);
    let parts = if is_lines(headers) {
        Some(lines(&limit, body))
    } else {
        let is_array = body.trim_ascii_start().first() == Some(&b'[');
        match json(&limit, body, is_array) {
            Ok(parts) => Some(parts),
            Err(_) if limit.exceeded.get() => None,
            // One broken event has its own answer.
            Err(error) => match items(&limit, body) {
                Some(parts) => Some(parts),
                None if is_array => {
                    let message = format!("the body is not a valid JSON array: {error}");
                    return Err(ApiError::invalid("not_json", message));
                }
                None => return Ok(None),
            },
        }
    };
    match parts {
        Some(parts) if !parts.is_empty() && !limit.exceeded.get() => Ok(Some(parts)),
        parts => {
            let count = if parts.is_some_and(|parts| parts.is_empty()) { "no" } else { "too many" };
            let message =
                format!("the batch has {count} events; send 1 to {max_batch} per request");
            Err(ApiError::invalid("bad_batch", message))
        }
    }
}

/// The content types of NDJSON that senders use. None of them is registered.
const LINES: [&str; 8] = [
    "application/x-ndjson",
    "application/ndjson",
    "application/jsonl",
    "application/x-jsonl",
    "application/jsonlines",
    "application/json-lines",
    "application/x-json-stream",
    "application/stream+json",
];

/// Whether the content type says that the body is NDJSON.
fn is_lines(headers: &HeaderMap) -> bool {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let base = given.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    LINES.iter().any(|known| base.eq_ignore_ascii_case(known))
}

fn lines(limit: &Limit, body: &Bytes) -> Vec<Bytes> {
    let mut parts = Vec::new();
    let lines = body.split(|&byte| byte == b'\n');
    for line in lines.filter(|line| !line.trim_ascii().is_empty()) {
        if parts.len() == limit.max {
            limit.exceeded.set(true);
            break;
        }
        // The line's end does not belong to the event.
        parts.push(body.slice_ref(line.strip_suffix(b"\r").unwrap_or(line)));
    }
    parts
}

/// The items of an array in which not all of them are JSON.
fn items(limit: &Limit, body: &Bytes) -> Option<Vec<Bytes>> {
    let items = array_items(body, limit.max)?;
    limit.exceeded.set(items.len() > limit.max);
    Some(items.into_iter().map(|item| body.slice(item)).collect())
}

fn json(limit: &Limit, body: &Bytes, is_array: bool) -> serde_json::Result<Vec<Bytes>> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let parts = if is_array {
        Items(limit).deserialize(&mut json)?
    } else {
        json.deserialize_map(Wrapped(limit))?
    };
    json.end()?;
    Ok(parts.into_iter().map(|part| body.slice_ref(part.get().as_bytes())).collect())
}

/// `{"events": […]}` and nothing else. Any other object is a single event.
struct Wrapped<'l>(&'l Limit);

impl<'de> Visitor<'de> for Wrapped<'_> {
    type Value = Vec<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with the field `events`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let first: Option<Text<'_>> = map.next_key()?;
        if first.is_none_or(|Text(key)| key != "events") {
            return Err(A::Error::custom("not a batch"));
        }
        let items = map.next_value_seed(Items(self.0))?;
        match map.next_key::<IgnoredAny>()? {
            None => Ok(items),
            Some(_) => Err(A::Error::custom("not a batch")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(body: &str, content_type: &'static str) -> Result<Option<usize>, &'static str> {
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, content_type.parse().unwrap())]);
        let parts = split(&Bytes::from(body.to_owned()), &headers, 3);
        parts.map(|parts| parts.map(|parts| parts.len())).map_err(|error| error.code)
    }

    #[test]
    fn each_form_of_a_batch_is_split_and_stops_at_the_limit() {
        let json = "application/json";
        for (body, expected) in [
            ("[1,2,3]", Ok(Some(3))),
            ("[1,2,3,4 and the rest is not even read", Err("bad_batch")),
            ("[]", Err("bad_batch")),
            ("[1,2", Err("not_json")),
            ("[1] 2", Err("not_json")),
            ("[1,NaN]", Ok(Some(2))),
            ("[1,2,3,NaN]", Err("bad_batch")),
            (r#"{"events":[1,{"a":}]}"#, Ok(Some(2))),
            (r#"{"events":[1,2,3]}"#, Ok(Some(3))),
            (r#" {"\u0065vents":[1]} "#, Ok(Some(1))),
            (r#"{"events":[1,2,3,4"#, Err("bad_batch")),
            (r#"{"events":[]}"#, Err("bad_batch")),
            // The decoder of a single event says what is wrong with these.
            (r#"{"events":[1],"more":2}"#, Ok(None)),
            (r#"{"events":[1],"events":[2]}"#, Ok(None)),
            (r#"{"events":1}"#, Ok(None)),
            (r#"{"type":"a.b","data":{}}"#, Ok(None)),
            ("{}", Ok(None)),
            ("nonsense", Ok(None)),
        ] {
            assert_eq!(outcome(body, json), expected, "{body}");
        }
        for ndjson in LINES.into_iter().chain(["application/NDJSON; charset=utf-8"]) {
            assert_eq!(outcome("1\n2\n", ndjson), Ok(Some(2)), "{ndjson}");
        }
        let ndjson = "application/x-ndjson";
        assert_eq!(outcome("1\n\n 2\r\n3\n", ndjson), Ok(Some(3)));
        assert_eq!(outcome("1\n2\n3\n4", ndjson), Err("bad_batch"));
        assert_eq!(outcome("\n", ndjson), Err("bad_batch"));
    }
}
