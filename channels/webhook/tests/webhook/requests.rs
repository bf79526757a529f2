//! The request as the receiver gets it.

use std::sync::Arc;

use bytes::Bytes;
use fanfare_contract::{Channel as _, Content, Digest, Event, Tally};
use fanfare_receivers::{HttpReceiver, Received};
use fanfare_webhook::signature::{Scheme, VerifyError, sign_body, sign_v1, verify};
use serde_json::{Map, Value, json};
use tower::ServiceExt as _;

use crate::support::{AT, BODY, SECRET, SOON, channel, delivery, event, send};

const OLD: &str = "an-older-secret-of-mine";

async fn received(settings: Value) -> Received {
    let receiver = HttpReceiver::ok().await.unwrap();
    let mut settings = settings;
    settings["url"] = receiver.url("/in?a=b").into();
    let receipt = send(&channel(), &settings).await.unwrap();
    assert_eq!((receipt.status, receipt.remark), (Some(200), None));
    receiver.wait_for(1, SOON).await.remove(0)
}

#[tokio::test]
async fn the_body_arrives_byte_for_byte_with_both_header_sets() {
    let got = received(json!({ "secret": SECRET, "headers": { "X-Api-Key": "k" } })).await;
    assert_eq!(got.method, "POST");
    assert_eq!(got.path, "/in?a=b");
    assert_eq!(got.body, BODY);
    for (name, value) in [
        ("x-webhook-id", "evt_1"),
        ("x-webhook-timestamp", "1699999990"),
        // printf … | openssl dgst -sha256 -hmac "$SECRET"
        (
            "x-webhook-signature",
            "sha256=781c69cc81d7107974978f4c541f7f6972addfbfbe303b0803ec73240bacea6c",
        ),
        ("webhook-id", "evt_1"),
        ("webhook-timestamp", "1700000000"),
        // { printf evt_1.1700000000.; printf … } | openssl dgst -sha256 -mac hmac -macopt hexkey:0001…1f
        ("webhook-signature", "v1,2HiyHBfNc/Er8MiTr6fW7PYAnTHRmFIlyysm10XUYuQ="),
        ("user-agent", "KYC-Webhooks/1.0"),
        ("content-type", "application/json"),
        ("x-api-key", "k"),
    ] {
        assert_eq!(got.header(name), value, "{name}");
    }
    assert_eq!(got.header("content-length"), BODY.len().to_string());
    assert!(!got.headers.contains_key("traceparent"));
    for (name, _) in &got.headers {
        assert_eq!(got.headers.get_all(name).iter().count(), 1, "{name} is sent once");
    }
}

#[tokio::test]
async fn the_crates_own_verifier_accepts_the_request() {
    let got = received(json!({ "secret": SECRET })).await;
    let verified = verify(SECRET, &got.headers, &got.body, AT + 5, 300).unwrap();
    assert_eq!(verified, [Scheme::StandardWebhooks, Scheme::Body]);
    let tampered = verify(SECRET, &got.headers, b"{}", AT, 300);
    assert_eq!(tampered, Err(VerifyError::Mismatch { scheme: Scheme::StandardWebhooks }));
}

#[tokio::test]
async fn during_a_rotation_the_old_secret_signs_too() {
    let old = json!({ "secret": OLD, "expires": AT + 1 });
    let got = received(json!({ "secret": SECRET, "previous_secrets": [old] })).await;
    let body = |secret| sign_body(secret, BODY).unwrap();
    let v1 = |secret| sign_v1(secret, "evt_1", AT, BODY).unwrap();
    assert_eq!(got.header("x-webhook-signature"), format!("{},{}", body(SECRET), body(OLD)));
    assert_eq!(got.header("webhook-signature"), format!("{} {}", v1(SECRET), v1(OLD)));
    for secret in [SECRET, OLD] {
        assert_eq!(verify(secret, &got.headers, &got.body, AT, 300).unwrap().len(), 2);
    }
}

