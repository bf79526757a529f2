//! No template, draft, or schema stops the router or holds it up, whatever its author intends.

mod soak;

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::api::{Api, fields};
use crate::scene::{SOON, Scene, event, hooks_at, said};
use crate::support::{Hook, Mail, PATIENCE, Peer, until, usage};
use crate::verifiers::SECRET;

const PREVIEW: &str = "/v1/tenants/acme/templates/preview";

/// Loops that would run for hours over a list of 1,000.
fn loops() -> String {
    format!("{}{}", "{{#each @root.data.a}}".repeat(6), "{{/each}}".repeat(6))
}

fn draft(part: &str, source: &str) -> Value {
    json!({ "event": { "type": "kyc.session.created", "data": { "session_id": "s", "a": vec![1; 1_000] } },
        "parts": [part], "templates": { part: source } })
}

/// The server still answers, and quickly.
fn is_well(api: &Api) {
    let asked = Instant::now();
    assert_eq!(api.server.get("/healthz").status, 200);
    assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());
}

#[test]
fn drafts_need_the_role_admin_and_stored_templates_the_role_reader() {
    let mut api = Api::start();
    let (reader, admin) = (api.key("acme", "reader"), api.key("acme", "admin"));
    let body = draft("text", "Session {{data.session_id}}");
    api.with(&reader, |api| api.post(PREVIEW, &body).refused(403, "forbidden"));
    assert_eq!(api.with(&admin, |api| api.post(PREVIEW, &body).is(200))["text"], "Session s\n");
    let stored = json!({ "type": "kyc.session.created", "parts": ["subject"] });
    api.with(&reader, |api| api.post(PREVIEW, &stored).is(200));
    let large = draft("text", &"x".repeat(600_000));
    api.with(&admin, |api| assert_eq!(api.post(PREVIEW, &large).answer.status, 413));
}

#[test]
fn a_draft_that_is_too_deep_or_takes_too_long_is_refused_and_the_server_goes_on() {
    let api = Api::start();
    let nested = |open: &str, count: usize, close: &str| {
        format!("{}x{}", open.repeat(count), close.repeat(count))
    };
    let page = |inner: &str| format!("<mjml><mj-body>{inner}</mj-body></mjml>");
    for (part, source) in [
        ("text", format!("{{{{default {} 1}}}}", nested("(default ", 1_500, " 1)"))),
        ("text", nested("{{#if data}}", 3_000, "{{/if}}")),
        ("text", format!("{{{{#if data}}}}{}{{{{/if}}}}", "{{else if data}}".repeat(5_000))),
        ("html", page(&nested("<mj-raw>", 8_000, "</mj-raw>"))),
        ("slack", nested("{{#if data}}", 3_000, "{{/if}}")),
    ] {
        let error = api.post(PREVIEW, &draft(part, &source)).refused(422, "invalid_fields");
        assert!(error.to_string().contains("64"), "{error}");
    }
    let output = format!(
        "{}{}{}",
        "{{#each data.a}}",
        "{{#each @root.data.a}}xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx{{/each}}".repeat(2),
        "{{/each}}"
    );
    let before = usage::cpu_s(api.server.id()).expect("it runs");
    for source in [loops(), output] {
        // The samples have no list, so it is accepted.
        let guarded = format!("x{{{{#if (has (opt data.a))}}}}{source}{{{{/if}}}}");
        let error = api.post(PREVIEW, &draft("text", &guarded)).refused(422, "invalid_fields");
        let shown = error.to_string();
        assert!(shown.contains("steps") || shown.contains("bytes"), "{error}");
        assert!(shown.contains("email/kyc.session.created/text, line 1"), "{error}");
        is_well(&api);
    }
    // About 0.1 s when optimized.
    let used = usage::cpu_s(api.server.id()).expect("it runs") - before;
    assert!(used < 20.0, "{used} s of CPU");
}

