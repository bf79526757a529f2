//! What `packaging/` says is true of the program: its commands, flags, variables, paths, ports and
//! times. The image cannot be built here, and no cluster runs here; what can be checked without them
//! is checked.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::scene::{Scene, said};
use crate::support::run_peer;

const UNIT: &str = include_str!("../../packaging/fanfare.service");
const DOCKERFILE: &str = include_str!("../../packaging/Dockerfile");
/// The address of the API, unless settings say otherwise.
const PORT: u64 = 8400;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The documents of a YAML file.
fn yaml(name: &str) -> Vec<Value> {
    let path = root().join(name).display().to_string();
    let documents = run_peer("read_yaml.py", &[&path]);
    documents.as_array().expect("documents").clone()
}

/// The object of this kind in the Kubernetes file.
fn kubernetes(kind: &str) -> Value {
    let mut documents = yaml("packaging/kubernetes.yaml").into_iter();
    documents.find(|one| one["kind"] == kind).unwrap_or_else(|| panic!("no {kind}"))
}

fn container() -> Value {
    kubernetes("Deployment")["spec"]["template"]["spec"]["containers"][0].clone()
}

/// Every text file below `packaging/`, by its path from there.
fn files() -> Vec<(String, String)> {
    fn walk(dir: &Path, found: &mut Vec<(String, String)>) {
        for entry in fs::read_dir(dir).expect("a folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.file_name().is_some_and(|name| name != ".env") {
                let text = fs::read_to_string(&path).expect("a text");
                found.push((path.display().to_string(), text));
            }
        }
    }
    let mut found = Vec::new();
    walk(&root().join("packaging"), &mut found);
    assert!(found.len() > 8, "{found:?}");
    found
}

/// The manual: one page a command, as plain text.
fn manual() -> Vec<(String, String)> {
    let dir = TempDir::new().expect("a temporary folder");
    said(&["man", "--out", &dir.path().display().to_string()]).ok();
    let pages = fs::read_dir(dir.path()).expect("the pages").flatten();
    let page = |entry: fs::DirEntry| {
        let name = entry.file_name().to_string_lossy().trim_end_matches(".1").to_owned();
        let page = fs::read_to_string(entry.path()).expect("a page");
        // Without bold, italics and escapes.
        let plain =
            ["\\fB", "\\fI", "\\fR", "\\"].iter().fold(page, |page, sign| page.replace(sign, ""));
        (name, plain)
    };
    pages.map(page).collect()
}

/// Words that begin so, wherever they stand in a text.
fn words<'t>(text: &'t str, start: &'t str) -> BTreeSet<&'t str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    text.split(|c: char| !is_part(c)).filter(|word| word.starts_with(start)).collect()
}

#[test]
fn every_variable_that_a_packaging_file_names_is_one_that_the_program_reads() {
    let mut known = said(&["check", "--print-config"]).ok();
    known.extend(manual().into_iter().map(|(_, page)| page));
    let known = words(&known, "FANFARE_");
    assert!(known.contains("FANFARE_MASTER_KEY") && known.contains("FANFARE_STORE"), "{known:?}");
    for (file, text) in files() {
        let unknown: Vec<_> = words(&text, "FANFARE_").difference(&known).copied().collect();
        assert!(unknown.is_empty(), "{file} names {unknown:?}");
    }
}

/// The command lines of the program in a text: what follows `fanfare`, up to the end of the line or
/// of the command.
fn command_lines(text: &str) -> Vec<Vec<String>> {
    let is_end = |c: char| "`|&;)\n".contains(c);
    let is_sign = |c: char| c.is_whitespace() || "\"',[]=".contains(c);
    let is_program = |word: &&str| {
        *word == "fanfare" || word.ends_with("/fanfare") || word.starts_with("fanfare:")
    };
    let arguments = |line: &str| {
        let mut words = line.split(is_sign).filter(|word| !word.is_empty());
        words.find(is_program)?;
        Some(words.map(str::to_owned).collect())
    };
    text.split(is_end).filter_map(arguments).collect()
}

