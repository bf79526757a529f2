//! The receivers, producers and verifiers of `tests/peers`.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::slice;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tempfile::TempDir;

use fanfare_harness::programs::{tool_dir, workspace};
use fanfare_harness::{PATIENCE, Process, command, log_file, tail};

/// A receiver that runs until it is dropped, and tells what it received.
pub(crate) struct Peer {
    _process: Process,
    name: String,
    dir: TempDir,
    ready: Value,
    lines: Arc<Lines>,
}

/// What a peer has printed after its first line.
#[derive(Default)]
struct Lines {
    printed: Mutex<Printed>,
    more: Condvar,
}

#[derive(Default)]
struct Printed {
    lines: Vec<Value>,
    ended: bool,
}

impl Peer {
    /// Starts a script of `tests/peers` and waits until it listens.
    pub(crate) fn start(script: &str, args: &[&str]) -> Self {
        let dir = TempDir::new().expect("a temporary folder");
        let log = dir.path().join("stderr.log");
        let mut command = interpret(script, args);
        command.current_dir(dir.path()).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(log_file(&log).expect("the test's own folder"));
        let mut process = Process::spawn(command);
        let stdout = process.child().stdout.take().expect("standard output is a pipe");

        let lines = Arc::new(Lines::default());
        let feed = Arc::clone(&lines);
        thread::spawn(move || feed.read(BufReader::new(stdout)));
        let first = lines.wait(PATIENCE, |lines| !lines.is_empty()).map(|mut all| all.remove(0));
        match first {
            Ok(ready) if ready.get("ready").is_some() => {
                Self { _process: process, name: script.to_owned(), dir, ready, lines }
            }
            other => panic!("{script} is not ready ({other:?}):\n{}", tail(&log)),
        }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port()).into()
    }

    /// The port it listens on.
    pub(crate) fn port(&self) -> u16 {
        let port = self.ready["ready"].as_u64().and_then(|port| port.try_into().ok());
        port.expect("a ready line has a port")
    }

    /// `http://127.0.0.1:PORT` and `path`.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address())
    }

    /// The file of the authority behind an SMTP peer's certificate.
    pub(crate) fn ca(&self) -> Option<&Path> {
        self.ready["ca"].as_str().map(Path::new)
    }

    /// Everything received up to now.
    pub(crate) fn received<T: DeserializeOwned>(&self) -> Vec<T> {
        self.typed(self.lines.wait(Duration::ZERO, |_| true).unwrap_or_default())
    }

    /// Waits until at least `count` things were received, and returns all of them.
    pub(crate) fn wait_for<T: DeserializeOwned>(&self, count: usize, within: Duration) -> Vec<T> {
        self.wait_until(within, |lines| lines.len() >= count)
    }

    /// Waits until what was received, as JSON, is `enough`, and returns all of it.
    pub(crate) fn wait_until<T: DeserializeOwned>(
        &self,
        within: Duration,
        enough: impl Fn(&[Value]) -> bool,
    ) -> Vec<T> {
        // The first line is not among what was received.
        match self.lines.wait(within, |lines| enough(&lines[1..])) {
            Ok(lines) => self.typed(lines),
            Err(lines) => {
                let got = lines.len() - 1;
                panic!("{} has only received {got} in {within:?}: {lines:#?}", self.name)
            }
        }
    }

    fn typed<T: DeserializeOwned>(&self, lines: Vec<Value>) -> Vec<T> {
        let typed = |line: Value| {
            T::deserialize(&line).unwrap_or_else(|error| panic!("{}: {error}: {line}", self.name))
        };
        lines.into_iter().skip(1).map(typed).collect()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("{}:\n{}", self.name, tail(&self.dir.path().join("stderr.log")));
        }
    }
}

impl Lines {
    /// Takes lines until there are no more.
    fn read(&self, from: impl BufRead) {
        for line in from.lines().map_while(Result::ok) {
            let line = serde_json::from_str(&line).unwrap_or(Value::String(line));
            self.printed.lock().expect("no holder panics").lines.push(line);
            self.more.notify_all();
        }
        self.printed.lock().expect("no holder panics").ended = true;
        self.more.notify_all();
    }

    /// All lines once they are `enough`; those that there are, as an error, when they never will be.
    fn wait(
        &self,
        within: Duration,
        enough: impl Fn(&[Value]) -> bool,
    ) -> Result<Vec<Value>, Vec<Value>> {
        let printed = self.printed.lock().expect("no holder panics");
        let (printed, _) = self
            .more
            .wait_timeout_while(printed, within, |all| !enough(&all.lines) && !all.ended)
            .expect("no holder panics");
        let lines = printed.lines.clone();
        if enough(&lines) { Ok(lines) } else { Err(lines) }
    }
}

/// A verifier's answer: what it found, or why it refused.
pub(crate) type Verdict = Result<Value, String>;

/// Asks a verifier of `tests/peers`. A verifier that breaks fails the test: a crash is not a
/// refusal.
pub(crate) fn run_verifier(script: &str, question: &Value) -> Verdict {
    run_verifier_on_each(script, slice::from_ref(question)).remove(0)
}

/// As [`run_verifier`], for many questions: starting an interpreter costs more than an answer.
pub(crate) fn run_verifier_on_each(script: &str, questions: &[Value]) -> Vec<Verdict> {
    let output = run(script, &[], Value::from(questions).to_string().as_bytes());
    let answers: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let whole = output.status.success() && answers.len() == questions.len();
    assert!(whole, "{script} broke:\n{}", String::from_utf8_lossy(&output.stderr));
    let verdict = |answer: Value| match answer["ok"].as_bool() {
        Some(true) => Ok(answer),
        Some(false) => Err(answer["error"].as_str().unwrap_or_default().to_owned()),
        None => panic!("{script} gave no verdict: {answer}"),
    };
    answers.into_iter().map(verdict).collect()
}

