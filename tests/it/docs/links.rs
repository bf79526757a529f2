//! Every relative link of the documentation leads to a file, and every anchor to a heading.

use std::path::{Component, Path, PathBuf};

use super::pages::{anchors, book, prose, read, root};

/// The pages outside `docs/`.
const TOP: [&str; 5] =
    ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"];

#[test]
fn every_link_leads_somewhere() {
    let mut broken = Vec::new();
    let pages =
        TOP.iter().map(PathBuf::from).chain(book()).chain([PathBuf::from("docs/SUMMARY.md")]);
    for page in pages {
        let text = read(&page);
        for (line, target) in links(&text) {
            if let Err(why) = resolve(&page, &target) {
                broken.push(format!("{}:{line}: {target}: {why}", page.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// The targets of the links and pictures of a page, with their lines.
pub(super) fn links(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, line) in prose(text) {
        let inline = line.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        let sources = line.split("src=\"").skip(1).filter_map(|rest| rest.split('"').next());
        let hrefs = line.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next());
        // `[name]: target`
        let reference = line.strip_prefix('[').and_then(|rest| rest.split_once("]: "));
        let reference = reference.map(|(_, target)| target);
        let all = inline.chain(sources).chain(hrefs).chain(reference);
        // A title may follow the target.
        let targets = all.filter_map(|target| target.split_whitespace().next());
        found.extend(targets.map(|target| (number, target.to_owned())));
    }
    found
}

/// Where a link of a page leads: a path from the root. None for another site.
pub(super) fn local(page: &Path, target: &str) -> Option<PathBuf> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let path = target.split('#').next().unwrap_or_default();
    if path.is_empty() {
        return Some(page.to_owned());
    }
    let folder = page.parent().unwrap_or(Path::new(""));
    let mut clean = PathBuf::new();
    for part in folder.join(path).components() {
        match part {
            Component::ParentDir if clean.pop() => {}
            Component::CurDir => {}
            other => clean.push(other),
        }
    }
    Some(clean)
}

fn resolve(page: &Path, target: &str) -> Result<(), String> {
    let Some(path) = local(page, target) else { return Ok(()) };
    if !root().join(&path).exists() {
        return Err("there is no such file".to_owned());
    }
    let Some((_, anchor)) = target.split_once('#') else { return Ok(()) };
    if path.extension().is_none_or(|ending| ending != "md") {
        return Err("only Markdown files have anchors".to_owned());
    }
    let known = anchors(&read(&path));
    if known.contains(anchor) {
        return Ok(());
    }
    Err(format!("{} has no such heading; it has {known:?}", path.display()))
}

#[test]
fn a_broken_link_is_found() {
    let page =
        "[a](b.md) `[c](d.md)`\n```\n[e](f.md)\n```\n![p](p.svg) and [x](https://x/)\n[r]: r.md\n";
    let found = links(page);
    let targets: Vec<_> = found.iter().map(|(line, target)| (*line, target.as_str())).collect();
    assert_eq!(targets, [(1, "b.md"), (5, "p.svg"), (5, "https://x/"), (6, "r.md")]);

    let page = Path::new("docs/decisions/README.md");
    resolve(page, "https://example.com/nothing").expect("another site is not looked at");
    resolve(page, "../../README.md").expect("it is there");
    resolve(page, "#architecture-decisions").expect("its own heading");
    resolve(page, "../missing.md").expect_err("no such file");
    resolve(page, "#missing").expect_err("no such heading");
    resolve(page, "../../../outside.md").expect_err("outside the repository");
}
