//! The index that finds the event-type patterns that match a type: exact patterns through a hash map,
//! patterns with wildcards through a trie of words.

use std::cell::RefCell;
use std::collections::HashMap;

use super::type_pattern::{TypePattern, Word};

/// All patterns of a table. Every distinct pattern has a number, in the order of insertion from 0.
#[derive(Debug)]
pub(super) struct TypeIndex {
    exact: HashMap<Box<str>, u32>,
    nodes: Vec<Node>,
    patterns: u32,
}

/// A state of the trie. A state that `**` leads to also stays for the next word.
#[derive(Debug, Default)]
struct Node {
    literal: HashMap<Box<str>, u32>,
    one: Option<u32>,
    many: Option<u32>,
    /// Whether `**` leads here.
    stays: bool,
    /// The pattern that ends here.
    pattern: Option<u32>,
}

thread_local! {
    /// The states before and after a word. They are kept so that a lookup does not allocate.
    static STATES: RefCell<(Vec<u32>, Vec<u32>)> = const { RefCell::new((Vec::new(), Vec::new())) };
}

impl TypeIndex {
    pub(super) fn new() -> Self {
        Self { exact: HashMap::new(), nodes: vec![Node::default()], patterns: 0 }
    }

    /// The number of `pattern`, which is new if the pattern is new.
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

    /// The node at the end of `path`. Missing nodes are created.
    fn descend(&mut self, path: &[Word]) -> usize {
        let mut at = 0;
        for word in path {
            let fresh = u32::try_from(self.nodes.len()).expect("fewer nodes than bytes of input");
            let node = &mut self.nodes[at];
            let next = match word {
                Word::Literal(text) => *node.literal.entry(text.clone()).or_insert(fresh),
                Word::One => *node.one.get_or_insert(fresh),
                Word::Many => *node.many.get_or_insert(fresh),
            };
            if next == fresh {
                let stays = *word == Word::Many;
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

    /// The states after `part`, each once.
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
            // The target of `**` may already be among the states, because it stays.
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

    #[test]
    fn many_double_stars_do_not_multiply_the_states() {
        let mut index = TypeIndex::new();
        index.insert(&TypePattern::parse(&format!("{}.z", ["**"; 31].join("."))).unwrap());
        let mut hits = 0;
        index.lookup(&vec!["a"; 2_000].join("."), |_| hits += 1);
        assert_eq!(hits, 0);
        index.lookup(&format!("{}.z", vec!["a"; 2_000].join(".")), |_| hits += 1);
        assert_eq!(hits, 1);
    }

    /// The rule, written as a recursion.
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
        fn the_index_and_a_single_pattern_agree_with_the_naive_rule(
            patterns in prop::collection::vec(
                prop::collection::vec(prop::sample::select(&["a", "b", "*", "**"][..]), 1..5), 1..12),
            kind in prop::collection::vec(prop::sample::select(&["a", "b", "c"][..]), 1..6),
        ) {
            let mut index = TypeIndex::new();
            let text = kind.join(".");
            let mut wanted = std::collections::BTreeSet::new();
            for words in &patterns {
                let pattern = TypePattern::parse(&words.join(".")).unwrap();
                let number = index.insert(&pattern);
                let expected = naive(words, &kind);
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