/// Runs a script of `tests/peers` that does one thing, and returns the line it prints.
pub(crate) fn run_peer(script: &str, args: &[&str]) -> Value {
    let output = run(script, args, b"");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}: {}\n{said}", output.status);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{script}: {error}"))
}

/// The same for a script that prints many lines.
pub(crate) fn run_peer_lines(script: &str, args: &[&str]) -> Vec<Value> {
    let output = run(script, args, b"");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}: {}\n{said}", output.status);
    let lines = serde_json::Deserializer::from_slice(&output.stdout).into_iter();
    lines.map(|line| line.unwrap_or_else(|error| panic!("{script}: {error}"))).collect()
}

fn run(script: &str, args: &[&str], stdin: &[u8]) -> Output {
    let mut command = interpret(script, args);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = Process::spawn(command);
    let mut pipe = process.child().stdin.take().expect("standard input is a pipe");
    // It may end without having read all; its exit says enough.
    let _ = pipe.write_all(stdin);
    drop(pipe);
    process.output()
}

/// The command that runs a script, by its ending.
fn interpret(script: &str, args: &[&str]) -> Command {
    let path = peers().join(script);
    assert!(path.exists(), "there is no {}", path.display());
    let ending = path.extension().and_then(|ending| ending.to_str());
    let interpreter: PathBuf = match ending {
        Some("py") => python(),
        Some("mjs") => node(),
        _ => panic!("{script} is neither Python nor a Node module"),
    };
    let mut command = command(&interpreter);
    command.arg(path).args(args).env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

/// Python, with the packages of `tests/peers/requirements.txt`.
pub(crate) fn python() -> PathBuf {
    existing(tool_dir("FANFARE_TEST_PYTHON", "venv/bin/python"))
}

/// Node; its packages lie beside the peers, by a link.
pub(crate) fn node() -> PathBuf {
    existing(tool_dir("FANFARE_TEST_NODE_DIR", "npm").join("node_modules"));
    existing(peers().join("node_modules"));
    "node".into()
}

/// The folder of the peers' sources.
fn peers() -> PathBuf {
    workspace().join("tests/peers")
}

fn existing(path: PathBuf) -> PathBuf {
    assert!(path.exists(), "{} is missing: run `cargo xtask tools`", path.display());
    path
}

/// A line of `smtp_server.py`.
#[derive(Debug, Deserialize)]
pub(crate) struct Mail {
    /// The envelope's sender.
    #[serde(rename = "mail_from")]
    pub(crate) sender: String,
    /// The envelope's recipients.
    #[serde(rename = "rcpt_tos")]
    pub(crate) recipients: Vec<String>,
    /// Whether it came over TLS.
    pub(crate) tls: bool,
    /// Who logged in.
    pub(crate) user: Option<String>,
    /// Names and values, in order, unfolded, not decoded.
    pub(crate) headers: Vec<(String, String)>,
    /// The subject, decoded.
    pub(crate) subject: Option<String>,
    /// The plain text part.
    pub(crate) text: Option<String>,
    /// The HTML part.
    pub(crate) html: Option<String>,
    /// The attached files.
    pub(crate) attachments: Vec<Attachment>,
    /// What is malformed in it.
    pub(crate) defects: Vec<String>,
    /// Every byte, as base64.
    pub(crate) raw: String,
    /// The code that was answered.
    pub(crate) answer: u16,
}

impl Mail {
    /// A header's value, as sent.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| value.as_str())
    }
}

/// A file in a [`Mail`].
#[derive(Debug, Deserialize)]
pub(crate) struct Attachment {
    /// Its name.
    pub(crate) filename: Option<String>,
    /// Its type, without parameters.
    pub(crate) content_type: String,
    /// Its bytes, as base64.
    pub(crate) content: String,
}

/// A line of `http_receiver.mjs`.
#[derive(Debug, Deserialize)]
pub(crate) struct Hook {
    /// The method.
    pub(crate) method: String,
    /// Path and query.
    pub(crate) path: String,
    /// Names are in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    /// The body, as text.
    pub(crate) body: String,
    /// Every byte of it, as base64.
    pub(crate) body_base64: String,
    /// What `standardwebhooks` says.
    pub(crate) standard: Judgement,
    /// What Octokit says of `X-Webhook-Signature`.
    pub(crate) hub: Judgement,
    /// The status that was answered, if one was.
    pub(crate) status: Option<u16>,
}

/// What a library says of a signature.
#[derive(Debug, Deserialize)]
pub(crate) struct Judgement {
    /// It is right.
    pub(crate) ok: bool,
    /// Why it is not.
    pub(crate) error: Option<String>,
}

/// A line of `slack_api.py`.
#[derive(Debug, Deserialize)]
pub(crate) struct SlackCall {
    /// `webhook`, or the Web API's method.
    pub(crate) method: String,
    /// The message, unless the call was refused before it was read.
    pub(crate) message: Option<Value>,
    /// What Slack would not take in it.
    pub(crate) faults: Vec<String>,
    /// The HTTP status that was answered.
    pub(crate) status: u16,
    /// The answer: a word for a webhook, an object for the Web API.
    pub(crate) answer: Value,
}
