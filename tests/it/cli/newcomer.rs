//! The README's first five commands, as they stand there, typed by somebody who has nothing yet.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::support::{PATIENCE, Process, command, until};

const README: &str = include_str!("../../../README.md");

/// The blocks of shell below a heading.
fn blocks(heading: &str) -> Vec<&'static str> {
    let section = README.split(heading).nth(1).expect("the heading");
    let section = section.split("\n## ").next().unwrap_or_default();
    section.split("```sh\n").skip(1).filter_map(|rest| rest.split("\n```").next()).collect()
}

/// A shell in `folder` that knows `fanfare`.
fn shell(folder: &Path, script: &str) -> std::process::Command {
    let mut shell = command(Path::new("/bin/sh"));
    let binary = PathBuf::from(env!("CARGO_BIN_EXE_fanfare"));
    let path = std::env::var("PATH").unwrap_or_default();
    let path = format!("{}:{path}", binary.parent().expect("a folder").display());
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"FANFARE_") {
            shell.env_remove(name);
        }
    }
    shell.args(["-euc", script]).current_dir(folder).env("PATH", path);
    shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    shell
}

/// Starts a line of the README that goes on for ever; what it prints goes to a file, which is
/// answered once there is a line in it.
fn start(folder: &Path, script: &str, name: &str) -> (Process, PathBuf) {
    let said = folder.join(name);
    let mut starting = shell(folder, &format!("exec {}", script.trim_end_matches(" &")));
    starting.env("FANFARE_LISTEN", "127.0.0.1:0").env("FANFARE_READY_FILE", folder.join("ready"));
    let file = fs::File::create(&said).expect("a file");
    starting.stdout(file.try_clone().expect("the same file")).stderr(file);
    (Process::spawn(starting), said)
}

#[test]
fn the_first_five_commands_of_the_readme_deliver_an_event_in_a_fresh_folder() {
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let folder = folder.path();
    let blocks = blocks("## The first five commands\n");
    let [before, five] = blocks[..] else { panic!("two blocks: {blocks:?}") };

    // As they are started there, but on free ports.
    let (serve, receiver) = before.split_once('\n').expect("the router, and a receiver");
    assert!(serve.starts_with("fanfare serve"), "{serve}");
    let (_server, log) = start(folder, serve, "log");
    let listens = r#"HTTPServer(("127.0.0.1", 9100), Receiver).serve_forever()"#;
    assert!(receiver.contains(listens), "{receiver}");
    let on_a_free_port = r#"server = HTTPServer(("127.0.0.1", 0), Receiver)
print(server.server_port, flush=True)
server.serve_forever()"#;
    let (_receiver, received) =
        start(folder, &receiver.replace(listens, on_a_free_port), "received");
    let text = |path: &Path| fs::read_to_string(path).unwrap_or_default();
    let line = |path: &Path| text(path).lines().next().map(str::to_owned);
    let port = until(PATIENCE, || line(&received)).expect("the receiver listens");
    let ready = folder.join("ready");
    let address = until(PATIENCE, || line(&ready));
    let address = address.unwrap_or_else(|| panic!("not ready: {}", text(&log)));

    assert_eq!(five.lines().count(), 5, "{five}");
    let five = five.replace("127.0.0.1:8400", address.trim());
    let five = five.replace("127.0.0.1:9100", &format!("127.0.0.1:{port}"));
    let output = Process::spawn(shell(folder, &five)).output();
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    assert!(out.contains("1 sent") && out.contains("backoffice  delivered"), "{out}\n{err}");
    assert!(text(&received).contains("7f6c2a54"), "{}", text(&received));
}
