//! The data that a template sees: `event`, `data`, `tenant`, `title`, `delivery`, `links`, and
//! `digest`.
//!
//! It is the same in every attempt of a delivery, so a retry sends the same message.

use fanfare_contract::{Content, Delivery, Event, Json};
use handlebars::Context;
use serde_json::{Map, Value, json};

use super::helpers::title;
use super::links::Links;

/// The context of one delivery. `name` is the tenant's display name.
pub(super) fn context(delivery: &Delivery, name: &str, links: &Links) -> Context {
    let mut context = Map::new();
    let tenant = &*delivery.destination.tenant;
    context.insert("tenant".to_owned(), json!({ "id": tenant, "name": name }));
    context.insert(
        "delivery".to_owned(),
        json!({ "id": delivery.id.as_str(), "destination": delivery.destination.lane.destination() }),
    );
    match &delivery.content {
        Content::Event(event) => {
            context.insert("title".to_owned(), title(&event.kind).into());
            context.insert("event".to_owned(), envelope(event));
            context.insert("data".to_owned(), without_nulls(&event.json()["data"]));
        }
        Content::Digest(digest) => {
            context.insert("title".to_owned(), "Digest".into());
            context.insert("digest".to_owned(), super::digest::context(digest));
        }
    }
    let links = links.fill(&context);
    context.insert("links".to_owned(), Value::Object(links));
    Context::from(Value::Object(context))
}

/// The envelope without its data. Unknown fields are kept.
fn envelope(event: &Event) -> Value {
    let mut fields: Map<String, Value> = match event.json() {
        Json::Object(fields) => fields
            .iter()
            .filter(|(key, value)| *key != "data" && **value != Json::Null)
            .map(|(key, value)| (key.to_owned(), without_nulls(value)))
            .collect(),
        _ => Map::new(),
    };
    fields.insert("id".to_owned(), (*event.id).into());
    fields.insert("type".to_owned(), (*event.kind).into());
    fields.insert("created".to_owned(), event.created.into());
    Value::Object(fields)
}

/// A copy without the fields that are null, so a null field is missing for a template.
///
/// An empty list becomes an empty object. A template treats both alike, and PHP producers send `[]`
/// for an object without fields, in which handlebars could not look up a field.
///
/// A number that `serde_json` would write differently becomes text, so that it is shown as the
/// producer wrote it. Helpers for numbers read such text.
fn without_nulls(value: &Json) -> Value {
    match value {
        Json::Object(fields) => fields
            .iter()
            .filter(|(_, value)| **value != Json::Null)
            .map(|(key, value)| (key.to_owned(), without_nulls(value)))
            .collect(),
        Json::List(items) if items.is_empty() => Value::Object(Map::new()),
        Json::List(items) => items.iter().map(without_nulls).collect(),
        scalar => scalar.shown(),
    }
}
