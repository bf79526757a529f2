//! The receivers do what they say: they take what is right, refuse what is not, fail as scripted.

use std::process::Stdio;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use tempfile::NamedTempFile;

use crate::support::{
    Answer, Hook, Mail, PATIENCE, Peer, Process, Redis, SlackCall, Verdict, bin, command, request,
    run_peer, run_verifier, run_verifier_on_each,
};
use crate::verifiers::{SECRET, hub_signature, standard_headers};

const BODY: &str = r#"{"id":"evt_1","type":"kyc.session.created","created":1,"data":{}}"#;

/// Posts [`BODY`] with both signatures made with `secret`.
fn post_hook(peer: &Peer, secret: &str) -> Answer {
    let [id, time, signature] = standard_headers(secret, "evt_1", BODY, 0);
    let hub = hub_signature(secret, BODY);
    let headers = [
        ("webhook-id", id.as_str()),
        ("webhook-timestamp", &time),
        ("webhook-signature", &signature),
        ("x-webhook-signature", &hub),
    ];
    request(peer.address(), "POST", "/hooks/kyc", &headers, BODY.as_bytes()).expect("an answer")
}

#[test]
fn the_webhook_receiver_takes_only_what_both_libraries_accept() {
    let peer = Peer::start("http_receiver.mjs", &["--secret", SECRET]);
    assert_eq!(post_hook(&peer, SECRET).status, 200);
    assert_eq!(post_hook(&peer, "whsec_ICEiIyQlJicoKSorLC0uLw==").status, 401);

    let seen: Vec<Hook> = peer.wait_for(2, PATIENCE);
    assert!(seen[0].standard.ok && seen[0].hub.ok);
    assert_eq!((seen[0].path.as_str(), seen[0].body.as_str()), ("/hooks/kyc", BODY));
    assert_eq!(BASE64.decode(&seen[0].body_base64).expect("base64"), BODY.as_bytes());
    assert!(!seen[1].standard.ok && !seen[1].hub.ok);
    assert!(seen[1].standard.error.is_some() && seen[1].hub.error.is_some());
}

#[test]
fn the_webhook_receiver_takes_either_secret_of_a_rotation() {
    let old = "whsec_ICEiIyQlJicoKSorLC0uLw==";
    let peer = Peer::start("http_receiver.mjs", &["--secret", SECRET, "--secret", old]);
    assert_eq!(post_hook(&peer, SECRET).status, 200);
    assert_eq!(post_hook(&peer, old).status, 200);
}

#[test]
fn the_webhook_receiver_fails_as_scripted_and_then_recovers() {
    let args = ["--secret", SECRET, "--fail-first", "2", "503", "--retry-after", "7"];
    let peer = Peer::start("http_receiver.mjs", &args);
    let answers: Vec<_> = (0..3).map(|_| post_hook(&peer, SECRET)).collect();
    assert_eq!(answers.iter().map(|answer| answer.status).collect::<Vec<_>>(), [503, 503, 200]);
    assert_eq!(answers[0].header("Retry-After"), Some("7"));
    assert_eq!(answers[2].header("Retry-After"), None);
}

const MAIL: &str = "From: Fanfare <kyc@acme.example>\r\n\
    To: mlro@acme.example\r\n\
    Subject: =?utf-8?q?Pr=C3=BCfung?=\r\n\
    Message-ID: <dlv_1@acme.example>\r\n\
    MIME-Version: 1.0\r\n\
    Content-Type: multipart/mixed; boundary=M\r\n\
    \r\n\
    --M\r\nContent-Type: multipart/alternative; boundary=A\r\n\r\n\
    --A\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nHello \u{14c}kubo\r\n.dot\r\n\
    --A\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>Hello</p>\r\n--A--\r\n\
    --M\r\nContent-Type: text/csv\r\nContent-Disposition: attachment; filename=list.csv\r\n\r\n\
    a,b\r\n--M--\r\n";

/// [`MAIL`], to be sent by Python's own client.
fn mail_to(peer: &Peer, login: &Value) -> Value {
    json!({
        "port": peer.port(), "from": "kyc@acme.example", "to": ["mlro@acme.example"],
        "raw": BASE64.encode(MAIL), "ca": peer.ca(), "login": login
    })
}

/// Sends [`MAIL`] twice; what came of each.
fn send_two(peer: &Peer) -> [Verdict; 2] {
    let question = mail_to(peer, &Value::Null);
    let verdicts = run_verifier_on_each("send_mail.py", &[question.clone(), question]);
    verdicts.try_into().expect("two answers")
}

