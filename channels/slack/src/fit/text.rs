//! Text objects and checks of texts.

use serde_json::{Map, Value};
use url::Url;

use super::notes::Notes;
use crate::cut::{self, Markup};
use crate::limits::Limit;

pub(super) type Object = Map<String, Value>;

/// A text object with its content shortened to `limit`. `None` if it is empty, which Slack refuses.
pub(super) fn text(value: Value, limit: Limit, notes: &mut Notes) -> Option<Value> {
    let (mut object, content) = text_object(value)?;
    let content = shorten(&content, limit, markup(&object), notes);
    object.insert("text".to_owned(), content.into());
    Some(Value::Object(object))
}

/// Like [`text`], for places where Slack accepts plain text only.
pub(super) fn plain(value: Value, limit: Limit, notes: &mut Notes) -> Option<Value> {
    let (mut object, content) = text_object(value)?;
    if object.get("type").is_none_or(|kind| kind != "plain_text") {
        object.insert("type".to_owned(), "plain_text".into());
        object.shift_remove("verbatim");
    }
    let content = shorten(&content, limit, Markup::Plain, notes);
    object.insert("text".to_owned(), content.into());
    Some(Value::Object(object))
}

pub(super) fn text_object(value: Value) -> Option<(Object, String)> {
    let Value::Object(object) = value else { return None };
    let content = object.get("text")?.as_str().filter(|text| !text.trim().is_empty())?.to_owned();
    Some((object, content))
}

pub(super) fn markup(object: &Object) -> Markup {
    if object.get("type").is_some_and(|kind| kind == "mrkdwn") {
        Markup::Mrkdwn
    } else {
        Markup::Plain
    }
}

pub(super) fn shorten(text: &str, limit: Limit, markup: Markup, notes: &mut Notes) -> String {
    if over(text, limit) {
        notes.add(format!("shortened {}", limit.of));
    }
    cut::shorten(text, limit.max, markup).into_owned()
}

pub(super) fn over(text: &str, limit: Limit) -> bool {
    cut::length(text) > limit.max
}

pub(super) fn is_url(text: &str, limit: Limit) -> bool {
    !over(text, limit) && Url::parse(text).is_ok()
}
