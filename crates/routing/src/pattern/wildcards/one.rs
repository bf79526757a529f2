//! One wildcard: literal pieces with any text between them.

use std::fmt;

/// A wildcard.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::pattern) struct Wildcard {
    written: Box<str>,
    /// The pieces between the `*`. There is one more than there are `*`.
    pieces: Box<[Box<str>]>,
}

impl Wildcard {
    /// Parses a wildcard. The error says what is wrong and what to write instead.
    pub(in crate::pattern) fn parse(written: &str) -> Result<Self, String> {
        let mut pieces = vec![String::new()];
        let mut after_star = false;
        let mut chars = written.chars();
        while let Some(c) = chars.next() {
            let literal = match c {
                '*' if after_star => {
                    return Err(format!("{written:?} has two `*` in a row; write one"));
                }
                '*' => {
                    after_star = true;
                    pieces.push(String::new());
                    continue;
                }
                '\\' => match chars.next() {
                    Some(escaped @ ('*' | '\\')) => escaped,
                    _ => {
                        return Err(format!(
                            "{written:?} has a backslash that escapes nothing; write `\\\\` for a \
                             backslash, or `\\*` for a star"
                        ));
                    }
                },
                c => c,
            };
            after_star = false;
            pieces.last_mut().expect("never empty").push(literal);
        }
        let pieces = pieces.into_iter().map(Into::into).collect();
        Ok(Self { written: written.into(), pieces })
    }

    /// Searches each piece after the one before it. The first place is always right, because `*`
    /// matches any text, so there is no backtracking.
    pub(in crate::pattern) fn matches(&self, text: &str) -> bool {
        let Some((first, rest)) = self.pieces.split_first() else { return false };
        let Some((last, middle)) = rest.split_last() else { return text == &**first };
        let Some(mut left) = text.strip_prefix(&**first) else { return false };
        for piece in middle {
            let Some(at) = left.find(&**piece) else { return false };
            left = &left[at + piece.len()..];
        }
        left.ends_with(&**last)
    }

    /// The piece before the first `*`, the pieces between two, and the piece after the last. `None`
    /// without a `*`.
    pub(super) fn parts(&self) -> Option<(&str, &[Box<str>], &str)> {
        let (first, rest) = self.pieces.split_first()?;
        let (last, middle) = rest.split_last()?;
        Some((first, middle, last))
    }

    /// The number of stars.
    pub(super) fn stars(&self) -> usize {
        self.pieces.len() - 1
    }

    /// The length in bytes, as written.
    pub(in crate::pattern) fn len(&self) -> usize {
        self.written.len()
    }
}

impl fmt::Display for Wildcard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.written)
    }
}