#[test]
fn the_smtp_peer_shows_every_part_of_a_mail_and_its_very_bytes() {
    let peer = Peer::start("smtp_server.py", &[]);
    run_verifier("send_mail.py", &mail_to(&peer, &Value::Null)).expect("a mail that is taken");

    let mail: Mail = peer.wait_for(1, PATIENCE).remove(0);
    assert_eq!(mail.sender, "kyc@acme.example");
    assert_eq!(mail.recipients, ["mlro@acme.example"]);
    assert_eq!(mail.subject.as_deref(), Some("Prüfung"));
    assert_eq!(mail.header("message-id"), Some("<dlv_1@acme.example>"));
    assert_eq!(mail.text.as_deref().map(str::trim_end), Some("Hello Ōkubo\n.dot"));
    assert_eq!(mail.html.as_deref().map(str::trim_end), Some("<p>Hello</p>"));
    assert_eq!(mail.attachments[0].filename.as_deref(), Some("list.csv"));
    assert_eq!(mail.attachments[0].content_type, "text/csv");
    assert_eq!(BASE64.decode(&mail.attachments[0].content).expect("base64"), b"a,b");
    assert!(mail.defects.is_empty(), "{:?}", mail.defects);
    assert_eq!(BASE64.decode(&mail.raw).expect("base64"), MAIL.as_bytes());
    assert!(!mail.tls && mail.user.is_none() && mail.answer == 250);
}

#[test]
fn the_smtp_peer_demands_tls_and_the_right_password() {
    let auth = ["--starttls", "--auth", "fanfare", "secret"];
    let peer = Peer::start("smtp_server.py", &auth);
    let logins = [json!(["fanfare", "wrong"]), Value::Null, json!(["fanfare", "secret"])];
    let questions = logins.map(|login| mail_to(&peer, &login));
    let [wrong, none, right] =
        run_verifier_on_each("send_mail.py", &questions).try_into().expect("three answers");
    let refusals = [wrong.expect_err("a wrong password"), none.expect_err("no password")];
    assert_eq!([&refusals[0][..3], &refusals[1][..3]], ["535", "530"]);
    right.expect("the right password");

    let seen: Vec<Mail> = peer.wait_for(1, PATIENCE);
    assert_eq!(seen.len(), 1);
    assert!(seen[0].tls);
    assert_eq!(seen[0].user.as_deref(), Some("fanfare"));
}

#[test]
fn the_smtp_peer_fails_as_scripted_and_then_recovers() {
    for at in ["mail", "rcpt", "data"] {
        let peer = Peer::start("smtp_server.py", &["--fail-first", "1", "451", "--fail-at", at]);
        let [first, second] = send_two(&peer);
        let refusal = first.expect_err(at);
        assert!(refusal.starts_with("451"), "{at}: {refusal}");
        second.expect("the second mail");
    }
}

#[test]
fn the_smtp_peer_refuses_a_recipient_for_ever() {
    let peer = Peer::start("smtp_server.py", &["--refuse", "MLRO@acme.example", "550"]);
    for verdict in send_two(&peer) {
        let refusal = verdict.expect_err("a refused recipient");
        assert!(refusal.starts_with("550"), "{refusal}");
    }
    assert!(peer.received::<Mail>().is_empty());
}

#[test]
fn postfixs_own_client_gets_its_mail_through_to_the_smtp_peer() {
    let peer = Peer::start("smtp_server.py", &[]);
    let mut source = command(&bin("smtp-source"));
    source.args(["-m", "20", "-s", "4", "-t", "mlro@acme.example"]);
    source.arg(format!("127.0.0.1:{}", peer.port()));
    source.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = Process::spawn(source).output();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let seen: Vec<Mail> = peer.wait_for(20, PATIENCE);
    assert!(seen.iter().all(|mail| mail.recipients == ["mlro@acme.example"]));
}

const HOOK: &str = "/services/T000/B000/XXXX";

fn slack(peer: &Peer, path: &str, token: &str, message: &Value) -> Answer {
    let bearer = format!("Bearer {token}");
    let headers = [("content-type", "application/json"), ("authorization", bearer.as_str())];
    let body = message.to_string();
    request(peer.address(), "POST", path, &headers, body.as_bytes()).expect("an answer")
}

#[test]
fn the_slack_peer_answers_an_incoming_webhook_as_slack_does() {
    let peer = Peer::start("slack_api.py", &[]);
    let post = |path: &str, message: Value| {
        let answer = slack(&peer, path, "", &message);
        (answer.status, answer.body)
    };
    let is = |status: u16, word: &str| (status, word.to_owned());
    let bad = json!({ "text": "x", "blocks": [{ "type": "section" }] });
    assert_eq!(post(HOOK, json!({ "text": "Hello" })), is(200, "ok"));
    assert_eq!(post(HOOK, json!({})), is(400, "no_text"));
    assert_eq!(post(HOOK, bad), is(400, "invalid_blocks"));
    assert_eq!(post(HOOK, json!("Hello")), is(400, "invalid_payload"));
    assert_eq!(post("/services/T000/B000/GONE", json!({ "text": "x" })), is(404, "no_service"));

    let seen: Vec<SlackCall> = peer.wait_for(5, PATIENCE);
    assert_eq!(seen[0].method, "webhook");
    assert_eq!(seen[0].message, Some(json!({ "text": "Hello" })));
    assert!(seen[0].faults.is_empty());
    assert!(seen[2].faults[0].starts_with("[/blocks/0]"), "{:?}", seen[2].faults);
}

