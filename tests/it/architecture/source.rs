//! The modules of a crate, and the paths that each of them names.
//!
//! This is a scan of the text, not a parser: comments, literals and code for tests are removed, and
//! what is left is searched for paths that begin with `crate`, `super`, `self` or another crate.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::shown;

/// A path, a segment each.
pub(super) type Segments = Vec<String>;

/// One file.
pub(super) struct Module {
    /// Where it is in its crate: `["api", "v1"]`.
    pub(super) path: Segments,
    /// What it names in its crate, from the root of the crate.
    pub(super) imports: BTreeSet<Segments>,
    /// Other crates of the workspace that it names: `fanfare_store`.
    pub(super) crates: BTreeSet<String>,
    /// Its code.
    pub(super) text: String,
}

/// Every module of the crate whose first file is `root`, except modules for tests.
pub(super) fn modules(root: &Path) -> Vec<Module> {
    let mut modules = Vec::new();
    add(root, Vec::new(), &mut modules);
    modules
}

fn add(file: &Path, path: Segments, modules: &mut Vec<Module>) {
    let text =
        fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let text = without_tests(&code_of(&text));
    for name in declared(&text) {
        let child = [&path[..], std::slice::from_ref(&name)].concat();
        add(&child_file(file, &name), child, modules);
    }
    let up = |levels: usize| path[..path.len().saturating_sub(levels)].to_vec();
    let mut imports = BTreeSet::new();
    imports.extend(paths_of(&text, "crate"));
    for relative in paths_of(&text, "super") {
        let levels = 1 + relative.iter().take_while(|segment| *segment == "super").count();
        imports.insert([up(levels), relative[levels - 1..].to_vec()].concat());
    }
    for relative in paths_of(&text, "self") {
        imports.insert([up(0), relative].concat());
    }
    let crates = words(&text).filter(|word| word.starts_with("fanfare_")).map(str::to_owned);
    modules.push(Module { crates: crates.collect(), path, imports, text });
}

impl Module {
    /// The names that this module takes from its children and hands on, with the child of each.
    pub(super) fn exported(&self) -> BTreeMap<String, String> {
        let children = declared(&self.text);
        let mut names = BTreeMap::new();
        for child in &children {
            let taken = paths_of(&self.text, child).into_iter();
            names.extend(taken.filter_map(|path| Some((path.last()?.clone(), child.clone()))));
        }
        for path in paths_of(&self.text, "self") {
            if let (Some(child), Some(name)) = (path.first(), path.last()) {
                names.insert(name.clone(), child.clone());
            }
        }
        names
    }
}

fn child_file(parent: &Path, name: &str) -> PathBuf {
    let folder = match parent.file_stem().and_then(|stem| stem.to_str()) {
        Some("lib" | "main" | "mod") | None => parent.with_file_name(""),
        Some(_) => parent.with_extension(""),
    };
    let files = [folder.join(format!("{name}.rs")), folder.join(name).join("mod.rs")];
    let found = files.into_iter().find(|file| file.is_file());
    found
        .unwrap_or_else(|| panic!("{} declares {name}, which has no file", shown(parent).display()))
}

/// The names of `mod name;`.
fn declared(text: &str) -> Vec<String> {
    let statements = text.split(['{', '}', ';', ']']);
    let named = statements.filter_map(|statement| {
        let mut words = statement.split_whitespace().rev();
        let name = words.next()?;
        (words.next() == Some("mod")).then(|| name.to_owned())
    });
    // `mod name {` is a part of this file.
    named.filter(|name| text.contains(&format!("mod {name};"))).collect()
}

/// Every path in `text` that begins with `first::`, without that.
pub(super) fn paths_of(text: &str, first: &str) -> Vec<Segments> {
    let mut paths = Vec::new();
    for (at, _) in text.match_indices(first) {
        let before = text[..at].chars().next_back();
        let begins = !before.is_some_and(|c| is_name(c) || c == ':')
            // A visibility is no import.
            && !text[..at].ends_with("pub(in ");
        if let Some(rest) = text[at + first.len()..].strip_prefix("::").filter(|_| begins) {
            tree(rest, &[], &mut paths);
        }
    }
    paths
}

