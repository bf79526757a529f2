//! Answers that no server should send and some do. The status counts, whatever the headers look
//! like (case w4).

use fanfare_contract::{DeliveryError, Receipt, Verdict};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::support::{channel, send_to};

/// Sends one request to a receiver that answers with these bytes and closes.
async fn answered(answer: &[u8]) -> Result<Receipt, DeliveryError> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let answer = answer.to_vec();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.read(&mut [0; 8192]).await;
        stream.write_all(&answer).await.unwrap();
        let _ = stream.shutdown().await;
        let _ = stream.read(&mut [0; 1]).await;
    });
    send_to(&channel(), &url).await
}

/// An answer with these lines of headers and the body `ok`.
fn with(headers: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n{headers}\r\nok").into_bytes()
}

#[tokio::test]
async fn a_2xx_is_a_success_whatever_its_headers_look_like() {
    let many = "X-A: a\r\n".repeat(300);
    let very_many = "X-A: a\r\n".repeat(5_000);
    for (what, answer) in [
        ("a folded header", with("X-A: b\r\n c\r\n")),
        ("a folded header with a tab", with("X-A: b\r\n\tc\r\n")),
        ("a control byte in a cookie", with("Set-Cookie: a=\x01b\r\n")),
        ("a NUL", with("X-A: a\0b\r\n")),
        ("300 headers", with(&many)),
        ("5,000 headers", with(&very_many)),
        ("a space before the colon", with("X-A : b\r\n")),
        ("a header without a name", with(": b\r\n")),
        ("a header without a colon", with("X-A\r\n")),
        ("a name that is no token", with("X (A): b\r\n")),
        ("no reason", b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok".to_vec()),
        (
            "a reason in Latin-1",
            b"HTTP/1.1 200 D\xe9j\xe0 vu\r\nContent-Length: 0\r\n\r\n".to_vec(),
        ),
        ("bare line feeds", b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok".to_vec()),
        ("HTTP/1.0", b"HTTP/1.0 200 OK\r\n\r\nok".to_vec()),
        (
            "two lengths",
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok".to_vec(),
        ),
        ("a length in words", b"HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\nok".to_vec()),
        ("an unknown coding", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: odd\r\n\r\nok".to_vec()),
        ("an upgrade", b"HTTP/1.1 200 OK\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n".to_vec()),
    ] {
        let receipt = answered(&answer).await.unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(receipt.status, Some(200), "{what}");
    }
}

#[tokio::test]
async fn a_refusal_counts_by_its_status_too() {
    for (answer, code) in [
        (&b"HTTP/1.1 503 no\r\nX-A: b\r\n c\r\nContent-Length: 0\r\n\r\n"[..], "http_503"),
        (b"HTTP/1.1 500 no\r\nContent-Length: none\r\n\r\n", "http_500"),
        (b"HTTP/1.1 422\r\n: b\r\nContent-Length: 0\r\n\r\n", "http_422"),
    ] {
        let error = answered(answer).await.unwrap_err();
        assert_eq!((error.verdict, error.code.as_str()), (RETRY, code));
        assert_eq!(error.refused, code == "http_422");
    }
}

#[tokio::test]
async fn an_answer_without_a_status_line_is_broken() {
    for answer in [&b"220 mail.example ESMTP\r\n\r\n"[..], b"HTTP/1.1 2OO OK\r\n\r\n", b"HTTP/3 x"]
    {
        let error = answered(answer).await.unwrap_err();
        let broken = ["answer_broken", "connection_reset"].contains(&error.code.as_str());
        assert!(broken && error.maybe_accepted, "{error}");
    }
}

const RETRY: Verdict = Verdict::Retry { not_before: None };
