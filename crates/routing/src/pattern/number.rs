//! JSON numbers, compared exactly.

use std::cmp::Ordering;
use std::fmt;

/// A finite number. Each has exactly one form: a whole number is `Whole`, however it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Number {
    Whole(i128),
    /// The bits of an `f64` that is not whole, or is too large for `Whole`.
    Other(u64),
}

/// 2^127. Whole floats below it fit into an `i128`.
const WHOLE_LIMIT: f64 = 170_141_183_460_469_231_731_687_303_715_884_105_728.0;

impl Number {
    /// The number in a JSON value. `serde_json` guarantees that it is finite.
    pub(super) fn new(number: &serde_json::Number) -> Self {
        if let Some(whole) = number.as_i128() {
            return Self::Whole(whole);
        }
        let float = number.as_f64().unwrap_or(f64::INFINITY);
        if float.fract() == 0.0 && float.abs() < WHOLE_LIMIT {
            return Self::Whole(truncate(float));
        }
        Self::Other(float.to_bits())
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the caller has checked the range")]
fn truncate(float: f64) -> i128 {
    float as i128
}

/// Compares a whole number with a float that is not whole, or is outside the range of `Whole`.
fn compare(whole: i128, float: f64) -> Ordering {
    if float.abs() >= WHOLE_LIMIT {
        return if float > 0.0 { Ordering::Less } else { Ordering::Greater };
    }
    if whole <= truncate(float.floor()) { Ordering::Less } else { Ordering::Greater }
}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        match (*self, *other) {
            (Self::Whole(a), Self::Whole(b)) => a.cmp(&b),
            (Self::Other(a), Self::Other(b)) => f64::from_bits(a).total_cmp(&f64::from_bits(b)),
            (Self::Whole(a), Self::Other(b)) => compare(a, f64::from_bits(b)),
            (Self::Other(a), Self::Whole(b)) => compare(b, f64::from_bits(a)).reverse(),
        }
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(whole) => write!(f, "{whole}"),
            Self::Other(bits) => write!(f, "{}", f64::from_bits(*bits)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Number {
        Number::new(&serde_json::from_str(text).unwrap())
    }

    #[test]
    fn the_notation_does_not_matter() {
        for text in ["300.0", "3.0e2", "3e2", "30000e-2"] {
            assert_eq!(number(text), number("300"), "{text}");
        }
        assert_eq!(number("-0.0"), number("0"));
        assert_eq!(number("1e30"), number("1000000000000000019884624838656.0"));
        assert_eq!(number("0.1"), number("1e-1"));
    }

    #[test]
    fn large_neighbors_are_different() {
        assert_ne!(number("9007199254740992"), number("9007199254740993"));
        assert!(number("9007199254740993") > number("9007199254740992.0"));
        assert!(number("18446744073709551615") < number("18446744073709551616"));
    }

    #[test]
    fn the_order_is_numeric() {
        let ascending = [
            "-1e300",
            "-1e39",
            "-9223372036854775808",
            "-1.5",
            "-1",
            "-0.5",
            "0",
            "0.5",
            "1",
            "1.5",
            "2",
            "9007199254740993",
            "1e39",
            "1e300",
        ];
        for (i, a) in ascending.iter().enumerate() {
            for (j, b) in ascending.iter().enumerate() {
                assert_eq!(number(a).cmp(&number(b)), i.cmp(&j), "{a} against {b}");
            }
        }
    }
}
