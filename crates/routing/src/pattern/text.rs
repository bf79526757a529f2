//! Comparing text: ignoring case, and with wildcards. Each takes one pass over the value.

use std::fmt;

/// Text for a comparison that ignores case: the lower case of each character's upper case, so that
/// `ς`, `σ`, and `Σ` are equal.
fn fold(text: &str) -> impl DoubleEndedIterator<Item = char> {
    text.chars().flat_map(|c| c.to_uppercase().flat_map(char::to_lowercase))
}

/// Text that is compared ignoring case.
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
}

impl fmt::Display for AnyCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.written)
    }
}

/// A wildcard: literal pieces with any text between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wildcard {
    written: Box<str>,
    /// The pieces between the `*`. There is one more than there are `*`.
    pieces: Box<[Box<str>]>,
}

impl Wildcard {
    /// Parses a wildcard. The error says what is wrong and what to write instead.
    pub(super) fn parse(written: &str) -> Result<Self, String> {
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
    pub(super) fn matches(&self, text: &str) -> bool {
        let Some((first, rest)) = self.pieces.split_first() else { return false };
        let Some((last, middle)) = rest.split_last() else { return text == &**first };
        let Some(mut left) = text.strip_prefix(&**first) else { return false };
        for piece in middle {
            let Some(at) = left.find(&**piece) else { return false };
            left = &left[at + piece.len()..];
        }
        left.ends_with(&**last)
    }
}

impl fmt::Display for Wildcard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.written)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn case_is_ignored_beyond_ascii() {
        for (a, b) in
            [("Straße", "STRASSE"), ("Ōkubo", "ōKUBO"), ("ὈΔΥΣΣΕΎΣ", "ὀδυσσεύς"), ("Ⱥ", "ⱥ")]
        {
            assert!(AnyCase::new(a).equals(b) && AnyCase::new(b).equals(a), "{a} {b}");
            assert!(AnyCase::new(a).is_prefix_of(&format!("{b}x")));
            assert!(AnyCase::new(a).is_suffix_of(&format!("x{b}")));
        }
        assert!(!AnyCase::new("a").equals("ä"));
        assert!(!AnyCase::new("ab").is_prefix_of("a"));
        assert!(!AnyCase::new("ab").is_suffix_of("b"));
        assert!(AnyCase::new("").equals("") && !AnyCase::new("").equals("a"));
    }

    #[test]
    fn stars_and_escapes() {
        let yes = [
            ("*", ""),
            ("*", "any"),
            ("a*", "a"),
            ("*a", "a"),
            ("a*a", "aa"),
            ("a*b*c", "aXbXbc"),
            ("abc", "abc"),
            (r"a\*b", "a*b"),
            (r"a\\*", r"a\b"),
            ("*.png", "x.png"),
            ("dir/*.png", "dir/a/b.png"),
            ("é*é", "éé"),
        ];
        for (pattern, text) in yes {
            assert!(Wildcard::parse(pattern).unwrap().matches(text), "{pattern} on {text}");
        }
        let no = [
            ("a*", "b"),
            ("a*a", "a"),
            ("a*b*c", "ac"),
            (r"a\*b", "axb"),
            ("abc", "abcd"),
            ("*.png", "png"),
        ];
        for (pattern, text) in no {
            assert!(!Wildcard::parse(pattern).unwrap().matches(text), "{pattern} on {text}");
        }
    }

    #[test]
    fn a_hostile_wildcard_takes_linear_time() {
        let pattern = Wildcard::parse(&"*a".repeat(5_000)).unwrap();
        let text = "a".repeat(4_999) + &"b".repeat(200_000);
        let begin = Instant::now();
        assert!(!pattern.matches(&text));
        assert!(begin.elapsed() < Duration::from_secs(2));
    }

    /// The meaning of a wildcard, by trying every split.
    fn naive(pattern: &[char], text: &[char]) -> bool {
        match (pattern, text) {
            ([], []) => true,
            (['*', rest @ ..], _) => (0..=text.len()).any(|n| naive(rest, &text[n..])),
            (['\\', p, rest @ ..] | [p, rest @ ..], [c, tail @ ..]) => p == c && naive(rest, tail),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn a_wildcard_agrees_with_trying_every_split(pattern in r"(\*?(a|b|\\\*|\\\\)){0,6}\*?", text in r"[ab*\\]{0,9}") {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            prop_assert_eq!(
                Wildcard::parse(&pattern).unwrap().matches(&text),
                naive(&chars(&pattern), &chars(&text))
            );
        }
    }
}
