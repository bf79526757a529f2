//! JSON numbers, compared exactly, with any number of digits.

use std::cmp::Ordering;
use std::fmt;

/// A number. Each value has exactly one form, however it was written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Number {
    /// A whole number that fits.
    Whole(i64),
    /// Every other number.
    Exact(Box<Decimal>),
}

/// `0.d₁d₂…dₙ × 10^scale`. The first and the last digit are not 0.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Decimal {
    negative: bool,
    /// An exponent that does not fit counts as the greatest or the least one that does.
    scale: i64,
    /// ASCII digits.
    digits: Box<[u8]>,
}

/// The most digits of an `i64`.
const WHOLE_DIGITS: usize = 19;

impl Number {
    /// The number that a JSON number says. The text has the form of one.
    pub(crate) fn new(text: &str) -> Self {
        let (negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all = || whole.bytes().chain(fraction.bytes());
        let leading = all().take_while(|digit| *digit == b'0').count();
        let length = whole.len() + fraction.len();
        if leading == length {
            return Self::Whole(0);
        }
        let trailing = all().rev().take_while(|digit| *digit == b'0').count();
        let digits = || all().skip(leading).take(length - leading - trailing);
        let places = i64::try_from(whole.len()).unwrap_or(i64::MAX);
        let leading = i64::try_from(leading).unwrap_or(i64::MAX);
        let scale = power(exponent).saturating_add(places.saturating_sub(leading));
        if let Some(whole) = small(negative, scale, digits()) {
            return Self::Whole(whole);
        }
        Self::Exact(Box::new(Decimal { negative, scale, digits: digits().collect() }))
    }
}

/// The exponent of a number, saturated.
fn power(text: &str) -> i64 {
    let bound = if text.starts_with('-') { i64::MIN } else { i64::MAX };
    text.strip_prefix('+').unwrap_or(text).parse().unwrap_or(bound)
}

/// The number as an `i64`, if it is one.
fn small(negative: bool, scale: i64, digits: impl Iterator<Item = u8>) -> Option<i64> {
    let scale = usize::try_from(scale).ok().filter(|scale| *scale <= WHOLE_DIGITS)?;
    let mut value: i128 = 0;
    let mut count = 0;
    for digit in digits {
        count += 1;
        if count > scale {
            return None;
        }
        value = value * 10 + i128::from(digit - b'0');
    }
    for _ in count..scale {
        value *= 10;
    }
    i64::try_from(if negative { -value } else { value }).ok()
}

/// What orders a number: its sign, then its size.
struct Parts<'n> {
    negative: bool,
    scale: i64,
    digits: &'n [u8],
}

impl Parts<'_> {
    fn size(&self, other: &Self) -> Ordering {
        self.scale.cmp(&other.scale).then_with(|| self.digits.cmp(other.digits))
    }
}

impl Number {
    /// The parts of a number other than 0.
    fn parts<'n>(&'n self, buffer: &'n mut [u8; WHOLE_DIGITS + 1]) -> Parts<'n> {
        match self {
            Self::Exact(exact) => {
                Parts { negative: exact.negative, scale: exact.scale, digits: &exact.digits }
            }
            Self::Whole(whole) => {
                let mut rest = whole.unsigned_abs();
                let mut at = buffer.len();
                while rest > 0 {
                    at -= 1;
                    buffer[at] = b'0' + u8::try_from(rest % 10).unwrap_or_default();
                    rest /= 10;
                }
                let digits = &buffer[at..];
                let scale = i64::try_from(digits.len()).unwrap_or_default();
                let zeros = digits.iter().rev().take_while(|digit| **digit == b'0').count();
                Parts { negative: *whole < 0, scale, digits: &digits[..digits.len() - zeros] }
            }
        }
    }

