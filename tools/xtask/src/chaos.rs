//! `cargo xtask chaos`: builds the router and the crate that torments it, and runs the second on the
//! first. A crate of its own, so that the other chores need not wait for it to be built.

use std::process::Command;

use anyhow::{Context as _, Result};

use crate::steps::shell;
use crate::tools::Tools;

/// `false` when something was lost.
pub(crate) fn run(tools: &Tools, args: &[&str]) -> Result<bool> {
    let root = tools.root();
    let quick = args.contains(&"--quick");
    let (build, profile) = if quick {
        ("cargo build -p fanfare -p fanfare-chaos", "debug")
    } else {
        ("cargo build --release -p fanfare -p fanfare-chaos", "release")
    };
    shell(root, build, &[])?;
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| root.join("target"), |dir| root.join(dir))
        .join(profile);
    let status = Command::new(target.join("fanfare-chaos"))
        .args(args)
        .env("FANFARE_CHAOS_BIN", target.join("fanfare"))
        .env("FANFARE_CHAOS_REDIS", tools.redis_server()?)
        .current_dir(root)
        .status()
        .context("cannot run fanfare-chaos")?;
    match status.code() {
        Some(0) => Ok(true),
        Some(1) => Ok(false),
        _ => anyhow::bail!("fanfare-chaos: {status}"),
    }
}
