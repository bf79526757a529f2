//! The verdict on each failure.

use std::time::Duration;

use fanfare_contract::{DeliveryError, Verdict};
use fanfare_email::{Config, EmailChannel};
use fanfare_receivers::{SmtpReceiver, SmtpReply, Stage};
use serde_json::json;

use crate::support::{Fixed, channel, config, delivery, line_server, resolver, send, shown};

const RETRY: Verdict = Verdict::Retry { not_before: None };

/// A receiver that answers `reply` to the first mail at `stage` and accepts everything else.
async fn once(stage: Stage, reply: SmtpReply) -> SmtpReceiver {
    let script = move |asked, _: &str, nth| {
        if asked == stage && nth == 0 { reply.clone() } else { SmtpReply::Ok }
    };
    SmtpReceiver::start(script).await.unwrap()
}

fn code(code: u16, text: &str) -> SmtpReply {
    SmtpReply::Code(code, text.to_owned())
}

async fn failure(receiver: &SmtpReceiver) -> DeliveryError {
    let channel = channel(receiver);
    let error = send(&channel, &delivery(&channel, "evt_1", &json!({}))).await.unwrap_err();
    // The next mail is accepted, on this connection or on another.
    send(&channel, &delivery(&channel, "evt_2", &json!({}))).await.unwrap();
    error
}

#[tokio::test]
async fn a_5yz_is_permanent_and_a_4yz_is_retried_at_every_stage() {
    for stage in [Stage::Mail, Stage::Rcpt, Stage::Data] {
        let receiver = once(stage, code(550, "5.7.1 <jane.smith@acme.example> go away")).await;
        let error = failure(&receiver).await;
        assert_eq!((error.verdict, error.code.as_str()), (Verdict::Permanent, "smtp_550"));
        assert_eq!(error.status, Some(550));
        assert_eq!(error.answer.0, "5.7.1 [address] go away");
        assert!(!error.maybe_accepted);
        assert_eq!(receiver.connections_total(), 1, "a refusal costs no connection at {stage:?}");

        let receiver = once(stage, code(451, "4.3.0 later")).await;
        let error = failure(&receiver).await;
        assert_eq!((error.verdict, error.code.as_str()), (RETRY, "smtp_451"));
        assert!(!error.maybe_accepted);
        assert_eq!(receiver.connections_total(), 1);
        assert_eq!(receiver.count(), 1);
    }
}

#[tokio::test]
async fn only_a_recipient_that_does_not_exist_is_a_bounce() {
    for (stage, text, bounced) in [
        (Stage::Rcpt, "5.1.1 unknown user", true),
        (Stage::Rcpt, "no such user", true),
        (Stage::Rcpt, "5.7.1 policy", false),
        (Stage::Mail, "5.1.1 unknown user", false),
        (Stage::Data, "5.6.0 content", false),
    ] {
        let receiver = once(stage, code(550, text)).await;
        assert_eq!(failure(&receiver).await.bounced, bounced, "{stage:?} {text}");
    }
}

#[tokio::test]
async fn the_reason_is_in_words_and_without_the_address() {
    let said = "5.1.1 <Jane.Smith@acme.example>: user jane.smith unknown\nsee jane.smith%40acme";
    let receiver = once(Stage::Rcpt, code(550, said)).await;
    let error = failure(&receiver).await;
    assert_eq!(
        error.message,
        "the mail server refused the recipient: the mailbox does not exist (550 5.1.1)"
    );
    let shown = shown(&error).to_lowercase();
    assert!(!shown.contains('@') && !shown.contains("jane"), "{shown}");
}

#[tokio::test]
async fn a_421_closes_the_connection_and_is_retried() {
    for stage in [Stage::Mail, Stage::Rcpt, Stage::Data] {
        let receiver = once(stage, code(421, "4.4.2 closing")).await;
        let error = failure(&receiver).await;
        assert_eq!((error.verdict, error.code.as_str()), (RETRY, "smtp_421"), "{stage:?}");
        assert_eq!(receiver.connections_total(), 2, "{stage:?}");
        assert_eq!(receiver.count(), 1);
    }
}

