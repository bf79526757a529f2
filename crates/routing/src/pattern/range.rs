//! Numeric ranges: reading `numeric = [">", 0, "<=", 5]`, and testing numbers.

use std::cmp::Ordering;

use serde_json::Value;

use super::cursor::Cursor;
use super::number::Number;
use crate::{exact, spec};

const COMPARISONS: [&str; 5] = ["=", "<", "<=", ">", ">="];

/// A range of numbers. Without an end it reaches to infinity.
#[derive(Debug)]
pub(super) struct Range {
    pub(super) from: Option<Bound>,
    pub(super) to: Option<Bound>,
}

/// One end of a range.
#[derive(Clone, Debug)]
pub(super) struct Bound {
    pub(super) at: Number,
    pub(super) included: bool,
}

/// Whether the text is one of the signs in `numeric`.
pub(super) fn is_comparison(sign: &str) -> bool {
    COMPARISONS.contains(&sign)
}

impl Range {
    /// Reads the value of `numeric`.
    pub(super) fn parse(cursor: &mut Cursor<'_>, value: &Value) -> Option<Self> {
        let pairs = value.as_array().map(Vec::as_slice).unwrap_or_default();
        match pairs {
            [sign, number] => {
                let (sign, at) = comparison(cursor, 0, sign, number)?;
                let bound = |included| Some(Bound { at: at.clone(), included });
                Some(match sign {
                    "=" => Self { from: bound(true), to: bound(true) },
                    ">" | ">=" => Self { from: bound(sign == ">="), to: None },
                    _ => Self { from: None, to: bound(sign == "<=") },
                })
            }
            [from_sign, from, to_sign, to] => {
                let from = comparison(cursor, 0, from_sign, from);
                let to = comparison(cursor, 2, to_sign, to);
                between(cursor, from?, to?)
            }
            _ => {
                cursor.fault(
                    "must be a list with one or two signs, each followed by a number: \
                     [\">=\", 70] or [\">\", 0, \"<=\", 5]",
                );
                None
            }
        }
    }

    pub(super) fn contains(&self, number: &Number) -> bool {
        let above = self.from.as_ref().is_none_or(|from| match number.cmp(&from.at) {
            Ordering::Less => false,
            Ordering::Equal => from.included,
            Ordering::Greater => true,
        });
        above
            && self.to.as_ref().is_none_or(|to| match number.cmp(&to.at) {
                Ordering::Less => true,
                Ordering::Equal => to.included,
                Ordering::Greater => false,
            })
    }
}

/// Two comparisons as one range: a lower end, then an upper end above it.
fn between(cursor: &mut Cursor<'_>, from: (&str, Number), to: (&str, Number)) -> Option<Range> {
    if !(from.0.starts_with('>') && to.0.starts_with('<')) {
        cursor.fault(format!(
            "`{}` and `{}` are not a range; write > or >= first, then < or <=, such as \
             [\">\", 0, \"<=\", 5]",
            from.0, to.0
        ));
        return None;
    }
    if from.1 >= to.1 {
        cursor.fault(format!(
            "no number is above {} and below {}; write the smaller number first",
            from.1, to.1
        ));
        return None;
    }
    Some(Range {
        from: Some(Bound { at: from.1, included: from.0 == ">=" }),
        to: Some(Bound { at: to.1, included: to.0 == "<=" }),
    })
}

fn comparison<'v>(
    cursor: &mut Cursor<'_>,
    index: usize,
    sign: &'v Value,
    number: &Value,
) -> Option<(&'v str, Number)> {
    let known = sign.as_str().filter(|sign| is_comparison(sign));
    if known.is_none() {
        cursor.within(&format!("[{index}]"), |cursor| {
            cursor.fault(format!("is {sign}; write one of = < <= > >=, in quotes"));
        });
    }
    let read = exact::number(number);
    if read.is_none() {
        cursor.within(&format!("[{}]", index + 1), |cursor| {
            cursor.fault(
                spec::not_json(number)
                    .or_else(|| exact::fault(number))
                    .unwrap_or_else(|| format!("is {number}; write a number, without quotes")),
            );
        });
    }
    known.zip(read)
}