/// The command that these words name, after a check that it has every option among them. None if
/// they are no command.
fn command_of(words: &[String], manual: &[(String, String)]) -> Option<String> {
    let page = |name: &str| manual.iter().find(|(page, _)| page == name);
    let first = words.first()?;
    let below = words.get(1).and_then(|second| page(&format!("fanfare-{first}-{second}")));
    let (name, text) = below.or_else(|| page(&format!("fanfare-{first}")))?;
    for option in words.iter().filter(|word| word.starts_with("--")) {
        assert!(text.contains(option.as_str()), "{name} has no {option}");
    }
    Some(name.clone())
}

#[test]
fn every_command_in_a_packaging_file_has_the_options_that_it_is_given() {
    let manual = manual();
    let lines = files().into_iter().flat_map(|(_, text)| command_lines(&text)).collect::<Vec<_>>();
    let mut found: BTreeSet<_> =
        lines.iter().filter_map(|line| command_of(line, &manual)).collect();
    let arguments = container()["args"].clone();
    let arguments: Vec<String> = serde_json::from_value(arguments).expect("a list of words");
    found.extend(command_of(&arguments, &manual));
    for expected in ["serve", "health", "keys-create", "secrets-new-key", "check"] {
        assert!(found.contains(&format!("fanfare-{expected}")), "{expected}: {found:?}");
    }
    // What the unit refers to is in the package.
    for page in
        words(UNIT, "fanfare").into_iter().filter(|word| UNIT.contains(&format!("man:{word}(")))
    {
        assert!(manual.iter().any(|(name, _)| name == page), "{page}");
    }
}

/// The settings that packaging files bring, checked as the program reads them.
#[test]
fn the_settings_in_packaging_files_are_accepted() {
    let scene = Scene::embedded();
    let read = |name: &str| fs::read_to_string(root().join(name)).expect("a file of ours");
    let own = read("packaging/fanfare.toml").replace(
        "\"/etc/fanfare/tenants\"",
        &format!("{:?}", scene.tenants().display().to_string()),
    );
    let in_cluster = kubernetes("ConfigMap")["data"]["fanfare.toml"].clone();
    let in_cluster = in_cluster.as_str().expect("a text").to_owned();
    for (name, text) in
        [("own", own), ("compose", read("packaging/compose.toml")), ("cluster", in_cluster)]
    {
        let file = scene.file(&format!("{name}.toml"), text);
        said(&["check", "--config", &file]).ok();
    }
}

/// `25s` in seconds.
fn seconds(text: &str) -> u64 {
    text.trim_matches('"').trim_end_matches('s').parse().unwrap_or_else(|_| panic!("{text}"))
}

/// The value of a key in a file with lines of `key = value` or `key=value`.
fn value<'t>(text: &'t str, key: &str) -> &'t str {
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    let mut values = pairs.filter(|(name, _)| name.trim() == key).map(|(_, value)| value.trim());
    values.next().unwrap_or_else(|| panic!("no {key}"))
}

#[test]
fn every_supervisor_waits_longer_than_the_grace_time() {
    let settings = said(&["check", "--print-config"]).ok();
    let grace = seconds(value(&settings, "grace"));
    assert!(seconds(value(UNIT, "TimeoutStopSec")) > grace);

    let compose = &yaml("packaging/compose.yaml")[0]["services"]["fanfare"];
    assert!(seconds(compose["stop_grace_period"].as_str().expect("a time")) > grace);

    let pod = &kubernetes("Deployment")["spec"]["template"]["spec"];
    let in_cluster = kubernetes("ConfigMap")["data"]["fanfare.toml"].clone();
    let grace = seconds(value(in_cluster.as_str().expect("a text"), "grace"));
    let before = container()["lifecycle"]["preStop"]["sleep"]["seconds"].as_u64().expect("seconds");
    assert!(pod["terminationGracePeriodSeconds"].as_u64() > Some(before + grace));
}

#[test]
fn ports_and_probes_fit_the_program() {
    let settings = said(&["check", "--print-config"]).ok();
    assert_eq!(value(&settings, "listen"), format!("\"127.0.0.1:{PORT}\""));
    assert!(DOCKERFILE.contains(&format!("\nEXPOSE {PORT}\n")));
    assert!(DOCKERFILE.contains(&format!("FANFARE_LISTEN=0.0.0.0:{PORT}")));
    let compose = &yaml("packaging/compose.yaml")[0]["services"]["fanfare"];
    assert_eq!(compose["ports"][0], format!("127.0.0.1:{PORT}:{PORT}"));
    let port = &container()["ports"][0];
    assert_eq!((&port["name"], port["containerPort"].as_u64()), (&"http".into(), Some(PORT)));
    let service = &kubernetes("Service")["spec"]["ports"][0];
    assert_eq!((&service["targetPort"], service["port"].as_u64()), (&"http".into(), Some(PORT)));

    let scene = Scene::embedded();
    let server = scene.start();
    for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
        let probe = container()[probe]["httpGet"].clone();
        assert_eq!(probe["port"], "http");
        let path = probe["path"].as_str().expect("a path");
        assert_eq!(server.get(path).status, 200, "{path}");
    }
}

