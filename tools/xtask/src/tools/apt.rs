//! Debian packages, for what the machine lacks: only when there is apt-get and the right to use it.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};

use super::{find, run};

/// Installs packages, without questions and without what they only recommend.
pub(super) fn install(packages: &[&str]) -> Result<()> {
    let names = packages.join(" ");
    ensure!(find("apt-get").is_some(), "missing, and there is no apt-get; please install {names}");
    ensure!(is_root()?, "missing; please run `apt-get install {names}` as root");
    println!("    apt-get install {names}");
    let try_it = || {
        let args = ["install", "--yes", "--no-install-recommends", "-qq"];
        run(apt_get().args(args).args(packages))
    };
    // A fresh machine has no package lists, or old ones.
    try_it().or_else(|_| update().and_then(|()| try_it()))
}

/// Takes a package's files without installing it: none of its scripts run, no service starts, and
/// what the machine has instead stays.
pub(super) fn unpack(package: &str, into: &Path) -> Result<()> {
    ensure!(find("apt-get").is_some(), "missing, and there is no apt-get; install {package}");
    let dir = into.join("deb");
    let _ = fs::remove_dir_all(into);
    fs::create_dir_all(&dir)?;
    println!("    apt-get download {package}");
    let download = || {
        // The sandbox's user may not write where we do.
        let args = ["-qq", "-o", "APT::Sandbox::User=root", "download", package];
        run(apt_get().args(args).current_dir(&dir))
    };
    download().or_else(|error| {
        ensure!(is_root()?, "{error:#}; `apt-get update` as root may help");
        update().and_then(|()| download())
    })?;
    let file = fs::read_dir(&dir)?.next().context("nothing was downloaded")??.path();
    run(Command::new("dpkg-deb").arg("--extract").arg(file).arg(into))
}

/// Installs the shared libraries that an unpacked package counts on.
pub(super) fn install_libraries_of(package: &str) -> Result<()> {
    let output = Command::new("apt-cache")
        .args(["depends", "--no-recommends", "--no-suggests", package])
        .stderr(Stdio::inherit())
        .output()?;
    let text = String::from_utf8(output.stdout)?;
    let libraries: Vec<_> = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("Depends: "))
        .filter(|name| name.starts_with("lib"))
        .collect();
    if libraries.is_empty() {
        bail!("{package} names no libraries");
    }
    install(&libraries)
}

fn update() -> Result<()> {
    run(apt_get().args(["update", "-qq"]))
}

fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    // Two runs on one machine wait for each other.
    command.args(["-o", "DPkg::Lock::Timeout=120", "-o", "Dpkg::Use-Pty=0"]);
    // Errors are on standard error; the rest is of no use here.
    command.env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null()).stdout(Stdio::null());
    command
}

fn is_root() -> Result<bool> {
    let output = Command::new("id").arg("-u").output().context("cannot run `id -u`")?;
    Ok(output.stdout.trim_ascii() == b"0")
}
