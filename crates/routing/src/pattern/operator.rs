//! The operators of a filter: which values each of them accepts.

use std::net::IpAddr;

use ipnet::IpNet;

use super::range::Range;
use super::scalar::{Exact, Plain, Scalar};
use super::text::{AnyCase, Wildcard};

/// An alternative of a field that is not an exact value.
#[derive(Debug)]
pub(super) enum Operator {
    Prefix(Box<str>),
    PrefixAnyCase(AnyCase),
    Suffix(Box<str>),
    SuffixAnyCase(AnyCase),
    EqualsAnyCase(AnyCase),
    Wildcard(Wildcard),
    Numeric(Range),
    Cidr(IpNet),
    Exists(bool),
    AnythingBut(Exact),
    AnythingButTexts(Vec<Operator>),
}

impl Operator {
    /// Whether the operator accepts a scalar of the event.
    pub(super) fn accepts(&self, scalar: Scalar<'_>) -> bool {
        match (self, scalar) {
            (Self::Exists(wanted), _) => *wanted,
            (Self::AnythingBut(these), _) => !these.contains(scalar),
            (Self::AnythingButTexts(these), _) => {
                !these.iter().any(|operator| operator.accepts(scalar))
            }
            (Self::Numeric(range), Scalar::Plain(Plain::Number(number))) => range.contains(number),
            (_, Scalar::Text(text)) => self.accepts_text(text),
            _ => false,
        }
    }

    fn accepts_text(&self, text: &str) -> bool {
        match self {
            Self::Prefix(prefix) => text.starts_with(&**prefix),
            Self::PrefixAnyCase(prefix) => prefix.is_prefix_of(text),
            Self::Suffix(suffix) => text.ends_with(&**suffix),
            Self::SuffixAnyCase(suffix) => suffix.is_suffix_of(text),
            Self::EqualsAnyCase(same) => same.equals(text),
            Self::Wildcard(wildcard) => wildcard.matches(text),
            Self::Cidr(network) => text
                .parse::<IpAddr>()
                .is_ok_and(|address| network.contains(&address.to_canonical())),
            Self::Numeric(_)
            | Self::Exists(_)
            | Self::AnythingBut(_)
            | Self::AnythingButTexts(_) => false,
        }
    }
}
