//! Event-type patterns: `kyc.session.created`, `kyc.*.created`, `kyc.**`.

/// Most words of a pattern. [`TypePattern::matches`] keeps its state in one 64-bit integer.
const MAX_WORDS: usize = 32;
/// Most bytes of a pattern.
const MAX_BYTES: usize = 256;

/// A parsed event-type pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TypePattern(pub(super) Box<[Word]>);

/// One word of a pattern, between dots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// Exactly this word.
    Literal(Box<str>),
    /// `*`: exactly one word.
    One,
    /// `**`: one or more words.
    Many,
}

impl TypePattern {
    /// Parses a pattern. The error says what is wrong and what to write instead.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("is empty; write an event type, or `**` for every type".to_owned());
        }
        if text.len() > MAX_BYTES {
            return Err(format!("has {} bytes; the limit is {MAX_BYTES}", text.len()));
        }
        let words =
            text.split('.').map(|word| Word::parse(word, text)).collect::<Result<Box<[_]>, _>>()?;
        if words.len() > MAX_WORDS {
            return Err(format!(
                "has {} words; the limit is {MAX_WORDS}, so end it with `**`",
                words.len()
            ));
        }
        Ok(Self(words))
    }

    /// Whether the pattern matches an event of type `kind`. One pass, without an allocation.
    pub(super) fn matches(&self, kind: &str) -> bool {
        // Bit i is set if the first i words of the pattern match the parts so far.
        let mut states: u64 = 1;
        for part in kind.split('.') {
            let mut next = 0;
            for (i, word) in self.0.iter().enumerate() {
                let matched = match word {
                    Word::Literal(text) => states >> i & 1 == 1 && **text == *part,
                    Word::One => states >> i & 1 == 1,
                    Word::Many => states >> i & 0b11 != 0,
                };
                next |= u64::from(matched) << (i + 1);
            }
            states = next;
        }
        states >> self.0.len() & 1 == 1
    }

    /// The event type, if the pattern has no wildcard.
    pub(super) fn exact(&self) -> Option<String> {
        let parts = self.0.iter().map(|word| match word {
            Word::Literal(text) => Some(&**text),
            Word::One | Word::Many => None,
        });
        Some(parts.collect::<Option<Vec<_>>>()?.join("."))
    }
}

impl Word {
    fn parse(word: &str, whole: &str) -> Result<Self, String> {
        match word {
            "*" => return Ok(Self::One),
            "**" => return Ok(Self::Many),
            "" => {
                return Err(format!("`{whole}` has an empty word; separate words by single dots"));
            }
            _ => {}
        }
        if word.contains('*') {
            return Err(format!(
                "`{whole}` has a wildcard and other text in the word `{word}`; write the whole \
                 word, or `*` for any word"
            ));
        }
        let refused = |c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-');
        if let Some(c) = word.chars().find(|c| refused(*c)) {
            return Err(format!(
                "`{whole}` has the character {c:?}; use only ASCII letters, digits, `_`, and `-` \
                 in a word"
            ));
        }
        Ok(Self::Literal(word.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, kind: &str) -> bool {
        TypePattern::parse(pattern).unwrap().matches(kind)
    }

    #[test]
    fn one_star_matches_exactly_one_word() {
        assert!(matches("kyc.*", "kyc.a"));
        assert!(matches("kyc.*.done", "kyc.job.done"));
        assert!(!matches("kyc.*", "kyc"));
        assert!(!matches("kyc.*", "kyc.a.b"));
        assert!(!matches("*", "kyc.a"));
    }

    #[test]
    fn two_stars_match_one_or_more_words() {
        assert!(matches("kyc.**", "kyc.a"));
        assert!(matches("kyc.**", "kyc.a.b"));
        assert!(!matches("kyc.**", "kyc"));
        assert!(!matches("kyc.**", "kyb.a"));
        assert!(matches("**", "kyc"));
        assert!(matches("**.done", "kyc.job.done"));
        assert!(!matches("**.done", "done"));
        assert!(matches("a.**.z", "a.b.c.z"));
        assert!(!matches("a.**.z", "a.z"));
        assert!(matches("**.**", "a.b"));
        assert!(!matches("**.**", "a"));
    }

    #[test]
    fn types_are_compared_with_case_and_by_whole_words() {
        assert!(matches("kyc.session", "kyc.session"));
        assert!(!matches("kyc.session", "kyc.Session"));
        assert!(!matches("kyc.session", "kyc.sessions"));
    }

    #[test]
    fn a_wrong_pattern_is_refused_with_the_fix() {
        let errors = ["", "kyc..a", "kyc.", "kyc.pre*", "kyc.***", "kyc.a b", "kyc.é"]
            .map(|text| TypePattern::parse(text).unwrap_err())
            .join("\n");
        insta::assert_snapshot!(errors);
        assert!(TypePattern::parse(&"a.".repeat(40)).is_err());
        assert!(TypePattern::parse(&vec!["a"; 33].join(".")).unwrap_err().contains("limit is 32"));
        assert!(TypePattern::parse(&vec!["*"; 32].join(".")).is_ok());
        assert!(TypePattern::parse(&"a".repeat(257)).unwrap_err().contains("limit is 256"));
    }
}
