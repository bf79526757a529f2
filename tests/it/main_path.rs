//! The main path, whole: real producers, the real router, real receivers, independent verifiers.

use std::collections::BTreeSet;
use std::thread;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

use crate::scene::{SOON, Scene, event, hooks_at, numbered};
use crate::support::{
    Hook, Mail, PATIENCE, Peer, Redis, SlackCall, request, run_peer, run_verifier_on_each,
};
use crate::verifiers::SECRET;

const SAMPLES: &str = include_str!("../../config/samples/kyc.ndjson");

/// The Ed25519 key of RFC 8463, appendix A.2, and its DNS record.
const DKIM_KEY: &str = "-----BEGIN PRIVATE KEY-----\n\
    MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n\
    -----END PRIVATE KEY-----\n";
const DKIM_RECORD: &str = "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";

/// One receiver of each channel; every event goes to all of them, to Slack by both its ways in.
struct Receivers {
    hooks: Peer,
    mail: Peer,
    slack: Peer,
}

impl Receivers {
    fn start() -> Self {
        thread::scope(|scope| {
            let hooks = scope.spawn(|| Peer::start("http_receiver.mjs", &["--secret", SECRET]));
            let mail = scope.spawn(|| Peer::start("smtp_server.py", &[]));
            let slack = Peer::start("slack_api.py", &["--channel", "C0123ABCD"]);
            let [hooks, mail] = [hooks, mail].map(|peer| peer.join().expect("a peer"));
            Self { hooks, mail, slack }
        })
    }

    fn settle_in(&self, scene: &Scene) {
        let key = scene.file("dkim.pem", DKIM_KEY);
        scene.settings(&format!(
            r#"
            [email]
            host = "127.0.0.1"
            port = {port}
            security = "none"
            from = "Acme KYC <kyc@acme.example>"
            hello_name = "fanfare.acme.example"
            unsubscribe_url = "https://acme.example/unsubscribe/{{token}}"
            [email.dkim]
            domain = "acme.example"
            selector = "fanfare"
            key_file = "{key}"
            [slack]
            api_url = "{slack}"
            "#,
            port = self.mail.port(),
            slack = self.slack.url("/api"),
        ));
        scene.tenant("acme", &self.table());
    }

    fn table(&self) -> String {
        let hooks = hooks_at(&self.hooks.url("/hooks/kyc"));
        let hook = self.slack.url("/services/T000/B000/XXXX");
        format!(
            r#"{hooks}
            [[destination]]
            id = "mail"
            channel = "email"
            to = ["mlro@acme.example"]

            [[destination]]
            id = "slack-hook"
            channel = "slack"
            url = "{hook}"
            rate = false

            [[destination]]
            id = "slack-bot"
            channel = "slack"
            token = "xoxb-test"
            slack_channel = "C0123ABCD"
            group_by = "data.session_id"
            rate = false

            [[route]]
            events = ["kyc.**"]
            to = ["mail", "slack-hook", "slack-bot"]
            "#
        )
    }

    /// Each event arrived everywhere once, and every independent library accepts it.
    fn all_accept(&self, lines: &[&str]) {
        self.webhooks_verify(lines);
        self.mails_verify(lines.len());
        self.slack_accepts(lines.len());
    }

    fn webhooks_verify(&self, lines: &[&str]) {
        let hooks: Vec<Hook> = self.hooks.wait_for(lines.len(), SOON);
        let bodies: BTreeSet<_> = hooks.iter().map(|hook| hook.body.as_str()).collect();
        assert_eq!(bodies, lines.iter().copied().collect(), "the bytes that were sent");
        assert_eq!(hooks.len(), lines.len(), "each once");
        for hook in &hooks {
            // Octokit's library and npm's standardwebhooks, in the receiver.
            assert!(hook.hub.ok && hook.standard.ok, "{hook:?}");
            let body: Value = serde_json::from_str(&hook.body).expect("JSON");
            assert_eq!(hook.headers["x-webhook-id"], body["id"]);
            assert_eq!(hook.headers["webhook-id"], body["id"]);
            assert_eq!(hook.headers["x-webhook-timestamp"], body["created"].to_string());
            assert_eq!(hook.headers["user-agent"], "KYC-Webhooks/1.0");
            assert_eq!(hook.headers["content-type"], "application/json");
            assert_eq!((hook.method.as_str(), hook.path.as_str()), ("POST", "/hooks/kyc"));
        }
        let ask = |hook: &Hook| json!({ "secret": SECRET, "headers": hook.headers, "body_base64": hook.body_base64 });
        let questions: Vec<_> = hooks.iter().map(ask).collect();
        for verdict in run_verifier_on_each("verify_standardwebhooks.py", &questions) {
            verdict.expect("PyPI's standardwebhooks accepts it");
        }
    }

