//! Makes the elements of blocks fit: buttons, menus, images, confirmation dialogs.

use serde_json::Value;

use super::notes::Notes;
use super::text::{Object, is_url, over, plain, shorten, text};
use crate::cut::Markup;
use crate::limits;

/// An interactive element, or an image beside a section.
pub(super) fn element(element: Value, notes: &mut Notes) -> Option<Value> {
    let Value::Object(mut element) = element else { return None };
    let kind = element.get("type").and_then(Value::as_str)?.to_owned();
    if kind == "image" {
        return image_element(element, notes);
    }
    leave_out_if(&mut element, "action_id", notes, |id| {
        id.is_empty() || over(id, limits::ACTION_ID)
    });
    if kind == "button" || kind == "workflow_button" {
        let label = plain(element.shift_remove("text")?, limits::BUTTON_TEXT, notes)?;
        element.insert("text".to_owned(), label);
        if let Some(url) = element.get("url").and_then(Value::as_str)
            && !is_url(url, limits::BUTTON_URL)
        {
            notes.add("left out a button with an invalid url");
            return None;
        }
        leave_out_if(&mut element, "value", notes, |value| over(value, limits::BUTTON_VALUE));
    }
    let label = element.get("accessibility_label").and_then(Value::as_str).map(str::to_owned);
    if let Some(label) = label {
        let label = shorten(&label, limits::ACCESSIBILITY_LABEL, Markup::Plain, notes);
        element.insert("accessibility_label".to_owned(), label.into());
    }
    if let Some(placeholder) = element.shift_remove("placeholder") {
        let placeholder = plain(placeholder, limits::PLACEHOLDER, notes);
        element.extend(placeholder.map(|it| ("placeholder".to_owned(), it)));
    }
    if let Some(dialog) = element.shift_remove("confirm") {
        element.extend(confirm(dialog, notes).map(|it| ("confirm".to_owned(), it)));
    }
    fit_options(&mut element, &kind, notes)?;
    Some(Value::Object(element))
}

/// Makes the options of a menu fit, if the element has any. `None` if no option can be shown.
fn fit_options(element: &mut Object, kind: &str, notes: &mut Notes) -> Option<()> {
    let limit = match kind {
        "overflow" => limits::OVERFLOW_OPTIONS,
        "radio_buttons" | "checkboxes" => limits::CHOICE_OPTIONS,
        _ => limits::SELECT_OPTIONS,
    };
    let Some(Value::Array(options)) = element.get_mut("options") else { return Some(()) };
    let given = options.len();
    let mut kept: Vec<Value> =
        std::mem::take(options).into_iter().filter_map(|it| fit_option(it, notes)).collect();
    kept.truncate(limit.max);
    if kept.len() < given {
        notes.add(format!("left out {}", limit.of));
    }
    *options = kept;
    (!options.is_empty()).then_some(())
}

fn fit_option(option: Value, notes: &mut Notes) -> Option<Value> {
    let Value::Object(mut option) = option else { return None };
    let label = text(option.get_mut("text").map(Value::take)?, limits::OPTION_TEXT, notes)?;
    option.insert("text".to_owned(), label);
    if let Some(description) = option.shift_remove("description") {
        let description = text(description, limits::OPTION_TEXT, notes);
        option.extend(description.map(|it| ("description".to_owned(), it)));
    }
    leave_out_if(&mut option, "url", notes, |url| !is_url(url, limits::OPTION_URL));
    let value = option.get("value").and_then(Value::as_str);
    value.is_none_or(|value| !over(value, limits::OPTION_VALUE)).then_some(Value::Object(option))
}

fn confirm(dialog: Value, notes: &mut Notes) -> Option<Value> {
    let Value::Object(mut dialog) = dialog else { return None };
    let parts = [
        ("title", limits::CONFIRM_TITLE),
        ("text", limits::CONFIRM_TEXT),
        ("confirm", limits::CONFIRM_BUTTON),
        ("deny", limits::CONFIRM_BUTTON),
    ];
    for (key, limit) in parts {
        let part = dialog.get_mut(key).map(Value::take)?;
        let part = if key == "text" { text(part, limit, notes) } else { plain(part, limit, notes) };
        dialog.insert(key.to_owned(), part?);
    }
    Some(Value::Object(dialog))
}

/// An image, as a block or as an element. Only the block has a title.
pub(super) fn image_element(mut block: Object, notes: &mut Notes) -> Option<Value> {
    if !block.contains_key("slack_file") {
        let url = block.get("image_url").and_then(Value::as_str)?;
        if !is_url(url, limits::IMAGE_URL) {
            notes.add("left out an image with an invalid image_url");
            return None;
        }
    }
    if let Some(title) = block.shift_remove("title") {
        let title = plain(title, limits::IMAGE_TITLE, notes);
        block.extend(title.map(|title| ("title".to_owned(), title)));
    }
    let alt = block.get("alt_text").and_then(Value::as_str).unwrap_or_default();
    let alt = if alt.trim().is_empty() { "image" } else { alt };
    let alt = shorten(alt, limits::ALT_TEXT, Markup::Plain, notes);
    block.insert("alt_text".to_owned(), alt.into());
    Some(Value::Object(block))
}

fn leave_out_if(object: &mut Object, key: &str, notes: &mut Notes, bad: impl Fn(&str) -> bool) {
    if object.get(key).and_then(Value::as_str).is_some_and(bad) {
        object.shift_remove(key);
        notes.add(format!("left out a {key} (too long or invalid)"));
    }
}
