//! The project's chores.
//!
//! `cargo xtask test` is what CI runs and what to run before pushing; `cargo xtask tools` installs
//! what the tests run beside Fanfare: a Redis server, SMTP and Slack peers, signature verifiers.

mod checks;
mod doc_tests;
mod package;
mod steps;
mod tool;
mod tools;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::package::Build;
use crate::steps::Steps;
use crate::tools::{Tools, Trust};

const HELP: &str = "\
The project's chores.

Usage: cargo xtask <COMMAND>

Commands:
  test           Install what is missing, then check format, TLS, licenses, advisories, lints and
                 docs, and run all tests; CI runs exactly this
  test --quick   The same for daily work: format, lints, unit tests, and the integration tests that
                 need little time; under 3 minutes after the build
  ci             The same as `test`
  tools          Only install what the tests need, into target/test-tools
  docs           Write what is generated in docs/: settings.md, cli.md, and the code in
                 receiving-webhooks.md
  package [--no-build]
                 Build the binary that is shipped (profile dist) with the list of its dependencies
                 in it, then its man pages, completions and, if cargo-deb is installed, the Debian
                 package; --no-build takes target/dist/fanfare as it is
  bench [..]     Measure the release build beside the limits of this machine; --quick is a short
                 form, --help lists all options, `bench isolation` measures how much healthy
                 destinations notice of broken ones
  chaos [..]     Kill the router and Redis under load and count what arrives; --quick is the short
                 form, --help lists all options, `chaos rolling` measures what a rolling restart
                 holds up, `chaos retention` what grows while events come and are removed,
                 `chaos parked` the memory that a million waiting deliveries take
  help           This text

Options of test:
  --fast         Trust the stamps in target/test-tools instead of trying what is installed;
                 --quick does, too

The quick tests are the profile `quick` of .config/nextest.toml, which says what it leaves out.
Without cargo-nextest, `test --quick` runs the unit tests alone.

Example: cargo xtask test --quick
";

/// The test that compares the generated documentation writes it instead. It lives with the tests
/// because it needs the definition of the command line, and no chore should wait for that crate.
const WRITE_DOCS: &str = "FANFARE_WRITE_DOCS=1 cargo test --quiet -p fanfare --test it \
                          the_generated_documentation_is_current";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match run(&args.iter().map(String::as_str).collect::<Vec<_>>()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Runs one command; `false` when a step of it failed.
fn run(args: &[&str]) -> Result<bool> {
    match args {
        ["test" | "ci"] => Ok(test(Trust::Try, checks::all)),
        ["test" | "ci", "--fast"] => Ok(test(Trust::Stamps, checks::all)),
        ["test", "--quick"] => Ok(test(Trust::Stamps, checks::quick)),
        ["tools"] => {
            let mut steps = Steps::default();
            steps.run("tools", "cargo xtask tools", || Tools::new(root()).install(Trust::Try));
            Ok(steps.finish())
        }
        ["docs"] => {
            steps::shell(&root(), WRITE_DOCS, &[])?;
            Ok(true)
        }
        ["package"] => package::run(&Tools::new(root()), Build::Now).map(|()| true),
        ["package", "--no-build"] => {
            package::run(&Tools::new(root()), Build::Before).map(|()| true)
        }
        ["bench", args @ ..] => tool::bench(&Tools::new(root()), args),
        ["chaos", args @ ..] => tool::chaos(&Tools::new(root()), args),
        [] | ["help"] | [.., "--help" | "-h"] => {
            print!("{HELP}");
            Ok(true)
        }
        _ => bail!("`cargo xtask {}` is not a command\n\n{HELP}", args.join(" ")),
    }
}

/// Installs what is missing, and runs the checks.
fn test(trust: Trust, checks: fn(&mut Steps, &Tools)) -> bool {
    let tools = Tools::new(root());
    let mut steps = Steps::default();
    steps.run("tools", "cargo xtask tools", || tools.install(trust));
    checks(&mut steps, &tools);
    steps.finish()
}

/// The root of the workspace, wherever the command was typed.
fn root() -> PathBuf {
    let mut root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    root.pop();
    root.pop();
    root
}
