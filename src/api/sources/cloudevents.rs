//! `CloudEvents` 1.0 over HTTP: structured, batched and binary.
//! <https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md>
//!
//! `type` and `time` become the event's `type` and `created`. The id is derived from `source` and
//! `id`, which identify a `CloudEvent` together. The other attributes are kept in the event's field
//! `cloudevent`.

use std::collections::BTreeMap;

use axum::http::{HeaderMap, header};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use percent_encoding::percent_decode_str;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::envelope::{Envelope, event_type, json as one_json, seconds};
use super::{Parts, SourceLimits};
use crate::api::answer::ApiError;
use crate::api::items::bounded;
use crate::event::Refusal;

const STRUCTURED: &str = "application/cloudevents";
const BATCH: &str = "application/cloudevents-batch";
/// Precedes the attributes in binary mode.
const PREFIX: &str = "ce-";

/// The attributes by name, as JSON.
type Attributes = BTreeMap<String, Box<RawValue>>;

/// Whether a request is a `CloudEvent` in any form.
pub(in crate::api) fn is_cloudevent(headers: &HeaderMap) -> bool {
    content_type(headers).starts_with(STRUCTURED) || headers.contains_key("ce-specversion")
}

fn content_type(headers: &HeaderMap) -> String {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let base = given.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    base.to_ascii_lowercase()
}

/// The events of a request.
pub(super) fn events(
    headers: &HeaderMap,
    body: &Bytes,
    limit: SourceLimits,
) -> Result<Parts, ApiError> {
    let kind = content_type(headers);
    if kind.starts_with(BATCH) {
        let items = bounded("the batch", body, limit.max_batch)?;
        let read = |one| limit.check(one).and_then(structured);
        return Ok(Parts::Several(items.into_iter().map(read).collect()));
    }
    if kind.starts_with(STRUCTURED) || !headers.contains_key("ce-specversion") {
        return Ok(Parts::One(limit.check(one_json(body)?).and_then(structured)?));
    }
    Ok(Parts::One(binary(headers, &kind, body)?))
}

fn structured(raw: &RawValue) -> Result<Bytes, Refusal> {
    let mut attributes: Attributes = serde_json::from_str(raw.get()).map_err(|_| {
        Refusal::new("wrong_type", "a CloudEvent must be a JSON object; see cloudevents.io")
    })?;
    let data = match (attributes.remove("data"), attributes.remove("data_base64")) {
        (Some(data), None) => as_object(data.get()),
        (None, Some(base64)) => format!("{{\"base64\":{}}}", base64.get()),
        (None, None) => "{}".to_owned(),
        (Some(_), Some(_)) => {
            let message = "has both `data` and `data_base64`; send one of them";
            return Err(Refusal::new("wrong_type", format!("the CloudEvent {message}")));
        }
    };
    envelope(attributes, &data)
}

fn binary(headers: &HeaderMap, content_type: &str, body: &Bytes) -> Result<Bytes, Refusal> {
    let mut attributes = Attributes::new();
    let raw = |text: &str| RawValue::from_string(Value::from(text).to_string());
    for (name, value) in headers {
        let Some(name) = name.as_str().strip_prefix(PREFIX) else { continue };
        let text = value.to_str().unwrap_or_default();
        let text = percent_decode_str(text).decode_utf8_lossy();
        if let Ok(value) = raw(&text) {
            attributes.insert(name.to_owned(), value);
        }
    }
    if !content_type.is_empty()
        && let Ok(value) = raw(content_type)
    {
        attributes.insert("datacontenttype".to_owned(), value);
    }
    let is_json = content_type.is_empty()
        || content_type.ends_with("/json")
        || content_type.ends_with("+json");
    let data = if body.is_empty() {
        "{}".to_owned()
    } else if is_json {
        as_object(one_json(body)?.get())
    } else {
        match std::str::from_utf8(body) {
            Ok(text) => json!({"value": text}).to_string(),
            Err(_) => json!({"base64": BASE64_STANDARD.encode(body)}).to_string(),
        }
    };
    envelope(attributes, &data)
}

/// `data` is always an object in Fanfare.
fn as_object(json: &str) -> String {
    let json = json.trim();
    match json.as_bytes().first() {
        Some(b'{') => json.to_owned(),
        _ if json == "null" => "{}".to_owned(),
        _ => format!("{{\"value\":{json}}}"),
    }
}

