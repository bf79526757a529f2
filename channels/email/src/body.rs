//! The text of a body: made fit for mail, and sent without an encoding where possible.
//!
//! Mail carries ASCII in lines of up to 998 bytes unchanged (RFC 5322, section 2.1.1). Such text
//! costs no encoding, and the source of the mail is readable. HTML becomes ASCII by writing its
//! other characters as references. Only text that does not fit is encoded by lettre.

use std::fmt::Write as _;

use memchr::memmem;

/// Longest line that is sent unchanged. Relays can add a little to a line.
const LONGEST_LINE: usize = 990;

/// Plain text without the characters that mail cannot carry: NUL, and a carriage return within a
/// line.
pub(crate) fn plain(text: String) -> String {
    if memchr::memchr2(b'\r', b'\0', text.as_bytes()).is_none() {
        return text;
    }
    text.replace("\r\n", "\n").replace('\r', "\n").replace('\0', "")
}

/// HTML without the characters that mail cannot carry, in ASCII if possible.
pub(crate) fn html(html: String) -> String {
    let ascii = if html.is_ascii() { None } else { in_ascii(&html) };
    plain(ascii.unwrap_or(html))
}

/// Appends the text with the line ends of mail. Returns false, and appends something incomplete, if
/// the text needs an encoding.
pub(crate) fn push_unencoded(out: &mut String, text: &str) -> bool {
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

/// The HTML with every character beyond ASCII as a reference. `None` if a style sheet or script can
/// hold such a character, because references have no meaning there.
fn in_ascii(html: &str) -> Option<String> {
    let first = first_beyond_ascii(html)?;
    if ends_raw_element(&html.as_bytes()[first..]) {
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

/// Whether a `style` or `script` element ends in this part of the HTML.
fn ends_raw_element(html: &[u8]) -> bool {
    memmem::find_iter(html, "</").any(|at| {
        let name = html[at + 2..].split(|byte| !byte.is_ascii_alphabetic()).next();
        let is = |raw: &str| name.is_some_and(|name| name.eq_ignore_ascii_case(raw.as_bytes()));
        is("style") || is("script")
    })
}

/// Checks chunks, because a mail is long and has few such characters.
fn first_beyond_ascii(text: &str) -> Option<usize> {
    const CHUNK: usize = 64;
    let bytes = text.as_bytes();
    let ascii = bytes.chunks(CHUNK).take_while(|chunk| chunk.is_ascii()).count() * CHUNK;
    let within = bytes.get(ascii..)?.iter().position(|byte| !byte.is_ascii())?;
    Some(ascii + within)
}
