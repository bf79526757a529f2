//! The body of a message with several parts.
//!
//! lettre makes the headers and the encoded parts. The body is put together here, because lettre
//! would copy a whole mail once for every level of parts.

use std::fmt::Write as _;

use lettre::message::header::{ContentTransferEncoding, ContentType};
use lettre::message::{Body, MultiPart, SinglePart};

use crate::body;

/// Parts, separated by a boundary that none of them contains.
pub(crate) struct Parts {
    /// A multipart without parts, for its headers.
    empty: MultiPart,
    boundary: String,
    body: String,
}

impl Parts {
    /// Parts that hold the same content in different forms.
    pub(crate) fn alternative(boundary: String, length: usize) -> Self {
        Self::new(MultiPart::alternative().boundary(&boundary).build(), boundary, length)
    }

    /// Parts with different content.
    pub(crate) fn mixed(boundary: String, length: usize) -> Self {
        Self::new(MultiPart::mixed().boundary(&boundary).build(), boundary, length)
    }

    fn new(empty: MultiPart, boundary: String, length: usize) -> Self {
        Self { empty, boundary, body: String::with_capacity(length + 1024) }
    }

    /// The `Content-Type` of the parts together, which names the boundary.
    pub(crate) fn kind(&self) -> Option<ContentType> {
        self.empty.headers().get()
    }

    /// Adds plain text.
    pub(crate) fn plain(self, text: String) -> Self {
        self.text(ContentType::TEXT_PLAIN, body::plain(text))
    }

    /// Adds HTML.
    pub(crate) fn html(self, html: String) -> Self {
        self.text(ContentType::TEXT_HTML, body::html(html))
    }

    fn text(mut self, kind: ContentType, text: String) -> Self {
        let start = self.body.len();
        let nothing = Body::dangerous_pre_encoded(Vec::new(), ContentTransferEncoding::SevenBit);
        self.open(&SinglePart::builder().header(kind.clone()).body(nothing));
        if body::push_unencoded(&mut self.body, &text) {
            self.body.push_str("\r\n");
            return self;
        }
        self.body.truncate(start);
        self.single(&SinglePart::builder().header(kind).body(text))
    }

    /// Adds a part that lettre has encoded. It is always ASCII.
    pub(crate) fn single(mut self, part: &SinglePart) -> Self {
        self.open(part);
        self.body.push_str(&String::from_utf8_lossy(part.raw_body()));
        self.body.push_str("\r\n");
        self
    }

    /// Adds a part that has parts itself.
    pub(crate) fn multiple(mut self, parts: Self) -> Self {
        // Writing to a string cannot fail.
        let _ = write!(self.body, "--{}\r\n{}\r\n", self.boundary, parts.empty.headers());
        self.body.push_str(&parts.into_body());
        self
    }

    fn open(&mut self, part: &SinglePart) {
        let _ = write!(self.body, "--{}\r\n{}\r\n", self.boundary, part.headers());
    }

    pub(crate) fn into_body(mut self) -> String {
        let _ = write!(self.body, "--{}--\r\n", self.boundary);
        self.body
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alone(add: fn(Parts, String) -> Parts, text: &str) -> String {
        let parts = add(Parts::alternative("edge".to_owned(), 0), text.to_owned()).into_body();
        parts.strip_suffix("--edge--\r\n").expect("the last boundary").to_owned()
    }

    #[test]
    fn ascii_in_short_lines_is_sent_unchanged() {
        let sent = alone(Parts::plain, "one\ntwo = 2\n");
        assert!(sent.contains("Content-Transfer-Encoding: 7bit\r\n"), "{sent}");
        assert!(sent.contains("\r\n\r\none\r\ntwo = 2\r\n"), "{sent}");
    }

    #[test]
    fn no_line_is_longer_than_mail_can_carry() {
        for text in ["x".repeat(991), format!("a\n{}\nb", "y ".repeat(800))] {
            let sent = alone(Parts::plain, &text);
            assert!(sent.split("\r\n").all(|line| line.len() <= 998), "{sent}");
            assert!(!sent.contains("7bit"), "{sent}");
        }
        assert!(alone(Parts::plain, &"x".repeat(990)).contains("7bit"));
    }

    #[test]
    fn html_becomes_ascii_by_references() {
        let sent = alone(Parts::html, "<style>p{}</style><p title=\"ü\">大 – ok</p>");
        assert!(sent.contains("7bit"), "{sent}");
        assert!(sent.contains("<p title=\"&#252;\">&#22823; &#8211; ok</p>"), "{sent}");
    }

    #[test]
    fn a_style_sheet_keeps_its_characters() {
        let html = "<Style>p:before{content:'»'}</Style><p>ü</p>";
        let sent = alone(Parts::html, html);
        assert!(!sent.contains("&#"), "{sent}");
        assert!(sent.is_ascii() && !sent.contains("7bit"), "{sent}");
    }

    #[test]
    fn characters_that_mail_cannot_carry_are_removed() {
        let sent = alone(Parts::plain, "a\0b\rc\r\nd");
        assert!(sent.ends_with("\r\n\r\nab\r\nc\r\nd\r\n"), "{sent:?}");
    }
}
