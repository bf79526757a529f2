//! The verifiers accept what is right and refuse what is not; otherwise their word on Fanfare's
//! output would be worth nothing.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::support::{run_verifier, run_verifier_on_each};

/// A secret as Standard Webhooks writes it.
pub(crate) const SECRET: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any key will do");
    mac.update(message);
    mac.finalize().into_bytes().to_vec()
}

/// `sha256=…` over the body, the secret's text being the key.
pub(crate) fn hub_signature(secret: &str, body: &str) -> String {
    format!("sha256={}", hex::encode(hmac(secret.as_bytes(), body.as_bytes())))
}

/// The three headers of Standard Webhooks, signed `age` seconds ago.
pub(crate) fn standard_headers(secret: &str, id: &str, body: &str, age: u64) -> [String; 3] {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let time = (now - age).to_string();
    let key = BASE64.decode(secret.trim_start_matches("whsec_")).expect("base64");
    let signature = BASE64.encode(hmac(&key, format!("{id}.{time}.{body}").as_bytes()));
    [id.to_owned(), time, format!("v1,{signature}")]
}

fn standard_question(secret: &str, body: &str, age: u64) -> Value {
    let [id, time, signature] = standard_headers(SECRET, "evt_1", body, age);
    let headers = json!({
        "webhook-id": id, "webhook-timestamp": time, "webhook-signature": signature
    });
    json!({ "secret": secret, "headers": headers, "body": body })
}