#[test]
fn all_labels_in_the_cluster_select_the_pods() {
    let deployment = kubernetes("Deployment");
    let labels = &deployment["spec"]["template"]["metadata"]["labels"];
    assert!(labels.as_object().is_some_and(|labels| !labels.is_empty()));
    assert_eq!(&deployment["spec"]["selector"]["matchLabels"], labels);
    assert_eq!(&kubernetes("Service")["spec"]["selector"], labels);
    assert_eq!(&kubernetes("PodDisruptionBudget")["spec"]["selector"]["matchLabels"], labels);
}

#[test]
fn systemd_accepts_the_unit_and_calls_it_well_protected() {
    let dir = TempDir::new().expect("a temporary folder");
    let unit = dir.path().join("fanfare.service");
    let binary = env!("CARGO_BIN_EXE_fanfare");
    fs::write(&unit, UNIT.replace("/usr/bin/fanfare", binary)).expect("our own folder");
    let analyze = |args: &[&str]| {
        let mut command = Command::new("systemd-analyze");
        let output = command.args(args).arg(&unit).env("SYSTEMD_PAGER", "cat").output();
        let output = output.expect("systemd-analyze is missing: run `cargo xtask tools`");
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&text).into_owned())
    };
    let (fine, said) = analyze(&["verify", "--man=no"]);
    assert!(fine && said.trim().is_empty(), "{said}");
    // From 0 (best) to 100; 13 when this was written.
    let (fine, said) = analyze(&["security", "--offline=true", "--threshold=20"]);
    assert!(fine, "{said}");
}

#[test]
fn the_image_is_built_with_the_pinned_rust_from_everything_that_the_workspace_has() {
    let toolchain = fs::read_to_string(root().join("rust-toolchain.toml")).expect("it is there");
    let version = value(&toolchain, "channel").trim_matches('"');
    assert!(DOCKERFILE.contains(&format!("FROM rust:{version}-")), "{version}");
    assert!(DOCKERFILE.contains(&format!("RUSTUP_TOOLCHAIN={version}")), "{version}");

    let ignored = fs::read_to_string(root().join(".dockerignore")).expect("it is there");
    let kept: BTreeSet<_> = ignored.lines().filter_map(|line| line.strip_prefix('!')).collect();
    let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("it is there");
    let manifest: toml::Table = toml::from_str(&manifest).expect("TOML");
    let members = manifest["workspace"]["members"].as_array().expect("members").iter();
    let members = members.filter_map(|member| member.as_str()?.split('/').next());
    for needed in members.chain(["src", "templates", "config", "Cargo.lock", ".cargo"]) {
        assert!(kept.contains(needed), "the image is built without {needed}");
    }
}

#[test]
fn what_the_debian_package_holds_is_there() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("it is there");
    let manifest: toml::Table = toml::from_str(&manifest).expect("TOML");
    let deb = &manifest["package"]["metadata"]["deb"];
    let assets = deb["assets"].as_array().expect("assets").iter();
    let sources = assets.map(|asset| asset[0].as_str().expect("a path"));
    // What is built is not there yet: the program, and what `cargo xtask package` makes.
    let (built, own): (Vec<_>, Vec<_>) = sources.partition(|path| path.starts_with("target/"));
    assert!(built.contains(&"target/release/fanfare"));
    for path in own.iter().map(|path| root().join(path)) {
        assert!(path.is_file(), "{}", path.display());
    }
    let scripts = root().join(deb["maintainer-scripts"].as_str().expect("a folder"));
    for script in ["postinst", "postrm"] {
        let text = fs::read_to_string(scripts.join(script)).expect("a script");
        assert!(text.contains("#DEBHELPER#") && text.contains("set -e"), "{script}");
    }
}
