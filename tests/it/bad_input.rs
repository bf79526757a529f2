//! Bad input is refused alone and with its reason. Everything else continues.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::scene::{SOON, Said, Scene, event, hooks_at, numbered, said};
use crate::support::{
    Fanfare, Hook, Mail, PATIENCE, Peer, Redis, command, programs, run_peer, until,
};
use crate::verifiers::SECRET;

fn receiver() -> Peer {
    Peer::start("http_receiver.mjs", &["--secret", SECRET])
}

/// Lines that are not valid events, with the code of each refusal.
fn bad_events() -> Vec<(&'static str, Vec<u8>)> {
    let with = |data: String| format!(r#"{{"type":"test.bad","data":{data}}}"#).into_bytes();
    vec![
        ("not_json", b"nonsense".to_vec()),
        ("not_json", br#"{"type":"test.bad","data":{}"#.to_vec()),
        ("not_json", b"[1, 2]".to_vec()),
        ("not_json", br#""text""#.to_vec()),
        ("missing_field", br#"{"data":{}}"#.to_vec()),
        ("missing_field", br#"{"type":"test.bad"}"#.to_vec()),
        ("wrong_type", br#"{"type":7,"data":{}}"#.to_vec()),
        ("wrong_type", br#"{"id":{},"type":"test.bad","data":{}}"#.to_vec()),
        ("wrong_type", br#"{"type":"test.bad","created":"now","data":{}}"#.to_vec()),
        ("wrong_type", with("[]".to_owned())),
        ("bad_id", br#"{"id":"a b","type":"test.bad","data":{}}"#.to_vec()),
        ("bad_type", br#"{"type":"test..bad","data":{}}"#.to_vec()),
        ("bad_created", br#"{"type":"test.bad","created":1735228800000,"data":{}}"#.to_vec()),
        ("duplicate_key", br#"{"type":"test.bad","data":{},"type":"test.bad"}"#.to_vec()),
        ("duplicate_key", with(r#"{"deep":[{"a":1,"a":2}]}"#.to_owned())),
        ("too_large", with(format!(r#"{{"x":"{}"}}"#, "x".repeat(300 * 1024)))),
        ("too_deep", with(format!("{{\"x\":{}1{}}}", "[".repeat(10_000), "]".repeat(10_000)))),
        ("not_utf8", b"{\"type\":\"test.bad\",\"data\":{\"x\":\"\xff\xfe\"}}".to_vec()),
    ]
}

fn counted<'a>(codes: impl IntoIterator<Item = &'a str>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for code in codes {
        *counts.entry(code.to_owned()).or_default() += 1;
    }
    counts
}

#[test]
fn a_bad_stream_entry_goes_to_the_dead_letters_alone_and_with_its_reason() {
    let redis = Redis::start();
    let hooks = receiver();
    let scene = Scene::on(&redis);
    scene.tenant("acme", &hooks_at(&hooks.url("/")));
    let router = scene.start();

    // One good event after each bad one.
    let good = numbered(bad_events().len());
    let mut lines = Vec::new();
    for ((_, bad), good) in bad_events().iter().zip(&good) {
        lines.extend([bad.as_slice(), b"\n", good.as_bytes(), b"\n"].concat());
    }
    let file = scene.file("mixed.ndjson", lines);
    run_peer("add_events.py", &["--url", &redis.url(), "--tenant", "acme", &file]);
    let strays: [&[(&str, &str)]; 4] = [
        &[("tenant", "nobody"), ("event", "{}")],
        &[("tenant", "NOT/A/NAME"), ("event", "{}")],
        &[("event", "{}")],
        &[("tenant", "acme"), ("payload", "{}")],
    ];
    for stray in strays {
        let mut add = redis::cmd("XADD");
        add.arg(&["fanfare:events", "*"]).arg(stray);
        let _: String = add.query(&mut redis.connection()).expect("an entry");
    }

    let deliveries = scene.settled("acme", good.len());
    assert!(deliveries.iter().all(|delivery| delivery["state"] == "delivered"));
    assert_eq!(hooks.wait_for::<Hook>(good.len(), PATIENCE).len(), good.len());

    let total = bad_events().len() + strays.len();
    let rejected = until(SOON, || {
        let page = scene.json(&["events", "--rejected", "--limit", "1000"]);
        let items = page["data"].as_array().cloned().unwrap_or_default();
        (items.len() == total).then_some(items)
    });
    let rejected = rejected.expect("every bad entry is in the dead letters");
    let bad = bad_events();
    let strays = ["unknown_tenant", "bad_tenant", "no_tenant", "no_event"];
    let expected = counted(bad.iter().map(|(code, _)| *code).chain(strays));
    assert_eq!(counted(rejected.iter().filter_map(|item| item["code"].as_str())), expected);
    for item in &rejected {
        assert!(item["reason"].as_str().is_some_and(|reason| reason.len() > 15), "{item}");
        assert!(item["raw"].as_str().is_some_and(|raw| !raw.is_empty()), "{item}");
    }
    let shown = scene.run(&["events", "--rejected", "--limit", "1000"]).ok();
    assert!(shown.contains("not_utf8") && shown.contains("is not UTF-8"), "{shown}");
    assert_eq!(router.get("/readyz").status, 200);
}

#[test]
fn a_bad_event_over_http_is_refused_with_its_reason_and_stops_no_other() {
    let hooks = receiver();
    let scene = Scene::embedded();
    scene.tenant("acme", &hooks_at(&hooks.url("/")));
    let router = scene.start();
    let bad: Vec<_> = bad_events()
        .into_iter()
        .filter_map(|(code, body)| Some((code, String::from_utf8(body).ok()?)))
        .collect();
    for (code, body) in &bad {
        // A list is a batch.
        if body.starts_with('[') {
            continue;
        }
        let answer = router.post("/v1/events?tenant=acme", body);
        let status = if *code == "too_large" { 413 } else { 422 };
        let said = answer.json();
        assert_eq!((answer.status, &said["error"]["code"]), (status, &json!(code)), "{said}");
        assert_eq!(said["status"], "error");
        assert!(said["error"]["message"].as_str().is_some_and(|text| text.len() > 15), "{said}");
    }
    for path in ["/v1/events?tenant=nobody", "/v1/events?tenant=A/B", "/v1/events"] {
        let answer = router.post(path, &numbered(1)[0]);
        let expected = if path.ends_with("nobody") { 404 } else { 422 };
        assert_eq!(answer.status, expected, "{path}: {}", answer.body);
    }

    // A batch is one JSON document, so a part that is not JSON makes all of it invalid.
    let parsed: Vec<_> = bad
        .iter()
        .filter(|(_, body)| serde_json::from_str::<serde::de::IgnoredAny>(body).is_ok())
        .collect();
    let mut parts: Vec<_> = parsed.iter().map(|(_, body)| body.clone()).collect();
    parts.extend(numbered(3));
    let answer = router.post("/v1/events?tenant=acme", &format!("[{}]", parts.join(",")));
    let data = &answer.json()["data"];
    assert_eq!((answer.status, &data["accepted"]), (202, &json!(3)), "{}", answer.body);
    let codes = data["events"].as_array().expect("an answer for each").iter();
    let codes: Vec<_> = codes.filter_map(|answer| answer["error"]["code"].as_str()).collect();
    assert_eq!(codes, parsed.iter().map(|(code, _)| *code).collect::<Vec<_>>());
    let answer = router.post("/v1/events?tenant=acme", "[{\"type\": \"test.cut");
    assert_eq!(answer.json()["error"]["code"], "not_json");

    scene.settled("acme", 3);
    assert_eq!(hooks.wait_for::<Hook>(3, PATIENCE).len(), 3);
}

#[test]
fn a_bad_line_of_a_file_is_reported_by_its_number_and_stops_no_other() {
    let scene = Scene::embedded();
    scene.tenant("acme", &hooks_at("http://127.0.0.1:9/"));
    scene.run(&["apply", "--development", &scene.tenants().display().to_string()]).ok();
    let mut lines = numbered(1)[0].clone().into_bytes();
    for (_, bad) in bad_events() {
        lines.extend([b"\n", bad.as_slice()].concat());
    }
    let file = scene.file("mixed.ndjson", lines);

    let sent = scene.run(&["send", "--tenant", "acme", &file, "--json"]);
    assert_eq!(sent.code, Some(1), "{}", sent.err);
    let summary: Value = serde_json::from_str(&sent.out).expect("JSON");
    assert_eq!(summary["accepted"], 1);
    let refused = summary["refused"].as_array().expect("a list").iter();
    let refused: Vec<_> = refused.map(|r| (r["line"].clone(), r["code"].clone())).collect();
    let bad = bad_events();
    let expected = bad.iter().enumerate().map(|(n, (code, _))| (json!(n + 2), json!(code)));
    assert_eq!(refused, expected.collect::<Vec<_>>());

    let error = scene.run(&["send", "--tenant", "acme", &file]).refused(1);
    assert!(
        error.contains("mixed.ndjson, line 2: the event is not a valid JSON object"),
        "{error}"
    );
    assert!(error.contains("(too_large)") && error.contains("(duplicate_key)"), "{error}");
    let error = scene.run(&["send", "--tenant", "nobody", &file]).refused(1);
    assert!(error.contains("there is no tenant `nobody`"), "{error}");
}

#[test]
fn an_event_that_no_route_matches_is_recorded_as_unrouted() {
    let scene = Scene::embedded();
    let table = hooks_at("http://127.0.0.1:9/").replace("\"**\"", "\"kyc.*\"");
    scene.tenant("acme", &table);
    let _router = scene.start();
    scene.send("acme", &[event("evt_stray", "no.such.type", &json!({}))]).ok();
    assert!(scene.settled("acme", 1).is_empty());
    assert_eq!(scene.events("acme")[0]["state"], "unrouted");
    let shown = scene.run(&["events", "--tenant", "acme", "evt_stray"]).ok();
    assert!(shown.contains("state     unrouted"), "{shown}");
}

const WRONG_ROUTES: &str = r#"
    [[route]]
    name = "to nowhere"
    events = ["kyc.*"]
    to = ["hoooks"]
    [[route]]
    events = ["kyc..created"]
    to = ["hooks"]
    [[route]]
    events = ["kyc.*"]
    when = { data = { risk_score = [{ numeric = [">>", 70] }] } }
    to = ["hooks"]
    "#;

#[test]
fn a_wrong_tenant_file_is_refused_with_file_route_and_field() {
    let scene = Scene::embedded();
    let table = hooks_at("http://127.0.0.1:9/") + WRONG_ROUTES;
    scene.tenant("acme", &table);
    let tenants = scene.tenants().display().to_string();
    let refusals = [
        scene.run(&["apply", "--development", &tenants]),
        said(&["check", "--development", &tenants]),
        said(&[
            "serve",
            "--development",
            "--listen",
            "127.0.0.1:0",
            "--tenants",
            &tenants,
            "--store",
            scene.store(),
        ]),
    ];
    for refusal in refusals {
        let error = refusal.refused(1);
        let lines: Vec<_> = error.lines().collect();
        assert_eq!(lines.len(), 3, "{error}");
        for (line, parts) in lines.iter().zip([
            ["acme.toml: route 2 \"to nowhere\", to", "hooks"],
            ["acme.toml: route 3, events[0]", "kyc..created"],
            ["acme.toml: route 4, when.data.risk_score", ">>"],
        ]) {
            assert!(parts.iter().all(|part| line.contains(part)), "{line}");
        }
    }
    // Nothing of it was written.
    let error = scene.run(&["send", "--tenant", "acme", "x"]).refused(1);
    assert!(error.contains("there is no tenant `acme`"), "{error}");
}

#[test]
fn a_template_that_misses_a_field_fails_only_that_email_and_says_where() {
    let mail = Peer::start("smtp_server.py", &[]);
    let scene = Scene::embedded();
    scene.settings(&format!(
        "[email]\nhost = \"127.0.0.1\"\nport = {}\nsecurity = \"none\"\nfrom = \"a@acme.example\"\n",
        mail.port()
    ));
    scene.tenant(
        "acme",
        r#"
        [[destination]]
        id = "mail"
        channel = "email"
        to = ["mlro@acme.example"]
        [[route]]
        events = ["acme.*"]
        to = ["mail"]
        [templates]
        "email/acme.greeting/subject.txt.hbs" = """
        {{!-- for those who are new --}}
        Welcome, {{data.name}}"""
        "#,
    );
    let _router = scene.start();
    let greeting = |id: &str, data: Value| event(id, "acme.greeting", &data);
    scene
        .send(
            "acme",
            &[greeting("evt_without", json!({})), greeting("evt_with", json!({"name": "Jane"}))],
        )
        .ok();

    // The dead delivery makes an event of its own.
    let deliveries = scene.settled("acme", 3);
    let mails: Vec<Mail> = mail.wait_for(1, PATIENCE);
    assert_eq!(mails.len(), 1);
    assert_eq!(mails[0].subject.as_deref(), Some("Welcome, Jane"));
    let dead = deliveries.iter().find(|delivery| delivery["event"] == "evt_without");
    let dead = dead.expect("it is recorded");
    assert_eq!((&dead["state"], &dead["reason"]), (&json!("dead"), &json!("render_failed")));
    let id = dead["id"].as_str().expect("an id");
    let shown = scene.run(&["deliveries", "--tenant", "acme", id]).ok();
    assert!(
        shown.contains("template email/acme.greeting/subject, line 2, field `data.name`"),
        "{shown}"
    );
}

#[test]
fn a_server_reports_the_mistakes_of_all_tenant_files() {
    let scene = Scene::embedded();
    let tenants = scene.tenants().display().to_string();
    scene.tenant("one", "[[destination]]\nid = \"x\"\nchannel = \"pigeon\"\n");
    scene.tenant("two", "[plan]\n");
    let error = scene.run(&["serve", "--listen", "127.0.0.1:0", "--tenants", &tenants]).refused(1);
    for (file, what) in [("one.toml", "is unknown (`pigeon`)"), ("two.toml", "[plan]")] {
        let of_file = |line: &&str| line.starts_with("error: ") && line.contains(file);
        assert!(error.lines().filter(of_file).any(|line| line.contains(what)), "{error}");
    }
}

#[test]
fn a_missing_folder_and_a_wrong_redis_url_are_named_with_what_to_write() {
    let scene = Scene::embedded();
    let nowhere = scene.tenants().join("nowhere").display().to_string();
    let no_such = format!("{nowhere}: does not exist; name a tenant file");
    for refusal in [
        scene.run(&["serve", "--listen", "127.0.0.1:0", "--tenants", &nowhere]),
        scene.run(&["apply", &nowhere]),
        said(&["check", &nowhere]),
    ] {
        let error = refusal.refused(1);
        assert!(error.contains(&format!("error: {no_such}")), "{error}");
    }
    let error = said(&["serve", "--listen", "127.0.0.1:0", "--store", "redis://h:port"]).refused(3);
    let last = error.lines().last().unwrap_or_default();
    assert!(last.starts_with("error: the Redis URL is not understood; write redis://"), "{error}");
}

#[test]
fn a_tenant_with_a_wrong_template_is_refused() {
    let scene = Scene::embedded();
    let tenants = scene.tenants().display().to_string();
    let bad = "[templates]\n\"email/kyc.session.created/subject.txt.hbs\" = \"Hi {{data.nmae}}\"\n";
    scene.tenant("bad", bad);
    for refusal in [
        scene.run(&["apply", &tenants]),
        said(&["check", &tenants]),
        scene.run(&["serve", "--listen", "127.0.0.1:0", "--tenants", &tenants]),
    ] {
        let error = refusal.refused(1);
        let place = "template email/kyc.session.created/subject, line 1, field `data.nmae`";
        assert!(error.contains("bad.toml: templates") && error.contains(place), "{error}");
    }
}

#[test]
fn a_port_in_use_is_reported_with_how_to_choose_another() {
    let other = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = other.local_addr().expect("an address").to_string();
    let scene = Scene::embedded();
    let error = said(&["serve", "--store", scene.store(), "--listen", &address]).refused(3);
    let last = error.lines().last().unwrap_or_default();
    assert!(last.contains(&format!("cannot listen on {address}")), "{error}");
    assert!(last.contains("choose another with --listen"), "{error}");
}

#[test]
fn a_redis_that_is_down_at_the_start_is_reported_at_once() {
    let mut redis = Redis::start();
    redis.kill9();
    let scene = Scene::on(&redis);
    for command in [&["serve", "--listen", "127.0.0.1:0"][..], &["events", "--tenant", "acme"]] {
        let asked = Instant::now();
        let error = scene.run(command).refused(3);
        assert!(asked.elapsed() < Duration::from_secs(15), "{:?}", asked.elapsed());
        let last = error.lines().last().unwrap_or_default();
        let server = format!("127.0.0.1:{}", redis.port());
        assert!(last.contains("the store cannot be reached") && last.contains(&server), "{error}");
    }
}

#[test]
fn a_redis_that_goes_down_and_comes_back_loses_no_event() {
    let mut redis = Redis::start_durable();
    let hooks = Peer::start("http_receiver.mjs", &["--secret", SECRET, "--delay", "50"]);
    let scene = Scene::on(&redis);
    scene.tenant("acme", &hooks_at(&hooks.url("/")));
    let router = scene.start();
    let events = numbered(301);
    scene.send("acme", &events[..300]).ok();
    hooks.wait_for::<Hook>(20, SOON);

    redis.kill9();
    let answer = router.get("/readyz");
    assert_eq!((answer.status, &answer.json()["error"]["code"]), (503, &json!("store_away")));
    let answer = router.post("/v1/events?tenant=acme", &events[300]);
    assert_eq!(answer.status, 503, "{}", answer.body);
    assert_eq!(answer.json()["error"]["code"], "store_away");
    assert!(
        answer.body.contains("nothing was accepted, send the request again"),
        "{}",
        answer.body
    );
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert_eq!(router.get("/healthz").status, 200);

    redis.restart();
    let ready = until(PATIENCE, || (router.get("/readyz").status == 200).then_some(()));
    ready.expect("it is ready again by itself");
    // As a producer does: an event answered with 503 was not accepted, and is sent again. A
    // connection that broke meanwhile may fail only when it is used.
    let sent = || match router.post("/v1/events?tenant=acme", &events[300]).status {
        202 => Some(()),
        503 => None,
        other => panic!("answered {other}"),
    };
    until(PATIENCE, sent).expect("it is accepted again");
    let deliveries = scene.settled("acme", events.len());
    assert_eq!(deliveries.len(), events.len());
    assert!(deliveries.iter().all(|delivery| delivery["state"] == "delivered"));
}

#[test]
fn a_folder_that_another_router_serves_is_refused_with_its_process_id() {
    let scene = Scene::embedded();
    let router = scene.start();
    let reason = scene.launch().refused();
    assert!(reason.contains("exit status: 3"), "{reason}");
    let holder = format!("already served by process {}", router.id());
    assert!(reason.contains(&holder) && reason.contains("--store"), "{reason}");
    // Other commands may use the folder.
    scene.run(&["events", "--rejected"]).ok();
}

/// A command in its own namespace, in which `folder` is a small file system that ends with the
/// process. Needs root or user namespaces.
fn mounted(folder: &Path, options: &str) -> Vec<String> {
    fs::create_dir_all(folder).expect("the scene's own folder");
    let unshare: &[&str] = if fs::metadata(folder).expect("just made").uid() == 0 {
        &["unshare", "--mount"]
    } else {
        &["unshare", "--user", "--map-root-user", "--mount"]
    };
    let script = "mount -t tmpfs -o \"$1\" fanfare-test \"$2\" && shift 2 && exec \"$@\"";
    let folder = folder.display().to_string();
    let rest = ["sh", "-c", script, "sh", options, &folder];
    unshare.iter().chain(&rest).map(|part| (*part).to_owned()).collect()
}

#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "mounts a file system of its own")]
fn a_read_only_folder_is_reported_with_what_is_needed() {
    let scene = Scene::embedded();
    let disk = scene.path("disk");
    let wrapper = mounted(&disk, "ro");
    let mut serve = command(&PathBuf::from(&wrapper[0]));
    serve.args(&wrapper[1..]).arg(programs::fanfare().expect("the binary"));
    serve.args(["serve", "--listen", "127.0.0.1:0", "--store"]).arg(disk.join("store"));
    serve.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = crate::support::Process::spawn(serve).output();
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    let error = Said { code: output.status.code(), out: String::new(), err }.refused(3);
    assert!(error.contains("the store cannot be written"), "{error}");
    assert!(error.contains("Fanfare needs to write there"), "{error}");
}

#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "mounts a file system of its own")]
fn a_full_disk_refuses_new_events_and_loses_no_accepted_one() {
    let hooks = receiver();
    let scene = Scene::embedded();
    scene.tenant("acme", &hooks_at(&hooks.url("/")));
    let disk = scene.path("disk");
    let launch = Fanfare::serve(disk.join("store"), &scene.tenants());
    let router = launch.behind(&mounted(&disk, "size=12m")).start();
    // The disk as the router sees it.
    let seen = |name: &str| {
        PathBuf::from(format!("/proc/{}/root", router.id()))
            .join(disk.join(name).strip_prefix("/").expect("an absolute path"))
    };
    fs::write(seen("ballast"), vec![1; 6 << 20]).expect("room for it");

    let large =
        |n: usize| event(&format!("evt_{n}"), "test.large", &json!({ "x": "x".repeat(200_000) }));
    let mut taken = 0;
    let refusal = loop {
        let answer = router.post("/v1/events?tenant=acme", &large(taken));
        if answer.status != 202 {
            break answer;
        }
        taken += 1;
        assert!(taken < 200, "the disk is never full");
    };
    assert_eq!(refusal.status, 503, "{}", refusal.body);
    assert_eq!(refusal.json()["error"]["code"], "store_full", "{}", refusal.body);
    assert!(refusal.body.contains("nothing was accepted"), "{}", refusal.body);
    assert!(taken > 5, "{taken} were taken");
    // Deliveries continue: room is kept for them.
    hooks.wait_for::<Hook>(taken, SOON);
    let log = router.stderr();
    assert_eq!(log.matches("new events are refused until there is room").count(), 1, "{log}");
    assert_eq!(router.get("/healthz").status, 200);

    fs::remove_file(seen("ballast")).expect("our own file");
    let again = until(PATIENCE, || {
        (router.post("/v1/events?tenant=acme", &large(taken)).status == 202).then_some(())
    });
    again.expect("with room again, it accepts events again");
    let came = hooks.wait_for::<Hook>(taken + 1, SOON);
    let ids: std::collections::BTreeSet<_> =
        came.iter().map(|h| &h.headers["webhook-id"]).collect();
    assert_eq!(ids.len(), taken + 1, "all accepted events, and no refused one");
    assert_eq!(came.len(), taken + 1, "each once");
    assert_eq!(router.stderr().matches("the store has room again").count(), 1);
}
