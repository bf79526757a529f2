//! How text travels: as it is where mail allows it, in lettre's choice of an encoding where not.
//!
//! Mail carries ASCII in lines of up to 998 bytes (RFC 5322, section 2.1.1) untouched. What fits is
//! sent so: nothing is to be encoded, the source of a mail can be read, and HTML, of which the built-in
//! templates make short lines, needs no more than its few other characters written as references.

use std::fmt::Write as _;

use lettre::message::header::ContentType;
use memchr::memmem;

use crate::mime::Parts;

/// Longest line sent as it is: a relay may add a little to one.
const LONGEST_LINE: usize = 990;

/// Plain text.
pub(crate) fn plain(parts: Parts, text: String) -> Parts {
    parts.text(ContentType::TEXT_PLAIN, sound(text))
}

/// HTML.
pub(crate) fn html(parts: Parts, html: String) -> Parts {
    let html = if html.is_ascii() { html } else { in_ascii(&html).unwrap_or(html) };
    parts.text(ContentType::TEXT_HTML, sound(html))
}

/// Without what mail may not carry: NUL, and a carriage return that ends no line.
fn sound(text: String) -> String {
    if memchr::memchr2(b'\r', b'\0', text.as_bytes()).is_none() {
        return text;
    }
    text.replace("\r\n", "\n").replace('\r', "\n").replace('\0', "")
}

/// The text with the line ends of mail, if it needs nothing else; whether it was added to `out`.
pub(crate) fn push_untouched(out: &mut String, text: &str) -> bool {
    if !text.is_ascii() {
        return false;
    }
    out.reserve(text.len() + text.len() / 32 + 2);
    let mut start = 0;
    for end in memchr::memchr_iter(b'\n', text.as_bytes()).chain([text.len()]) {
        if end - start > LONGEST_LINE {
            return false;
        }
        out.push_str(&text[start..end]);
        if end < text.len() {
            out.push_str("\r\n");
        }
        start = end + 1;
    }
    true
}

/// HTML with every character beyond ASCII as a reference, which means the same; none where it would
/// not, for a style sheet knows no references.
fn in_ascii(html: &str) -> Option<String> {
    let first = first_beyond_ascii(html)?;
    let raw =
        |name: &[u8]| [&b"style"[..], b"script"].iter().any(|raw| name.eq_ignore_ascii_case(raw));
    let is_raw_end = |at: usize| {
        let name =
            html.as_bytes()[first + at + 2..].split(|byte| !byte.is_ascii_alphabetic()).next();
        name.is_some_and(raw)
    };
    if memmem::find_iter(&html.as_bytes()[first..], "</").any(is_raw_end) {
        return None;
    }
    let mut ascii = String::with_capacity(html.len() + html.len() / 16);
    let mut rest = html;
    while let Some(at) = first_beyond_ascii(rest) {
        ascii.push_str(&rest[..at]);
        let mut chars = rest[at..].chars();
        if let Some(c) = chars.next() {
            // Writing to a string cannot fail.
            let _ = write!(ascii, "&#{};", u32::from(c));
        }
        rest = chars.as_str();
    }
    ascii.push_str(rest);
    Some(ascii)
}

/// A chunk is looked at as a whole: a mail is long, and has few such characters.
fn first_beyond_ascii(text: &str) -> Option<usize> {
    const CHUNK: usize = 64;
    let bytes = text.as_bytes();
    let ascii = bytes.chunks(CHUNK).take_while(|chunk| chunk.is_ascii()).count() * CHUNK;
    let within = bytes.get(ascii..)?.iter().position(|byte| !byte.is_ascii())?;
    Some(ascii + within)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alone(part: fn(Parts, String) -> Parts, text: &str) -> String {
        let parts = part(Parts::alternative("edge".to_owned(), 0), text.to_owned()).into_body();
        parts.strip_suffix("--edge--\r\n").expect("it is closed").to_owned()
    }

    #[test]
    fn ascii_in_short_lines_travels_as_it_is() {
        let sent = alone(plain, "one\ntwo = 2\n");
        assert!(sent.contains("Content-Transfer-Encoding: 7bit\r\n"), "{sent}");
        assert!(sent.contains("\r\n\r\none\r\ntwo = 2\r\n"), "{sent}");
    }

    #[test]
    fn no_line_is_longer_than_mail_may_carry() {
        for text in ["x".repeat(991), format!("a\n{}\nb", "y ".repeat(800))] {
            let sent = alone(plain, &text);
            assert!(sent.split("\r\n").all(|line| line.len() <= 998), "{sent}");
            assert!(!sent.contains("7bit"), "{sent}");
        }
        assert!(alone(plain, &"x".repeat(990)).contains("7bit"));
    }

    #[test]
    fn html_needs_no_encoding_for_its_other_characters() {
        let sent = alone(html, "<style>p{}</style><p title=\"ü\">大 – ok</p>");
        assert!(sent.contains("7bit"), "{sent}");
        assert!(sent.contains("<p title=\"&#252;\">&#22823; &#8211; ok</p>"), "{sent}");
    }

    #[test]
    fn a_style_sheet_keeps_its_characters() {
        let sent = alone(html, "<Style>p:before{content:'»'}</Style><p>ü</p>");
        assert!(!sent.contains("&#"), "{sent}");
        assert!(sent.is_ascii() && !sent.contains("7bit"), "{sent}");
    }

    #[test]
    fn what_mail_may_not_carry_is_not_sent() {
        let sent = alone(plain, "a\0b\rc\r\nd");
        assert!(sent.ends_with("\r\n\r\nab\r\nc\r\nd\r\n"), "{sent:?}");
    }
}
