//! What wildcards mean, and that a hostile set of them stays cheap. Cost is counted in steps.

use std::sync::Arc;

use proptest::prelude::*;

use super::{Scan, Wildcard, WildcardSet};
use crate::pattern::steps::{MAX_STEPS, Steps};

fn one(text: &str) -> Wildcard {
    Wildcard::parse(text).unwrap()
}

fn set<T: AsRef<str>>(wildcards: &[T]) -> WildcardSet {
    WildcardSet::new(wildcards.iter().map(|text| Arc::new(one(text.as_ref()))).collect())
}

/// The wildcards that match the text, and the steps that it took to find them.
fn run(set: &WildcardSet, text: &str) -> (Vec<u32>, usize) {
    let steps = Steps::for_event();
    let found = set.matching(text, &mut Scan::default(), &steps);
    assert!(!steps.exhausted());
    (found.into(), MAX_STEPS - steps.left())
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
        assert!(one(pattern).matches(text), "{pattern} on {text}");
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
        assert!(!one(pattern).matches(text), "{pattern} on {text}");
    }
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
        prop_assert_eq!(one(&pattern).matches(&text), naive(&chars(&pattern), &chars(&text)));
    }

    #[test]
    fn a_set_agrees_with_each_wildcard_alone(
        patterns in prop::collection::vec(r"(\*?[abé]{1,3}){0,5}\*?", 5..40),
        texts in prop::collection::vec(r"[abé]{0,30}", 1..8),
    ) {
        let set = set(&patterns);
        let mut scan = Scan::default();
        for text in &texts {
            let found = set.matching(text, &mut scan, &Steps::for_event());
            let expected: Vec<u32> = (0..).zip(&patterns)
                .filter(|(_, pattern)| one(pattern).matches(text)).map(|(n, _)| n).collect();
            prop_assert_eq!(&*found, expected, "{:?} on {}", &patterns, text);
        }
    }
}

#[test]
fn a_text_is_read_once_for_ten_thousand_hostile_wildcards() {
    let text = "a".repeat(240_000);
    let same = "a".repeat(60);
    let endless: Vec<String> = (0..9_999).map(|i| format!("*{same}b*{same}b{i}")).collect();
    let (found, steps) = run(&set(&endless), &text);
    assert!(found.is_empty() && steps < 100_000, "{steps}");

    // Every piece ends where the others end.
    let nested: Vec<String> = (1..2_000).map(|i| format!("*{}*b", "a".repeat(i))).collect();
    let (found, steps) = run(&set(&nested), &text);
    assert!(found.is_empty() && steps < 100_000, "{steps}");
    let (found, steps) = run(&set(&nested), &format!("{text}b"));
    assert!(found.len() == 1_999 && steps < 100_000, "{steps}");

    // Every wildcard advances with every other byte, and fails at the end.
    let many: Vec<String> = (0..50).map(|i| format!("{}{i}c", "*a".repeat(1_000))).collect();
    let (found, steps) = run(&set(&many), &text);
    assert!(found.is_empty() && steps < 200_000, "{steps}");
    let all: Vec<String> = (1..51).map(|i| "*a".repeat(i * 20) + "*").collect();
    let (found, steps) = run(&set(&all), &text);
    assert!(found.len() == 50 && steps < 200_000, "{steps}");

    // Waiting starts again with every piece, below a long chain of shorter pieces.
    let restless: Vec<String> = (0..900)
        .map(|i| format!("{}*", format!("*{}*b", "a".repeat(i % 300 + 1)).repeat(20)))
        .collect();
    let text = format!("{}b", "a".repeat(300)).repeat(800);
    let (found, steps) = run(&set(&restless), &text);
    assert!(found.len() == 900 && steps < 1_000_000, "{steps}");
}

#[test]
fn the_memory_of_a_set_is_linear_in_the_length_of_its_wildcards() {
    let kilobyte = |i: usize| format!("*{i:05}{}*", "x".repeat(1_000));
    let long: Vec<String> = (0..1_000).map(kilobyte).collect();
    let bytes: usize = long.iter().map(String::len).sum();
    assert!(set(&long).size() < 14 * bytes, "{}", set(&long).size());
    // Every state is above a long chain of pieces.
    let nested = (1..1_000).map(|i| format!("*{}*", "a".repeat(i)));
    let above = (0..300).map(|i| format!("*{i:05}{}*", "a".repeat(1_000)));
    let chained: Vec<String> = nested.chain(above).collect();
    let bytes: usize = chained.iter().map(String::len).sum();
    assert!(set(&chained).size() < 14 * bytes);
}