#[test]
fn partials_that_multiply_are_refused_by_the_api_and_by_check() {
    let api = Api::start();
    let mut document = api.get("/v1/tenants/acme/document").is(200);
    let mut templates = serde_json::Map::new();
    templates.insert("email/k.one/subject.txt.hbs".to_owned(), json!("x{{> p1}}"));
    for level in 1..=8 {
        let body =
            if level < 8 { format!("{{{{> p{}}}}}", level + 1).repeat(60) } else { String::new() };
        templates.insert(format!("email/partials/p{level}.txt.hbs"), json!(body));
    }
    document["templates"] = Value::Object(templates.clone());
    let put = api.put("/v1/tenants/acme/document?dry_run=true", &document);
    let error = put.refused(422, "invalid_fields");
    assert!(error.to_string().contains("50000 pieces"), "{error}");
    is_well(&api);

    let lines = templates.iter().map(|(path, body)| format!("{path:?} = {body}\n"));
    let file = format!("[templates]\n{}", lines.collect::<String>());
    let path = api.scene.tenant("deep", &file).display().to_string();
    let error = said(&["check", &path]).refused(1);
    assert!(error.contains("50000 pieces"), "{error}");
}

#[test]
fn a_message_that_takes_too_long_is_dead_and_delays_nothing_else() {
    let hooks = Peer::start("http_receiver.mjs", &["--secret", SECRET]);
    let slack = Peer::start("slack_api.py", &["--channel", "C0123ABCD"]);
    let scene = Scene::embedded();
    scene.settings(&format!("[slack]\napi_url = \"{}\"\n", slack.url("/api/")));
    let destinations: String = ["one", "two", "three"]
        .map(|id| {
            format!(
                "[[destination]]\nid = \"{id}\"\nchannel = \"slack\"\ntoken = \"xoxb-test\"\n\
                 slack_channel = \"C0123ABCD\"\n"
            )
        })
        .concat();
    let message = format!(
        "{{ \"text\": \"x\",\n\"blocks\": [{{ \"type\": \"divider\", \"x\": \"{{{{#if (has (opt \
         data.a))}}}}{}{{{{/if}}}}\" }}] }}",
        loops()
    );
    scene.tenant(
        "acme",
        &format!(
            "{destinations}[[route]]\nevents = [\"a.*\"]\nto = [\"one\", \"two\", \"three\"]\n\
             [templates]\n\"slack/a.loops.json.hbs\" = {message:?}\n"
        ),
    );
    scene.tenant("globex", &hooks_at(&hooks.url("/")));
    let _router = scene.start();
    scene.send("acme", &[event("evt_loops", "a.loops", &json!({ "a": vec![1; 1_000] }))]).ok();
    scene.send("globex", &[event("evt_other", "k.one", &json!({}))]).ok();
    assert_eq!(hooks.wait_for::<Hook>(1, SOON).len(), 1);
    // Each dead delivery makes an event of its own.
    let deliveries = scene.settled("acme", 4);
    assert_eq!(deliveries.len(), 3);
    for delivery in deliveries {
        assert_eq!(
            (&delivery["state"], &delivery["reason"]),
            (&json!("dead"), &json!("render_failed"))
        );
        let id = delivery["id"].as_str().expect("an id");
        let shown = scene.run(&["deliveries", "--tenant", "acme", id]).ok();
        assert!(shown.contains("template slack/a.loops, line 2"), "{shown}");
        assert!(shown.contains("more than 1000000 steps"), "{shown}");
    }
}

