//! The functions in `docs/snippets` that verify a webhook. Each runs on a request that the real
//! router sent, and on forgeries of it.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::{HeaderMap, HeaderValue};
use serde_json::json;
use tempfile::TempDir;

use super::pages::{read, root};
use crate::scene::{SOON, Scene, event, hooks_at};
use crate::support::{Hook, Peer, Process, bin, command, node, python};
use crate::verifiers::{SECRET, standard_headers};

#[path = "../../../docs/snippets/verify.rs"]
#[expect(unreachable_pub, reason = "it is written to be copied into another crate")]
mod verify;

/// The page that shows them.
const PAGE: &str = "docs/receiving-webhooks.md";
/// The beginning of the line above the block of code that shows one.
const MARK: &str = "<!-- snippet: ";
/// A second secret that signs too, as during a rotation.
const PREVIOUS: &str = "whsec_ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=";

/// A page with the text of every snippet that it names.
pub(super) fn embed(page: &str) -> String {
    let mut parts = page.split(MARK);
    let mut embedded = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, rest) = part.split_once(" -->\n```").expect("a block of code below its name");
        let (language, rest) = rest.split_once('\n').expect("the language of the block");
        let (_, rest) = rest.split_once("\n```\n").expect("the end of the block");
        let code = read(Path::new("docs").join(name));
        let code = code.trim_end();
        let _ = write!(embedded, "{MARK}{name} -->\n```{language}\n{code}\n```\n{rest}");
    }
    embedded
}

#[test]
fn the_page_about_receiving_shows_every_snippet() {
    let page = read(PAGE);
    let shown = page.split(MARK).skip(1).filter_map(|part| part.split(" -->").next());
    let shown: BTreeSet<PathBuf> = shown.map(PathBuf::from).collect();
    let files = fs::read_dir(root().join("docs/snippets")).expect("the folder of snippets");
    let files = files.map(|file| Path::new("snippets").join(file.expect("an entry").file_name()));
    assert_eq!(shown, files.collect());
}

/// A request, as the drivers in `tests/peers/snippets` read it.
#[derive(Clone)]
struct Request {
    secret: String,
    id: String,
    timestamp: String,
    signature: String,
    body_signature: String,
    body: Vec<u8>,
}

impl Request {
    /// What the router sent, signed with both secrets.
    fn real() -> Self {
        let receiver = Peer::start("http_receiver.mjs", &["--secret", SECRET]);
        let scene = Scene::embedded();
        let hooks = hooks_at(&receiver.url("/hooks"));
        let own = format!("secret = \"{SECRET}\"");
        let previous = format!("[{{ secret = \"{PREVIOUS}\", expires = 4102444800 }}]");
        let hooks = hooks.replace(&own, &format!("{own}\nprevious_secrets = {previous}"));
        scene.tenant("acme", &hooks);
        let _router = scene.start();
        scene
            .send("acme", &[event("evt_1", "kyc.session.created", &json!({"name": "Ōkubo"}))])
            .ok();
        let hook: Hook = receiver.wait_for(1, SOON).remove(0);
        let header = |name: &str| hook.headers.get(name).cloned().unwrap_or_default();
        let request = Self {
            secret: SECRET.to_owned(),
            id: header("webhook-id"),
            timestamp: header("webhook-timestamp"),
            signature: header("webhook-signature"),
            body_signature: header("x-webhook-signature"),
            body: BASE64.decode(&hook.body_base64).expect("base64"),
        };
        assert_eq!(request.signature.split(' ').count(), 2, "{}", request.signature);
        assert_eq!(request.body_signature.split(',').count(), 2, "{}", request.body_signature);
        request
    }

    fn with(&self, change: impl FnOnce(&mut Self)) -> Self {
        let mut changed = self.clone();
        change(&mut changed);
        changed
    }

    /// Signed an hour ago with the right secret.
    fn an_hour_old(&self) -> Self {
        let body = std::str::from_utf8(&self.body).expect("JSON");
        let [_, timestamp, signature] = standard_headers(SECRET, &self.id, body, 3600);
        Self { timestamp, signature, ..self.clone() }
    }

    fn line(&self) -> String {
        let Self { secret, id, timestamp, signature, body_signature, body } = self;
        let body = BASE64.encode(body);
        [secret, id, timestamp, signature, body_signature, &body].map(String::as_str).join("\t")
    }
}

/// Requests, and whether each signature must be accepted: that of Standard Webhooks, and the other.
fn cases() -> Vec<(&'static str, Request, [bool; 2])> {
    let real = Request::real();
    let other = "whsec_cXdlcnR5dWlvcGFzZGZnaGprbHp4Y3Zibm1xd2VydHk=";
    vec![
        ("as it was sent", real.clone(), [true, true]),
        ("by the older secret", real.with(|it| it.secret = PREVIOUS.into()), [true, true]),
        ("another secret", real.with(|it| it.secret = other.into()), [false, false]),
        ("another body", real.with(|it| it.body.push(b' ')), [false, false]),
        ("another id", real.with(|it| it.id.push('2')), [false, true]),
        ("an hour old", real.an_hour_old(), [false, true]),
        ("a newer time", real.with(|it| it.timestamp = later(&it.timestamp)), [false, true]),
        ("no time", real.with(|it| it.timestamp = "soon".into()), [false, true]),
        (
            "no signatures",
            real.with(|it| (it.signature, it.body_signature) = (String::new(), String::new())),
            [false, false],
        ),
        (
            "signatures of another form",
            real.with(|it| {
                it.signature = "v1 v1, v2,AAAA v1,é".into();
                it.body_signature = "sha256=, sha1=00, é".into();
            }),
            [false, false],
        ),
        (
            "no headers at all",
            real.with(|it| (it.id, it.timestamp, it.signature) = Default::default()),
            [false, true],
        ),
    ]
}

