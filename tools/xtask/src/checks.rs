//! What must hold before a change lands, cheapest first. The tests come last, so that their own
//! summary is what is read at the end.

use std::path::Path;

use anyhow::{Result, bail};

use crate::doc_tests;
use crate::steps::{self, Steps, output, shell};
use crate::tools::{self, Tools};

/// Crates that would bring a second TLS provider beside ring.
const OTHER_TLS: [&str; 5] = ["aws-lc-rs", "aws-lc-sys", "native-tls", "openssl", "openssl-sys"];

/// Lists every crate that is built anywhere, on any platform. `--locked` also catches a
/// `Cargo.lock` that was not committed along.
const TREE: &str =
    "cargo tree --locked --workspace --target all --edges all --prefix none --format {p}";

/// The options of cargo-deny. `deny.toml` has its rules.
const DENY: &str = "--workspace --locked check --hide-inclusion-graph";

const FORMAT: &str = "cargo fmt --all --check";
const LINTS: &str = "cargo clippy --workspace --all-targets -- -D warnings";
const DOCS: &str =
    "RUSTDOCFLAGS=-Dwarnings cargo doc --workspace --no-deps --document-private-items";

/// The tests of the Redis store, with the other server that speaks its protocol.
const VALKEY: &str = "FANFARE_TEST_REDIS_SERVER=valkey-server cargo nextest run -p fanfare --test it \
                      --no-fail-fast redis failover replicas earlier_data";

/// Runs every check.
pub(crate) fn all(steps: &mut Steps, tools: &Tools) {
    let root = tools.root();
    line(steps, root, "format", FORMAT);
    steps.run("one TLS provider", TREE, || one_tls_provider(root));
    let deny = tools.cargo_deny().display().to_string();
    line(steps, root, "licenses and bans", &format!("{deny} {DENY} bans licenses sources"));
    let advisories = format!("{deny} {DENY} advisories");
    let work = || check_advisories(root, &deny, &advisories);
    steps.run_if_possible("advisories", &advisories, work);
    line(steps, root, "lints", LINTS);
    line(steps, root, "docs", DOCS);
    if let Some(doc_tests) = doc_tests::command(root) {
        line(steps, root, "doc tests", &doc_tests);
    }
    if has_nextest() {
        tests(steps, tools, "cargo nextest run --workspace --no-fail-fast");
        steps.run_if_possible("tests with Valkey", VALKEY, || with_valkey(tools));
    } else {
        // Doc tests have had their own step. Naming targets leaves the examples out, which tests run.
        line(steps, root, "examples", "cargo build --workspace --examples");
        tests(steps, tools, "cargo test --workspace --lib --bins --tests --no-fail-fast");
    }
}

/// Runs the checks of daily work. `.config/nextest.toml` chooses the tests, in its profile `quick`.
pub(crate) fn quick(steps: &mut Steps, tools: &Tools) {
    let root = tools.root();
    line(steps, root, "format", FORMAT);
    line(steps, root, "lints", LINTS);
    if has_nextest() {
        tests(steps, tools, "cargo nextest run --workspace --profile quick --no-fail-fast");
    } else {
        // cargo test cannot choose among the integration tests.
        tests(steps, tools, "cargo test --workspace --lib --bins --no-fail-fast");
    }
}

fn has_nextest() -> bool {
    tools::find("cargo-nextest").is_some()
}

fn tests(steps: &mut Steps, tools: &Tools, runner: &str) {
    let env = tools.environment();
    let env: Vec<_> = env.iter().map(|(name, path)| (*name, path.as_path())).collect();
    steps.run("tests", runner, || shell(tools.root(), runner, &env));
}

fn with_valkey(tools: &Tools) -> Result<Option<String>> {
    if !tools.has_valkey() {
        return Ok(Some("there is no valkey-server for this machine".to_owned()));
    }
    let env = tools.environment();
    let env: Vec<_> = env.iter().map(|(name, path)| (*name, path.as_path())).collect();
    shell(tools.root(), VALKEY, &env).map(|()| None)
}

fn line(steps: &mut Steps, root: &Path, name: &'static str, line: &str) {
    steps.run(name, line, || steps::shell(root, line, &[]));
}

/// Compares the dependencies with the `RustSec` advisory database, if it can be fetched. A machine
/// without the network must be able to run the tests.
fn check_advisories(root: &Path, deny: &str, advisories: &str) -> Result<Option<String>> {
    if let Err(error) = output(root, &format!("{deny} fetch db")) {
        let error = error.to_string();
        let line = |with: &str| error.lines().find(|line| line.contains(with));
        let why = line("fatal:").or_else(|| line("[ERROR]"));
        return Ok(Some(format!(
            "no dependency was compared with known vulnerabilities, because the advisory database \
             cannot be fetched: {}",
            why.unwrap_or(&error).trim()
        )));
    }
    shell(root, advisories, &[]).map(|()| None)
}

/// Two providers in one process make rustls ask which one is meant, by panicking.
fn one_tls_provider(root: &Path) -> Result<()> {
    let tree = output(root, TREE)?;
    let mut found: Vec<_> = tree
        .lines()
        .filter_map(|line| line.split(' ').next())
        .filter(|name| OTHER_TLS.contains(name))
        .collect();
    found.sort_unstable();
    found.dedup();
    if !found.is_empty() {
        let ask = "`cargo tree --target all -e all -i NAME` lists the crates that depend on it";
        bail!("ring must be the only TLS provider, but there is also {}; {ask}", found.join(", "));
    }
    Ok(())
}
