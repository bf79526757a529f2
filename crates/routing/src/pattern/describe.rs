//! What a filter expects, in the words of an explanation: `a number >= 70`, `anything but "x"`.

use std::fmt;

use super::leaf::Leaf;
use super::operator::Operator;
use super::range::Range;
use super::scalar::{Exact, Plain};

/// Most alternatives that an explanation lists.
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
        let parts = shown(&self.exact).chain(self.operators.iter().map(ToString::to_string));
        list(f, parts, self.exact.len() + self.operators.len())
    }
}

fn shown(exact: &Exact) -> impl Iterator<Item = String> {
    let texts = exact.texts.iter().map(|text| format!("{text:?}"));
    texts.chain(exact.plain.iter().map(ToString::to_string))
}

impl fmt::Display for Exact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        list(f, shown(self), self.len())
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

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prefix(text) => write!(f, "text beginning with {text:?}"),
            Self::PrefixAnyCase(text) => write!(f, "text beginning with {text} in any case"),
            Self::Suffix(text) => write!(f, "text ending with {text:?}"),
            Self::SuffixAnyCase(text) => write!(f, "text ending with {text} in any case"),
            Self::EqualsAnyCase(text) => write!(f, "{text} in any case"),
            Self::Wildcard(wildcard, _) => write!(f, "text like {wildcard}"),
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
        if let (Some(from), Some(to)) = (&self.from, &self.to)
            && from.at == to.at
        {
            return write!(f, "the number {}", from.at);
        }
        f.write_str("a number")?;
        if let Some(from) = &self.from {
            write!(f, " {} {}", if from.included { ">=" } else { ">" }, from.at)?;
        }
        if let Some(to) = &self.to {
            let and = if self.from.is_some() { " and" } else { "" };
            write!(f, "{and} {} {}", if to.included { "<=" } else { "<" }, to.at)?;
        }
        Ok(())
    }
}
