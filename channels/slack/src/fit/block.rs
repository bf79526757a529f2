//! Makes each kind of block fit.

use std::collections::HashSet;

use serde_json::Value;

use super::element::{element, image_element};
use super::notes::Notes;
use super::text::{Object, markup, plain, shorten, text, text_object};
use crate::cut::{self, Markup};
use crate::limits::{self, Limit};

/// A section. Its text comes first, then its fields. Both continue in further sections if they are
/// too long.
pub(super) fn section(mut block: Object, out: &mut Vec<Value>, notes: &mut Notes) {
    let text = block.shift_remove("text").and_then(|text| split(text, notes));
    let fields = block.shift_remove("fields").map(|fields| fit_fields(fields, notes));
    let accessory = block.shift_remove("accessory").and_then(|it| element(it, notes));
    let mut texts = text.unwrap_or_default().into_iter();
    let mut fields: Vec<Value> = fields.unwrap_or_default();
    let first_text = texts.next();
    if first_text.is_none() && fields.is_empty() {
        // A section requires a text or fields. Its accessory can be a block of its own.
        return out.extend(accessory.map(alone));
    }
    let texts: Vec<Value> = texts.collect();
    let mut first = block;
    if let Some(text) = first_text {
        first.insert("text".to_owned(), text);
    }
    if texts.is_empty() && !fields.is_empty() {
        let rest = fields.split_off(fields.len().min(limits::SECTION_FIELDS.max));
        first.insert("fields".to_owned(), std::mem::replace(&mut fields, rest).into());
    }
    if let Some(accessory) = accessory {
        first.insert("accessory".to_owned(), accessory);
    }
    out.push(Value::Object(first));
    out.extend(texts.into_iter().map(|text| Value::Object(further("section", "text", text))));
    for fields in fields.chunks(limits::SECTION_FIELDS.max) {
        out.push(Value::Object(further("section", "fields", fields.to_vec().into())));
    }
}

/// A section's text, in as many text objects as it requires. `None` if it is empty.
fn split(text: Value, notes: &mut Notes) -> Option<Vec<Value>> {
    let (object, content) = text_object(text)?;
    let parts = cut::split(&content, limits::SECTION_TEXT.max, markup(&object));
    if parts.len() > 1 {
        notes.add("split a long section");
    }
    let part = |content: String| {
        let mut object = object.clone();
        object.insert("text".to_owned(), content.into());
        Value::Object(object)
    };
    Some(parts.into_iter().map(part).collect())
}

fn fit_fields(fields: Value, notes: &mut Notes) -> Vec<Value> {
    let Value::Array(fields) = fields else { return Vec::new() };
    if fields.len() > limits::SECTION_FIELDS.max {
        notes.add("split a section with many fields");
    }
    fields.into_iter().filter_map(|field| text(field, limits::FIELD_TEXT, notes)).collect()
}

/// A block for the accessory of a section without text.
fn alone(element: Value) -> Value {
    let holder = if element["type"] == "image" { "context" } else { "actions" };
    Value::Object(further(holder, "elements", vec![element].into()))
}

/// A block with one field.
fn further(kind: &str, key: &str, value: Value) -> Object {
    Object::from_iter([("type".to_owned(), kind.into()), (key.to_owned(), value)])
}

pub(super) fn header(mut block: Object, notes: &mut Notes) -> Option<Value> {
    let text = plain(block.shift_remove("text")?, limits::HEADER_TEXT, notes)?;
    block.insert("text".to_owned(), text);
    Some(Value::Object(block))
}

pub(super) fn context(block: Object, out: &mut Vec<Value>, notes: &mut Notes) {
    let fit = |element: Value, notes: &mut Notes| match element {
        Value::Object(element) if element.get("type").is_some_and(|kind| kind == "image") => {
            image_element(element, notes)
        }
        element => text(element, limits::TEXT, notes),
    };
    in_chunks(block, limits::CONTEXT_ELEMENTS, fit, out, notes);
}

pub(super) fn actions(block: Object, out: &mut Vec<Value>, notes: &mut Notes) {
    in_chunks(block, limits::ACTIONS_ELEMENTS, element, out, notes);
}

/// The block with its elements made to fit, in as many blocks as they require.
fn in_chunks(
    mut block: Object,
    limit: Limit,
    fit: impl Fn(Value, &mut Notes) -> Option<Value>,
    out: &mut Vec<Value>,
    notes: &mut Notes,
) {
    let Some(Value::Array(elements)) = block.shift_remove("elements") else { return };
    let mut elements: Vec<Value> =
        elements.into_iter().filter_map(|element| fit(element, notes)).collect();
    if elements.len() > limit.max {
        notes.add(format!("split a block with many {}", limit.of));
    }
    for chunk in elements.chunks_mut(limit.max) {
        unique_actions(chunk, notes);
        let mut part = block.clone();
        part.insert("elements".to_owned(), chunk.to_vec().into());
        out.push(Value::Object(part));
        block.shift_remove("block_id");
    }
}

/// Slack refuses two elements of one block with the same action id.
fn unique_actions(elements: &mut [Value], notes: &mut Notes) {
    let mut seen = HashSet::new();
    for element in elements.iter_mut().filter_map(Value::as_object_mut) {
        let id = element.get("action_id").and_then(Value::as_str).map(str::to_owned);
        if id.is_some_and(|id| !seen.insert(id)) {
            element.shift_remove("action_id");
            notes.add("left out an action_id (used twice)");
        }
    }
}

pub(super) fn markdown(mut block: Object, left: &mut usize, notes: &mut Notes) -> Option<Value> {
    const SHORTEST: usize = 30;
    let text = block.get("text").and_then(Value::as_str).filter(|text| !text.trim().is_empty())?;
    let room = Limit { max: *left, ..limits::MARKDOWN_TEXT };
    if room.max < SHORTEST && cut::length(text) > room.max {
        return None;
    }
    let text = shorten(text, room, Markup::Plain, notes);
    *left -= cut::length(&text);
    block.insert("text".to_owned(), text.into());
    Some(Value::Object(block))
}