    fn mails_verify(&self, count: usize) {
        let mails: Vec<Mail> = self.mail.wait_for(count, SOON);
        assert_eq!(mails.len(), count, "each once");
        let ids: BTreeSet<_> = mails.iter().map(|mail| mail.header("message-id")).collect();
        assert_eq!(ids.len(), count, "each has an id of its own");
        for mail in &mails {
            assert_eq!(mail.answer, 250);
            assert!(mail.defects.is_empty(), "{:?}", mail.defects);
            assert_eq!(mail.recipients, ["mlro@acme.example"]);
            assert_eq!(mail.header("from"), Some("\"Acme KYC\" <kyc@acme.example>"));
            assert_eq!(mail.header("auto-submitted"), Some("auto-generated"));
            assert_eq!(mail.header("list-unsubscribe-post"), Some("List-Unsubscribe=One-Click"));
            let (text, html) = (mail.text.as_deref(), mail.html.as_deref());
            let (text, html) = (text.expect("a text part"), html.expect("an HTML part"));
            assert!(html.contains("<html") && text.len() > 40, "{text}\n{html}");
            assert!(!text.contains("{{") && !html.contains("{{"), "{text}\n{html}");
        }
        let dns = json!({ "fanfare._domainkey.acme.example": DKIM_RECORD });
        let ask = |mail: &Mail| json!({ "raw": mail.raw, "dns": dns });
        let questions: Vec<_> = mails.iter().map(ask).collect();
        for verdict in run_verifier_on_each("verify_dkim.py", &questions) {
            let found = verdict.expect("dkimpy accepts it");
            let signed = found["signatures"][0]["headers"].to_string();
            for header in ["from", "subject", "list-unsubscribe", "list-unsubscribe-post"] {
                assert!(signed.contains(&format!("\"{header}\"")), "{header} in {signed}");
            }
        }
    }

    fn slack_accepts(&self, count: usize) {
        let calls: Vec<SlackCall> = self.slack.wait_for(2 * count, SOON);
        for way in ["webhook", "chat.postMessage"] {
            let calls = calls.iter().filter(|call| call.method == way).count();
            assert_eq!(calls, count, "each once by {way}");
        }
        for call in &calls {
            assert!(call.status == 200 && call.faults.is_empty(), "{call:?}");
            assert!(call.answer == "ok" || call.answer["ok"] == true, "{call:?}");
        }
        let messages: Vec<_> = calls.iter().filter_map(|call| call.message.clone()).collect();
        for verdict in run_verifier_on_each("verify_slack_blocks.py", &messages) {
            let found = verdict.expect("slack_sdk accepts it");
            assert!(found["blocks"].as_array().is_some_and(|blocks| blocks.len() > 1), "{found}");
        }
        let threaded = |call: &&SlackCall| {
            call.message.as_ref().is_some_and(|message| message.get("thread_ts").is_some())
        };
        let replies = calls.iter().filter(threaded).count();
        assert!(replies > 0, "further events of a session go into its thread");
    }
}

/// What the ledger says of it: each event to each destination, delivered at the first attempt.
fn ledger_agrees(scene: &Scene, lines: &[&str]) {
    let deliveries = scene.settled("acme", lines.len());
    assert_eq!(deliveries.len(), 4 * lines.len());
    for delivery in deliveries {
        assert_eq!(delivery["state"], "delivered", "{delivery:#}");
        assert_eq!(delivery["attempts"].as_array().map(Vec::len), Some(1), "{delivery:#}");
    }
}

#[test]
fn what_a_plain_redis_client_adds_reaches_every_channel_and_every_verifier_accepts_it() {
    let redis = Redis::start();
    let receivers = Receivers::start();
    let scene = Scene::on(&redis);
    receivers.settle_in(&scene);
    let _router = scene.start();
    let file = scene.file("samples.ndjson", SAMPLES);
    run_peer("add_events.py", &["--url", &redis.url(), "--tenant", "acme", &file]);

    let lines: Vec<_> = SAMPLES.lines().collect();
    receivers.all_accept(&lines);
    ledger_agrees(&scene, &lines);
}

