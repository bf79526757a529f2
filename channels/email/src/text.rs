//! Makes untrusted text fit for headers and errors.

use std::borrow::Cow;

use lettre::Address;

/// Minimum length of a local part that is searched within longer words.
const SEARCHED_LENGTH: usize = 4;

/// The text on one line. Control characters and line separators become spaces, and runs of spaces
/// become one. A text longer than `max` characters is cut and ends in `…`.
pub(crate) fn one_line(text: &str, max: usize) -> String {
    let breaks = |c: char| c.is_control() || c.is_whitespace();
    let mut line = String::with_capacity(text.len().min(max * 4));
    let mut length = 0;
    for word in text.split(breaks).filter(|word| !word.is_empty()) {
        if !line.is_empty() {
            line.push(' ');
            length += 1;
        }
        // One more than `max`, to detect a text that is too long.
        let fits = (max + 1).saturating_sub(length);
        line.extend(word.chars().take(fits));
        length += word.chars().take(fits).count();
        if length > max {
            line = line.chars().take(max.saturating_sub(1)).collect();
            line.push('…');
            break;
        }
    }
    line
}

/// A server's reply on one line, without addresses. Every word with an `@` and every word that
/// names the recipient is replaced.
pub(crate) fn scrub(answer: &str, recipient: &Address) -> String {
    let user = recipient.user().to_ascii_lowercase();
    let words = answer.split(|c: char| c.is_whitespace() || c.is_control());
    let words = words.filter(|word| !word.is_empty());
    let scrubbed: Vec<Cow<'_, str>> = words
        .map(|word| if names_address(word, &user) { "[address]".into() } else { word.into() })
        .collect();
    scrubbed.join(" ")
}

fn names_address(word: &str, user: &str) -> bool {
    let word = word.to_ascii_lowercase();
    let bare = word.trim_matches(|c: char| !c.is_alphanumeric());
    word.contains(['@', '\u{ff20}'])
        || word.contains("%40")
        || bare == user
        || (user.len() >= SEARCHED_LENGTH && word.contains(user))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_no_breaks_and_is_not_too_long() {
        assert_eq!(one_line("a\r\nBcc: b\u{2028}c\td\u{85}e", 50), "a Bcc: b c d e");
        assert_eq!(one_line("  ", 50), "");
        assert_eq!(one_line("one two", 7), "one two");
        assert_eq!(one_line("one two three", 7), "one tw…");
        assert_eq!(one_line(&"大".repeat(30), 10).chars().count(), 10);
        for max in 2..20 {
            assert!(one_line("aa bbb cccc ddddd", max).chars().count() <= max, "{max}");
        }
    }

    #[test]
    fn addresses_are_removed_from_a_reply() {
        let jane = "jane.smith@acme.example".parse().unwrap();
        for (said, kept) in [
            (
                "5.1.1 <jane.smith@acme.example>: Recipient address rejected",
                "5.1.1 [address] Recipient address rejected",
            ),
            ("no such user: Jane.Smith\r\nbye", "no such user: [address] bye"),
            ("see http://x.example/?u=jane.smith%40acme.example", "see [address]"),
            ("bounce+jane.smith=acme.example refused", "[address] refused"),
        ] {
            assert_eq!(scrub(said, &jane), kept);
        }
    }
}
