//! The operators of a filter: which values each of them accepts.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use super::probe::Probe;
use super::range::Range;
use super::scalar::{Exact, Plain, Scalar};
use super::text::AnyCase;
use super::wildcards::{Slot, Wildcard};

/// Bytes that are compared in one step.
const BYTES_PER_STEP: usize = 256;
/// Bytes that are compared in one step if case is ignored.
const FOLDED_PER_STEP: usize = 8;

/// An alternative of a field that is not an exact value.
#[derive(Debug)]
pub(super) enum Operator {
    Prefix(Box<str>),
    PrefixAnyCase(AnyCase),
    Suffix(Box<str>),
    SuffixAnyCase(AnyCase),
    EqualsAnyCase(AnyCase),
    Wildcard(Arc<Wildcard>, Slot),
    Numeric(Range),
    Cidr(IpNet),
    Exists(bool),
    AnythingBut(Exact),
    AnythingButTexts(Vec<Operator>),
}

impl Operator {
    /// Whether the operator accepts a scalar of the event.
    pub(super) fn accepts(&self, scalar: &Scalar<'_>, probe: &Probe<'_>) -> bool {
        match (self, scalar) {
            (Self::Exists(wanted), _) => *wanted,
            (Self::AnythingBut(these), _) => !these.contains(scalar),
            (Self::AnythingButTexts(these), _) => {
                !these.iter().any(|operator| operator.accepts(scalar, probe))
            }
            (Self::Numeric(range), Scalar::Plain(Plain::Number(number))) => range.contains(number),
            (_, Scalar::Text(text)) => self.accepts_text(text, probe),
            _ => false,
        }
    }

    fn accepts_text(&self, text: &str, probe: &Probe<'_>) -> bool {
        match self {
            Self::Prefix(prefix) => text.starts_with(&**prefix),
            Self::PrefixAnyCase(prefix) => prefix.is_prefix_of(text),
            Self::Suffix(suffix) => text.ends_with(&**suffix),
            Self::SuffixAnyCase(suffix) => suffix.is_suffix_of(text),
            Self::EqualsAnyCase(same) => same.equals(text),
            Self::Wildcard(wildcard, slot) => probe.wildcard(wildcard, *slot, text),
            Self::Cidr(network) => text
                .parse::<IpAddr>()
                .is_ok_and(|address| network.contains(&address.to_canonical())),
            Self::Numeric(_)
            | Self::Exists(_)
            | Self::AnythingBut(_)
            | Self::AnythingButTexts(_) => false,
        }
    }

    /// The steps of testing a scalar.
    pub(super) fn cost(&self) -> usize {
        1 + match self {
            Self::Prefix(text) | Self::Suffix(text) => text.len() / BYTES_PER_STEP,
            Self::PrefixAnyCase(text) | Self::SuffixAnyCase(text) | Self::EqualsAnyCase(text) => {
                text.len() / FOLDED_PER_STEP
            }
            Self::AnythingButTexts(these) => these.iter().map(Self::cost).sum(),
            // The steps of wildcards are counted where they are matched.
            Self::Wildcard(..)
            | Self::Numeric(_)
            | Self::Cidr(_)
            | Self::Exists(_)
            | Self::AnythingBut(_) => 0,
        }
    }
}
