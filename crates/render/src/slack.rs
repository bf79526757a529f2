//! From a rendered Slack template to strict, compact JSON with `text` and `blocks`.
//!
//! With conditions and loops it is hard to write a list without a comma after its last item, and a
//! fallback text does not fit on one line. So templates may have such commas, and strings that span
//! several lines. This cannot change an event's values: their line breaks are the characters `\n` at
//! this point.

use serde::Deserialize;
use serde::de::IgnoredAny;

/// The fields that Slack requires. All others are passed on as they are.
#[derive(Deserialize)]
struct Message {
    text: String,
    blocks: Vec<IgnoredAny>,
}

/// What is wrong with the rendered text, and the line of the text where it is.
#[derive(Debug)]
pub(super) struct NotAMessage {
    pub(super) message: String,
    pub(super) near: Option<String>,
}

/// Strict JSON from a template's output.
pub(super) fn message(rendered: &str) -> Result<String, NotAMessage> {
    let (json, origins) = tidy(rendered);
    let fault = |message: String, near| NotAMessage { message, near };
    match serde_json::from_str::<Message>(&json) {
        Ok(Message { text, .. }) if text.trim().is_empty() => Err(fault(
            "the fallback `text` is empty; add text that does not depend on the event".to_owned(),
            None,
        )),
        Ok(Message { blocks, .. }) if blocks.is_empty() => {
            Err(fault("`blocks` is empty; add at least one block".to_owned(), None))
        }
        Ok(_) => Ok(json),
        Err(error) if error.is_data() => {
            let detail = error.to_string();
            let detail = detail.split(" at line").next().unwrap_or_default();
            Err(fault(
                format!("a Slack message needs a `text` and a list of `blocks`: {detail}"),
                None,
            ))
        }
        Err(error) => {
            // `json` has one line, so the column is the byte, and `origins` leads back from it.
            let place = origins.get(error.column().saturating_sub(1)).or(origins.last());
            let near = place.map(|&at| line_around(rendered, at).to_owned());
            let detail = error.to_string();
            let detail = detail.split(" at line").next().unwrap_or_default();
            Err(fault(format!("the rendered message is not JSON: {detail}"), near))
        }
    }
}

fn line_around(text: &str, at: usize) -> &str {
    let at = text.floor_char_boundary(at);
    let start = text[..at].rfind('\n').map_or(0, |at| at + 1);
    let end = text[at..].find('\n').map_or(text.len(), |length| at + length);
    text[start..end].trim()
}

/// The JSON on one line, and for each of its bytes the byte of `text` that it came from.
fn tidy(text: &str) -> (String, Vec<usize>) {
    let mut tidy = Tidy { json: Vec::with_capacity(text.len()), origins: Vec::new(), comma: None };
    let mut bytes = text.bytes().enumerate().peekable();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b' ' | b'\n' | b'\t' | b'\r' => {}
            b',' => tidy.comma = Some(at),
            b'"' => {
                tidy.push(byte, at);
                tidy.string(&mut bytes);
            }
            byte => tidy.push(byte, at),
        }
    }
    // Only whole characters were copied, so this is never lossy.
    (String::from_utf8_lossy(&tidy.json).into_owned(), tidy.origins)
}

struct Tidy {
    json: Vec<u8>,
    origins: Vec<usize>,
    comma: Option<usize>,
}

impl Tidy {
    /// Writes a byte, and before it the pending comma, unless the comma follows an opening bracket or
    /// precedes a closing one.
    fn push(&mut self, byte: u8, at: usize) {
        if let Some(comma_at) = self.comma.take() {
            let opens = matches!(self.json.last(), Some(b'[' | b'{') | None);
            if !opens && !matches!(byte, b']' | b'}') {
                self.raw(b',', comma_at);
            }
        }
        self.raw(byte, at);
    }

    fn raw(&mut self, byte: u8, at: usize) {
        self.json.push(byte);
        self.origins.push(at);
    }

    /// Copies the string up to its closing quote. A line break with the white space around it becomes
    /// one space, or nothing at either end of the string.
    fn string(&mut self, bytes: &mut impl Iterator<Item = (usize, u8)>) {
        let start = self.json.len();
        let mut escaped = false;
        let mut broken = false;
        for (at, byte) in bytes {
            if broken && matches!(byte, b' ' | b'\t' | b'\r' | b'\n') {
                continue;
            }
            if byte == b'\n' {
                while self.json.len() > start && self.json.last() == Some(&b' ') {
                    self.json.pop();
                    self.origins.pop();
                }
                broken = true;
                continue;
            }
            let closes = byte == b'"' && !escaped;
            if std::mem::take(&mut broken) && !closes && self.json.len() > start {
                self.raw(b' ', at);
            }
            self.raw(byte, at);
            if closes {
                return;
            }
            escaped = byte == b'\\' && !escaped;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extra_commas_and_broken_strings_become_strict_json() {
        let rendered =
            "{\"text\": \"one\n   two \\\" , ]\",\n \"blocks\": [ , {\"a\": [1,2,],}, ,], }";
        let json = message(rendered).unwrap();
        assert_eq!(json, r#"{"text":"one two \" , ]","blocks":[{"a":[1,2]}]}"#);
    }

    #[test]
    fn text_that_is_not_json_is_refused_with_its_line() {
        let error = message("{\"text\": \"x\",\n  \"blocks\": [}\n}").unwrap_err();
        assert_eq!(error.near.as_deref(), Some("\"blocks\": [}"));
        assert!(message("{\"text\": \"x\", \"blocks\": [{}").is_err());
        assert!(message("").is_err());
    }

    #[test]
    fn a_message_without_fallback_text_or_blocks_is_refused() {
        assert!(message(r#"{"blocks":[{}]}"#).unwrap_err().message.contains("text"));
        assert!(message(r#"{"text":" ","blocks":[{}]}"#).unwrap_err().message.contains("text"));
        assert!(message(r#"{"text":"x","blocks":[]}"#).unwrap_err().message.contains("blocks"));
    }
}