#[test]
fn a_stored_template_that_is_too_deep_is_set_aside_and_the_rest_stays_in_force() {
    let mail = Peer::start("smtp_server.py", &[]);
    let scene = Scene::embedded();
    scene.settings(&format!(
        "[email]\nhost = \"127.0.0.1\"\nport = {}\nsecurity = \"none\"\nfrom = \"a@acme.example\"\n",
        mail.port()
    ));
    let file = scene.tenant(
        "acme",
        r#"
        [[destination]]
        id = "mail"
        channel = "email"
        to = ["mlro@acme.example"]
        [[route]]
        events = ["a.*"]
        to = ["mail"]
        [templates]
        "email/a.deep/subject.txt.hbs" = "Mine"
        "email/a.deep/body.txt.hbs" = "PLACE"
        "#,
    );
    scene.run(&["apply", &file.display().to_string()]).ok();
    std::fs::remove_file(file).expect("the scene's own");
    // A version without limits has accepted this, and aborted at it.
    let deep = format!("{}{}", "{{#if data}}".repeat(4_000), "{{/if}}".repeat(4_000));
    let store = std::path::Path::new(scene.store()).join("fanfare.db");
    let store = rusqlite::Connection::open(store).expect("the scene's own");
    let changed = store.execute(
        "UPDATE directory SET doc = CAST(replace(CAST(doc AS TEXT), 'PLACE', ?1) AS BLOB), \
         revision = revision + 1",
        [&deep],
    );
    assert_eq!(changed, Ok(1));
    drop(store);

    let router = scene.start();
    scene.send("acme", &[event("evt_1", "a.deep", &json!({ "note": "hello" }))]).ok();
    let mails: Vec<Mail> = mail.wait_for(1, PATIENCE);
    assert_eq!(mails[0].subject.as_deref(), Some("Mine"), "its other template is used");
    let said = until(PATIENCE, || {
        let said = router.stderr() + &router.stdout();
        said.contains("is set aside").then_some(said)
    });
    let said = said.expect("it is reported");
    assert!(said.contains("tenant acme, template email/a.deep/text"), "{said}");
}

#[test]
fn a_schema_that_branches_exponentially_is_refused_and_no_event_waits_for_it() {
    let api = Api::start();
    let definitions: serde_json::Map<String, Value> = (0..28)
        .map(|at| {
            let next = json!({ "$ref": format!("#/$defs/d{}", at + 1) });
            (format!("d{at}"), json!({ "anyOf": [next, next] }))
        })
        .chain([("d28".to_owned(), json!({ "type": "integer" }))])
        .collect();
    let path = "/v1/event-types/k.one";
    let body = |schema: Value| json!({ "description": "one", "schema": schema, "check": "reject" });
    let exponential = json!({ "$ref": "#/$defs/d0", "$defs": definitions });
    let error = api.put(path, &body(exponential)).refused(422, "invalid_fields");
    assert_eq!(fields(&error), ["schema"], "{error}");
    assert!(error.to_string().contains("branches too much"), "{error}");
    for pattern in ["^(?=.*a)(a|a)*$", r"^(a+)\1$"] {
        let error = api.put(path, &body(json!({ "properties": { "x": { "pattern": pattern } } })));
        assert_eq!(fields(&error.refused(422, "invalid_fields")), ["schema"]);
    }
    // A pattern that a backtracking engine does not end on is matched in linear time.
    let nested = json!({ "properties": { "x": { "pattern": "^(a+)+$" } } });
    api.put(path, &body(nested)).is(201);
    let data = json!({ "x": format!("{}b", "a".repeat(50_000)) });
    let sent = api.post("/v1/events?tenant=acme", &json!({ "type": "k.one", "data": data }));
    sent.refused(422, "schema_mismatch");
    // An event that is large for its schema is refused with the reason.
    let wide: serde_json::Map<String, Value> =
        (0..40).map(|at| (format!("p{at}"), json!({ "type": "integer" }))).collect();
    let all = vec![json!({ "properties": wide }); 30];
    api.call("PUT", path, &[], Some(&body(json!({ "items": { "allOf": all }, "properties": { "l": { "items": { "allOf": all } } } })))).is(200);
    let sent = api.post(
        "/v1/events?tenant=acme",
        &json!({ "type": "k.one", "data": { "l": vec![1; 60_000] } }),
    );
    let error = sent.refused(422, "schema_mismatch");
    assert!(error.to_string().contains("too many values"), "{error}");
    is_well(&api);
}
