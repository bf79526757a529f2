//! A Slack message as Slack shows it, for the preview of a template.
//!
//! It knows the blocks that Fanfare's templates use. A block that it does not know is shown by its
//! name. Text is split into pieces by Slack's rules (mrkdwn), so nothing of a message becomes HTML.

use serde_json::Value;

/// A message.
pub(super) struct Message {
    pub(super) blocks: Vec<Block>,
}

/// A block of a message.
pub(super) enum Block {
    Header(String),
    Section {
        text: Vec<Line>,
        fields: Vec<Vec<Line>>,
        accessory: Option<Button>,
    },
    Context(Vec<Vec<Line>>),
    Actions(Vec<Button>),
    Divider,
    /// A block that is not drawn, by its type.
    Other(String),
}

/// A button.
pub(super) struct Button {
    pub(super) text: String,
    /// `primary`, `danger`, or empty.
    pub(super) style: String,
}

/// A line of text.
pub(super) struct Line {
    pub(super) quoted: bool,
    pub(super) pieces: Vec<Piece>,
}

/// A piece of a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Piece {
    /// `b`, `i`, `s`, `code`, `a`, or empty for plain text.
    pub(super) kind: &'static str,
    pub(super) text: String,
}

/// Reads a message.
pub(super) fn message(message: &Value) -> Message {
    let blocks = message["blocks"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut blocks: Vec<Block> = blocks.iter().map(block).collect();
    if blocks.is_empty() {
        let text = lines(message["text"].as_str().unwrap_or_default());
        blocks.push(Block::Section { text, fields: Vec::new(), accessory: None });
    }
    Message { blocks }
}

fn block(block: &Value) -> Block {
    let list = |name: &str| block[name].as_array().map(Vec::as_slice).unwrap_or_default();
    match block["type"].as_str().unwrap_or_default() {
        "header" => Block::Header(emoji(block["text"]["text"].as_str().unwrap_or_default())),
        "section" => Block::Section {
            text: text(&block["text"]),
            fields: list("fields").iter().map(text).collect(),
            accessory: button(&block["accessory"]),
        },
        "context" => {
            let texts = list("elements").iter().filter(|element| element["type"] != "image");
            Block::Context(texts.map(text).collect())
        }
        "actions" => Block::Actions(list("elements").iter().filter_map(button).collect()),
        "divider" => Block::Divider,
        other => Block::Other(other.to_owned()),
    }
}

fn button(element: &Value) -> Option<Button> {
    let is_button = element["type"] == "button";
    is_button.then(|| Button {
        text: emoji(element["text"]["text"].as_str().unwrap_or_default()),
        style: element["style"].as_str().unwrap_or_default().to_owned(),
    })
}

/// The lines of a text object.
fn text(object: &Value) -> Vec<Line> {
    let words = object["text"].as_str().unwrap_or_default();
    if object["type"] == "plain_text" {
        let line = |line: &str| Line {
            quoted: false,
            pieces: vec![Piece { kind: "", text: emoji(line) }],
        };
        return words.lines().map(line).collect();
    }
    lines(words)
}

fn lines(text: &str) -> Vec<Line> {
    let line = |line: &str| match line.strip_prefix("&gt;").or_else(|| line.strip_prefix('>')) {
        Some(rest) => Line { quoted: true, pieces: pieces(rest.trim_start()) },
        None => Line { quoted: false, pieces: pieces(line) },
    };
    text.lines().map(line).collect()
}

/// Splits a line by Slack's marks.
fn pieces(line: &str) -> Vec<Piece> {
    const MARKS: [(char, &str); 4] = [('*', "b"), ('_', "i"), ('~', "s"), ('`', "code")];
    let (mut found, mut plain, mut rest) = (Vec::new(), String::new(), line);
    while let Some(first) = rest.chars().next() {
        let after = &rest[first.len_utf8()..];
        let marked = MARKS.iter().find(|(mark, _)| *mark == first).and_then(|(mark, kind)| {
            // A mark opens at the beginning of a word only.
            let opens = plain.chars().last().is_none_or(|before| !before.is_alphanumeric());
            let end = after.find(*mark).filter(|end| *end > 0 && opens)?;
            Some((*kind, &after[..end], &after[end + mark.len_utf8()..]))
        });
        let link = || {
            let end = (first == '<').then(|| after.find('>')).flatten()?;
            let (target, label) = after[..end].split_once('|').unwrap_or((&after[..end], ""));
            let label = if label.is_empty() { target } else { label };
            Some(("a", label, &after[end + 1..]))
        };
        match marked.or_else(link) {
            Some((kind, text, remainder)) => {
                push(&mut found, "", &plain);
                plain.clear();
                push(&mut found, kind, text);
                rest = remainder;
            }
            None => {
                plain.push(first);
                rest = after;
            }
        }
    }
    push(&mut found, "", &plain);
    found
}

fn push(found: &mut Vec<Piece>, kind: &'static str, text: &str) {
    if !text.is_empty() {
        let text = if kind == "code" { unescape(text) } else { emoji(&unescape(text)) };
        found.push(Piece { kind, text });
    }
}

/// Slack's three escapes.
fn unescape(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

/// The emoji that the built-in templates use. Others stay as they are written.
fn emoji(text: &str) -> String {
    const KNOWN: [(&str, &str); 12] = [
        (":white_check_mark:", "✅"),
        (":x:", "❌"),
        (":warning:", "⚠️"),
        (":rotating_light:", "🚨"),
        (":mag:", "🔍"),
        (":eyes:", "👀"),
        (":bell:", "🔔"),
        (":page_facing_up:", "📄"),
        (":hourglass:", "⌛"),
        (":information_source:", "ℹ️"),
        (":red_circle:", "🔴"),
        (":large_green_circle:", "🟢"),
    ];
    let mut text = text.to_owned();
    for (name, sign) in KNOWN {
        if text.contains(name) {
            text = text.replace(name, sign);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shown(line: &str) -> Vec<(&'static str, String)> {
        pieces(line).into_iter().map(|piece| (piece.kind, piece.text)).collect()
    }

    #[test]
    fn marks_links_and_escapes_are_drawn_as_slack_draws_them() {
        let own = |pieces: &[(&'static str, &str)]| {
            pieces.iter().map(|(kind, text)| (*kind, (*text).to_owned())).collect::<Vec<_>>()
        };
        assert_eq!(shown("*Risk:* 71"), own(&[("b", "Risk:"), ("", " 71")]));
        assert_eq!(shown("a_b_c and 2*3"), own(&[("", "a_b_c and 2*3")]));
        let line = "See <https://x.example/|the session> &amp; `a &lt; b`";
        let expected = [("", "See "), ("a", "the session"), ("", " & "), ("code", "a < b")];
        assert_eq!(shown(line), own(&expected));
        assert_eq!(shown("<script>alert(1)"), own(&[("a", "script"), ("", "alert(1)")]));
        assert_eq!(shown("*"), own(&[("", "*")]));
    }

    #[test]
    fn an_unknown_block_is_named_and_a_message_without_blocks_is_its_text() {
        let drawn = message(&json!({"blocks": [{"type": "video"}, {"type": "divider"}]}));
        assert!(matches!(&drawn.blocks[0], Block::Other(name) if name == "video"));
        assert!(matches!(drawn.blocks[1], Block::Divider));
        let drawn = message(&json!({"text": "*a*\n>b"}));
        let Block::Section { text, .. } = &drawn.blocks[0] else { panic!("a section") };
        assert!(!text[0].quoted && text[1].quoted);
    }
}