#[test]
fn both_standard_webhooks_libraries_accept_the_right_signature_alone() {
    let right = standard_question(SECRET, r#"{"name":"Ōkubo"}"#, 0);
    let mut changed = right.clone();
    changed["body"] = r#"{"name":"Okubo"}"#.into();
    let other = standard_question("whsec_ICEiIyQlJicoKSorLC0uLw==", "{}", 0);
    let replayed = standard_question(SECRET, "{}", 3600);
    let questions = [right, changed, other, replayed];
    for verifier in ["verify_standardwebhooks.py", "verify_standardwebhooks.mjs"] {
        let [right, changed, other, replayed] =
            run_verifier_on_each(verifier, &questions).try_into().expect("four answers");
        right.expect("a right signature");
        changed.expect_err("another body");
        other.expect_err("another secret");
        let reason = replayed.expect_err("an hour old");
        assert!(reason.contains("too old"), "{reason}");
    }
}

#[test]
fn octokit_accepts_the_right_signature_alone() {
    let body = r#"{"name":"Ōkubo"}"#;
    let right = json!({ "secret": SECRET, "signature": hub_signature(SECRET, body), "body": body });
    let mut as_bytes = right.clone();
    as_bytes.as_object_mut().expect("an object").remove("body");
    as_bytes["body_base64"] = BASE64.encode(body).into();
    let wrong = [("body", "{}"), ("secret", "whsec_other"), ("signature", "sha256=00")];
    let wrong = wrong.map(|(field, value)| {
        let mut question = right.clone();
        question[field] = value.into();
        question
    });

    let questions = [&[right, as_bytes], wrong.as_slice()].concat();
    let verdicts = run_verifier_on_each("verify_octokit.mjs", &questions);
    let accepted: Vec<_> = verdicts.iter().map(Result::is_ok).collect();
    assert_eq!(accepted, [true, true, false, false, false], "{verdicts:?}");
}

#[test]
#[should_panic(expected = "verify_octokit.mjs broke")]
fn a_verifier_that_breaks_is_not_taken_for_a_refusal() {
    let _ = run_verifier("verify_octokit.mjs", &json!({ "secret": SECRET, "signature": "x" }));
}

#[test]
#[should_panic(expected = "verify_dkim.py broke")]
fn a_python_verifier_that_breaks_is_not_taken_for_a_refusal() {
    let _ = run_verifier("verify_dkim.py", &json!({}));
}

/// The example of RFC 8463, appendix A: a message with an Ed25519 and an RSA signature.
fn rfc8463(change: impl Fn(String) -> String) -> Value {
    const ED25519: &str = "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
    const RSA: &str = "v=DKIM1; k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWRiGs5V6Np\
                       P3idY6Wk08a5qhdR6wy5bdOKb2jLQiY/J16JYi0Qvx/byYzCNb3W91y3FutACDfzwQ/BC/e/8uBsC\
                       R+yz1Lxj+PL6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G+2kryOTIKT+l/K4w3QID\
                       AQAB";
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peers/fixtures/rfc8463.eml");
    let mail = fs::read_to_string(path).expect("the fixture").replace('\n', "\r\n");
    json!({
        "raw": BASE64.encode(change(mail)),
        "dns": {
            "brisbane._domainkey.football.example.com": ED25519,
            "test._domainkey.football.example.com": RSA
        }
    })
}

#[test]
fn dkimpy_accepts_the_rfcs_own_example_and_refuses_a_change_to_it() {
    let found = run_verifier("verify_dkim.py", &rfc8463(|mail| mail)).expect("the RFC's example");
    assert_eq!(found["signatures"][0]["algorithm"], "ed25519-sha256");
    assert_eq!(found["signatures"][1]["algorithm"], "rsa-sha256");
    assert_eq!(found["signatures"][1]["headers"][2], "subject");

    let refused = [
        rfc8463(|mail| mail.replace("hungry", "thirsty")),
        rfc8463(|mail| mail.replace("dinner", "supper")),
        rfc8463(|mail| mail.replace("s=test", "s=none")),
        rfc8463(|mail| mail[mail.find("From:").expect("a From header")..].to_owned()),
    ];
    let reasons: Vec<_> = run_verifier_on_each("verify_dkim.py", &refused)
        .into_iter()
        .map(|verdict| verdict.expect_err("a change that breaks a signature"))
        .collect();
    assert_eq!(reasons[3], "no DKIM-Signature", "{reasons:?}");
}

#[test]
fn slack_blocks_are_accepted_only_within_slacks_rules() {
    let text = |length| json!({ "type": "mrkdwn", "text": "x".repeat(length) });
    let section = |length| json!({ "type": "section", "text": text(length) });
    let message = |blocks: Value| json!({ "text": "fallback", "blocks": blocks });
    let button = |text: Value| json!({ "type": "button", "text": text });
    let good = json!([
        { "type": "header", "text": { "type": "plain_text", "text": "Review needed", "emoji": true } },
        section(3000),
        { "type": "section", "fields": [text(2000), text(10)] },
        { "type": "context", "elements": [text(10)] },
        { "type": "actions", "elements": [{
            "type": "button", "text": { "type": "plain_text", "text": "Open" },
            "url": "https://example.com/", "style": "primary", "action_id": "open"
        }] },
        { "type": "divider" }
    ]);
    let found = run_verifier("verify_slack_blocks.py", &message(good)).expect("within the rules");
    assert_eq!(found["blocks"][0], "header");

    let wrong = [
        ("a section that is too long", json!([section(3001)])),
        ("an empty text", json!([section(0)])),
        ("a section with nothing", json!([{ "type": "section" }])),
        ("a long field", json!([{ "type": "section", "fields": [text(2001)] }])),
        ("a long header", {
            let text = json!({ "type": "plain_text", "text": "x".repeat(151) });
            json!([{ "type": "header", "text": text }])
        }),
        ("mrkdwn in a header", json!([{ "type": "header", "text": text(1) }])),
        ("51 blocks", Value::Array(vec![json!({ "type": "divider" }); 51])),
        ("an unknown type", json!([{ "type": "sparkles" }])),
        ("a misspelt field", json!([{ "type": "section", "text": text(1), "feilds": [text(1)] }])),
        ("a long button", {
            let text = json!({ "type": "plain_text", "text": "x".repeat(76) });
            json!([{ "type": "actions", "elements": [button(text)] }])
        }),
        ("mrkdwn on a button", json!([{ "type": "actions", "elements": [button(text(1))] }])),
        ("an unknown element", json!([{ "type": "actions", "elements": [{ "type": "lever" }] }])),
        ("an empty context", json!([{ "type": "context", "elements": [] }])),
        ("a bare text", json!([{ "type": "section", "text": "x" }])),
        ("not an object", json!(["section"])),
        ("not a list", json!({ "type": "divider" })),
    ];
    let (names, mut questions): (Vec<_>, Vec<_>) =
        wrong.into_iter().map(|(what, blocks)| (what, message(blocks))).unzip();
    questions.push(json!({ "blocks": [{ "type": "divider" }] }));
    let verdicts = run_verifier_on_each("verify_slack_blocks.py", &questions);
    for (what, verdict) in names.iter().chain(&["no fallback text"]).zip(verdicts) {
        verdict.expect_err(what);
    }
}
