//! `cargo xtask bench` and `cargo xtask chaos`: build the router and the tool that measures or
//! torments it, and run the tool, which finds the router beside itself.
//!
//! The tools are crates of their own, so that the other chores need not wait for their build.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::steps::shell;
use crate::tools::Tools;

/// What is built, and where Cargo puts it.
#[derive(Clone, Copy)]
pub(crate) enum Profile {
    /// For a look whether it works.
    Debug,
    /// For figures.
    Release,
}

/// Measures the router. The figures of a debug build say nothing, so there is none.
pub(crate) fn bench(tools: &Tools, args: &[&str]) -> Result<bool> {
    run(tools, "fanfare-bench", Profile::Release, args)
}

/// Kills the router and its store under load.
pub(crate) fn chaos(tools: &Tools, args: &[&str]) -> Result<bool> {
    let profile = if args.contains(&"--quick") { Profile::Debug } else { Profile::Release };
    run(tools, "fanfare-chaos", profile, args)
}

/// `false` when the tool's answer is no: exit code 1.
fn run(tools: &Tools, tool: &str, profile: Profile, args: &[&str]) -> Result<bool> {
    let root = tools.root();
    let (option, folder) = match profile {
        Profile::Debug => ("", "debug"),
        Profile::Release => (" --release", "release"),
    };
    shell(root, &format!("cargo build{option} -p fanfare -p {tool}"), &[])?;
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| root.join("target"), |dir| root.join(dir))
        .join(folder);
    let status = command(&target, tool, tools)?
        .args(args)
        .status()
        .with_context(|| format!("cannot run {tool}"))?;
    match status.code() {
        Some(0) => Ok(true),
        Some(1) => Ok(false),
        _ => anyhow::bail!("{tool}: {status}"),
    }
}

fn command(target: &Path, tool: &str, tools: &Tools) -> Result<Command> {
    let mut command = Command::new(target.join(tool));
    // Installed if the machine has none, because most cases need it.
    command.env("FANFARE_CHAOS_REDIS", tools.redis_server()?);
    command.env("FANFARE_CHAOS_BIN", target.join("fanfare"));
    command.current_dir(tools.root());
    Ok(command)
}
