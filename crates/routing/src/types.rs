//! Event-type patterns, and the structure that finds those that match a type.

use std::cell::RefCell;
use std::collections::HashMap;

/// Most segments of a pattern; [`TypePattern::matches`] keeps its state in one word.
const MAX_SEGMENTS: usize = 32;
/// Longest pattern in bytes.
const MAX_BYTES: usize = 256;

/// A parsed event-type pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TypePattern(Box<[Segment]>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    /// This very text.
    Literal(Box<str>),
    /// `*`: exactly one segment.
    One,
    /// `**`: one or more segments.
    Many,
}

impl TypePattern {
    /// Reads a pattern; the error says what is wrong and what would be right.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("is empty; write an event type, or `**` for every type".to_owned());
        }
        if text.len() > MAX_BYTES {
            return Err(format!("has {} bytes; the limit is {MAX_BYTES}", text.len()));
        }
        let segments = text
            .split('.')
            .map(|segment| Segment::parse(segment, text))
            .collect::<Result<Box<[_]>, _>>()?;
        if segments.len() > MAX_SEGMENTS {
            return Err(format!(
                "has {} segments; the limit is {MAX_SEGMENTS}, end it with `**` instead",
                segments.len()
            ));
        }
        Ok(Self(segments))
    }

    /// Whether an event of type `kind` is meant. One pass, no allocation; for explanations.
    pub(super) fn matches(&self, kind: &str) -> bool {
        // Bit i: the first i segments of the pattern have matched what was read so far.
        let mut states: u64 = 1;
        for part in kind.split('.') {
            let mut next = 0;
            for (i, segment) in self.0.iter().enumerate() {
                let matched = match segment {
                    Segment::Literal(text) => states >> i & 1 == 1 && **text == *part,
                    Segment::One => states >> i & 1 == 1,
                    Segment::Many => states >> i & 0b11 != 0,
                };
                next |= u64::from(matched) << (i + 1);
            }
            states = next;
        }
        states >> self.0.len() & 1 == 1
    }

    /// The type itself, when the pattern has no wildcard.
    fn exact(&self) -> Option<String> {
        let parts = self.0.iter().map(|segment| match segment {
            Segment::Literal(text) => Some(&**text),
            Segment::One | Segment::Many => None,
        });
        Some(parts.collect::<Option<Vec<_>>>()?.join("."))
    }
}

impl Segment {
    fn parse(segment: &str, whole: &str) -> Result<Self, String> {
        match segment {
            "*" => return Ok(Self::One),
            "**" => return Ok(Self::Many),
            "" => {
                return Err(format!(
                    "`{whole}` has an empty segment; write names separated by single dots"
                ));
            }
            _ => {}
        }
        if segment.contains('*') {
            return Err(format!(
                "`{whole}` has a `*` beside other text in `{segment}`; `*` stands for one whole \
                 segment and `**` for one or more, so write the segment out or put `*` in its place"
            ));
        }
        let foreign = |c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-');
        if let Some(c) = segment.chars().find(|c| foreign(*c)) {
            return Err(format!(
                "`{whole}` has {c:?}; segments are made of letters A to Z, digits, `_` and `-`"
            ));
        }
        Ok(Self::Literal(segment.into()))
    }
}

/// Finds the patterns that match a type: exact ones by hash, others through a trie of segments.
///
/// Every distinct pattern has a number, given in the order of insertion from 0.
#[derive(Debug)]
pub(super) struct TypeIndex {
    exact: HashMap<Box<str>, u32>,
    nodes: Vec<Node>,
    patterns: u32,
}

/// A state of the trie. One reached by `**` is left by a matching edge or stays.
#[derive(Debug, Default)]
struct Node {
    literal: HashMap<Box<str>, u32>,
    one: Option<u32>,
    many: Option<u32>,
    /// Reached by `**`.
    stays: bool,
    /// The pattern that ends here.
    pattern: Option<u32>,
}

thread_local! {
    /// States before and after a segment: kept so that a match allocates nothing.
    static STATES: RefCell<(Vec<u32>, Vec<u32>)> = const { RefCell::new((Vec::new(), Vec::new())) };
}

impl TypeIndex {
    pub(super) fn new() -> Self {
        Self { exact: HashMap::new(), nodes: vec![Node::default()], patterns: 0 }
    }

    /// The number of `pattern`, new or as given before.
    pub(super) fn insert(&mut self, pattern: &TypePattern) -> u32 {
        let fresh = self.patterns;
        let number = if let Some(kind) = pattern.exact() {
            *self.exact.entry(kind.into()).or_insert(fresh)
        } else {
            let at = self.descend(&pattern.0);
            *self.nodes[at].pattern.get_or_insert(fresh)
        };
        if number == fresh {
            self.patterns += 1;
        }
        number
    }

    /// The node at the end of `path`, made as needed.
    fn descend(&mut self, path: &[Segment]) -> usize {
        let mut at = 0;
        for segment in path {
            let fresh = u32::try_from(self.nodes.len()).expect("fewer nodes than bytes of input");
            let node = &mut self.nodes[at];
            let next = match segment {
                Segment::Literal(text) => *node.literal.entry(text.clone()).or_insert(fresh),
                Segment::One => *node.one.get_or_insert(fresh),
                Segment::Many => *node.many.get_or_insert(fresh),
            };
            if next == fresh {
                let stays = *segment == Segment::Many;
                self.nodes.push(Node { stays, ..Node::default() });
            }
            at = next as usize;
        }
        at
    }

