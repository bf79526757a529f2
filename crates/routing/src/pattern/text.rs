//! Comparing text without regard to case.

use std::fmt;

use icu_casemap::{CaseMapper, CaseMapperBorrowed};

/// Unicode's simple case folding (`C` and `S` in `CaseFolding.txt`): one character for one
/// character. `ẞ` folds to `ß`, but not to `ss`; `ı` folds to itself.
const FOLDING: CaseMapperBorrowed<'static> = CaseMapper::new();

fn fold(text: &str) -> impl DoubleEndedIterator<Item = char> {
    text.chars().map(|c| FOLDING.simple_fold(c))
}

/// Text that is compared ignoring case, character by character.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct AnyCase {
    written: Box<str>,
    folded: Box<str>,
}

impl AnyCase {
    pub(super) fn new(text: &str) -> Self {
        Self { written: text.into(), folded: fold(text).collect() }
    }

    pub(super) fn equals(&self, text: &str) -> bool {
        fold(text).eq(self.folded.chars())
    }

    pub(super) fn is_prefix_of(&self, text: &str) -> bool {
        let mut folded = fold(text);
        self.folded.chars().all(|c| folded.next() == Some(c))
    }

    pub(super) fn is_suffix_of(&self, text: &str) -> bool {
        let mut folded = fold(text).rev();
        self.folded.chars().rev().all(|c| folded.next() == Some(c))
    }

    /// The length in bytes.
    pub(super) fn len(&self) -> usize {
        self.folded.len()
    }
}

impl fmt::Display for AnyCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_is_ignored_by_simple_folding() {
        for (a, b) in [
            ("straße", "STRAẞE"),
            ("Ōkubo", "ōKUBO"),
            ("ὈΔΥΣΣΕΎΣ", "ὀδυσσεύς"),
            ("Ⱥ", "ⱥ"),
            ("K", "k"), // the Kelvin sign
            ("Å", "å"), // the Ångström sign
            ("ſ", "S"),
            ("Ꭰ", "ꭰ"), // Cherokee folds to upper case
            ("ᾳ", "ᾼ"),
        ] {
            assert!(AnyCase::new(a).equals(b) && AnyCase::new(b).equals(a), "{a} {b}");
            assert!(AnyCase::new(a).is_prefix_of(&format!("{b}x")));
            assert!(AnyCase::new(a).is_suffix_of(&format!("x{b}")));
        }
        for (a, b) in [
            ("admin", "admın"),
            ("straße", "strasse"),
            ("I", "İ"),
            ("i", "İ"),
            ("ﬁ", "fi"),
            ("a", "ä"),
        ] {
            assert!(!AnyCase::new(a).equals(b) && !AnyCase::new(b).equals(a), "{a} {b}");
        }
        assert!(!AnyCase::new("ab").is_prefix_of("a"));
        assert!(!AnyCase::new("ab").is_suffix_of("b"));
        assert!(AnyCase::new("").equals("") && !AnyCase::new("").equals("a"));
    }

    #[test]
    fn prefixes_and_suffixes_are_whole_characters() {
        assert!(!AnyCase::new("s").is_prefix_of("ßx"));
        assert!(!AnyCase::new("s").is_suffix_of("xß"));
        assert!(!AnyCase::new("f").is_prefix_of("ﬁx"));
        assert!(AnyCase::new("S").is_prefix_of("ſx"));
    }
}