    fn sign(&self) -> i64 {
        match self {
            Self::Whole(whole) => whole.signum(),
            Self::Exact(exact) if exact.negative => -1,
            Self::Exact(_) => 1,
        }
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        if let (Self::Whole(a), Self::Whole(b)) = (self, other) {
            return a.cmp(b);
        }
        let (own_sign, other_sign) = (self.sign(), other.sign());
        if own_sign != other_sign {
            return own_sign.cmp(&other_sign);
        }
        let (mut a, mut b) = ([0; WHOLE_DIGITS + 1], [0; WHOLE_DIGITS + 1]);
        let (a, b) = (self.parts(&mut a), other.parts(&mut b));
        if a.negative { b.size(&a) } else { a.size(&b) }
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Most zeros that are written out instead of an exponent.
const ZEROS: i64 = 20;

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Decimal { negative, scale, digits } = match self {
            Self::Whole(whole) => return write!(f, "{whole}"),
            Self::Exact(exact) => &**exact,
        };
        let digits = str::from_utf8(digits).map_err(|_| fmt::Error)?;
        let sign = if *negative { "-" } else { "" };
        let count = i64::try_from(digits.len()).unwrap_or(i64::MAX);
        let zeros = |n: i64| "0".repeat(usize::try_from(n).unwrap_or_default());
        match *scale {
            scale if scale > count + ZEROS || scale < -ZEROS => {
                let (first, rest) = digits.split_at(1);
                let point = if rest.is_empty() { "" } else { "." };
                write!(f, "{sign}{first}{point}{rest}e{}", scale.saturating_sub(1))
            }
            scale if scale >= count => write!(f, "{sign}{digits}{}", zeros(scale - count)),
            scale if scale > 0 => {
                let (whole, fraction) = digits.split_at(usize::try_from(scale).unwrap_or_default());
                write!(f, "{sign}{whole}.{fraction}")
            }
            scale => write!(f, "{sign}0.{}{digits}", zeros(-scale)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_notation_does_not_matter() {
        for spellings in [
            &["300", "300.0", "3.0e2", "3e2", "3E+2", "30000e-2", "0.3e3"][..],
            &["0", "-0", "0.0", "-0.0e5", "0e-99999999999999999999"],
            &["0.1", "1e-1", "0.10", "100E-3"],
            &["1e30", "1000000000000000000000000000000", "1000000000000000000000000000000.0"],
            &["72153723311011100", "72153723311011100.0", "721537233110111e2"],
            &["-9223372036854775808", "-9223372036854775808.000", "-9.223372036854775808e18"],
        ] {
            for spelling in spellings {
                assert_eq!(Number::new(spelling), Number::new(spellings[0]), "{spelling}");
            }
        }
    }

    #[test]
    fn every_digit_counts_and_the_order_is_numeric() {
        let ascending = [
            "-1e300",
            "-9223372036854775809",
            "-9223372036854775808",
            "-1.5",
            "-1.4999999999999999999999",
            "-1",
            "-0.5",
            "-1e-400",
            "0",
            "1e-401",
            "1e-400",
            "0.5",
            "1",
            "1.00000000000000000000000001",
            "1.5",
            "2",
            "299.99999999999999999",
            "300",
            "300.00000000000001",
            "9007199254740992",
            "9007199254740992.5",
            "9007199254740993",
            "9223372036854775807",
            "9223372036854775808",
            "18446744073709551615",
            "18446744073709551616",
            "20000000000000000000",
            "20000000000000000001",
            "1e39",
            "1.1e39",
            "1e300",
            "1e400",
        ];
        for (i, a) in ascending.iter().enumerate() {
            for (j, b) in ascending.iter().enumerate() {
                let (a, b) = (Number::new(a), Number::new(b));
                assert_eq!(a.cmp(&b), i.cmp(&j), "{a} against {b}");
                assert_eq!(a == b, i == j, "{a} against {b}");
            }
        }
    }

    #[test]
    fn a_number_is_shown_in_plain_digits_unless_it_has_many_zeros() {
        for (written, shown) in [
            ("3.0e2", "300"),
            ("20000000000000000001", "20000000000000000001"),
            ("-300.000000000000010", "-300.00000000000001"),
            ("1e-5", "0.00001"),
            ("1e20", "100000000000000000000"),
            ("1e39", "1e39"),
            ("-1.25e300", "-1.25e300"),
            ("5e-400", "5e-400"),
        ] {
            assert_eq!(Number::new(written).to_string(), shown);
        }
    }

    proptest! {
        #[test]
        fn the_order_agrees_with_whole_numbers_scaled_by_a_power_of_ten(
            a in -10_i128.pow(30)..10_i128.pow(30), b in -10_i128.pow(30)..10_i128.pow(30),
            close in any::<bool>(), places in 0_usize..40,
        ) {
            let b = if close { a + b % 3 } else { b };
            let (left, right) = (format!("{a}e-{places}"), format!("{b}e-{places}"));
            prop_assert_eq!(Number::new(&left).cmp(&Number::new(&right)), a.cmp(&b));
            prop_assert_eq!(Number::new(&left) == Number::new(&right), a == b);
            prop_assert_eq!(Number::new(&Number::new(&left).to_string()), Number::new(&left));
        }
    }
}
