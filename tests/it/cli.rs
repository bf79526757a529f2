//! The commands as people and scripts use them: what they print, and their exit codes.

mod flags;
mod remote;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::scene::{SOON, Scene, event, has_file, hooks_at, said};
use crate::support::{Fanfare, Hook, PATIENCE, Peer, run_verifier, until};
use crate::verifiers::SECRET;

const SAMPLE_TENANTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/config/tenants");
const SAMPLES: &str = include_str!("../../config/samples/kyc.ndjson");

/// The sample event with this id.
fn sample(id: &str) -> &'static str {
    SAMPLES.lines().find(|line| line.contains(id)).expect("a sample")
}

/// A text with everything replaced that differs between runs.
fn shown(text: &str, replace: &[(&str, &str)]) -> String {
    let mut text = text.to_owned();
    for (this, by) in replace {
        text = text.replace(this, by);
    }
    let times = |word: &str| {
        let digits = word.bytes().filter(u8::is_ascii_digit).count();
        if word.len() == 24 && word.ends_with('Z') && digits == 17 { "<time>" } else { "" }
            .to_owned()
    };
    let line = |line: &str| {
        let words = line.split(' ').map(|word| match times(word.trim_end_matches(':')) {
            time if time.is_empty() => word.to_owned(),
            time => time + if word.ends_with(':') { ":" } else { "" },
        });
        let line = words.collect::<Vec<_>>().join(" ");
        // "in 12 ms"
        match line.split_once(" in ").filter(|_| line.ends_with(" ms")) {
            Some((before, _)) => format!("{before} in <n> ms"),
            None => line,
        }
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_demo_delivers_everything_and_keeps_what_was_received() {
    let scene = Scene::embedded();
    let folder = scene.path("demo");
    let began = Instant::now();
    let demo = said(&["demo", "--keep", &folder.display().to_string()]);
    // It takes less than 10 s alone. Here other tests use the same cores.
    assert!(began.elapsed() < Duration::from_secs(40), "{:?}", began.elapsed());
    let out = demo.ok();
    assert!(out.contains("12 of 12 webhook requests had two valid signatures"), "{out}");
    for line in ["backoffice", "support", "compliance-daily~", "mlro-now~", "Try next"] {
        assert!(out.contains(line), "{line} in {out}");
    }
    for (sub, endings) in
        [("mail", &[".eml", ".html", ".txt"][..]), ("slack", &[".json"]), ("webhook", &[".http"])]
    {
        for ending in endings {
            assert!(has_file(&folder.join(sub), ending), "{ending} in {sub}");
        }
    }
    assert!(folder.join("acme.toml").exists());
    // The commands that it suggests work.
    let store = folder.join("store").display().to_string();
    let path = said(&["events", "--tenant", "acme", "evt_03processed", "--store", &store]).ok();
    assert!(path.contains("attempt 1") && path.contains("http_503"), "{path}");
    assert!(path.contains("attempt 2"), "{path}");
    // It does not overwrite the folder.
    let again = said(&["demo", "--keep", &folder.display().to_string()]).refused(1);
    assert!(again.contains("is not empty"), "{again}");
}

#[test]
fn apply_shows_changes_and_shows_a_generated_secret_once() {
    let scene = Scene::embedded();
    let table = hooks_at("http://127.0.0.1:9/hooks").replace(&format!("secret = \"{SECRET}\""), "");
    let file = scene.tenant("acme", &format!("name = \"Acme Bank\"\n{table}"));
    let file = file.display().to_string();
    let apply = ["apply", "--development", &file];

    let dry = scene.run(&["apply", "--development", "--dry-run", &file]).ok();
    assert!(!dry.contains("whsec_"), "{dry}");
    let first = scene.run(&apply).ok();
    let secret = first.split("secret = ").nth(1).and_then(|rest| rest.lines().next());
    let secret = secret.expect("it is shown").to_owned();
    assert!(secret.starts_with("whsec_") && secret.len() > 40, "{secret}");
    let again = scene.run(&apply).ok();
    scene.tenant("acme", &format!("name = \"Acme Bank\"\n{}", table.replace("/hooks", "/other")));
    let changed = scene.run(&apply).ok();
    let json = scene.json(&["apply", "--development", &file]);
    assert_eq!(
        json,
        json!({ "tenants": [{ "id": "acme", "outcome": "unchanged", "changes": [], "revealed": [] }] })
    );
    let all = format!("{dry}---\n{first}---\n{again}---\n{changed}");
    insta::assert_snapshot!(shown(&all, &[(&secret, "<secret>")]));
}

#[test]
fn without_development_a_plain_http_or_loopback_receiver_is_refused() {
    let scene = Scene::embedded();
    let file = scene.tenant("acme", &hooks_at("http://127.0.0.1:9/")).display().to_string();
    let error = scene.run(&["apply", &file]).refused(1);
    assert!(error.contains("destination \"hooks\", url") && error.contains("https"), "{error}");
}

#[test]
fn two_files_about_one_tenant_are_refused() {
    let scene = Scene::embedded();
    let file = scene.tenant("acme", &hooks_at("http://127.0.0.1:9/"));
    let copy = file.with_file_name("copy.toml");
    std::fs::copy(&file, &copy).unwrap();
    let [file, copy] = [file, copy].map(|path| path.display().to_string());
    let error = scene.run(&["apply", "--development", &file, &copy]).refused(1);
    assert!(error.contains(&format!("{copy}: tenant, id: ")), "{error}");
    assert!(error.contains(&format!("`acme` is already defined in {file}")), "{error}");
}

#[test]
fn check_needs_no_store_and_reports_every_problem() {
    let good = said(&["check", "--development", SAMPLE_TENANTS]).ok();
    assert_eq!(good, "1 tenant file (4 destinations, 4 routes, 0 templates): no problems found\n");
    let json = said(&["check", "--development", "--json", SAMPLE_TENANTS]).ok_json();
    assert_eq!((&json["ok"], &json["problems"]), (&json!(true), &json!([])));
    assert_eq!(json["checked"]["destinations"], 4);

    let scene = Scene::embedded();
    let path = scene.tenant(
        "acme",
        r#"
        [[destination]]
        id = "hooks"
        channel = "webhok"
        [[destination]]
        id = "mail"
        channel = "email"
        to = ["nobody"]
        digest = { schedule = "whenever" }
        [[destination]]
        id = "chat"
        channel = "slack"
        uri = "https://hooks.slack.com/services/T000/B000/XXXX"
        [[route]]
        events = ["kyc.*"]
        to = ["mial"]
        [templates]
        "email/kyc.session.created/subject.txt.hbs" = "Hello {{data.nmae}}"
        "#,
    );
    let path = path.display().to_string();
    let error = said(&["check", &path]).refused(1);
    let folder = scene.tenants().display().to_string();
    insta::assert_snapshot!(shown(&error, &[(&folder, "<tenants>")]));
    let json = said(&["check", &path, "--json"]);
    assert_eq!(json.code, Some(1));
    let json: Value = serde_json::from_str(&json.out).expect("JSON");
    assert_eq!(json["problems"].as_array().map(Vec::len), Some(error.lines().count()));

    let settings = scene.file("wrong.toml", "stoer = \"x\"\n");
    let error = said(&["check", "--config", &settings]).refused(1);
    assert!(error.contains("wrong.toml") && error.contains("stoer"), "{error}");
    let defaults = said(&["check", "--print-config"]).ok();
    assert_eq!(defaults, include_str!("../../config/fanfare.toml"));
}

#[test]
fn a_route_is_explained_with_the_first_field_that_failed() {
    let scene = Scene::embedded();
    let file = scene.file("event.json", sample("evt_03processed"));
    let route = ["route", "--tenant", "acme", "--tenants", SAMPLE_TENANTS, "--event", &file];
    insta::assert_snapshot!("route_text", said(&route).ok());
    let json = said(&[&route[..], &["--json"]].concat()).ok();
    insta::assert_snapshot!("route_json", json);

    let unknown = ["route", "--tenant", "acmee", "--tenants", SAMPLE_TENANTS, "--event", &file];
    let error = said(&unknown).refused(1);
    assert!(error.contains("there is no tenant `acmee`"), "{error}");
    let bad = scene.file("bad.json", "{");
    let error = said(&["route", "--tenant", "acme", "--tenants", SAMPLE_TENANTS, "--event", &bad]);
    assert!(error.refused(1).contains("bad.json: "));
    let error =
        said(&["route", "--tenant", "acme", "--tenants", SAMPLE_TENANTS, "--event", "none"]);
    assert!(error.refused(3).contains("cannot read none"));
}

#[test]
fn render_shows_every_part_of_a_message() {
    const KIND: &str = "kyc.session.manual_review";
    let part = |part: &str| said(&["render", "--type", KIND, "--part", part]).ok();
    let subject = part("subject");
    assert_eq!(subject.lines().count(), 1, "{subject}");
    insta::assert_snapshot!("render_subject_and_text", format!("{subject}\n{}", part("text")));
    assert!(part("html").contains("<html"));
    let message: Value = serde_json::from_str(&part("slack")).expect("JSON");
    run_verifier("verify_slack_blocks.py", &message).expect("slack_sdk accepts it");

    let scene = Scene::embedded();
    let out = scene.path("rendered");
    said(&["render", "--digest", "--out", &out.display().to_string()]).ok();
    for file in ["subject.txt", "body.html", "body.txt", "slack.json"] {
        let length = fs::metadata(out.join(file)).map(|file| file.len());
        assert!(length.is_ok_and(|length| length > 10), "{file}");
    }
    let list = said(&["render", "--list"]).ok();
    assert!(
        list.contains("email/kyc.session.created/subject") && list.contains("builtin"),
        "{list}"
    );
    let error = said(&["render", "--type", "no.such"]).refused(1);
    assert!(error.contains("there is no sample event of type no.such"), "{error}");
}

#[test]
fn events_and_deliveries_are_shown_for_people_and_for_scripts() {
    let hooks = Peer::start("http_receiver.mjs", &["--secret", SECRET]);
    let scene = Scene::embedded();
    let dead = r#"
        [[destination]]
        id = "closed"
        channel = "webhook"
        url = "http://127.0.0.1:9/"
        secret = "whsec_ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8="
        retry = []
        [[route]]
        events = ["test.two"]
        to = ["closed"]
        "#;
    scene.tenant("acme", &(hooks_at(&hooks.url("/")) + dead));
    let _router = scene.start();
    scene.send("acme", &[event("evt_one", "test.one", &json!({}))]).ok();
    scene.settled("acme", 1);
    scene.send("acme", &[event("evt_two", "test.two", &json!({}))]).ok();
    // The dead delivery makes an event of its own.
    let deliveries = scene.settled("acme", 3);
    let states: Vec<_> = deliveries.iter().map(|delivery| &delivery["state"]).collect();
    assert_eq!(states.iter().filter(|state| **state == "delivered").count(), 3);
    assert_eq!(states.iter().filter(|state| **state == "dead").count(), 1);

    let run = |args: &[&str]| scene.run(&[args, &["--tenant", "acme"]].concat()).ok();
    insta::assert_snapshot!("event_shown", shown(&run(&["events", "evt_two"]), &[]));
    let listed = run(&["events", "--type", "test.one"]);
    insta::assert_snapshot!(
        "events_listed",
        shown(&listed, &[("RECEIVED                ", "RECEIVED")])
    );
    insta::assert_snapshot!("deliveries_dead", run(&["deliveries", "--state", "dead"]));
    let one = scene.json(&["deliveries", "--tenant", "acme", "dlv_evt_one.hooks"]);
    assert_eq!((&one["state"], &one["channel"]), (&json!("delivered"), &json!("webhook")));
    assert_eq!(
        (&one["attempts"][0]["code"], &one["attempts"][0]["status"]),
        (&json!("ok"), &json!(200))
    );
    assert_eq!(one["attempts"][0]["answer"], "thank you");
    let one = scene.json(&["events", "--tenant", "acme", "evt_one"]);
    assert_eq!((&one["state"], &one["event"]["type"]), (&json!("routed"), &json!("test.one")));

    let mut seen = Vec::new();
    let mut cursor = String::new();
    while seen.len() < 3 {
        let mut args = vec!["events", "--tenant", "acme", "--limit", "1"];
        if !cursor.is_empty() {
            args.extend(["--cursor", &cursor]);
        }
        let page = scene.json(&args);
        seen.push(page["data"][0]["id"].clone());
        cursor = page["next_cursor"].as_str().unwrap_or_default().to_owned();
    }
    assert!(seen.contains(&json!("evt_one")) && seen.contains(&json!("evt_two")), "{seen:?}");
    for args in [["events", "evt_none"], ["deliveries", "dlv_evt_none.hooks"], ["deliveries", "x"]]
    {
        let error = scene.run(&[&args[..], &["--tenant", "acme"]].concat()).refused(1);
        assert!(error.starts_with("error: "), "{error}");
    }
}

#[test]
fn a_signature_is_verified_as_a_receiver_would() {
    let hooks = Peer::start("http_receiver.mjs", &["--secret", SECRET]);
    let scene = Scene::embedded();
    scene.tenant("acme", &hooks_at(&hooks.url("/")));
    let _router = scene.start();
    scene.send("acme", &[event("evt_one", "test.one", &json!({ "name": "Ōkubo" }))]).ok();
    let hook: Hook = hooks.wait_for(1, SOON).remove(0);
    let body = scene.file("body.json", &hook.body);
    let other = scene.file("other.json", hook.body.replace("Ōkubo", "Okubo"));
    let headers: Vec<_> =
        hook.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    let verify = |secret: &str, body: &str, more: &[&str]| {
        let mut args = vec!["verify", "--secret", secret, body];
        args.extend(headers.iter().flat_map(|header| ["-H", header]));
        args.extend(more);
        said(&args)
    };
    let right = verify(SECRET, &body, &[]).ok();
    assert!(right.starts_with("valid: ") && right.contains(", "), "both schemes: {right}");
    assert_eq!(verify(SECRET, &body, &["--json"]).ok_json()["valid"], true);
    assert!(verify(SECRET, &other, &[]).refused(1).contains("not valid: "));
    let wrong = verify("whsec_ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=", &body, &["--json"]);
    assert_eq!(wrong.code, Some(1));
    let wrong: Value = serde_json::from_str(&wrong.out).expect("JSON");
    assert_eq!(wrong["valid"], false);
    assert!(verify(SECRET, "no-such-file", &[]).refused(3).contains("cannot read no-such-file"));
}

#[test]
fn exit_codes_distinguish_no_from_wrong_usage_and_unreachable() {
    let scene = Scene::embedded();
    assert_eq!(said(&["--version"]).code, Some(0));
    assert_eq!(said(&["no-such-command"]).code, Some(2));
    assert_eq!(said(&["events"]).code, Some(2));
    assert_eq!(said(&["deliveries", "--tenant", "acme", "--state", "lost"]).code, Some(2));
    let missing = scene.run(&["events", "--tenant", "acme"]).refused(3);
    assert!(missing.contains("there is no store at"), "{missing}");
    assert!(!Path::new(scene.store()).exists(), "reading creates no store");
    let server = ["send", "--tenant", "acme", "--server", "http://127.0.0.1:9"];
    let file = scene.file("event.json", event("evt_1", "test.one", &json!({})));
    let error = said(&[&server[..], &[&file]].concat()).refused(3);
    assert!(error.contains("cannot reach the server at 127.0.0.1:9"), "{error}");
    assert!(!error.contains('\u{1b}'), "colors are for terminals");
}

/// Sends one event and returns the path at which it arrived.
fn path_of(scene: &Scene, hooks: &Peer, id: &str) -> String {
    scene.send("acme", &[event(id, "test.one", &json!({}))]).ok();
    let mine = |hook: &&Hook| hook.headers["webhook-id"] == id;
    let found = until(SOON, || hooks.received::<Hook>().iter().find(mine).map(|h| h.path.clone()));
    found.expect("it arrives")
}

fn says(router: &Fanfare, what: &str) {
    let said = until(PATIENCE, || router.stderr().contains(what).then_some(()));
    assert!(said.is_some(), "no {what:?} in {}", router.stderr());
}

#[test]
fn a_changed_tenant_file_applies_and_a_mistake_keeps_the_previous_one() {
    let hooks = Peer::start("http_receiver.mjs", &["--secret", SECRET]);
    let scene = Scene::embedded();
    scene.tenant("acme", &hooks_at(&hooks.url("/first")));
    let router = scene.start();
    assert_eq!(path_of(&scene, &hooks, "evt_1"), "/first");

    scene.tenant("acme", &hooks_at(&hooks.url("/second")));
    says(&router, "tenants reloaded");
    assert_eq!(path_of(&scene, &hooks, "evt_2"), "/second");

    let bad = hooks_at(&hooks.url("/third")).replace("to = [\"hooks\"]", "to = [\"hoooks\"]");
    scene.tenant("acme", &bad);
    says(&router, "the previous settings stay active");
    says(&router, ": route 1, to[0]: there is no destination");
    assert_eq!(path_of(&scene, &hooks, "evt_3"), "/second");
}

#[test]
fn sighup_applies_changes_that_the_file_watcher_cannot_see() {
    let hooks = Peer::start("http_receiver.mjs", &["--secret", SECRET]);
    let scene = Scene::embedded();
    // The folder contains a link, and the file that changes is elsewhere.
    let file = scene.tenant("acme", &hooks_at(&hooks.url("/first")));
    let elsewhere = scene.path("elsewhere.toml");
    fs::rename(&file, &elsewhere).expect("within one folder");
    symlink(&elsewhere, &file).expect("a link");
    let mut router = scene.start();
    assert_eq!(path_of(&scene, &hooks, "evt_1"), "/first");

    let text = fs::read_to_string(&elsewhere).expect("our own file");
    fs::write(&elsewhere, text.replace("/first", "/second")).expect("our own file");
    router.sighup();
    says(&router, "tenants reloaded");
    assert_eq!(path_of(&scene, &hooks, "evt_2"), "/second");
}
