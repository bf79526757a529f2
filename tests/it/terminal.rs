//! What commands print on a terminal: nothing that the terminal executes, at a width that can be
//! read. And what happens if they cannot print.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use fanfare_contract::is_display_control;
use fanfare_store::embedded::{self, Options, Role};
use nix::pty::{Winsize, openpty};
use serde_json::{Value, json};

use crate::scene::{Scene, event, hooks_at};
use crate::support::command;

/// Retitles the window, erases the screen, colors by a C1 control, and reverses the text.
const EVIL: &str = "\u{1b}]0;title\u{7}\u{1b}[2J\u{9b}31m\u{202e}reversed\u{2069}";
/// The sequences that the command line itself uses.
const OWN: [&str; 6] = ["\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[31m", "\x1b[32m", "\x1b[33m"];

fn fanfare(args: &[&str]) -> Command {
    let mut command = command(Path::new(env!("CARGO_BIN_EXE_fanfare")));
    command.args(args);
    command
}

/// Runs a command with a terminal of this width as its standard output and standard error. Returns
/// what the terminal got, and the exit code.
fn on_terminal(columns: u16, args: &[&str]) -> (String, Option<i32>) {
    let size = Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    let pty = openpty(&size, None).expect("a terminal");
    let (ours, theirs): (OwnedFd, OwnedFd) = (pty.master, pty.slave);
    let mut command = fanfare(args);
    command.env("TERM", "xterm-256color").env_remove("NO_COLOR").env_remove("CI");
    command.stdin(Stdio::null()).stdout(theirs.try_clone().expect("a copy")).stderr(theirs);
    let mut child = command.spawn().expect("fanfare starts");
    // The terminal ends when the last copy of its other side is closed.
    drop(command);
    let reading = thread::spawn(move || {
        let (mut file, mut bytes, mut piece) = (File::from(ours), Vec::new(), [0; 4096]);
        // A terminal without another side is an error instead of an end.
        while let Ok(read @ 1..) = file.read(&mut piece) {
            bytes.extend_from_slice(&piece[..read]);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    });
    let code = child.wait().expect("it ends").code();
    (reading.join().expect("no panic"), code)
}

/// A receiver that answers everything with 500 and this text.
fn hostile_receiver(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut request = [0; 8192];
            let _ = stream.read(&mut request);
            let head = format!(
                "HTTP/1.1 500 X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                answer.len()
            );
            let _ = stream.write_all(format!("{head}{answer}").as_bytes());
        }
    });
    url
}

/// A store with hostile text in an event, in an answer, and, from an earlier version, in names.
async fn hostile_scene() -> Scene {
    let scene = Scene::embedded();
    let table = hooks_at(&hostile_receiver(EVIL));
    scene.tenant("acme", &table.replace("retry = [", "retry = []\n#"));
    let server = scene.start();
    let body = event("evt_1", "a.b", &json!({"text": EVIL, EVIL: 1}));
    assert_eq!(server.post("/v1/events?tenant=acme", &body).status, 202);
    // The event, and the notice that it died.
    scene.settled("acme", 2);
    drop(server);

    let options = Options { role: Role::Tool, readers: 1 };
    let store = embedded::open(scene.store().as_ref(), options).expect("the store");
    let kept = store.directory.get("acme").await.expect("the store").expect("a tenant");
    let mut document: Value = serde_json::from_slice(&kept.doc).expect("JSON");
    document["name"] = EVIL.into();
    document["links"] = json!({"session": format!("https://e.example/{EVIL}")});
    document["destinations"][0]["name"] = EVIL.into();
    document["routes"][0]["name"] = EVIL.into();
    document["disabled"] =
        json!({"hooks": {"reason": "gone", "message": EVIL, "at_ms": 1_700_000_000_000_i64}});
    let document = document.to_string().into();
    store.directory.put("acme", document, Some(kept.revision)).await.expect("written");
    let kind = json!({"description": EVIL, "example": {"a": EVIL}}).to_string();
    store.records.put("event_types", "a.b", kind.into(), None, None).await.expect("written");
    scene
}

