//! Where `cargo xtask tools` has put things: told by the environment, or in `target/test-tools`.

use std::env;
use std::path::{Path, PathBuf};

/// A program of `target/test-tools/bin`.
pub(crate) fn bin(name: &str) -> PathBuf {
    existing(place("FANFARE_TEST_BIN", "bin").join(name))
}

/// Python, with the packages of `tests/peers/requirements.txt`.
pub(crate) fn python() -> PathBuf {
    existing(place("FANFARE_TEST_PYTHON", "venv/bin/python"))
}

/// Node; its packages lie beside the peers, by a link.
pub(crate) fn node() -> PathBuf {
    existing(place("FANFARE_TEST_NODE_DIR", "npm").join("node_modules"));
    existing(peers().join("node_modules"));
    "node".into()
}

/// The folder of the peers' sources.
pub(crate) fn peers() -> PathBuf {
    root().join("tests/peers")
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn place(variable: &str, default: &str) -> PathBuf {
    env::var_os(variable).map_or_else(|| root().join("target/test-tools").join(default), Into::into)
}

fn existing(path: PathBuf) -> PathBuf {
    assert!(path.exists(), "{} is missing: run `cargo xtask tools`", path.display());
    path
}
