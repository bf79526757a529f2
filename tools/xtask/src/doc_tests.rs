//! Which crates have doc tests.
//!
//! `cargo test --workspace --doc` builds every library and starts rustdoc for each, which takes
//! minutes even when there is nothing to run. So only the crates with an example are named.

use std::fs;
use std::path::{Path, PathBuf};

/// The command that runs all doc tests, if there are any.
pub(crate) fn command(root: &Path) -> Option<String> {
    let mut packages: Vec<String> = libraries(root)
        .iter()
        .filter(|folder| has_example(&folder.join("src")))
        .filter_map(|folder| package(folder))
        .collect();
    packages.sort();
    let named = [""].into_iter().chain(packages.iter().map(String::as_str));
    let named = named.collect::<Vec<_>>().join(" -p ");
    (!packages.is_empty()).then(|| format!("cargo test --doc --quiet{named}"))
}

/// The folders of the workspace's libraries.
fn libraries(root: &Path) -> Vec<PathBuf> {
    let inside = ["channels", "crates", "tools"].map(|folder| root.join(folder));
    let inside = inside.iter().flat_map(|folder| entries(folder));
    let all = std::iter::once(root.to_owned()).chain(inside);
    all.filter(|folder| folder.join("src/lib.rs").is_file()).collect()
}

/// The package's name: the first `name = "…"` of its manifest.
fn package(folder: &Path) -> Option<String> {
    let manifest = fs::read_to_string(folder.join("Cargo.toml")).ok()?;
    let name = manifest.lines().find_map(|line| line.strip_prefix("name = "))?;
    Some(name.trim_matches('"').to_owned())
}

/// Whether a file below `folder` has a code block in a doc comment.
fn has_example(folder: &Path) -> bool {
    entries(folder).iter().any(|entry| {
        if entry.is_dir() {
            return has_example(entry);
        }
        let is_rust = entry.extension().is_some_and(|ending| ending == "rs");
        is_rust && fs::read_to_string(entry).is_ok_and(|text| has_rust(&text))
    })
}

/// Whether a doc comment of the file has a block of Rust; blocks of other languages are not run.
fn has_rust(text: &str) -> bool {
    let comments = text.lines().filter_map(|line| {
        let line = line.trim_start();
        line.strip_prefix("//!").or_else(|| line.strip_prefix("///"))
    });
    let fences = comments.filter_map(|text| text.trim_start().strip_prefix("```"));
    // Every other fence ends a block.
    fences.step_by(2).any(|fence| {
        let words = ["rust", "should_panic", "no_run", "compile_fail"];
        fence.is_empty() || fence.split(',').any(|word| words.contains(&word))
    })
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

#[test]
fn only_blocks_of_rust_in_doc_comments_are_examples() {
    assert!(has_rust("    //! ```\n//! f();\n//! ```"));
    assert!(has_rust("/// ```toml\n/// ```\n/// ```no_run\n/// ```"));
    for text in
        ["/// ```toml\n/// a = 1\n/// ```", "// ```\n// ```", "let s = \"```\";", "/// text"]
    {
        assert!(!has_rust(text), "{text}");
    }
}
