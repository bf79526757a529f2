//! The body of a message of several parts. lettre makes the parts and all headers; it would copy a
//! whole mail once for every level of parts.

use std::fmt::Write as _;

use lettre::message::header::{ContentTransferEncoding, ContentType};
use lettre::message::{Body, MultiPart, SinglePart};

use crate::body;

/// Parts, set apart by a boundary that is in none of them.
pub(crate) struct Parts {
    /// Without parts, for its headers.
    empty: MultiPart,
    boundary: String,
    body: String,
}

impl Parts {
    /// The same in different forms.
    pub(crate) fn alternative(boundary: String, length: usize) -> Self {
        Self::new(MultiPart::alternative().boundary(&boundary).build(), boundary, length)
    }

    /// Different things.
    pub(crate) fn mixed(boundary: String, length: usize) -> Self {
        Self::new(MultiPart::mixed().boundary(&boundary).build(), boundary, length)
    }

    fn new(empty: MultiPart, boundary: String, length: usize) -> Self {
        Self { empty, boundary, body: String::with_capacity(length + 1024) }
    }

    /// Says what this is, and how its parts are set apart.
    pub(crate) fn kind(&self) -> Option<ContentType> {
        self.empty.headers().get()
    }

    /// A text, untouched where mail allows it.
    pub(crate) fn text(mut self, kind: ContentType, text: String) -> Self {
        let start = self.body.len();
        let nothing = Body::dangerous_pre_encoded(Vec::new(), ContentTransferEncoding::SevenBit);
        self.open(&SinglePart::builder().header(kind.clone()).body(nothing));
        if body::push_untouched(&mut self.body, &text) {
            self.body.push_str("\r\n");
            return self;
        }
        self.body.truncate(start);
        self.single(&SinglePart::builder().header(kind).body(text))
    }

    /// A part as lettre has encoded it, which is always ASCII.
    pub(crate) fn single(mut self, part: &SinglePart) -> Self {
        self.open(part);
        self.body.push_str(&String::from_utf8_lossy(part.raw_body()));
        self.body.push_str("\r\n");
        self
    }

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