#[tokio::test]
async fn an_expired_secret_does_not_sign() {
    let old = json!({ "secret": OLD, "expires": AT });
    let got = received(json!({ "secret": SECRET, "previous_secrets": [old] })).await;
    assert_eq!(got.header("x-webhook-signature"), sign_body(SECRET, BODY).unwrap());
    assert!(verify(OLD, &got.headers, &got.body, AT, 300).is_err());
}

#[tokio::test]
async fn the_trace_context_is_sent() {
    let receiver = HttpReceiver::ok().await.unwrap();
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let event = event().with_trace(Some(trace.into()));
    let settings = json!({ "url": receiver.url("/"), "secret": SECRET });
    let channel = channel();
    let delivery = delivery(&channel, &settings, Content::Event(Arc::new(event)));
    channel.service().oneshot(delivery).await.unwrap();
    assert_eq!(receiver.wait_for(1, SOON).await[0].header("traceparent"), trace);
}

#[tokio::test]
async fn an_id_with_control_characters_fails_and_injects_no_header() {
    let receiver = HttpReceiver::ok().await.unwrap();
    let id = "evt_1\r\nx-evil: 1".into();
    let event = Event::new("acme".into(), id, "a".into(), 1, 1, Bytes::from_static(b"{}"));
    let settings = json!({ "url": receiver.url("/"), "secret": SECRET });
    let channel = channel();
    let delivery = delivery(&channel, &settings, Content::Event(Arc::new(event)));
    let error = channel.service().oneshot(delivery).await.unwrap_err();
    assert_eq!(error.code, "invalid_id");
    assert_eq!(receiver.count(), 0);
}

#[tokio::test]
async fn a_digest_holds_the_envelopes_of_its_events_unchanged() {
    let receiver = HttpReceiver::ok().await.unwrap();
    let tally = |reason: &str, count| Tally { reason: reason.to_owned(), count };
    let digest = Digest {
        id: "dig_1".into(),
        from_ms: 0,
        to_ms: 1_699_999_999_500,
        timezone: "Europe/Madrid".to_owned(),
        events: vec![Arc::new(event()), Arc::new(event())],
        suppressed: vec![tally("quiet \"hours\"", 2)],
        failed: Vec::new(),
    };
    let settings = json!({ "url": receiver.url("/"), "secret": SECRET });
    let channel = channel();
    let delivery = delivery(&channel, &settings, Content::Digest(Arc::new(digest)));
    channel.service().oneshot(delivery).await.unwrap();
    let got = receiver.wait_for(1, SOON).await.remove(0);
    let inner = std::str::from_utf8(BODY).unwrap();
    let expected = format!(
        "{{\"id\":\"dig_1\",\"type\":\"fanfare.digest\",\"created\":1699999999,\"data\":{{\"events\":[{inner},{inner}],\"suppressed\":[{{\"reason\":\"quiet \\\"hours\\\"\",\"count\":2}}],\"failed\":[]}}}}"
    );
    assert_eq!(got.body, expected);
    serde_json::from_slice::<Value>(&got.body).unwrap();
    assert_eq!(got.header("webhook-id"), "dig_1");
    assert_eq!(got.header("x-webhook-timestamp"), "1699999999");
    assert_eq!(verify(SECRET, &got.headers, &got.body, AT, 300).unwrap().len(), 2);
}

#[tokio::test]
async fn a_generated_secret_is_revealed_once_and_signs() {
    let channel = channel();
    let mut settings = Map::new();
    let revealed = channel.complete(&mut settings);
    assert_eq!(revealed[0].field, "secret");
    assert_eq!(settings["secret"], revealed[0].value);
    assert!(channel.complete(&mut settings).is_empty(), "an existing secret is kept");
    let got = received(Value::Object(settings)).await;
    assert_eq!(verify(&revealed[0].value, &got.headers, &got.body, AT, 300).unwrap().len(), 2);
}
