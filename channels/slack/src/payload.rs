//! From the template's output to the message that is sent.

use serde_json::{Map, Value};
use slack_morphism::blocks::SlackBlock;

use crate::cut::{self, Markup};
use crate::fit::{self, Notes};
use crate::limits;

/// Why the template's output is not a message. Holds no content, only positions.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    /// The output is not JSON.
    #[error("the template's output is not valid JSON (line {line}, column {column})")]
    NotJson {
        /// 1-based line of the output.
        line: usize,
        /// Column within the line.
        column: usize,
    },
    /// The output is not an object.
    #[error("the template's output is {found}; it must be an object with `blocks` and `text`")]
    NotAnObject {
        /// The kind of the output.
        found: &'static str,
    },
    /// `blocks` is not a list.
    #[error("`blocks` is {found}; it must be a list of blocks")]
    BlocksNotAList {
        /// The kind of `blocks`.
        found: &'static str,
    },
    /// There is neither a text nor a block that Slack can show.
    #[error("the template's output has neither `text` nor a block with content")]
    Empty,
}

/// A message within Slack's limits.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Block Kit blocks. Empty if the message is text only.
    pub blocks: Vec<Value>,
    /// Text in mrkdwn, never empty. Notifications and screen readers use it. Without blocks, it is
    /// the message itself.
    pub text: String,
    /// The changes that brought the message within Slack's limits.
    pub notes: Notes,
}

impl Message {
    /// Parses the template's output and brings it within Slack's limits.
    pub fn parse(rendered: &str) -> Result<Self, PayloadError> {
        let mut object = match serde_json::from_str(rendered) {
            Ok(Value::Object(object)) => object,
            Ok(other) => return Err(PayloadError::NotAnObject { found: kind_of(&other) }),
            Err(error) => {
                return Err(PayloadError::NotJson { line: error.line(), column: error.column() });
            }
        };
        let mut notes = Notes::default();
        let blocks = match object.shift_remove("blocks") {
            Some(Value::Array(blocks)) => fit::blocks(blocks, &mut notes),
            None | Some(Value::Null) => Vec::new(),
            Some(other) => return Err(PayloadError::BlocksNotAList { found: kind_of(&other) }),
        };
        note_unknown(&blocks, &mut notes);
        let text = object.shift_remove("text");
        let text = text.as_ref().and_then(Value::as_str).map(str::trim).unwrap_or_default();
        let text = if text.is_empty() { blocks_as_text(&blocks) } else { text.to_owned() };
        if text.is_empty() && blocks.is_empty() {
            return Err(PayloadError::Empty);
        }
        // The destination decides where a message goes and as which user, not the template.
        for field in object.keys() {
            notes.add(format!("ignored `{field}`"));
        }
        if cut::length(&text) > limits::MESSAGE_TEXT.max {
            notes.add("shortened text");
        }
        Ok(Self { blocks, text: short_text(&text), notes })
    }

    /// The same content as text only, used if Slack refuses the blocks.
    pub fn as_plain_text(&self) -> String {
        let blocks = blocks_as_text(&self.blocks);
        let text = match (blocks.is_empty(), blocks.contains(&self.text)) {
            (true, _) => self.text.clone(),
            (false, true) => blocks,
            (false, false) => format!("{}\n{blocks}", self.text),
        };
        short_text(&text)
    }

    /// The JSON that is sent, without the fields that a bot token adds.
    pub fn to_json(&self) -> Value {
        let mut object = Map::new();
        object.insert("text".to_owned(), self.text.as_str().into());
        if !self.blocks.is_empty() {
            object.insert("blocks".to_owned(), self.blocks.clone().into());
        }
        Value::Object(object)
    }
}

/// The message as it would be sent, after limits. Used by `fanfare render`.
pub fn preview(rendered: &str) -> Result<Value, PayloadError> {
    Message::parse(rendered).map(|message| message.to_json())
}