#[test]
fn what_is_sent_by_command_and_over_http_into_a_folder_reaches_every_channel_too() {
    let receivers = Receivers::start();
    let scene = Scene::embedded();
    receivers.settle_in(&scene);
    let router = scene.start();
    let lines: Vec<_> = SAMPLES.lines().collect();

    let file = scene.file("first.ndjson", lines[..4].join("\n"));
    assert_eq!(scene.run(&["send", "--tenant", "acme", &file]).ok(), "4 sent\n");
    for line in &lines[4..6] {
        let answer = router.post("/v1/events?tenant=acme", line);
        assert_eq!(answer.status, 202, "{}", answer.body);
        assert_eq!(answer.json()["data"]["outcome"], "accepted");
    }
    let batch = format!("[{}]", lines[6..8].join(","));
    let wrapped = format!("{{\"events\": [{}]}}", lines[8..10].join(","));
    for batch in [batch, wrapped] {
        let answer = router.post("/v1/events?tenant=acme", &batch);
        assert_eq!((answer.status, &answer.json()["data"]["accepted"]), (202, &json!(2)));
    }
    let headers = [("content-type", "application/x-ndjson"), ("fanfare-tenant", "acme")];
    let rest = lines[10..].join("\n");
    let answer = request(router.address(), "POST", "/v1/events", &headers, rest.as_bytes());
    let accepted = answer.expect("an answer").json()["data"]["accepted"].clone();
    assert_eq!(accepted, lines.len() - 10);

    receivers.all_accept(&lines);
    ledger_agrees(&scene, &lines);
}

#[test]
fn digests_arrive_by_their_schedule_and_account_for_every_event() {
    const EVENTS: usize = 40;
    let mail = Peer::start("smtp_server.py", &[]);
    let scene = Scene::embedded();
    scene.settings(&format!(
        "[email]\nhost = \"127.0.0.1\"\nport = {}\nsecurity = \"none\"\n\
         from = \"kyc@acme.example\"\n",
        mail.port()
    ));
    scene.tenant(
        "acme",
        r#"
        [[destination]]
        id = "daily"
        channel = "email"
        to = ["mlro@acme.example", "compliance@acme.example"]
        digest = { schedule = "*/3 * * * * *", timezone = "Europe/Madrid" }
        [[route]]
        events = ["**"]
        to = ["daily"]
        "#,
    );
    let _router = scene.start();
    let events = numbered(EVENTS);
    scene.send("acme", &events[..15]).ok();
    mail.wait_for::<Mail>(1, SOON);
    scene.send("acme", &events[15..]).ok();

    let deliveries = scene.settled("acme", EVENTS);
    assert_eq!(deliveries.len(), 2 * EVENTS);
    assert!(deliveries.iter().all(|delivery| delivery["state"] == "delivered"));
    let all: BTreeSet<_> = (0..EVENTS).map(|n| format!("evt_{n}")).collect();
    for recipient in ["mlro@acme.example", "compliance@acme.example"] {
        let mails: Vec<Mail> = mail.received();
        let own: Vec<_> = mails.iter().filter(|mail| mail.recipients == [recipient]).collect();
        let listed: Vec<_> = own.iter().flat_map(|mail| listed(mail)).collect();
        assert_eq!(listed.len(), EVENTS, "each event is in one digest");
        assert_eq!(listed.iter().cloned().collect::<BTreeSet<_>>(), all);
        for what in ["Received", "In this email"] {
            let sum: usize = own.iter().map(|mail| stated(mail, what)).sum();
            assert_eq!(sum, EVENTS, "and is counted there: {what}");
        }
        assert!(own.len() >= 2 && own.len() < EVENTS, "{} digests", own.len());
    }
}

/// The event ids in a digest's CSV file.
fn listed(mail: &Mail) -> Vec<String> {
    let file = &mail.attachments[0];
    assert_eq!(file.content_type, "text/csv");
    let csv = BASE64.decode(&file.content).expect("base64");
    let mut reader = csv::Reader::from_reader(&csv[..]);
    reader.records().map(|row| row.expect("CSV")[1].to_owned()).collect()
}

/// A number that a digest's text states.
fn stated(mail: &Mail, what: &str) -> usize {
    let text = mail.text.as_deref().expect("a text part");
    let line = text.lines().find_map(|line| line.strip_prefix(what));
    line.and_then(|rest| rest.trim().parse().ok()).unwrap_or_else(|| panic!("no {what}: {text}"))
}

