//! The book that mdbook makes of `docs/`: its table of contents is complete, and the README is short.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::links::{links, local};
use super::pages::{book, read};

/// The README is read on one or two screens.
const README_LINES: usize = 150;

#[test]
fn every_page_is_in_the_table_of_contents_once() {
    let summary = Path::new("docs/SUMMARY.md");
    let listed = links(&read(summary));
    let listed = listed.iter().map(|(_, target)| local(summary, target).expect("a page of ours"));
    let mut seen = BTreeSet::<PathBuf>::new();
    for page in listed {
        assert!(seen.insert(page.clone()), "{} is listed twice", page.display());
    }
    assert_eq!(seen, book(), "docs/SUMMARY.md on the left, the files below docs/ on the right");
}

#[test]
fn the_book_needs_no_file_outside_its_folder() {
    let settings: toml::Table = read("docs/book.toml").parse().expect("valid TOML");
    assert_eq!(settings["book"]["src"].as_str(), Some("."));
    for page in book() {
        let text = read(&page);
        let name = page.display();
        assert!(!text.contains("{{#include"), "{name} includes a file, which GitHub does not show");
        let in_book = page.strip_prefix("docs").expect("a page below docs/");
        for (line, target) in links(&text) {
            let outside = local(in_book, &target).is_some_and(|path| path.starts_with(".."));
            assert!(!outside, "{name}:{line}: {target} is not in the book; name it without a link");
        }
    }
}

#[test]
fn the_readme_is_short() {
    let lines = read("README.md").lines().count();
    assert!(lines <= README_LINES, "README.md has {lines} lines; at most {README_LINES}");
}
