//! The body of a message of several parts. lettre makes the parts and all headers; it would copy a
//! whole mail once for every level of parts.

use std::io::Write as _;

use lettre::message::header::ContentType;
use lettre::message::{MultiPart, SinglePart};

/// Parts, set apart by a boundary that is in none of them.
pub(crate) struct Parts {
    /// Without parts, for its headers.
    empty: MultiPart,
    boundary: String,
    body: Vec<u8>,
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
        Self { empty, boundary, body: Vec::with_capacity(length + 1024) }
    }

    /// Says what this is, and how its parts are set apart.
    pub(crate) fn kind(&self) -> Option<ContentType> {
        self.empty.headers().get()
    }

    pub(crate) fn single(mut self, part: &SinglePart) -> Self {
        // Writing to a vector cannot fail.
        let _ = write!(self.body, "--{}\r\n{}\r\n", self.boundary, part.headers());
        self.body.extend_from_slice(part.raw_body());
        self.body.extend_from_slice(b"\r\n");
        self
    }

    pub(crate) fn multiple(mut self, parts: Self) -> Self {
        let _ = write!(self.body, "--{}\r\n{}\r\n", self.boundary, parts.empty.headers());
        self.body.extend_from_slice(&parts.into_body());
        self
    }

    pub(crate) fn into_body(mut self) -> Vec<u8> {
        let _ = write!(self.body, "--{}--\r\n", self.boundary);
        self.body
    }
}