    /// Calls `found` once with the number of every pattern that matches `kind`.
    pub(super) fn lookup(&self, kind: &str, mut found: impl FnMut(u32)) {
        if let Some(number) = self.exact.get(kind) {
            found(*number);
        }
        if self.nodes.len() == 1 {
            return;
        }
        STATES.with_borrow_mut(|(now, next)| {
            now.clear();
            now.push(0);
            for part in kind.split('.') {
                self.step(part, now, next);
                std::mem::swap(now, next);
                if now.is_empty() {
                    return;
                }
            }
            now.iter().filter_map(|state| self.nodes[*state as usize].pattern).for_each(&mut found);
        });
    }

    /// All states after `part`, each once.
    fn step(&self, part: &str, now: &[u32], next: &mut Vec<u32>) {
        next.clear();
        let mut twice = false;
        for state in now {
            let node = &self.nodes[*state as usize];
            next.extend(node.literal.get(part));
            next.extend(node.one);
            if node.stays {
                next.push(*state);
            }
            // It may be among the states already, and stay.
            twice |= node.many.is_some() && now.len() > 1;
            next.extend(node.many);
        }
        if twice {
            next.sort_unstable();
            next.dedup();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(pattern: &str, kind: &str) -> bool {
        TypePattern::parse(pattern).unwrap().matches(kind)
    }

    #[test]
    fn a_star_is_exactly_one_segment() {
        assert!(matches("kyc.*", "kyc.a"));
        assert!(matches("kyc.*.done", "kyc.job.done"));
        assert!(!matches("kyc.*", "kyc"));
        assert!(!matches("kyc.*", "kyc.a.b"));
        assert!(!matches("*", "kyc.a"));
    }

    #[test]
    fn two_stars_are_one_or_more_segments() {
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
    fn types_are_compared_with_case_and_in_whole_segments() {
        assert!(matches("kyc.session", "kyc.session"));
        assert!(!matches("kyc.session", "kyc.Session"));
        assert!(!matches("kyc.session", "kyc.sessions"));
    }

    #[test]
    fn what_cannot_be_a_pattern_is_refused_with_the_mend() {
        let errors = ["", "kyc..a", "kyc.", "kyc.pre*", "kyc.***", "kyc.a b", "kyc.é"]
            .map(|text| TypePattern::parse(text).unwrap_err())
            .join("\n");
        insta::assert_snapshot!(errors);
        assert!(TypePattern::parse(&"a.".repeat(40)).is_err());
        assert!(TypePattern::parse(&vec!["a"; 33].join(".")).unwrap_err().contains("limit is 32"));
        assert!(TypePattern::parse(&vec!["*"; 32].join(".")).is_ok());
        assert!(TypePattern::parse(&"a".repeat(257)).unwrap_err().contains("limit is 256"));
    }

    #[test]
    fn many_double_stars_cost_no_explosion() {
        let mut index = TypeIndex::new();
        index.insert(&TypePattern::parse(&format!("{}.z", ["**"; 31].join("."))).unwrap());
        let mut hits = 0;
        index.lookup(&vec!["a"; 2_000].join("."), |_| hits += 1);
        assert_eq!(hits, 0);
        index.lookup(&format!("{}.z", vec!["a"; 2_000].join(".")), |_| hits += 1);
        assert_eq!(hits, 1);
    }

    /// The rule as one would say it.
    fn naive(pattern: &[&str], kind: &[&str]) -> bool {
        match (pattern, kind) {
            ([], []) => true,
            ([], _) | (_, []) => false,
            (["**", rest @ ..], [_, tail @ ..]) => naive(rest, tail) || naive(pattern, tail),
            ([first, rest @ ..], [head, tail @ ..]) => {
                (*first == "*" || first == head) && naive(rest, tail)
            }
        }
    }

    proptest! {
        #[test]
        fn the_index_and_the_single_pattern_agree_with_the_naive_rule(
            patterns in prop::collection::vec(
                prop::collection::vec(prop::sample::select(&["a", "b", "*", "**"][..]), 1..5), 1..12),
            kind in prop::collection::vec(prop::sample::select(&["a", "b", "c"][..]), 1..6),
        ) {
            let mut index = TypeIndex::new();
            let text = kind.join(".");
            let mut wanted = std::collections::BTreeSet::new();
            for segments in &patterns {
                let pattern = TypePattern::parse(&segments.join(".")).unwrap();
                let number = index.insert(&pattern);
                let expected = naive(segments, &kind);
                prop_assert_eq!(pattern.matches(&text), expected);
                if expected {
                    wanted.insert(number);
                }
            }
            let mut got = Vec::new();
            index.lookup(&text, |number| got.push(number));
            got.sort_unstable();
            prop_assert_eq!(got, wanted.into_iter().collect::<Vec<_>>());
        }
    }
}
