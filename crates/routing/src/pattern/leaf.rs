//! The alternatives of one field, and what of an event they are held against.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use serde_json::Value;

use super::number::Number;
use super::text::{AnyCase, Wildcard};

/// A list of alternatives at the end of a path.
#[derive(Debug)]
pub(crate) struct Leaf {
    /// The field's names from the envelope down.
    pub(crate) keys: Box<[Arc<str>]>,
    /// Exact values, the most common alternative, together.
    pub(crate) exact: Exact,
    /// All others.
    pub(super) tests: Box<[Test]>,
    /// `exists = false` is among them.
    pub(super) accepts_missing: bool,
}

/// A set of exact values: sorted, so that ten thousand of them cost fourteen comparisons.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Exact {
    pub(crate) texts: Vec<Box<str>>,
    pub(crate) plain: Vec<Plain>,
}

/// A scalar other than text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Plain {
    Null,
    Bool(bool),
    Number(Number),
}

/// A scalar of an event, read once and held against many leaves.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Scalar<'v> {
    Text(&'v str),
    Plain(Plain),
}

/// One alternative that is not an exact value.
#[derive(Debug)]
pub(super) enum Test {
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
    AnythingButTexts(Vec<Test>),
}

/// A range of numbers; a missing end is open to infinity.
#[derive(Debug)]
pub(super) struct Range {
    pub(super) from: Option<Bound>,
    pub(super) to: Option<Bound>,
}

/// One end of a range.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bound {
    pub(super) at: Number,
    pub(super) included: bool,
}

impl Leaf {
    /// Whether one alternative accepts this scalar.
    pub(crate) fn accepts(&self, scalar: Scalar<'_>) -> bool {
        self.exact.contains(scalar) || self.tests.iter().any(|test| test.accepts(scalar))
    }

    /// Whether exact values are all it has.
    pub(crate) fn is_exact(&self) -> bool {
        self.tests.is_empty()
    }

    /// The field's name from the envelope down, for people.
    pub(super) fn path(&self) -> String {
        self.keys.join(".")
    }
}

impl Exact {
    /// Adds a scalar; anything else is no exact value and left out.
    pub(super) fn push(&mut self, value: &Value) {
        match Scalar::new(value) {
            Some(Scalar::Text(text)) => self.texts.push(text.into()),
            Some(Scalar::Plain(plain)) => self.plain.push(plain),
            None => {}
        }
    }

    /// Must be called once all are pushed.
    pub(super) fn seal(mut self) -> Self {
        self.texts.sort_unstable();
        self.texts.dedup();
        self.plain.sort_unstable();
        self.plain.dedup();
        self
    }

    fn contains(&self, scalar: Scalar<'_>) -> bool {
        match scalar {
            Scalar::Text(text) => self.texts.binary_search_by(|own| (**own).cmp(text)).is_ok(),
            Scalar::Plain(plain) => self.plain.binary_search(&plain).is_ok(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.texts.len() + self.plain.len()
    }
}

impl<'v> Scalar<'v> {
    /// The scalar, unless the value is a list or an object.
    pub(crate) fn new(value: &'v Value) -> Option<Self> {
        Some(match value {
            Value::String(text) => Self::Text(text),
            Value::Null => Self::Plain(Plain::Null),
            Value::Bool(truth) => Self::Plain(Plain::Bool(*truth)),
            Value::Number(number) => Self::Plain(Plain::Number(Number::new(number))),
            Value::Array(_) | Value::Object(_) => return None,
        })
    }
}

impl Test {
    /// Whether it accepts a scalar that is there.
    fn accepts(&self, scalar: Scalar<'_>) -> bool {
        match (self, scalar) {
            (Self::Exists(wanted), _) => *wanted,
            (Self::AnythingBut(these), _) => !these.contains(scalar),
            (Self::AnythingButTexts(these), _) => !these.iter().any(|test| test.accepts(scalar)),
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

impl Range {
    pub(super) fn contains(&self, number: Number) -> bool {
        let above = self.from.is_none_or(|from| match number.cmp(&from.at) {
            std::cmp::Ordering::Less => false,
            std::cmp::Ordering::Equal => from.included,
            std::cmp::Ordering::Greater => true,
        });
        above
            && self.to.is_none_or(|to| match number.cmp(&to.at) {
                std::cmp::Ordering::Less => true,
                std::cmp::Ordering::Equal => to.included,
                std::cmp::Ordering::Greater => false,
            })
    }
}

/// Whether `test` holds for a scalar at this place: the value itself, or any element of an array.
/// An object is no leaf.
pub(super) fn any_scalar<F: FnMut(Scalar<'_>) -> bool>(value: &Value, test: &mut F) -> bool {
    match value {
        Value::Array(items) => items.iter().any(|item| any_scalar(item, test)),
        other => Scalar::new(other).is_some_and(test),
    }
}

/// How many alternatives an explanation names.
const SHOWN: usize = 8;

/// Writes the first of `parts`, and how many more there are.
fn list<T: fmt::Display>(
    f: &mut fmt::Formatter<'_>,
    parts: impl Iterator<Item = T>,
    len: usize,
) -> fmt::Result {
    for (i, part) in parts.take(SHOWN).enumerate() {
        let between = if i == 0 { "" } else { " or " };
        write!(f, "{between}{part}")?;
    }
    if len > SHOWN { write!(f, " or {} more", len - SHOWN) } else { Ok(()) }
}

impl fmt::Display for Leaf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = self.exact.shown().chain(self.tests.iter().map(ToString::to_string));
        list(f, parts, self.exact.len() + self.tests.len())
    }
}

impl Exact {
    fn shown(&self) -> impl Iterator<Item = String> {
        let texts = self.texts.iter().map(|text| format!("{text:?}"));
        texts.chain(self.plain.iter().map(ToString::to_string))
    }
}

impl fmt::Display for Exact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        list(f, self.shown(), self.len())
    }
}

impl fmt::Display for Plain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(truth) => write!(f, "{truth}"),
            Self::Number(number) => write!(f, "{number}"),
        }
    }
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prefix(text) => write!(f, "text beginning with {text:?}"),
            Self::PrefixAnyCase(text) => write!(f, "text beginning with {text} in any case"),
            Self::Suffix(text) => write!(f, "text ending with {text:?}"),
            Self::SuffixAnyCase(text) => write!(f, "text ending with {text} in any case"),
            Self::EqualsAnyCase(text) => write!(f, "{text} in any case"),
            Self::Wildcard(wildcard) => write!(f, "text like {wildcard}"),
            Self::Numeric(range) => write!(f, "{range}"),
            Self::Cidr(network) => write!(f, "an IP address in {network}"),
            Self::Exists(true) => f.write_str("any value"),
            Self::Exists(false) => f.write_str("no such field"),
            Self::AnythingBut(these) => write!(f, "anything but {these}"),
            Self::AnythingButTexts(these) => {
                f.write_str("anything but ")?;
                list(f, these.iter(), these.len())
            }
        }
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let (Some(from), Some(to)) = (self.from, self.to)
            && from.at == to.at
        {
            return write!(f, "the number {}", from.at);
        }
        f.write_str("a number")?;
        if let Some(from) = self.from {
            write!(f, " {} {}", if from.included { ">=" } else { ">" }, from.at)?;
        }
        if let Some(to) = self.to {
            let and = if self.from.is_some() { " and" } else { "" };
            write!(f, "{and} {} {}", if to.included { "<=" } else { "<" }, to.at)?;
        }
        Ok(())
    }
}
