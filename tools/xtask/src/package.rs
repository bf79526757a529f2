//! `cargo xtask package`: the binary that is shipped, its man pages and completions in
//! `target/package`, and the Debian package, where cargo-deb is installed.
//!
//! cargo-auditable builds the binary, so that it holds the list of its dependencies with their
//! versions. Scanners such as `cargo audit bin`, Trivy, Grype and Syft read it, also inside an
//! image, and make an SBOM of it.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::steps::shell;
use crate::tools::{Tools, find};

const BUILD: &str = "build --locked --profile dist --package fanfare --bin fanfare";

/// The section of the binary that has the list of its dependencies.
const LIST: &[u8] = b".dep-v0";

/// The shells, and the name under which each one looks for completions.
const SHELLS: [(&str, &str); 3] =
    [("bash", "fanfare.bash"), ("zsh", "_fanfare"), ("fish", "fanfare.fish")];

/// Whether the binary is built first, or one that was built before is packaged.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Build {
    Now,
    Before,
}

pub(crate) fn run(tools: &Tools, build: Build) -> Result<()> {
    let root = tools.root();
    if build == Build::Now {
        let auditable = tools.cargo_auditable().context("cargo-auditable")?;
        shell(root, &format!("{} auditable {BUILD}", auditable.display()), &[])?;
    }
    let binary = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| root.join("target"), |dir| root.join(dir))
        .join("dist/fanfare");
    ensure!(binary.is_file(), "{} is missing; leave out --no-build", binary.display());
    let content = fs::read(&binary).with_context(|| format!("cannot read {}", binary.display()))?;
    ensure!(
        content.windows(LIST.len()).any(|window| window == LIST),
        "{} has no list of its dependencies; leave out --no-build, or build it with \
         `cargo auditable {BUILD}`",
        binary.display()
    );
    // Where Cargo.toml looks for them, wherever the binary is.
    let package = root.join("target/package");
    describe(&binary, &package)?;
    if find("cargo-deb").is_none() {
        println!("no Debian package: `cargo install cargo-deb` installs what makes one");
        return Ok(());
    }
    shell(root, "cargo deb --no-build", &[])
}

/// Writes what the binary says of itself.
fn describe(binary: &Path, package: &Path) -> Result<()> {
    let (man, completions) = (package.join("man"), package.join("completions"));
    // A command that was removed leaves no page.
    let _ = fs::remove_dir_all(&man);
    fs::create_dir_all(&completions)?;
    ask(Command::new(binary).args(["man", "--out"]).arg(&man))?;
    for (shell, name) in SHELLS {
        let script = ask(Command::new(binary).args(["completions", shell]))?;
        fs::write(completions.join(name), script)?;
    }
    println!("man pages and completions: {}", package.display());
    Ok(())
}

/// What the command prints.
fn ask(command: &mut Command) -> Result<Vec<u8>> {
    let output = command.output().with_context(|| format!("cannot run {command:?}"))?;
    ensure!(output.status.success(), "{}: {command:?}", output.status);
    Ok(output.stdout)
}
