//! The shell commands of the README and of all pages run as they are written, in order, in a fresh
//! folder: every block of `sh`. A block that cannot run is `console` or `text`.
//!
//! Only what a test cannot share with other tests differs: ports, and where temporary files go. The
//! binary is there already, so `cargo` is not run.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tempfile::TempDir;

use super::pages::{read, root};
use crate::support::{Process, bin, command, python};

/// The ports in the documentation: of the API, of the example's receiver, of Redis.
const PORTS: [&str; 3] = ["8400", "9100", "6379"];

#[test]
fn the_commands_of_the_readme_deliver_an_event_in_a_fresh_folder() {
    let page = read("README.md");
    let blocks = blocks(&page);
    let last = blocks.last().expect("a block of commands");
    assert_eq!(last.lines().count(), 5, "five commands to a first delivery:\n{last}");

    let out = run(&blocks);
    assert!(out.contains("1 sent") && out.contains("backoffice  delivered"), "{out}");
    assert!(out.contains("\"session_id\":\"7f6c2a54\""), "the receiver prints the event: {out}");
}

#[test]
fn the_commands_of_getting_started_run_as_they_are_written() {
    let out = run(&blocks(&read("docs/getting-started.md")));
    for expected in [
        concat!("fanfare ", env!("CARGO_PKG_VERSION")),
        "backoffice  delivered",
        "\"session_id\":\"7f6c2a54\"",
        "PONG",
        "12 sent",
        "kyc.watchlist.match_found",
    ] {
        assert!(out.contains(expected), "`{expected}` is not in:\n{out}");
    }
}

/// The other pages with commands, one test for each.
macro_rules! pages {
    ($($name:ident: $page:literal;)*) => {
        $(
            #[test]
            fn $name() {
                run(&blocks(&read(concat!("docs/", $page))));
            }
        )*

        #[test]
        fn every_page_with_commands_has_a_test() {
            let tested = [$($page),*, "getting-started.md"];
            let docs = fs::read_dir(root().join("docs")).expect("the folder of the pages");
            let pages = docs.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
            for page in pages.filter(|page| page.ends_with(".md")) {
                let has_commands = !blocks(&read(&format!("docs/{page}"))).is_empty();
                // The examples of the help texts are about things of the reader.
                let is_generated = ["cli.md", "settings.md"].contains(&page.as_str());
                let is_tested = tested.contains(&page.as_str());
                assert_eq!(is_tested, has_commands && !is_generated, "docs/{page}");
            }
        }
    };
}

pages! {
    the_commands_of_the_api_page_run: "api.md";
    the_commands_of_concepts_run: "concepts.md";
    the_commands_of_email_run: "email.md";
    the_commands_of_environments_run: "environments.md";
    the_commands_of_guarantees_run: "guarantees.md";
    the_commands_of_keys_and_security_run: "keys-and-security.md";
    the_commands_of_operating_run: "operating.md";
    the_commands_of_performance_run: "performance.md";
    the_commands_of_privacy_run: "privacy.md";
    the_commands_of_producers_run: "producers.md";
    the_commands_of_receiving_webhooks_run: "receiving-webhooks.md";
    the_commands_of_redis_run: "redis.md";
    the_commands_of_routing_run: "routing.md";
    the_commands_of_slack_run: "slack.md";
    the_commands_of_templates_run: "templates.md";
    the_commands_of_tenant_files_run: "tenant-files.md";
}

/// The blocks of shell commands of a page.
fn blocks(page: &str) -> Vec<&str> {
    let blocks = page.split("```sh\n").skip(1).filter_map(|rest| rest.split("\n```").next());
    blocks.collect()
}

/// Runs blocks in one shell, and returns everything that they print.
fn run(blocks: &[&str]) -> String {
    let folder = TempDir::new().expect("a temporary folder");
    let ports = free_ports();
    let tools = tools(folder.path(), &ports);
    let home = folder.path().join("checkout");
    fs::create_dir(&home).expect("a new folder");
    symlink(root().join("config"), home.join("config")).expect("a new link");

    let mut shell = command(Path::new("/bin/bash"));
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"FANFARE_") {
            shell.env_remove(name);
        }
    }
    let path = std::env::var("PATH").unwrap_or_default();
    shell.env("PATH", format!("{}:{path}", tools.display()));
    shell.env("TMPDIR", folder.path()).env("FANFARE_LISTEN", format!("127.0.0.1:{}", ports[0]));
    // As in a terminal, where jobs have numbers; unlike there, a command that fails ends it.
    shell.args(["-meuo", "pipefail", "-c", &script(blocks, &ports)]).current_dir(home);
    shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = Process::spawn(shell).output();
    let out = String::from_utf8_lossy(&output.stdout);
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{out}\n{err}", output.status);
    out.into_owned()
}

/// The commands, with free ports. After a block that starts a server, the script waits until the
/// server listens, as a reader does.
fn script(blocks: &[&str], ports: &[String; 3]) -> String {
    let mut script = "trap 'kill $(jobs -p) 2> /dev/null || true' EXIT\n".to_owned();
    for block in blocks {
        for line in block.lines() {
            let ours = line.starts_with("cargo ") || line.starts_with("export PATH=");
            // A job that was killed is no failure.
            let end = if line.starts_with("wait %") { " || true" } else { "" };
            if !ours {
                script.extend([line, end, "\n"]);
            }
        }
        for (server, port) in [("fanfare serve ", "8400"), ("serve_forever()", "9100")] {
            if block.contains(server) {
                let open = ["(: < /dev/tcp/127.0.0.1/", port, ") 2> /dev/null"].concat();
                script.extend(["until ", &open, "; do sleep 0.05; done\n"]);
            }
        }
    }
    // In two steps: a port of ours may contain one of theirs.
    for (nth, port) in PORTS.iter().enumerate() {
        script = script.replace(port, &format!("@port {nth}@"));
    }
    for (nth, port) in ports.iter().enumerate() {
        script = script.replace(&format!("@port {nth}@"), port);
    }
    script
}

/// Ports that are free now.
fn free_ports() -> [String; 3] {
    let listeners = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free port"));
    listeners.map(|listener| listener.local_addr().expect("its address").port().to_string())
}

/// A folder with the programs that the commands name. Each ends with the shell that started it.
fn tools(folder: &Path, ports: &[String; 3]) -> PathBuf {
    let tools = folder.join("bin");
    fs::create_dir(&tools).expect("a new folder");
    let redis = &ports[2];
    for (name, line) in [
        ("fanfare", env!("CARGO_BIN_EXE_fanfare").to_owned()),
        ("python3", python().display().to_string()),
        ("redis-server", format!("{} --port {redis}", bin("redis-server").display())),
        ("redis-cli", format!("{} -p {redis}", bin("redis-cli").display())),
    ] {
        let text = format!(
            "#!/bin/sh\n\
             setpriv --version > /dev/null 2>&1 && exec setpriv --pdeathsig KILL -- {line} \"$@\"\n\
             exec {line} \"$@\"\n"
        );
        let path = tools.join(name);
        fs::write(&path, text).expect("a new file");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("our own file");
    }
    tools
}