#[test]
fn the_slack_peer_keeps_threads_and_lets_its_own_messages_be_changed() {
    let peer = Peer::start("slack_api.py", &["--token", "xoxb-1", "--archived", "C0OLD"]);
    let call = |method: &str, token: &str, message: Value| {
        slack(&peer, &format!("/api/{method}"), token, &message).json()
    };
    let first = call("chat.postMessage", "xoxb-1", json!({ "channel": "C0TEST", "text": "one" }));
    assert_eq!(first["ok"], true);
    let ts = &first["ts"];
    let reply = json!({ "channel": "C0TEST", "text": "two", "thread_ts": ts });
    assert_eq!(call("chat.postMessage", "xoxb-1", reply)["message"]["thread_ts"], *ts);
    let change = json!({ "channel": "C0TEST", "text": "three", "ts": ts });
    assert_eq!(call("chat.update", "xoxb-1", change)["ts"], *ts);

    let message = |channel: &str| json!({ "channel": channel, "text": "x" });
    let refusals = [
        ("chat.postMessage", "xoxb-2", message("C0TEST"), "invalid_auth"),
        ("chat.postMessage", "xoxb-1", message("C0NONE"), "channel_not_found"),
        ("chat.postMessage", "xoxb-1", message("C0OLD"), "is_archived"),
        ("chat.postMessage", "xoxb-1", json!({ "channel": "C0TEST" }), "no_text"),
        ("chat.update", "xoxb-1", message("C0TEST"), "message_not_found"),
        ("chat.shout", "xoxb-1", message("C0TEST"), "unknown_method"),
    ];
    for (method, token, message, error) in refusals {
        let answer = call(method, token, message);
        assert_eq!((&answer["ok"], &answer["error"]), (&json!(false), &json!(error)));
    }
}

#[test]
fn the_slack_peer_fails_as_scripted_and_then_recovers() {
    let args = ["--fail-first", "1", "ratelimited", "--retry-after", "30"];
    let peer = Peer::start("slack_api.py", &args);
    let message = json!({ "channel": "C0TEST", "text": "x" });
    let answer = slack(&peer, "/api/chat.postMessage", "xoxb-test", &message);
    assert_eq!((answer.status, answer.header("Retry-After")), (429, Some("30")));
    assert_eq!(answer.json()["error"], "ratelimited");
    let answer = slack(&peer, "/api/chat.postMessage", "xoxb-test", &message);
    assert_eq!((answer.status, answer.json()["ok"].as_bool()), (200, Some(true)));

    let peer = Peer::start("slack_api.py", &["--refuse-blocks"]);
    let rich = json!({ "text": "x", "blocks": [{ "type": "divider" }] });
    assert_eq!(slack(&peer, HOOK, "", &rich).body, "invalid_blocks");
    assert_eq!(slack(&peer, HOOK, "", &json!({ "text": "x" })).body, "ok");
}

/// An entry of a stream: its id, and its fields in order.
type Entry = (String, Vec<(String, Vec<u8>)>);

#[test]
fn a_plain_redis_client_adds_the_events_of_a_file_byte_for_byte() {
    let redis = Redis::start();
    let file = NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), b"{\"id\":\"evt_1\"}\n\n{\"id\":\"\xff\"}\n").expect("written");
    let path = file.path().to_str().expect("a plain path");
    let said = run_peer("add_events.py", &["--url", &redis.url(), "--tenant", "acme", path]);
    assert_eq!(said["added"], 2);

    let entries: Vec<Entry> = redis::cmd("XRANGE")
        .arg(&["fanfare:events", "-", "+"])
        .query(&mut redis.connection())
        .expect("a stream");
    assert_eq!(said["ids"][0], *entries[0].0);
    assert_eq!(entries[0].1[0], ("tenant".to_owned(), b"acme".to_vec()));
    assert_eq!(entries[1].1[1], ("event".to_owned(), b"{\"id\":\"\xff\"}".to_vec()));
}

#[test]
#[should_panic(expected = "has only received 0")]
fn waiting_for_what_never_comes_says_what_came() {
    let peer = Peer::start("slack_api.py", &[]);
    peer.wait_for::<SlackCall>(1, Duration::from_millis(50));
}

#[test]
fn a_peer_that_cannot_start_is_reported_at_once() {
    let start = Instant::now();
    let failed =
        std::panic::catch_unwind(|| Peer::start("http_receiver.mjs", &["--no-such-thing"]));
    let message = failed.err().and_then(|panic| panic.downcast::<String>().ok());
    let message = message.expect("a panic with a message");
    assert!(message.contains("unknown option --no-such-thing"), "{message}");
    assert!(start.elapsed() < PATIENCE);
}