#[tokio::test]
async fn a_refusing_greeting_is_retried() {
    for (said, code_said) in [(554, "smtp_554"), (421, "smtp_421")] {
        let receiver = once(Stage::Greeting, code(said, "no service here")).await;
        let error = failure(&receiver).await;
        assert_eq!((error.verdict, error.code.as_str()), (RETRY, code_said));
    }
}

#[tokio::test]
async fn a_connection_lost_before_the_message_is_retried() {
    for stage in [Stage::Mail, Stage::Rcpt] {
        let receiver = once(stage, SmtpReply::CloseAfterData).await;
        let error = failure(&receiver).await;
        assert_eq!((error.verdict, error.code.as_str()), (RETRY, "smtp_lost"));
        assert!(!error.maybe_accepted, "{stage:?}");
        assert_eq!(receiver.count(), 1);
    }
}

#[tokio::test]
async fn a_reply_lost_after_the_message_is_maybe_accepted() {
    let receiver = once(Stage::Data, SmtpReply::CloseAfterData).await;
    let error = failure(&receiver).await;
    assert_eq!((error.verdict, error.code.as_str()), (RETRY, "smtp_lost"));
    assert!(error.maybe_accepted);
    assert_eq!(receiver.count(), 2);
}

#[tokio::test]
async fn a_silent_server_times_out_at_every_stage() {
    for (stage, maybe_accepted) in
        [(Stage::Greeting, false), (Stage::Mail, false), (Stage::Rcpt, false), (Stage::Data, true)]
    {
        let receiver = once(stage, SmtpReply::HangAfterData).await;
        let config = Config {
            command_timeout: Duration::from_millis(150),
            message_timeout: Duration::from_millis(200),
            ..config(receiver.addr())
        };
        let channel = EmailChannel::new(config, Fixed::hello(), resolver()).unwrap();
        let first = delivery(&channel, "evt_1", &json!({}));
        let error = send(&channel, &first).await.unwrap_err();
        assert_eq!((error.verdict, error.code.as_str()), (RETRY, "smtp_timeout"), "{stage:?}");
        assert_eq!(error.maybe_accepted, maybe_accepted, "{stage:?}");
        send(&channel, &delivery(&channel, "evt_2", &json!({}))).await.unwrap();
        assert_eq!(receiver.connections_total(), 2, "{stage:?}");
    }
}

#[tokio::test]
async fn an_unreachable_server_is_retried() {
    let gone = SmtpReceiver::ok().await.unwrap();
    let channel = channel(&gone);
    drop(gone);
    let mut error = send(&channel, &delivery(&channel, "evt_1", &json!({}))).await.unwrap_err();
    // The port can take a moment to close.
    while error.code != "smtp_connect" {
        assert_eq!(error.code, "smtp_lost");
        error = send(&channel, &delivery(&channel, "evt_1", &json!({}))).await.unwrap_err();
    }
    assert_eq!(error.verdict, RETRY);
    assert!(!error.maybe_accepted);
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_a_dns_failure() {
    let config = Config {
        host: "mail.invalid".into(),
        security: fanfare_email::Security::None,
        ..Config::default()
    };
    let channel = EmailChannel::new(config, Fixed::hello(), resolver()).unwrap();
    let error = send(&channel, &delivery(&channel, "evt_1", &json!({}))).await.unwrap_err();
    assert_eq!((error.verdict, error.code.as_str()), (RETRY, "smtp_dns"));
}

#[tokio::test]
async fn a_message_larger_than_the_server_accepts_is_not_sent() {
    let script = vec![
        ("", "220 small\r\n"),
        ("EHLO", "250-small\r\n250 SIZE 100\r\n"),
        ("MAIL", "421 not reached\r\n"),
    ];
    let channel =
        EmailChannel::new(config(line_server(script).await), Fixed::hello(), resolver()).unwrap();
    let error = send(&channel, &delivery(&channel, "evt_1", &json!({}))).await.unwrap_err();
    assert_eq!((error.verdict, error.code.as_str()), (Verdict::Permanent, "too_big"));
    assert!(error.message.contains("accepts only 100"), "{}", error.message);
}
