//! Where the programs are that this crate starts.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

/// The `fanfare` binary: `CARGO_BIN_EXE_fanfare`, which Cargo and nextest set for the integration
/// tests, or `FANFARE_BIN`, or the one in the target folder of the running program.
pub fn fanfare() -> Result<PathBuf> {
    let named = ["CARGO_BIN_EXE_fanfare", "FANFARE_BIN"].into_iter().find_map(env::var_os);
    let binary = match named {
        Some(named) => PathBuf::from(named),
        None => beside(&env::current_exe().context("the path of this program")?),
    };
    ensure!(
        binary.is_file(),
        "there is no fanfare binary at {}; build it with `cargo build -p fanfare` (and --release \
         for a release build), or name it in FANFARE_BIN",
        binary.display()
    );
    Ok(binary)
}

/// Programs are in `target/PROFILE`, tests in `target/PROFILE/deps`.
fn beside(program: &Path) -> PathBuf {
    let folder = program.parent().unwrap_or(Path::new("."));
    let folder = if folder.ends_with("deps") { folder.parent().unwrap_or(folder) } else { folder };
    folder.join("fanfare")
}

/// A program that is not ours: among the [test tools](tool_dir), or on the `PATH`.
pub fn find(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let dirs = [tool_dir("FANFARE_TEST_BIN", "bin")].into_iter().chain(env::split_paths(&path));
    dirs.map(|dir| dir.join(name)).find(|program| program.is_file())
}

/// As [`find`], for a program that must be there.
pub fn require(name: &str) -> Result<PathBuf> {
    find(name).with_context(|| format!("there is no {name}; run `cargo xtask tools`"))
}

/// The Redis server of the tests: `redis-server`, or what `FANFARE_TEST_REDIS_SERVER` names, for
/// example `valkey-server`.
pub fn redis_server() -> Result<PathBuf> {
    let named = env::var("FANFARE_TEST_REDIS_SERVER");
    require(named.as_deref().unwrap_or("redis-server"))
}

/// Where `cargo xtask tools` has put things: named by the environment, or in `target/test-tools`.
pub fn tool_dir(variable: &str, default: &str) -> PathBuf {
    env::var_os(variable)
        .map_or_else(|| workspace().join("target/test-tools").join(default), Into::into)
}

/// The root of the workspace.
pub fn workspace() -> &'static Path {
    // This crate is in tools/harness.
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.ancestors().nth(2).unwrap_or(own)
}
