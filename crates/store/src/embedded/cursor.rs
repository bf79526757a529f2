//! Cursors: the end of a page as text that callers pass back. They are checked, never trusted.

use crate::{Result, StoreError};

/// Writes numbers after a letter for the list: `e.18bcfe56800.2a`.
pub(super) fn write<const N: usize>(list: char, numbers: [i64; N]) -> String {
    numbers.iter().fold(String::from(list), |text, number| format!("{text}.{number:x}"))
}

/// The numbers of a cursor of this list.
pub(super) fn read<const N: usize>(list: char, text: &str) -> Result<[i64; N]> {
    let bad = || {
        let shown: String = text.chars().take(40).collect();
        StoreError::BadQuery(format!(
            "`{shown}` is no cursor of this list; use `next` of the page before, or none to begin"
        ))
    };
    let mut parts = text.strip_prefix(list).ok_or_else(bad)?.split('.');
    // Nothing may precede the first dot.
    if parts.next() != Some("") {
        return Err(bad());
    }
    let mut numbers = [0; N];
    for number in &mut numbers {
        let digits = parts.next().ok_or_else(bad)?;
        // Negative numbers are written in two's complement.
        let bits = u64::from_str_radix(digits, 16).map_err(|_| bad())?;
        *number = bits.cast_signed();
    }
    if parts.next().is_some() || write(list, numbers) != text {
        return Err(bad());
    }
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back() {
        for numbers in [[0, 1], [-1, i64::MAX], [i64::MIN, 42]] {
            assert_eq!(read('e', &write('e', numbers)).unwrap(), numbers);
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "e", "e.", "e.1", "e.1.2.3", "d.1.2", "e.+1.2", "e.1.G", "e.01.2", "ë.1"]
        {
            assert!(read::<2>('e', text).is_err(), "{text}");
        }
    }
}
