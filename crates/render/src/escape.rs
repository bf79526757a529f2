//! One escape for each format in which an event's text can appear.
//!
//! All of them first remove the characters that can deceive a reader: control characters, which
//! include a terminal's escape codes, and characters that reorder text, which can make one name look
//! like another.

use std::borrow::Cow;
use std::fmt::Write as _;

use handlebars::html_escape;

/// Escapes a text.
pub(super) type Escape = fn(&str) -> Cow<'_, str>;

/// For HTML text and quoted attributes.
pub(super) fn html(text: &str) -> Cow<'_, str> {
    let clean = clean(text);
    let special = |byte| matches!(byte, b'<' | b'>' | b'&' | b'"' | b'\'' | b'`' | b'=');
    if clean.bytes().any(special) { html_escape(&clean).into() } else { clean }
}

/// For plain text.
pub(super) fn text(text: &str) -> Cow<'_, str> {
    clean(text)
}

/// For the inside of a JSON string that Slack shows. `&`, `<`, and `>` become Slack's entities, so a
/// value cannot contain a mention or a link
/// (<https://docs.slack.dev/messaging/formatting-message-text>).
pub(super) fn slack(text: &str) -> Cow<'_, str> {
    let clean = clean(text);
    let mut escaped = String::with_capacity(clean.len() + 16);
    for c in clean.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            c => escaped.push(c),
        }
    }
    json(&escaped).into_owned().into()
}

/// For the inside of a JSON string that Slack does not show, such as an address.
pub(super) fn json(text: &str) -> Cow<'_, str> {
    let quoted = serde_json::Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned().into()
}

/// For a value in CSS: a color, a size, a name. Every character that could end the declaration or
/// begin another becomes an escape of CSS, which is part of a name and means nothing.
pub(super) fn css_value(text: &str) -> Cow<'_, str> {
    let plain =
        |c: char| c.is_alphanumeric() || matches!(c, ' ' | '#' | '%' | '.' | ',' | '-' | '_');
    if is_css_color(text) { text.into() } else { css(text, plain) }
}

/// For the inside of a string in CSS, such as an address in `url('…')`.
pub(super) fn css_string(text: &str) -> Cow<'_, str> {
    const SPECIAL: [char; 9] = ['\'', '"', '\\', '(', ')', '{', '}', '<', '>'];
    css(text, |c| !SPECIAL.contains(&c) && !c.is_control())
}

/// `rgb(1, 2, 3)` and its like, with numbers alone.
fn is_css_color(text: &str) -> bool {
    let Some((name, numbers)) = text.split_once('(') else { return false };
    let number = |c: char| c.is_ascii_digit() || matches!(c, ' ' | ',' | '.' | '%');
    matches!(name, "rgb" | "rgba" | "hsl" | "hsla")
        && numbers.strip_suffix(')').is_some_and(|numbers| numbers.chars().all(number))
}

fn css(text: &str, plain: impl Fn(char) -> bool) -> Cow<'_, str> {
    let clean = clean(text);
    if clean.chars().all(&plain) {
        return clean;
    }
    let mut escaped = String::with_capacity(clean.len() + 16);
    for c in clean.chars() {
        if plain(c) {
            escaped.push(c);
        } else {
            // The space ends the number. It is not part of the text.
            // Writing to a string cannot fail.
            let _ = write!(escaped, "\\{:x} ", u32::from(c));
        }
    }
    escaped.into()
}

/// The text without control characters and reordering characters. Line ends become `\n`.
pub(super) fn clean(text: &str) -> Cow<'_, str> {
    let plain = |byte: u8| matches!(byte, b' '..=b'~' | b'\n' | b'\t');
    if text.bytes().all(plain) || text.chars().all(|c| replacement(c) == Some(c)) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.replace("\r\n", "\n").chars().filter_map(replacement).collect())
}

/// The text on one line. Every run of white space becomes one space.
pub(super) fn one_line(text: &str) -> Cow<'_, str> {
    if is_one_line(text.as_bytes()) {
        return Cow::Borrowed(text);
    }
    let clean = clean(text);
    let mut line = String::with_capacity(clean.len());
    // No-break spaces stay, because numbers have them.
    let breaks = |c: char| c.is_whitespace() && !matches!(c, '\u{a0}' | '\u{2007}' | '\u{202f}');
    for word in clean.split(breaks).filter(|word| !word.is_empty()) {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    line.into()
}

/// Whether the text is ASCII words with single spaces between them, as most texts are.
fn is_one_line(text: &[u8]) -> bool {
    let mut after_space = true;
    for byte in text {
        match byte {
            b' ' if after_space => return false,
            b' ' => after_space = true,
            b'!'..=b'~' => after_space = false,
            _ => return false,
        }
    }
    text.is_empty() || !after_space
}

/// The first `limit` characters. The last one is an ellipsis if the text is longer.
pub(super) fn truncate(text: &str, limit: usize) -> Cow<'_, str> {
    if text.len() <= limit || text.chars().nth(limit).is_none() {
        return Cow::Borrowed(text);
    }
    let kept: String = text.chars().take(limit.saturating_sub(1)).collect();
    Cow::Owned(kept.trim_end().to_owned() + "…")
}

fn replacement(c: char) -> Option<char> {
    match c {
        '\n' | '\t' => Some(c),
        '\r' | '\u{85}' | '\u{2028}' | '\u{2029}' => Some('\n'),
        // Embeddings, overrides, and isolates (Unicode UAX #9), tag characters, and the BOM.
        '\u{202a}'..='\u{202e}'
        | '\u{2066}'..='\u{2069}'
        | '\u{e0000}'..='\u{e007f}'
        | '\u{feff}'
        | '\u{fffe}'
        | '\u{ffff}' => None,
        c if c.is_control() => None,
        c => Some(c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_mention_or_link_in_slack() {
        assert_eq!(slack("<!channel> & <http://x|y>"), "&lt;!channel&gt; &amp; &lt;http://x|y&gt;");
        assert_eq!(slack("a\"b\\c\nd"), "a\\\"b\\\\c\\nd");
    }

    #[test]
    fn text_cannot_reorder_itself_or_control_a_terminal() {
        assert_eq!(text("ab\u{202e}cd\u{1b}[31m\u{0}\r\nx"), "abcd[31m\nx");
        assert_eq!(html("\u{2066}<b>"), "&lt;b&gt;");
    }

    #[test]
    fn a_value_in_css_stays_one_value() {
        for fine in ["#9b1c1c", "10px", "100%", "rgb(1, 2, 3)", "Arial, sans-serif", "-1.5em"] {
            assert_eq!(css_value(fine), fine);
        }
        assert_eq!(
            css_value("red;background:url(//x)/*"),
            "red\\3b background\\3a url\\28 \\2f \\2f x\\29 \\2f \\2a "
        );
        assert_eq!(css_value("rgb(1);x:(2)"), "rgb\\28 1\\29 \\3b x\\3a \\28 2\\29 ");
        assert_eq!(css_string("https://x.example/a?b=c"), "https://x.example/a?b=c");
        assert_eq!(css_string("x');color:red"), "x\\27 \\29 ;color:red");
    }

    #[test]
    fn cutting_never_splits_a_character() {
        assert_eq!(truncate("大久保ジェーン", 4), "大久保…");
        assert_eq!(truncate("abcd", 4), "abcd");
    }
}
