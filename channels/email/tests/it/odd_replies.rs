//! Replies that RFC 5321 does not want and some servers send. A reply counts by its code.

use fanfare_contract::Verdict;
use fanfare_email::EmailChannel;
use serde_json::json;

use crate::support::{Fixed, config, delivery, line_server, resolver, send};

type Script = Vec<(&'static str, &'static str)>;

async fn channel(script: Script) -> EmailChannel {
    EmailChannel::new(config(line_server(script).await), Fixed::hello(), resolver()).unwrap()
}

fn script(
    greeting: &'static str,
    hello: &'static str,
    mail: &'static str,
    accepted: &'static str,
) -> Script {
    vec![
        ("", greeting),
        ("EHLO", hello),
        ("MAIL", mail),
        ("RCPT", mail),
        ("DATA", "354\r\n"),
        (".\r\n", accepted),
    ]
}

/// Case e2.
#[tokio::test]
async fn a_reply_of_the_code_alone_counts() {
    for script in [
        script("220\r\n", "250\r\n", "250\r\n", "250\r\n"),
        script("220 hello\r\n", "250-mail.example\r\n250\r\n", "250 ok\r\n", "250\r\n"),
        script("220\n", "250-\n250 SIZE\n", "250\n", "250\n"),
    ] {
        let channel = channel(script).await;
        let receipt = send(&channel, &delivery(&channel, "evt_1", &json!({}))).await.unwrap();
        assert_eq!(receipt.status, Some(250));
    }
}

/// Case e3. The bytes are those of Latin-1, written as Rust's text would not allow.
#[tokio::test]
async fn a_reply_in_any_encoding_counts_and_its_text_is_kept_as_far_as_it_can_be_read() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = BufReader::new(stream);
        let latin: &[&[u8]] = &[
            b"220 Gr\xfc\xdfe\r\n",
            b"250 Gr\xfc\xdfe\r\n",
            b"250 2.1.0 \xe4\r\n",
            b"250 2.1.5 \xe4\r\n",
            b"354 \xbb\r\n",
            b"250 2.0.0 Gr\xfc\xdfe: queued as 4F1B2C\r\n",
        ];
        for (reply, start) in latin.iter().zip(["", "EHLO", "MAIL", "RCPT", "DATA", ".\r\n"]) {
            let mut line = String::new();
            while !start.is_empty() && !line.starts_with(start) {
                line.clear();
                stream.read_line(&mut line).await.unwrap();
            }
            stream.write_all(reply).await.unwrap();
        }
        let _ = stream.read_line(&mut String::new()).await;
    });
    let channel = EmailChannel::new(config(addr), Fixed::hello(), resolver()).unwrap();
    let receipt = send(&channel, &delivery(&channel, "evt_1", &json!({}))).await.unwrap();
    assert_eq!(receipt.status, Some(250));
    assert_eq!(receipt.answer.0, "2.0.0 Gr\u{fffd}\u{fffd}e: queued as 4F1B2C");
    assert_eq!(receipt.remote_id.as_deref(), Some("4F1B2C"));
}

/// Case e13.
#[tokio::test]
async fn a_server_that_does_not_know_ehlo_is_asked_with_helo() {
    let channel = channel(vec![
        ("", "220 old\r\n"),
        ("EHLO", "502 5.5.1 not implemented\r\n"),
        ("HELO", "250 old\r\n"),
        ("MAIL", "250 ok\r\n"),
        ("RCPT", "250 ok\r\n"),
        ("DATA", "354 go\r\n"),
        (".\r\n", "250 ok\r\n"),
    ])
    .await;
    send(&channel, &delivery(&channel, "evt_1", &json!({}))).await.unwrap();
}

#[tokio::test]
async fn what_is_no_reply_is_a_broken_connection() {
    for greeting in ["HTTP/1.1 400 Bad Request\r\n\r\n", "\r\n\r\n", "22\r\n"] {
        let channel = channel(vec![("", greeting)]).await;
        let error = send(&channel, &delivery(&channel, "evt_1", &json!({}))).await.unwrap_err();
        assert_eq!(error.verdict, Verdict::Retry { not_before: None });
        assert_eq!(error.code, "smtp_lost", "{greeting}");
    }
}

#[tokio::test]
async fn auth_login_is_used_where_plain_is_not_offered() {
    let mut config = config(
        line_server(vec![
            ("", "220 auth\r\n"),
            ("EHLO", "250-auth\r\n250 AUTH=LOGIN\r\n"),
            ("AUTH LOGIN\r\n", "334 VXNlcm5hbWU6\r\n"),
            ("dXNlcg==\r\n", "334 UGFzc3dvcmQ6\r\n"),
            ("aHVudGVyMg==\r\n", "235\r\n"),
            ("MAIL", "250 ok\r\n"),
            ("RCPT", "250 ok\r\n"),
            ("DATA", "354 go\r\n"),
            (".\r\n", "250 ok\r\n"),
        ])
        .await,
    );
    config.credentials = Some(("user".to_owned(), "hunter2".to_owned()));
    let channel = EmailChannel::new(config, Fixed::hello(), resolver()).unwrap();
    send(&channel, &delivery(&channel, "evt_1", &json!({}))).await.unwrap();
}
