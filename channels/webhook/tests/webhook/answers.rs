//! How the channel treats each kind of answer, and no answer at all.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use fanfare_contract::{
    ANSWER_KEPT, Channel as _, Content, Delivery, DeliveryError, Resend, Verdict,
};
use fanfare_receivers::{HttpReceiver, Reply};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tower::ServiceExt as _;

use crate::support::{AT, SECRET, SOON, channel, delivery, event, send_to};

const RETRY: Verdict = Verdict::Retry { not_before: None };

fn full(status: u16, headers: &[(&str, &str)], body: &'static str) -> Reply {
    let headers = headers.iter().map(|(name, value)| ((*name).into(), (*value).into()));
    Reply::Full { status, headers: headers.collect(), body: Bytes::from_static(body.as_bytes()) }
}

async fn failed(reply: Reply) -> DeliveryError {
    let receiver = HttpReceiver::start(move |_, _| reply.clone()).await.unwrap();
    let error = send_to(&channel(), &receiver.url("/secret-path")).await.unwrap_err();
    assert_eq!(receiver.count(), 1, "no redirect, no hidden retry");
    for shown in [error.to_string(), error.message.clone(), format!("{error:?}")] {
        assert!(!shown.contains("secret-path"), "{shown}");
    }
    error
}

#[tokio::test]
async fn every_2xx_is_a_success_and_its_answer_is_kept() {
    for status in [200, 201, 202, 204, 299] {
        let body = if status == 204 { "" } else { "thanks" };
        let receiver = HttpReceiver::start(move |_, _| full(status, &[], body)).await.unwrap();
        let receipt = send_to(&channel(), &receiver.url("/")).await.unwrap();
        assert_eq!(receipt.status, Some(status));
        assert_eq!(receipt.answer.0, body);
    }
}

