//! What the scripted HTTP receiver promises to the tests that stand on it.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use bytes::Bytes;
use fanfare_receivers::{HttpReceiver, Reply};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const SOON: Duration = Duration::from_secs(5);

/// Sends one request and reads until the other end closes.
async fn talk(receiver: &HttpReceiver, body: &str) -> (String, std::io::Result<usize>) {
    let mut stream = connect(receiver, body).await;
    let mut answer = Vec::new();
    let ended = stream.read_to_end(&mut answer).await;
    (String::from_utf8(answer).unwrap(), ended)
}

async fn connect(receiver: &HttpReceiver, body: &str) -> TcpStream {
    let mut stream = TcpStream::connect(receiver.addr()).await.unwrap();
    let length = body.len();
    let request = format!(
        "POST /a?b=c HTTP/1.1\r\nhost: x\r\nX-One: 1\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

#[tokio::test]
async fn keeps_what_came_and_answers_by_number() {
    let receiver = HttpReceiver::start(|_, nth| Reply::Status(if nth == 0 { 503 } else { 204 }))
        .await
        .unwrap();
    assert!(talk(&receiver, "first").await.0.starts_with("HTTP/1.1 503"));
    assert!(talk(&receiver, "second").await.0.starts_with("HTTP/1.1 204"));
    let came = receiver.wait_for(2, SOON).await;
    assert_eq!(came[0].body, "first");
    assert_eq!(came[1].body, "second");
    assert_eq!(came[0].path, "/a?b=c");
    assert_eq!(came[0].header("x-one"), "1");
    assert!(came[0].at <= came[1].at);
    assert_eq!((receiver.count(), receiver.connections()), (2, 2));
}

#[tokio::test]
async fn a_whole_answer_has_its_headers_and_body_after_the_wait() {
    let wait = Duration::from_millis(30);
    let receiver = HttpReceiver::start(move |_, _| {
        let headers = vec![("Retry-After".to_owned(), "7".to_owned())];
        let full = Reply::Full { status: 429, headers, body: Bytes::from_static(b"slow down") };
        Reply::After(wait, Box::new(full))
    })
    .await
    .unwrap();
    let begun = Instant::now();
    let (answer, _) = talk(&receiver, "x").await;
    assert!(begun.elapsed() >= wait);
    assert!(answer.starts_with("HTTP/1.1 429"), "{answer}");
    assert!(answer.contains("retry-after: 7\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nslow down"), "{answer}");
}

#[tokio::test]
async fn a_reset_is_a_tcp_reset() {
    let receiver = HttpReceiver::start(|_, _| Reply::Reset).await.unwrap();
    let (answer, ended) = talk(&receiver, "x").await;
    assert_eq!(answer, "");
    assert_eq!(ended.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn closing_mid_answer_leaves_half_of_what_was_announced() {
    let receiver = HttpReceiver::start(|_, _| Reply::CloseMidAnswer).await.unwrap();
    let (answer, ended) = talk(&receiver, "x").await;
    ended.unwrap();
    assert!(answer.contains("content-length: 18\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\n{\"half\": "), "{answer}");
}

#[tokio::test]
async fn a_huge_body_has_its_size() {
    let receiver = HttpReceiver::start(|_, _| Reply::HugeBody(1_000_000)).await.unwrap();
    let (answer, ended) = talk(&receiver, "x").await;
    ended.unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    assert_eq!(body.len(), 1_000_000);
}

#[tokio::test]
async fn a_drip_begins_and_goes_on() {
    let receiver = HttpReceiver::start(|_, _| Reply::DripForever).await.unwrap();
    let mut stream = connect(&receiver, "x").await;
    let mut answer = String::new();
    while answer.matches("\r\n.\r\n").count() < 2 {
        let mut some = [0; 256];
        let n = stream.read(&mut some).await.unwrap();
        assert!(n > 0, "ended after {answer}");
        answer.push_str(std::str::from_utf8(&some[..n]).unwrap());
    }
}

#[tokio::test]
async fn dropping_it_ends_hanging_connections_and_frees_the_port() {
    let receiver = HttpReceiver::start(|_, _| Reply::Hang).await.unwrap();
    let addr = receiver.addr();
    let mut stream = connect(&receiver, "x").await;
    receiver.wait_for(1, SOON).await;
    drop(receiver);
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
    assert!(rest.is_empty());
    while TcpStream::connect(addr).await.is_ok() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_counting_receiver_keeps_nothing() {
    let receiver = HttpReceiver::counting().await.unwrap();
    talk(&receiver, "x").await.1.unwrap();
    assert!(receiver.wait_for(1, SOON).await.is_empty());
    assert_eq!(receiver.count(), 1);
}

#[tokio::test]
#[should_panic(expected = "for 2 requests and got 0")]
async fn waiting_in_vain_says_how_many_came() {
    HttpReceiver::ok().await.unwrap().wait_for(2, Duration::from_millis(1)).await;
}