fn envelope(mut attributes: Attributes, data: &str) -> Result<Bytes, Refusal> {
    let text = |attributes: &Attributes, name: &str| -> Option<String> {
        serde_json::from_str(attributes.get(name)?.get()).ok()
    };
    let required = |name: &str| {
        let found = text(&attributes, name).filter(|text| !text.is_empty());
        found.ok_or_else(|| {
            let message = format!(
                "the CloudEvent must have the attribute `{name}`, a string that is not empty"
            );
            Refusal::new("missing_field", message)
        })
    };
    let version = required("specversion")?;
    if version != "1.0" {
        let message = "the CloudEvent must have `specversion` \"1.0\"; send that version";
        return Err(Refusal::new("wrong_type", message));
    }
    let (source, id, kind) = (required("source")?, required("id")?, required("type")?);
    let created = match text(&attributes, "time") {
        Some(time) => Some(seconds(&Value::from(time)).ok_or_else(|| {
            let message = "the attribute `time` must be a time as in RFC 3339, such as \
                           2026-01-01T00:00:00Z";
            Refusal::new("bad_created", message)
        })?),
        None => None,
    };
    attributes.remove("type");
    attributes.remove("time");
    let kept = serde_json::to_string(&attributes)
        .map_err(|error| Refusal::new("not_json", error.to_string()))?;
    let hash = Sha256::new().chain_update(&source).chain_update([0]).chain_update(&id).finalize();
    let envelope = Envelope {
        id: Some(format!("ce_{}", hex::encode(&hash[..16]))),
        kind: event_type(&kind)?,
        created,
        more: vec![("cloudevent", kept)],
        data,
    };
    Ok(envelope.write())
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    fn headers(all: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        all.iter().map(pair).collect()
    }

    fn read(all: &[(&'static str, &'static str)], body: &str) -> Vec<Result<Value, &'static str>> {
        let parts = match events(&headers(all), &body.to_owned().into(), LIMITS) {
            Ok(Parts::One(one)) => vec![Ok(one)],
            Ok(Parts::Several(several)) => several,
            Err(error) => return vec![Err(error.code)],
        };
        let event = |bytes: Bytes| serde_json::from_slice(&bytes).expect("JSON");
        parts.into_iter().map(|one| one.map(event).map_err(|refusal| refusal.code)).collect()
    }

    const LIMITS: SourceLimits = SourceLimits { max_batch: 2, max_bytes: 1024 };

    const EVENT: &str = r#"{"specversion":"1.0","id":"A1","source":"/shop","type":"com.shop.order v2",
        "time":"2024-12-26T16:00:00Z","subject":"o/17","data":{"n":1.10}}"#;

    #[test]
    fn the_three_forms_give_the_same_event() {
        let structured =
            read(&[("content-type", "application/cloudevents+json; charset=utf-8")], EVENT);
        let event = structured[0].as_ref().unwrap();
        assert_eq!(event["type"], "com.shop.order_v2");
        assert_eq!(event["created"], 1_735_228_800);
        assert_eq!(event["cloudevent"]["subject"], "o/17");
        assert!(event["id"].as_str().unwrap().starts_with("ce_"));
        let batch = read(
            &[("content-type", "application/cloudevents-batch+json")],
            &format!("[{EVENT},{{}}]"),
        );
        assert_eq!((&batch[0], &batch[1]), (&structured[0], &Err("missing_field")));
        let binary = read(
            &[
                ("content-type", "application/json"),
                ("ce-specversion", "1.0"),
                ("ce-id", "A1"),
                ("ce-source", "/shop"),
                ("ce-type", "com.shop.order%20v2"),
                ("ce-time", "2024-12-26T16:00:00Z"),
            ],
            r#"{"n":1.10}"#,
        );
        let binary = binary[0].as_ref().unwrap();
        assert_eq!((&binary["id"], &binary["data"]), (&event["id"], &event["data"]));
    }

    #[test]
    fn data_that_is_no_object_is_wrapped() {
        let with = |data: &str| {
            let body = format!(r#"{{"specversion":"1.0","id":"1","source":"s","type":"t"{data}}}"#);
            read(&[("content-type", "application/cloudevents+json")], &body)
                .remove(0)
                .map(|event| event["data"].clone())
        };
        assert_eq!(with(""), Ok(json!({})));
        assert_eq!(with(r#","data":[1,2]"#), Ok(json!({"value": [1, 2]})));
        assert_eq!(with(r#","data_base64":"AA==""#), Ok(json!({"base64": "AA=="})));
        assert_eq!(with(r#","data":1,"data_base64":"AA==""#), Err("wrong_type"));
        assert_eq!(with(r#","time":"noon""#), Err("bad_created"));
    }

    #[test]
    fn what_is_no_cloud_event_is_refused() {
        let kind = [("content-type", "application/cloudevents+json")];
        assert_eq!(read(&kind, "[]"), [Err("wrong_type")]);
        assert_eq!(read(&kind, "x"), [Err("not_json")]);
        let old = r#"{"specversion":"0.3","id":"1","source":"s","type":"t"}"#;
        assert_eq!(read(&kind, old), [Err("wrong_type")]);
        let batch = [("content-type", "application/cloudevents-batch+json")];
        for body in ["[]", "[{},{},{}]"] {
            assert_eq!(read(&batch, body), [Err("bad_batch")], "{body}");
        }
    }
}