#[tokio::test]
async fn other_statuses_are_retried_and_named_in_the_code() {
    for status in [300, 304, 400, 401, 404, 413, 422, 500, 502, 599] {
        let body = if status == 304 { "" } else { "why" };
        let error = failed(full(status, &[], body)).await;
        assert_eq!(error.verdict, RETRY);
        assert_eq!(error.code, format!("http_{status}"));
        assert_eq!((error.status, error.answer.0.as_str()), (Some(status), body));
        assert!(!error.maybe_accepted && !error.retry_at_once);
        assert!(error.message.starts_with(&format!("127.0.0.1 answered {status}: ")));
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = HttpReceiver::ok().await.unwrap();
    for status in [301, 302, 303, 307, 308] {
        let error = failed(full(status, &[("location", &elsewhere.url("/"))], "")).await;
        assert_eq!(error.code, format!("http_{status}"));
        assert!(error.message.contains("redirects are not followed; set the URL"), "{error}");
    }
    assert_eq!(elsewhere.count(), 0);
}

#[tokio::test]
async fn gone_disables_the_destination() {
    let error = failed(Reply::Status(410)).await;
    assert_eq!((error.verdict, error.code.as_str()), (Verdict::Disable, "gone"));
}

#[tokio::test]
async fn retry_after_is_used_in_both_forms_and_with_any_status() {
    let date = httpdate::fmt_http_date(
        std::time::UNIX_EPOCH + Duration::from_secs(AT.unsigned_abs() + 90),
    );
    for (status, value, wait_s) in
        [(429, "30", 30.0), (503, &date, 89.001), (500, "7", 7.0), (404, "7", 7.0)]
    {
        let error = failed(full(status, &[("retry-after", value)], "")).await;
        let not_before = Some(Duration::from_secs_f64(wait_s));
        assert_eq!(error.verdict, Verdict::Retry { not_before }, "{status} {value}");
    }
    let plain = failed(Reply::Status(429)).await;
    assert_eq!(plain.verdict, RETRY);
}

#[tokio::test]
async fn a_huge_answer_is_read_up_to_the_limit_and_cut() {
    let channel = channel();
    let receiver = HttpReceiver::start(|_, _| Reply::HugeBody(1 << 40)).await.unwrap();
    let receipt = send_to(&channel, &receiver.url("/")).await.unwrap();
    assert_eq!(receipt.answer.0.len(), ANSWER_KEPT);
    assert_eq!(receipt.remark.unwrap(), "only the first 65536 bytes of the answer were read");
}

#[tokio::test]
async fn a_2xx_whose_body_breaks_or_never_ends_is_a_success() {
    let channel = channel();
    let half = HttpReceiver::start(|_, _| Reply::CloseMidAnswer).await.unwrap();
    let receipt = send_to(&channel, &half.url("/")).await.unwrap();
    assert_eq!(receipt.remark.unwrap(), "the connection broke within the answer's body");

    let begun = Instant::now();
    let drip = HttpReceiver::start(|_, _| Reply::DripForever).await.unwrap();
    let receipt = send_to(&channel, &drip.url("/")).await.unwrap();
    assert_eq!(receipt.status, Some(200));
    assert_eq!(receipt.remark.unwrap(), "the answer did not end within 2 s");
    assert!(begun.elapsed() < SOON);
}

#[tokio::test]
async fn a_reset_on_a_new_connection_is_maybe_accepted_and_retried_by_schedule() {
    let error = failed(Reply::Reset).await;
    assert_eq!((error.verdict, error.code.as_str()), (RETRY, "connection_reset"));
    assert!(error.maybe_accepted && !error.retry_at_once);
}

#[tokio::test]
async fn a_reset_on_a_reused_connection_is_reported_and_not_retried_by_the_client() {
    let receiver =
        HttpReceiver::start(|_, nth| if nth == 1 { Reply::Reset } else { Reply::Status(200) })
            .await
            .unwrap();
    let (channel, url) = (channel(), receiver.url("/"));
    send_to(&channel, &url).await.unwrap();
    let error = send_to(&channel, &url).await.unwrap_err();
    assert_eq!((error.code.as_str(), error.retry_at_once), ("connection_reset", true));
    assert_eq!((receiver.count(), receiver.connections()), (2, 1));
    send_to(&channel, &url).await.unwrap();
}

#[tokio::test]
async fn a_request_that_is_sent_again_at_once_uses_a_new_connection() {
    let receiver = HttpReceiver::ok().await.unwrap();
    let (channel, url) = (channel(), receiver.url("/"));
    send_to(&channel, &url).await.unwrap();
    let settings = serde_json::json!({ "url": url, "secret": SECRET });
    let again = delivery(&channel, &settings, Content::Event(Arc::new(event())));
    let again = Delivery { resend: Resend::Now, ..again };
    channel.service().oneshot(again).await.unwrap();
    assert_eq!((receiver.count(), receiver.connections()), (2, 2));
    send_to(&channel, &url).await.unwrap();
    assert_eq!(receiver.connections(), 2, "the first one is still kept");
}

#[tokio::test]
async fn a_refusal_says_nothing_about_the_receivers_health() {
    for (status, refused) in [
        (400, true),
        (404, true),
        (422, true),
        (408, false),
        (425, false),
        (429, false),
        (500, false),
    ] {
        assert_eq!(failed(Reply::Status(status)).await.refused, refused, "{status}");
    }
}

#[tokio::test]
async fn one_connection_serves_many_attempts() {
    let receiver = HttpReceiver::start(|_, nth| match nth {
        0 => Reply::HugeBody(60_000),
        1 => Reply::Status(500),
        _ => Reply::Status(204),
    })
    .await
    .unwrap();
    let channel = channel();
    for _ in 0..4 {
        let _ = send_to(&channel, &receiver.url("/")).await;
    }
    assert_eq!((receiver.count(), receiver.connections()), (4, 1));
}

#[tokio::test]
async fn a_refused_connection_is_not_maybe_accepted() {
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let error = send_to(&channel(), &format!("http://{gone}/")).await.unwrap_err();
    assert_eq!((error.verdict, error.code.as_str()), (RETRY, "connect_refused"));
    assert!(!error.maybe_accepted && !error.retry_at_once);
}

#[tokio::test]
async fn an_answer_that_is_not_http_is_broken() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.read(&mut [0; 4096]).await;
        stream.write_all(b"220 mail.example ESMTP\r\n\r\n").await.unwrap();
        let _ = stream.read(&mut [0; 1]).await;
    });
    let error = send_to(&channel(), &url).await.unwrap_err();
    assert_eq!((error.verdict, error.code.as_str()), (RETRY, "answer_broken"));
    assert!(error.maybe_accepted);
}

#[tokio::test]
async fn a_dropped_attempt_does_not_affect_the_next_one() {
    let receiver = HttpReceiver::start(|_, nth| match nth {
        0 => Reply::Status(200),
        1 => Reply::Hang,
        2 => Reply::DripForever,
        _ => full(200, &[], "mine"),
    })
    .await
    .unwrap();
    let (channel, url) = (channel(), receiver.url("/"));
    send_to(&channel, &url).await.unwrap();
    for n in 2..=3 {
        tokio::select! {
            answer = send_to(&channel, &url) => panic!("answered: {answer:?}"),
            _ = receiver.wait_for(n, SOON) => {}
        }
    }
    for _ in 0..3 {
        assert_eq!(send_to(&channel, &url).await.unwrap().answer.0, "mine");
    }
}