/// The same id by every way into `scene`'s store, before and after it was delivered. `told` says
/// whether the store knows it for a duplicate before it is read; else the router finds out then.
fn delivers_a_duplicate_once(scene: &Scene, told: bool, add: &dyn Fn(&str)) {
    let hooks = Peer::start("http_receiver.mjs", &["--secret", SECRET]);
    scene.tenant("acme", &hooks_at(&hooks.url("/")));
    let router = scene.start();
    let one = event("evt_one", "test.one", &json!({}));
    let again = |when: &str| {
        let sent = scene.send("acme", std::slice::from_ref(&one)).ok();
        let single = router.post("/v1/events?tenant=acme", &one).json();
        let batch = router.post("/v1/events?tenant=acme", &format!("[{one},{one}]")).json();
        if told || when == "later" {
            assert_eq!(sent, "0 sent, 1 duplicate\n", "{when}");
            assert_eq!(single["data"]["outcome"], "duplicate", "{when}");
            assert_eq!(batch["data"]["duplicates"], 2, "{when}");
        }
        add(&one);
    };
    assert_eq!(router.post("/v1/events?tenant=acme", &one).json()["data"]["outcome"], "accepted");
    again("at once");
    hooks.wait_for::<Hook>(1, PATIENCE);
    scene.settled("acme", 1);
    again("later");

    // What comes behind them shows that they are through.
    add(&event("evt_last", "test.last", &json!({})));
    scene.settled("acme", 2);
    let seen: Vec<Hook> = hooks.wait_for(2, PATIENCE);
    let ids: Vec<_> = seen.iter().map(|hook| hook.headers["webhook-id"].as_str()).collect();
    assert_eq!(ids, ["evt_one", "evt_last"]);
}

#[test]
fn the_same_id_by_every_way_into_redis_is_delivered_once() {
    let redis = Redis::start();
    let scene = Scene::on(&redis);
    delivers_a_duplicate_once(&scene, false, &|event| {
        let file = scene.file("twice.ndjson", format!("{event}\n{event}\n"));
        run_peer("add_events.py", &["--url", &redis.url(), "--tenant", "acme", &file]);
    });
}

#[test]
fn the_same_id_by_every_way_into_a_folder_is_delivered_once() {
    let scene = Scene::embedded();
    delivers_a_duplicate_once(&scene, true, &|event| {
        scene.send("acme", &[event.to_owned(), event.to_owned()]).ok();
    });
}

#[test]
fn receivers_that_fail_at_first_get_everything_later() {
    const EVENTS: usize = 6;
    let hooks = Peer::start(
        "http_receiver.mjs",
        &["--secret", SECRET, "--fail-first", "4", "503", "--retry-after", "1"],
    );
    let mail = Peer::start("smtp_server.py", &["--fail-first", "3", "451"]);
    let slack =
        Peer::start("slack_api.py", &["--fail-first", "2", "ratelimited", "--retry-after", "1"]);
    let scene = Scene::embedded();
    let receivers = Receivers { hooks, mail, slack };
    receivers.settle_in(&scene);
    // Without the bot, and with waits that suit a test.
    let table = receivers.table().replace(", \"slack-bot\"]", "]");
    let soon = "retry = [\"300ms\", \"300ms\", \"300ms\", \"300ms\", \"300ms\", \"300ms\"]\n";
    let table = ["channel = \"email\"", "channel = \"slack\""]
        .iter()
        .fold(table, |table, line| table.replace(line, &format!("{line}\n{soon}")));
    scene.tenant("acme", &table);
    let _router = scene.start();
    let lines: Vec<_> = SAMPLES.lines().take(EVENTS).map(str::to_owned).collect();
    scene.send("acme", &lines).ok();

    let deliveries = scene.settled("acme", EVENTS);
    assert_eq!(deliveries.len(), 3 * EVENTS);
    let mut again = BTreeSet::new();
    for delivery in &deliveries {
        assert_eq!(delivery["state"], "delivered", "{delivery:#}");
        let attempts = delivery["attempts"].as_array().expect("a list");
        assert_eq!(attempts.last().expect("at least one")["code"], "ok");
        if attempts.len() > 1 {
            again.insert(delivery["channel"].as_str().expect("a name"));
        }
    }
    assert_eq!(again, ["email", "slack", "webhook"].into());
}

#[test]
fn a_receiver_that_hangs_delays_no_other() {
    let hung = Peer::start("http_receiver.mjs", &["--secret", SECRET, "--hang"]);
    let hooks = Peer::start("http_receiver.mjs", &["--secret", SECRET]);
    let scene = Scene::embedded();
    let other = hooks_at(&hung.url("/")).replace("\"hooks\"", "\"hung\"");
    scene.tenant("acme", &(hooks_at(&hooks.url("/")) + &other));
    let _router = scene.start();
    // More than the hung one may hold in flight.
    let events = numbered(200);
    scene.send("acme", &events).ok();
    hooks.wait_for::<Hook>(events.len(), SOON);
    let waiting = hung.received::<Hook>().iter().all(|hook| hook.status.is_none());
    assert!(waiting, "it still hangs");
}