fn later(timestamp: &str) -> String {
    (timestamp.parse::<u64>().expect("Unix seconds") + 1).to_string()
}

/// Asks a driver about every case. `body` says whether its snippet verifies the other signature too.
fn ask(mut driver: Command, body: bool) {
    let cases = cases();
    let folder = TempDir::new().expect("a temporary folder");
    let questions = folder.path().join("questions");
    let lines: Vec<_> = cases.iter().map(|(_, request, _)| request.line() + "\n").collect();
    fs::write(&questions, lines.concat()).expect("a new file");
    driver.stdin(File::open(questions).expect("it was written"));
    let output = run(driver);
    let answers: Vec<_> = output.lines().collect();
    assert_eq!(answers.len(), cases.len(), "{output}");
    for ((what, _, [standard, other]), answer) in cases.iter().zip(answers) {
        let other = if body { other.to_string() } else { "none".to_owned() };
        assert_eq!(answer, format!("{standard} {other}"), "{what}");
    }
}

/// Runs a command that must succeed, and returns its output.
fn run(mut command: Command) -> String {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = Process::spawn(command).output();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{error}", output.status);
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn snippet(name: &str) -> PathBuf {
    root().join("docs/snippets").join(name)
}

fn driver(name: &str) -> PathBuf {
    root().join("tests/peers/snippets").join(name)
}

/// An interpreter with a driver and the snippet that it asks.
fn interpreted(interpreter: &Path, driver_name: &str, snippet_name: &str) -> Command {
    let mut command = command(interpreter);
    command.arg(driver(driver_name)).arg(snippet(snippet_name)).env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

#[test]
fn the_python_snippet_accepts_only_genuine_requests() {
    ask(interpreted(&python(), "ask.py", "verify.py"), true);
}

#[test]
fn the_python_snippet_with_the_library_accepts_only_genuine_requests() {
    ask(interpreted(&python(), "ask.py", "verify_standardwebhooks.py"), false);
}

#[test]
fn the_node_snippet_accepts_only_genuine_requests() {
    ask(interpreted(&node(), "ask.mjs", "verify.mjs"), true);
}

#[test]
fn the_ruby_snippet_accepts_only_genuine_requests() {
    ask(interpreted(&bin("ruby"), "ask.rb", "verify.rb"), true);
}

#[test]
fn the_php_snippet_accepts_only_genuine_requests() {
    ask(interpreted(&bin("php"), "ask.php", "verify.php"), true);
}

#[test]
fn the_java_snippet_accepts_only_genuine_requests() {
    let classes = TempDir::new().expect("a temporary folder");
    let mut compile = command(&bin("javac"));
    compile
        .arg("-d")
        .arg(classes.path())
        .arg(snippet("FanfareWebhook.java"))
        .arg(driver("Ask.java"));
    run(compile);
    let mut java = command(&bin("java"));
    java.arg("-cp").arg(classes.path()).arg("Ask");
    ask(java, true);
}

#[test]
fn the_go_snippet_accepts_only_genuine_requests() {
    let module = TempDir::new().expect("a temporary folder");
    let module = module.path();
    fs::create_dir(module.join("webhook")).expect("a new folder");
    fs::write(module.join("go.mod"), "module snippets\n\ngo 1.19\n").expect("a new file");
    fs::copy(snippet("verify.go"), module.join("webhook/verify.go")).expect("a copy");
    fs::copy(driver("ask.go"), module.join("main.go")).expect("a copy");
    let mut build = command(&bin("go"));
    build.args(["build", "-o", "ask", "."]).current_dir(module);
    // Nothing is downloaded, and nothing is kept but the compiled standard library.
    build.envs([("GOPROXY", "off"), ("GOTOOLCHAIN", "local"), ("GOFLAGS", "-mod=mod")]);
    build
        .env("GOPATH", module.join("gopath"))
        .env("GOCACHE", root().join("target/test-tools/go-cache"));
    run(build);
    ask(command(&module.join("ask")), true);
}

#[test]
fn the_rust_snippet_accepts_only_genuine_requests() {
    for (what, request, [standard, other]) in cases() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("webhook-id", &request.id),
            ("webhook-timestamp", &request.timestamp),
            ("webhook-signature", &request.signature),
        ] {
            if !value.is_empty() {
                headers.insert(name, HeaderValue::from_str(value).expect("a header's value"));
            }
        }
        let Request { secret, body_signature, body, .. } = &request;
        assert_eq!(verify::verify(secret, &headers, body), standard, "{what}");
        assert_eq!(verify::verify_body(secret, body_signature, body), other, "{what}");
    }
}