fn short_text(text: &str) -> String {
    cut::shorten(text, limits::MESSAGE_TEXT.max, Markup::Mrkdwn).into_owned()
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// Checks the blocks against slack-morphism's types. Unknown blocks are sent anyway, because Slack
/// may support newer ones.
fn note_unknown(blocks: &[Value], notes: &mut Notes) {
    for (index, block) in blocks.iter().enumerate() {
        if matches!(serde_json::from_value(block.clone()), Ok(SlackBlock::Unknown(_)) | Err(_)) {
            notes.add(format!("block {} is not a known Block Kit shape", index + 1));
        }
    }
}

/// The texts of the blocks as mrkdwn, one per line. Empty if the blocks have no text.
fn blocks_as_text(blocks: &[Value]) -> String {
    let mut lines = Vec::new();
    for block in blocks {
        match block["type"].as_str().unwrap_or_default() {
            "header" => lines.extend(line(&block["text"]).map(|line| format!("*{line}*"))),
            "section" => {
                lines.extend(line(&block["text"]));
                lines.extend(list(&block["fields"]).filter_map(line));
                lines.extend(button(&block["accessory"]));
            }
            "context" => lines.extend(list(&block["elements"]).filter_map(line)),
            "actions" => lines.extend(list(&block["elements"]).filter_map(button)),
            "markdown" => lines.extend(block["text"].as_str().map(escape)),
            "image" => lines.extend(block["alt_text"].as_str().map(escape)),
            _ => {}
        }
    }
    lines.join("\n")
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// A text object's content as mrkdwn.
fn line(text: &Value) -> Option<String> {
    let content = text["text"].as_str()?.trim();
    match text["type"].as_str()? {
        "mrkdwn" => Some(content.to_owned()),
        "plain_text" => Some(escape(content)),
        _ => None,
    }
}

/// A button that opens a page, as a link. Other buttons have no use in a text.
fn button(element: &Value) -> Option<String> {
    let url = element["url"].as_str().filter(|url| !url.contains(['|', '<', '>', ' ']))?;
    let label = line(&element["text"])?.replace('|', " ");
    Some(format!("<{url}|{label}>"))
}

/// Escapes the characters that are special in mrkdwn. Existing entities stay as they are.
/// <https://docs.slack.dev/messaging/formatting-message-text#escaping>
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        match c {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' if !["&amp;", "&lt;", "&gt;"].iter().any(|it| text[at..].starts_with(it)) => {
                escaped.push_str("&amp;");
            }
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_template_without_text_gets_a_fallback_from_its_blocks() {
        let rendered = json!({"blocks": [
            {"type": "header", "text": {"type": "plain_text", "text": "A < B & C"}},
            {"type": "section", "text": {"type": "mrkdwn", "text": "*bold* &amp; <https://e.example|x>"}},
            {"type": "divider"},
            {"type": "actions", "elements": [{"type": "button", "url": "https://e.example/1",
                "text": {"type": "plain_text", "text": "Open"}}]},
        ]});
        let message = Message::parse(&rendered.to_string()).unwrap();
        assert_eq!(
            message.text,
            "*A &lt; B &amp; C*\n*bold* &amp; <https://e.example|x>\n<https://e.example/1|Open>"
        );
        assert!(message.notes.is_empty(), "{:?}", message.notes);
    }

    #[test]
    fn an_error_names_the_position_and_holds_no_content() {
        let error = Message::parse("{\"text\": \"secret\nname\"}").unwrap_err().to_string();
        assert_eq!(error, "the template's output is not valid JSON (line 2, column 0)");
        let error = Message::parse("\"secret\"").unwrap_err().to_string();
        assert!(error.contains("output is a string") && !error.contains("secret"));
        assert_eq!(
            Message::parse(r#"{"blocks": {"type": "secret"}}"#).unwrap_err(),
            PayloadError::BlocksNotAList { found: "an object" }
        );
        assert_eq!(Message::parse(r#"{"text": " ", "blocks": []}"#), Err(PayloadError::Empty));
    }

    #[test]
    fn a_template_cannot_choose_the_channel() {
        let message = Message::parse(r#"{"text": "hello", "channel": "C0THER"}"#).unwrap();
        assert_eq!(message.to_json(), json!({"text": "hello"}));
        assert_eq!(message.notes.line().as_deref(), Some("ignored `channel`"));
    }

    #[test]
    fn an_unknown_block_is_sent_with_a_remark() {
        let rendered = json!({"text": "t", "blocks": [
            {"type": "divider"},
            {"type": "hologram", "depth": 3},
        ]});
        let message = Message::parse(&rendered.to_string()).unwrap();
        assert_eq!(message.to_json(), rendered);
        assert_eq!(message.notes.line().as_deref(), Some("block 2 is not a known Block Kit shape"));
    }

    #[test]
    fn plain_text_holds_each_text_of_the_blocks_once() {
        let rendered = json!({"text": "Review needed", "blocks": [
            {"type": "header", "text": {"type": "plain_text", "text": "Review needed"}},
            {"type": "section", "fields": [
                {"type": "mrkdwn", "text": "*Risk* 88"}, {"type": "mrkdwn", "text": "*Queue* tier-2"}]},
        ]});
        let message = Message::parse(&rendered.to_string()).unwrap();
        assert_eq!(message.as_plain_text(), "*Review needed*\n*Risk* 88\n*Queue* tier-2");
    }
}