const LISTINGS: [&[&str]; 17] = [
    &["events", "--tenant", "acme"],
    &["events", "--tenant", "acme", "evt_1"],
    &["deliveries", "--tenant", "acme"],
    &["deliveries", "--tenant", "acme", "dlv_evt_1.hooks"],
    &["tenants", "list"],
    &["tenants", "get", "acme"],
    &["destinations", "list", "--tenant", "acme"],
    &["destinations", "get", "--tenant", "acme", "hooks"],
    &["routes", "list", "--tenant", "acme"],
    &["suppressions", "list", "--tenant", "acme"],
    &["types", "list"],
    &["types", "get", "a.b"],
    &["changes", "--tenant", "acme"],
    &["keys", "list"],
    &["templates", "list", "--tenant", "acme"],
    &["preferences", "get", "--tenant", "acme"],
    &["export", "--tenant", "acme"],
];

#[tokio::test(flavor = "multi_thread")]
async fn no_listing_lets_untrusted_text_execute_on_a_terminal() {
    let scene = hostile_scene().await;
    let config = scene.path("fanfare.toml").display().to_string();
    let mut escaped = 0;
    for args in LISTINGS {
        let args = [args, &["--store", scene.store(), "--config", &config]].concat();
        let (mut shown, code) = on_terminal(100, &args);
        assert_eq!(code, Some(0), "{args:?}: {shown}");
        escaped += shown.matches("202e").count();
        for own in OWN {
            shown = shown.replace(own, "");
        }
        let line_ends = |c: char| matches!(c, '\r' | '\n' | '\t');
        let executed = shown.chars().find(|c| is_display_control(*c) && !line_ends(*c));
        assert_eq!(executed, None, "{args:?}: {shown:?}");
    }
    assert!(escaped > 10, "the hostile text was shown: {escaped}");
}

#[tokio::test(flavor = "multi_thread")]
async fn json_of_untrusted_text_is_safe_on_a_terminal_and_means_the_same() {
    let scene = hostile_scene().await;
    let shown = scene.run(&["events", "--tenant", "acme", "evt_1", "--json"]).ok();
    assert!(!shown.contains(|c| is_display_control(c) && c != '\n'), "{shown:?}");
    let record: Value = serde_json::from_str(&shown).expect("JSON");
    assert_eq!(record["event"]["data"]["text"], EVIL);
    assert_eq!(record["event"]["data"][EVIL], 1);
}

#[test]
fn a_terminal_that_does_not_know_its_width_gets_80_columns() {
    let scene = Scene::embedded();
    let config = scene.path("fanfare.toml").display().to_string();
    let label = "a label of some words that needs more than one line in a narrow table";
    scene.json(&["keys", "create", "--role", "operator", "--label", label]);
    let list = ["keys", "list", "--store", scene.store(), "--config", &config];
    let (unknown, _) = on_terminal(0, &list);
    let (known, _) = on_terminal(80, &list);
    assert_eq!(unknown, known);
    assert!(unknown.lines().all(|line| line.trim_end().chars().count() <= 80), "{unknown}");
    assert!(unknown.contains("operator"), "words are not cut to letters: {unknown}");
}

#[test]
fn output_that_cannot_be_written_fails_with_exit_code_3() {
    let scene = Scene::embedded();
    scene.json(&["keys", "create", "--role", "operator"]);
    let config = scene.path("fanfare.toml").display().to_string();
    for args in [
        &["keys", "list"][..],
        &["keys", "list", "--json"],
        &["check", "--print-config"],
        &["completions", "bash"],
        &["export", "--tenant", "acme"],
    ] {
        let needs_store = !matches!(args[0], "check" | "completions");
        let at = ["--store", scene.store(), "--config", &config];
        let args = [args, if needs_store { &at[..] } else { &[] }].concat();
        let full = OpenOptions::new().write(true).open("/dev/full").expect("/dev/full");
        let output = fanfare(&args).stdout(full).stderr(Stdio::piped()).output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{args:?}: {said}");
        assert!(said.contains("write"), "{args:?}: {said}");
    }
}