/// Reads a path that may end in a group: `a::{b, c::d}`. Answers what follows it.
fn tree<'a>(text: &'a str, before: &[String], paths: &mut Vec<Segments>) -> &'a str {
    let text = text.trim_start();
    if let Some(mut rest) = text.strip_prefix('{') {
        loop {
            rest = rest.trim_start().trim_start_matches(',').trim_start();
            if let Some(after) = rest.strip_prefix('}') {
                return after;
            }
            let next = tree(rest, before, paths);
            if next.len() == rest.len() {
                return rest;
            }
            rest = next;
        }
    }
    let end = text.find(|c| !is_name(c) && c != '*').unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let path = [before, &[name.to_owned()]].concat();
    if let Some(below) = rest.strip_prefix("::").filter(|below| !below.starts_with('<')) {
        return tree(below, &path, paths);
    }
    if !name.is_empty() {
        paths.push(path);
    }
    // The new name of `as` is of no interest.
    let renamed = rest.trim_start().strip_prefix("as ");
    renamed.map_or(rest, |rest| rest.trim_start_matches(is_name))
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c| !is_name(c))
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The text with comments and literals removed.
fn code_of(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let skipped = match c {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
            '"' => quoted(rest),
            'r' if !code.ends_with(is_name) => raw(rest).unwrap_or(0),
            '\'' => character(rest),
            _ => 0,
        };
        if skipped == 0 {
            code.push(c);
            rest = &rest[c.len_utf8()..];
        } else {
            code.push(' ');
            rest = &rest[skipped..];
        }
    }
    code
}

/// The length of a string with escapes.
fn quoted(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            '"' if !escaped => return at + 1,
            _ => escaped = c == '\\' && !escaped,
        }
    }
    text.len()
}

/// The length of a raw string, if one begins here.
fn raw(text: &str) -> Option<usize> {
    let hashes = text[1..].find(|c| c != '#')?;
    let inner = text[1 + hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    Some(text.len() - inner.len() + inner.find(&end)? + end.len())
}

/// The length of a character; a lifetime is none.
fn character(text: &str) -> usize {
    let mut chars = text.char_indices().skip(1);
    match (chars.next(), chars.next()) {
        (Some((_, '\\')), Some((at, _))) => {
            text[at + 1..].find('\'').map_or(0, |end| at + 1 + end + 1)
        }
        (Some(_), Some((at, '\''))) => at + 1,
        _ => 0,
    }
}

/// The code without the items under `#[cfg(test)]`.
fn without_tests(code: &str) -> String {
    const MARK: &str = "#[cfg(test)]";
    let mut kept = String::with_capacity(code.len());
    let mut rest = code;
    while let Some(at) = rest.find(MARK) {
        kept.push_str(&rest[..at]);
        rest = &rest[at + MARK.len()..];
        rest = &rest[item(rest)..];
    }
    kept + rest
}

/// The length of an item: up to its semicolon or the end of its block.
fn item(code: &str) -> usize {
    let mut depth = 0_usize;
    for (at, c) in code.char_indices() {
        match c {
            '{' | '[' | '(' => depth += 1,
            '}' if depth == 1 => return at + 1,
            '}' | ']' | ')' => depth -= 1,
            ';' if depth == 0 => return at + 1,
            _ => {}
        }
    }
    code.len()
}

#[test]
fn paths_are_found_in_code_and_not_in_comments_literals_or_tests() {
    let text = r#"
        //! crate::comment
        use crate::{a, b::{C, d::E as F}, self as g};
        pub(crate) use super::h::I;
        fn j<'a>(k: &'a crate::l::M) -> char { println!("crate::literal {}", crate::n::o()); '"' }
        const P: &str = r"crate::raw";
        #[cfg(test)]
        mod tests { use crate::q; }
        pub(in crate::r) struct S(fanfare_store::Ms);
    "#;
    let text = without_tests(&code_of(text));
    let found = paths_of(&text, "crate").into_iter().map(|path| path.join("::"));
    assert_eq!(found.collect::<Vec<_>>(), ["a", "b::C", "b::d::E", "self", "l::M", "n::o"]);
    assert_eq!(paths_of(&text, "super"), [["h", "I"]]);
    assert!(words(&text).any(|word| word == "fanfare_store"));
}
