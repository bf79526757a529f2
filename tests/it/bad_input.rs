//! Bad input is refused alone and with its reason. Everything else continues.

mod stores;

use std::collections::BTreeMap;
use std::net::TcpListener;

use serde_json::{Value, json};

use crate::scene::{SOON, Scene, event, hooks_at, numbered, said};
use crate::support::{Hook, Mail, PATIENCE, Peer, Redis, run_peer, until};
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
    let strays: [&[(&str, &str)]; 5] = [
        &[("tenant", "nobody"), ("event", "{}")],
        &[("tenant", "NOT/A/NAME"), ("event", "{}")],
        &[("event", "{}")],
        &[("tenant", "acme"), ("payload", "{}")],
        &[("tenant", "acme"), ("tenant", "globex"), ("event", "{}")],
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
    let strays = ["unknown_tenant", "bad_tenant", "no_tenant", "no_event", "duplicate_field"];
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
            [": route 2 \"to nowhere\", to", "hooks"],
            [": route 3, events[0]", "kyc..created"],
            [": route 4, when.data.risk_score", ">>"],
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
    for (file, what) in [("one.toml", "is unknown; use one of"), ("two.toml", "[plan]")] {
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
    ] {
        let error = refusal.refused(1);
        assert!(error.contains(&format!("error: {no_such}")), "{error}");
    }
    let error = said(&["check", &nowhere]).refused(3);
    assert!(error.contains(&format!("{nowhere} does not exist; name a tenant file")), "{error}");
    let error = said(&["serve", "--listen", "127.0.0.1:0", "--store", "redis://h:port"]).refused(1);
    let expected = "error: store: the Redis URL is not understood; write redis://";
    assert!(error.contains(expected), "{error}");
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
        assert!(error.contains("bad.toml:") && error.contains(place), "{error}");
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
