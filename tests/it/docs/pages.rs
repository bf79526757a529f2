//! The Markdown files of the repository, without their code, and the anchors of their headings.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The root of the repository.
pub(super) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A file of the repository, by its path from the root.
pub(super) fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The pages of the book: every Markdown file below `docs/` except the table of contents.
pub(super) fn book() -> BTreeSet<PathBuf> {
    let mut pages = BTreeSet::new();
    collect(Path::new("docs"), &mut pages);
    assert!(pages.remove(Path::new("docs/SUMMARY.md")), "docs/SUMMARY.md is missing");
    pages
}

fn collect(folder: &Path, pages: &mut BTreeSet<PathBuf>) {
    for entry in fs::read_dir(root().join(folder)).expect("a folder of the repository") {
        let entry = entry.expect("a readable entry");
        let path = folder.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            collect(&path, pages);
        } else if path.extension().is_some_and(|ending| ending == "md") {
            pages.insert(path);
        }
    }
}

/// The lines of a page outside code blocks, with their numbers from 1. Code within a line is blank.
pub(super) fn prose(text: &str) -> Vec<(usize, String)> {
    let mut fence: Option<&str> = None;
    let mut lines = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let start = line.trim_start();
        let mark = ["```", "~~~"].into_iter().find(|mark| start.starts_with(mark));
        match (fence, mark) {
            (None, Some(mark)) => fence = Some(mark),
            (Some(open), Some(mark)) if open == mark => fence = None,
            (None, None) => lines.push((index + 1, without_code(line))),
            _ => {}
        }
    }
    assert!(fence.is_none(), "a code block is not closed");
    lines
}

/// A line with the content of its code spans removed.
fn without_code(line: &str) -> String {
    let spans = line.split('`').count();
    // An odd backtick at the end opens no span.
    let closed = if spans % 2 == 1 { spans } else { spans - 1 };
    line.split('`')
        .enumerate()
        .filter(|(nth, _)| nth % 2 == 0 || *nth >= closed)
        .map(|(_, text)| text)
        .collect()
}

/// The anchors that GitHub and mdbook give to the headings of a page.
pub(super) fn anchors(text: &str) -> BTreeSet<String> {
    let lines = prose(text).into_iter().map(|(number, _)| number);
    let all: Vec<&str> = text.lines().collect();
    let mut seen = BTreeMap::<String, usize>::new();
    let mut anchors = BTreeSet::new();
    for line in lines.map(|number| all[number - 1]) {
        let title = line.trim_start_matches('#');
        let level = line.len() - title.len();
        if !(1..=6).contains(&level) || !title.starts_with(' ') {
            continue;
        }
        let slug = slug(title.trim());
        let count = seen.entry(slug.clone()).or_default();
        anchors.insert(if *count == 0 { slug } else { format!("{slug}-{count}") });
        *count += 1;
    }
    anchors
}

/// Letters, digits, `-` and `_` stay, in lower case; spaces become `-`; the rest goes.
fn slug(title: &str) -> String {
    // Of a link, the text counts.
    let title = match (title.find("]("), title.rfind(')')) {
        (Some(middle), Some(end)) if middle < end => {
            format!("{}{}", &title[..middle], &title[end + 1..])
        }
        _ => title.to_owned(),
    };
    let kept = title.chars().filter_map(|c| match c {
        ' ' => Some('-'),
        '-' | '_' => Some(c),
        c if c.is_alphanumeric() => Some(c),
        _ => None,
    });
    kept.flat_map(char::to_lowercase).collect()
}

#[test]
fn headings_get_the_anchors_that_github_gives_them() {
    let page =
        "# `[http]`\n## Same\ntext\n## Same\n```sh\n# not a heading\n```\n### 1. Über *all*\n";
    let anchors: Vec<_> = anchors(page).into_iter().collect();
    assert_eq!(anchors, ["1-über-all", "http", "same", "same-1"]);
}
