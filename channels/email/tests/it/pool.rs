//! The pool: few connections, reused, and never with the reply to another mail.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use fanfare_contract::Verdict;
use fanfare_email::{Config, EmailChannel};
use fanfare_receivers::{SmtpReceiver, SmtpReply, Stage};
use serde_json::json;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::support::{Fixed, SOON, channel, config, delivery, line_server, resolver, send};

#[tokio::test]
async fn a_hundred_mails_in_sequence_use_one_connection() {
    let receiver = SmtpReceiver::ok().await.unwrap();
    let channel = channel(&receiver);
    for n in 0..100 {
        send(&channel, &delivery(&channel, &format!("evt_{n}"), &json!({}))).await.unwrap();
    }
    assert_eq!(receiver.count(), 100);
    assert_eq!(receiver.connections_total(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_mails_at_once_share_the_allowed_connections() {
    static OPEN: AtomicUsize = AtomicUsize::new(0);
    static MOST: AtomicUsize = AtomicUsize::new(0);
    let script = |stage, _: &str, _| {
        if stage == Stage::Mail {
            MOST.fetch_max(OPEN.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        }
        if stage == Stage::Data {
            OPEN.fetch_sub(1, Ordering::SeqCst);
            return SmtpReply::After(Duration::from_millis(2), Box::new(SmtpReply::Ok));
        }
        SmtpReply::Ok
    };
    let receiver = SmtpReceiver::start(script).await.unwrap();
    let channel = channel(&receiver);
    let mut sends = JoinSet::new();
    for n in 0..100 {
        let channel = channel.clone();
        sends.spawn(async move {
            send(&channel, &delivery(&channel, &format!("evt_{n}"), &json!({}))).await.unwrap();
        });
    }
    sends.join_all().await;
    assert_eq!(receiver.count(), 100);
    assert!(receiver.connections_total() <= 4, "{}", receiver.connections_total());
    assert!(MOST.load(Ordering::SeqCst) <= 4);
}

/// lettre's own pool keeps such a connection, and the next mail reads the reply to this one.
#[tokio::test]
async fn a_dropped_send_never_passes_its_reply_to_the_next_mail() {
    for stage in [Stage::Mail, Stage::Rcpt, Stage::Data] {
        let reached = Arc::new(Notify::new());
        let notify = Arc::clone(&reached);
        let script = move |asked, _: &str, nth| match (asked == stage, nth) {
            (true, 0) => {
                notify.notify_one();
                SmtpReply::After(Duration::from_millis(50), Box::new(SmtpReply::Ok))
            }
            (true, 1) => SmtpReply::Code(550, "5.7.1 no".into()),
            _ => SmtpReply::Ok,
        };
        let receiver = SmtpReceiver::start(script).await.unwrap();
        let config = Config { connections: 1, ..config(receiver.addr()) };
        let channel = EmailChannel::new(config, Fixed::hello(), resolver()).unwrap();

        let first = delivery(&channel, "evt_1", &json!({}));
        let attempt = tokio::spawn({
            let channel = channel.clone();
            async move { send(&channel, &first).await }
        });
        reached.notified().await;
        attempt.abort();
        assert!(attempt.await.unwrap_err().is_cancelled());

        let second = delivery(&channel, "evt_2", &json!({}));
        let error = send(&channel, &second).await.expect_err("the server refused this one");
        assert_eq!(error.verdict, Verdict::Permanent, "{stage:?}");
        send(&channel, &delivery(&channel, "evt_3", &json!({}))).await.unwrap();
        assert_eq!(receiver.connections_total(), 2, "{stage:?}");
    }
}

#[tokio::test]
async fn a_stray_reply_is_detected_before_a_message_is_sent() {
    let conversation = [
        ("", "220 stray\r\n"),
        // One reply too many: every later reply would be read as the one before it.
        ("EHLO", "250 stray\r\n250 stray\r\n"),
        ("MAIL", "250 ok\r\n"),
        ("RCPT", "250 ok\r\n"),
        ("DATA", "354 go\r\n"),
        (".", "550 refused\r\n"),
    ];
    let addr = line_server(conversation.to_vec()).await;
    let channel = EmailChannel::new(config(addr), Fixed::hello(), resolver()).unwrap();
    let error = send(&channel, &delivery(&channel, "evt_1", &json!({}))).await.unwrap_err();
    assert_eq!(error.code, "smtp_protocol");
    assert!(!error.maybe_accepted);
}

#[tokio::test]
async fn a_server_without_pipelining_gets_one_command_at_a_time() {
    let conversation = [
        ("", "220 slow\r\n"),
        ("EHLO", "250 slow\r\n"),
        ("MAIL FROM:<notifications@fanfare.example>\r\n", "250 ok\r\n"),
        ("RCPT TO:<jane.smith@acme.example>\r\n", "550 5.1.1 no\r\n"),
        ("RSET", "250 ok\r\n"),
        ("MAIL FROM:<notifications@fanfare.example>\r\n", "250 ok\r\n"),
        ("RCPT TO:<jane.smith@acme.example>\r\n", "250 ok\r\n"),
        ("DATA", "354 go\r\n"),
        (".\r\n", "250 2.0.0 OK id=1rZk2S\r\n"),
    ];
    let addr = line_server(conversation.to_vec()).await;
    let channel = EmailChannel::new(config(addr), Fixed::hello(), resolver()).unwrap();
    let refused = send(&channel, &delivery(&channel, "evt_1", &json!({}))).await.unwrap_err();
    assert_eq!(refused.code, "smtp_550");
    let receipt = send(&channel, &delivery(&channel, "evt_2", &json!({}))).await.unwrap();
    assert_eq!(receipt.remote_id.as_deref(), Some("1rZk2S"));
}

#[tokio::test]
async fn an_idle_connection_closed_by_the_server_fails_no_mail() {
    for farewell in [SmtpReply::CloseAfterData, SmtpReply::Code(421, "4.4.2 idle".into())] {
        let script = move |stage, _: &str, nth| match (stage, nth) {
            (Stage::Mail, 1) => farewell.clone(),
            _ => SmtpReply::Ok,
        };
        let receiver = SmtpReceiver::start(script).await.unwrap();
        let channel = channel(&receiver);
        for n in 0..3 {
            send(&channel, &delivery(&channel, &format!("evt_{n}"), &json!({}))).await.unwrap();
        }
        assert_eq!(receiver.count(), 3);
        assert_eq!(receiver.connections_total(), 2);
    }
}

#[tokio::test]
async fn a_server_that_accepts_data_without_a_recipient_gets_an_empty_message() {
    let offer = "250-odd\r\n250 PIPELINING\r\n";
    let conversation = [
        ("", "220 odd\r\n"),
        ("EHLO", offer),
        ("MAIL", "250 ok\r\n"),
        ("RCPT", "550 5.1.1 no\r\n"),
        ("DATA", "354 go\r\n"),
        (".\r\n", "554 5.5.1 nobody\r\n"),
        ("RSET", "250 ok\r\n"),
        ("MAIL", "250 ok\r\n"),
        ("RCPT", "250 ok\r\n"),
        ("DATA", "354 go\r\n"),
        (".\r\n", "250 ok\r\n"),
    ];
    let addr = line_server(conversation.to_vec()).await;
    let channel = EmailChannel::new(config(addr), Fixed::hello(), resolver()).unwrap();
    let refused = send(&channel, &delivery(&channel, "evt_1", &json!({}))).await.unwrap_err();
    assert_eq!((refused.code.as_str(), refused.maybe_accepted), ("smtp_550", false));
    send(&channel, &delivery(&channel, "evt_2", &json!({}))).await.unwrap();
}

#[tokio::test]
async fn a_connection_idle_for_seconds_is_probed() {
    let conversation = [
        ("", "220 idle\r\n"),
        ("EHLO", "250 idle\r\n"),
        ("MAIL", "250 ok\r\n"),
        ("RCPT", "250 ok\r\n"),
        ("DATA", "354 go\r\n"),
        (".\r\n", "250 ok\r\n"),
        // Without the probe, the server would wait for this RSET forever.
        ("RSET", "250 ok\r\n"),
        ("MAIL", "250 ok\r\n"),
        ("RCPT", "250 ok\r\n"),
        ("DATA", "354 go\r\n"),
        (".\r\n", "250 2.0.0 queued as SECOND\r\n"),
    ];
    let addr = line_server(conversation.to_vec()).await;
    let channel = EmailChannel::new(config(addr), Fixed::hello(), resolver()).unwrap();
    send(&channel, &delivery(&channel, "evt_1", &json!({}))).await.unwrap();
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(6)).await;
    tokio::time::resume();
    let receipt = send(&channel, &delivery(&channel, "evt_2", &json!({}))).await.unwrap();
    assert_eq!(receipt.remote_id.as_deref(), Some("SECOND"));
}

#[tokio::test]
async fn expired_idle_connections_are_closed() {
    let receiver = SmtpReceiver::ok().await.unwrap();
    let config = Config { idle_timeout: Duration::from_millis(100), ..config(receiver.addr()) };
    let channel = EmailChannel::new(config, Fixed::hello(), resolver()).unwrap();
    send(&channel, &delivery(&channel, "evt_1", &json!({}))).await.unwrap();
    assert_eq!(receiver.connections_open(), 1);
    let closed = async {
        while receiver.connections_open() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(SOON, closed).await.expect("closed without another mail");
    send(&channel, &delivery(&channel, "evt_2", &json!({}))).await.unwrap();
    assert_eq!(receiver.connections_total(), 2);
}
