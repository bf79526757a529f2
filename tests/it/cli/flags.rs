//! Flags, environment variables, and output for programs.

use serde_json::{Value, json};

use crate::scene::{Scene, hooks_at, said};
use crate::support::command;

/// Runs the binary with variables, and returns the exit code, standard output and standard error.
fn with(variables: &[(&str, &str)], args: &[&str]) -> (Option<i32>, String, String) {
    let mut run = command(env!("CARGO_BIN_EXE_fanfare").as_ref());
    run.args(args).envs(variables.iter().copied());
    let output = run.output().expect("it runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn a_flag_wins_over_the_variable_of_its_opposite() {
    let scene = Scene::embedded();
    scene.tenant("acme", &hooks_at("http://127.0.0.1:9/"));
    let server = scene.start();
    let url = server.url("");
    let store = ["tenants", "list", "--store", scene.store(), "--json"];
    let (code, out, err) = with(&[("FANFARE_SERVER", "http://127.0.0.1:1")], &store);
    assert_eq!(code, Some(0), "{out}{err}");
    let remote = ["tenants", "list", "--server", url.trim_end_matches('/'), "--json"];
    let (code, out, err) = with(&[("FANFARE_STORE", "/nowhere")], &remote);
    assert_eq!(code, Some(0), "{out}{err}");
    let both = [&store[..], &["--server", "http://127.0.0.1:1"]].concat();
    assert_eq!(with(&[], &both).0, Some(2), "two flags are a mistake");
}

#[test]
fn an_unknown_tenant_is_a_refusal_on_a_store_too() {
    let scene = Scene::embedded();
    scene.tenant("acme", &hooks_at("http://127.0.0.1:9/"));
    drop(scene.start());
    for args in [
        &["events", "--tenant", "nope"][..],
        &["deliveries", "--tenant", "nope"],
        &["replay", "--tenant", "nope"],
        &["routes", "list", "--tenant", "nope"],
    ] {
        let error = scene.run(args).refused(1);
        assert!(error.contains("nope"), "{args:?}: {error}");
    }
}

#[test]
fn with_json_lists_and_errors_are_objects() {
    let scene = Scene::embedded();
    scene.tenant("acme", &hooks_at("http://127.0.0.1:9/"));
    drop(scene.start());
    for args in [
        &["destinations", "list", "--tenant", "acme"][..],
        &["routes", "list", "--tenant", "acme"],
        &["digests", "list", "--tenant", "acme"],
        &["events", "--tenant", "acme"],
        &["deliveries", "--tenant", "acme"],
        &["keys", "list"],
        &["types", "list"],
        &["tenants", "list"],
        &["suppressions", "list", "--tenant", "acme"],
        &["templates", "list", "--tenant", "acme"],
        &["changes", "--tenant", "acme"],
    ] {
        let shown: Value = scene.json(args);
        assert!(
            shown["data"].is_array() && shown.get("next_cursor").is_some(),
            "{args:?}: {shown}"
        );
    }
    let refused = scene.run(&["destinations", "get", "nope", "--tenant", "acme", "--json"]);
    assert_eq!((refused.code, &*refused.out), (Some(1), ""));
    let error: Value = serde_json::from_str(&refused.err).expect("JSON");
    assert_eq!((&error["status"], &error["error"]["code"]), (&json!("error"), &json!("not_found")));
    let (code, out, err) =
        with(&[], &["tenants", "list", "--server", "http://127.0.0.1:1", "--json"]);
    let error: Value = serde_json::from_str(&err).expect("JSON");
    assert_eq!((code, &*out, &error["error"]["type"]), (Some(3), "", &json!("unavailable")));
}

#[test]
fn deleting_without_a_terminal_needs_yes() {
    let scene = Scene::embedded();
    scene.tenant("acme", &hooks_at("http://127.0.0.1:9/"));
    drop(scene.start());
    let delete = ["destinations", "delete", "hooks", "--tenant", "acme"];
    let error = scene.run(&delete).refused(1);
    assert!(error.contains("nothing was deleted") && error.contains("--yes"), "{error}");
    scene.run(&[&delete[..], &["-y"]].concat()).ok();
    let listed = scene.json(&["destinations", "list", "--tenant", "acme"]);
    assert_eq!(listed["data"], json!([]));
}

#[test]
fn a_time_is_a_duration_a_date_or_a_word() {
    let scene = Scene::embedded();
    scene.tenant("acme", &hooks_at("http://127.0.0.1:9/"));
    drop(scene.start());
    for when in ["2h", "2026-01-01", "2026-01-01T00:00:00Z", "yesterday", "today", "now"] {
        scene.run(&["events", "--tenant", "acme", "--since", when]).ok();
    }
    let error = scene.run(&["events", "--tenant", "acme", "--since", "tomorrow"]).refused(2);
    assert!(error.contains("yesterday"), "{error}");
}

#[test]
fn manual_pages_have_their_sections() {
    let scene = Scene::embedded();
    let dir = scene.path("man").display().to_string();
    said(&["man", "--out", &dir]).ok();
    let page = std::fs::read_to_string(scene.path("man").join("fanfare-events.1")).expect("a page");
    for section in ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXAMPLES", "EXIT STATUS"] {
        assert!(
            page.contains(&format!(".SH {section}"))
                || page.contains(&format!(".SH \"{section}\"")),
            "{section}: {page}"
        );
    }
}
