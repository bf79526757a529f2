//! ARCHITECTURE.md's map of arrows is the truth, and arrows make no circle.
//!
//! An arrow is "imports from": of a module of `src/` (its `use` lines and its paths, without what is
//! compiled for tests alone), or of a crate (its dependencies, without those of its tests). When the
//! map is wrong, the failure says which arrow and prints the map as it should be.

mod graph;
mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use fanfare_harness::programs::workspace;

use graph::Graph;
use source::Module;

/// Folder modules whose files import each other in one direction, as (sources of the crate, module).
const ONE_WAY: [(&str, &str); 5] = [
    ("src", "agenda"),
    ("src", "api"),
    ("src", "pipeline"),
    ("crates/store/src", "redis"),
    ("channels/email/src", "smtp"),
];

#[test]
fn the_map_of_arrows_is_the_truth() {
    let found = arrows();
    let text = fs::read_to_string(workspace().join("ARCHITECTURE.md")).expect("the document");
    let written = map(&text);
    let differences = written.differences(&found);
    assert!(
        differences.is_empty(),
        "ARCHITECTURE.md, under \"### Arrows\":\n{}\nThe block should be:\n\n```\n{}```\n",
        differences.join("\n"),
        found.layers()
    );
}

#[test]
fn arrows_make_no_circle() {
    let circle = arrows().circle();
    assert!(circle.is_none(), "a circle of imports: {}", circle.unwrap_or_default().join(" → "));
}

#[test]
fn files_of_one_folder_import_each_other_in_one_direction() {
    let mut circles = Vec::new();
    for (sources, module) in ONE_WAY {
        let modules = source::modules(&workspace().join(sources).join("lib.rs"));
        let graph = siblings(&modules, module);
        assert!(!graph.0.is_empty(), "{sources} has no module {module}");
        if let Some(circle) = graph.circle() {
            circles.push(format!("{sources}/{module}: {}", circle.join(" → ")));
        }
    }
    assert!(circles.is_empty(), "circles of imports:\n{}", circles.join("\n"));
}

/// The arrows of the whole workspace.
fn arrows() -> Graph {
    let crates = crates();
    let mut graph = Graph::default();
    for (package, folder) in &crates {
        if package != "fanfare" {
            graph.0.insert(folder.clone(), dependencies(folder, &crates));
        }
    }
    let root = workspace().join("src");
    let of = |name: &str| crates.get(&name.replace('_', "-")).cloned();
    let modules = source::modules(&root.join("lib.rs"));
    let names: BTreeSet<String> =
        modules.iter().filter_map(|module| module.path.first().cloned()).collect();
    for module in &modules {
        let Some(own) = module.path.first() else { continue };
        let inner = module.imports.iter().filter_map(|path| path.first().cloned());
        let inner = inner.filter(|name| names.contains(name));
        let outer = module.crates.iter().filter_map(|name| of(name));
        let to = inner.chain(outer).filter(|name| name != own);
        graph.0.entry(own.clone()).or_default().extend(to);
    }
    for program in source::modules(&root.join("main.rs")) {
        let paths = source::paths_of(&program.text, "fanfare");
        let to = paths.into_iter().filter_map(|path| path.into_iter().next());
        graph.0.entry("main".to_owned()).or_default().extend(to);
    }
    graph
}

/// The folder of each package of the workspace; that of the root is empty.
fn crates() -> BTreeMap<String, String> {
    let mut crates = BTreeMap::new();
    for kind in ["channels", "crates", "tools"] {
        for entry in fs::read_dir(workspace().join(kind)).expect(kind).flatten() {
            let folder = format!("{kind}/{}", entry.file_name().to_string_lossy());
            if let Some(manifest) = manifest(&folder) {
                let name = manifest["package"]["name"].as_str().expect("a name");
                crates.insert(name.to_owned(), folder);
            }
        }
    }
    crates
}

fn manifest(folder: &str) -> Option<toml::Table> {
    let path = workspace().join(folder).join("Cargo.toml");
    let text = fs::read_to_string(path).ok()?;
    Some(text.parse().unwrap_or_else(|error| panic!("{folder}: {error}")))
}

fn dependencies(folder: &str, crates: &BTreeMap<String, String>) -> BTreeSet<String> {
    let manifest = manifest(folder).expect("a crate has a manifest");
    let tables = ["dependencies", "build-dependencies"];
    let tables = tables.iter().filter_map(|name| manifest.get(*name)?.as_table());
    tables.flat_map(toml::Table::keys).filter_map(|name| crates.get(name).cloned()).collect()
}

/// The arrows between the children of a folder module.
fn siblings(modules: &[Module], folder: &str) -> Graph {
    let folder: Vec<String> = folder.split("::").map(str::to_owned).collect();
    let inside = |module: &&Module| module.path.starts_with(&folder);
    let children: BTreeSet<&String> =
        modules.iter().filter(inside).filter_map(|module| module.path.get(folder.len())).collect();
    // A name that the folder re-exports is an import of the child that it comes from.
    let own = modules.iter().find(|module| module.path == folder);
    let exported = own.map(Module::exported).unwrap_or_default();
    let mut graph = Graph::default();
    for module in modules.iter().filter(inside) {
        let Some(own) = module.path.get(folder.len()) else { continue };
        let names = module.imports.iter().filter(|path| path.starts_with(&folder));
        let names = names.filter_map(|path| path.get(folder.len()));
        let names =
            names.filter_map(
                |name| {
                    if children.contains(name) { Some(name) } else { exported.get(name) }
                },
            );
        let names = names.filter(|name| *name != own && children.contains(name)).cloned();
        graph.0.entry(own.clone()).or_default().extend(names);
    }
    graph
}

/// The block below `### Arrows`: lines `from → { to, to }`.
fn map(document: &str) -> Graph {
    let section = document.split_once("### Arrows\n").expect("a section \"### Arrows\"").1;
    let block = section.split("```").nth(1).expect("a block of code under \"### Arrows\"");
    let mut graph = Graph::default();
    for line in block.lines().filter(|line| !line.trim().is_empty()) {
        let (from, to) = line.split_once('→').unwrap_or_else(|| panic!("no arrow: {line}"));
        let to = to.trim().trim_start_matches('{').trim_end_matches('}').split(',');
        let to = to.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty());
        let before = graph.0.insert(from.trim().to_owned(), to.collect());
        assert!(before.is_none(), "{from}is there twice");
    }
    graph
}

/// A file of the workspace, for messages.
fn shown(file: &Path) -> PathBuf {
    file.strip_prefix(workspace()).unwrap_or(file).to_owned()
}
