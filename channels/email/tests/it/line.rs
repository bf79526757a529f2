//! A mail that waits for a busy connection is announced behind the message before it (RFC 2920).

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use fanfare_contract::{DeliveryError, Receipt};
use fanfare_email::{Config, EmailChannel};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::support::{Fixed, SOON, config, converse, delivery, line_server, send, skip_to};

const OFFER: &str = "250-here\r\n250 PIPELINING\r\n";
/// What three mails at once see of a server up to the second message: the first is answered quickly.
const BEFORE: [(&str, &str); 10] = [
    ("", "220 here\r\n"),
    ("EHLO", OFFER),
    ("EHLO", OFFER),
    ("MAIL", "250 ok\r\n"),
    ("RCPT", "250 ok\r\n"),
    ("DATA", "354 go\r\n"),
    (".\r\n", "250 2.0.0 queued as FIRST\r\n"),
    ("MAIL", "250 ok\r\n"),
    ("RCPT", "250 ok\r\n"),
    ("DATA", "354 go\r\n"),
];

type Outcome = Result<Receipt, DeliveryError>;

fn one_connection(addr: SocketAddr) -> EmailChannel {
    EmailChannel::new(Config { connections: 1, ..config(addr) }, Fixed::hello()).unwrap()
}

fn spawn(channel: &EmailChannel, id: &str) -> JoinHandle<Outcome> {
    let (channel, delivery) = (channel.clone(), delivery(channel, id, &json!({})));
    tokio::spawn(async move { send(&channel, &delivery).await })
}

/// The outcomes of three mails at once over one connection to a server that goes on like this.
async fn three(after: &[(&'static str, &'static str)]) -> [Outcome; 3] {
    let channel = one_connection(line_server([&BEFORE, after].concat()).await);
    let sends = ["evt_1", "evt_2", "evt_3"].map(|id| spawn(&channel, id));
    tokio::time::timeout(SOON, joined(sends)).await.expect("nobody waits for what does not come")
}

async fn joined(sends: [JoinHandle<Outcome>; 3]) -> [Outcome; 3] {
    let [first, second, third] = sends;
    [first.await.unwrap(), second.await.unwrap(), third.await.unwrap()]
}

fn queued_as(outcome: &Outcome) -> &str {
    outcome.as_ref().unwrap().remote_id.as_deref().unwrap()
}

#[tokio::test]
async fn a_mail_in_line_is_announced_behind_the_message_before_it() {
    // The second message is answered only when the third mail is announced.
    let all = three(&[
        ("DATA", "250 2.0.0 queued as SECOND\r\n250 ok\r\n250 ok\r\n354 go\r\n"),
        (".\r\n", "250 2.0.0 queued as THIRD\r\n"),
    ]);
    assert_eq!(all.await.each_ref().map(queued_as), ["FIRST", "SECOND", "THIRD"]);
}

#[tokio::test]
async fn a_refused_message_says_nothing_about_the_mail_behind_it() {
    let [_, second, third] = three(&[
        ("DATA", "554 5.7.1 no\r\n250 ok\r\n250 ok\r\n354 go\r\n"),
        (".\r\n", "250 2.0.0 queued as THIRD\r\n"),
    ])
    .await;
    assert_eq!(second.unwrap_err().code, "smtp_554");
    assert_eq!(queued_as(&third), "THIRD");
}

#[tokio::test]
async fn an_announcement_behind_a_message_may_be_refused() {
    let [_, second, third] = three(&[
        ("DATA", "250 2.0.0 queued as SECOND\r\n250 ok\r\n550 5.1.1 who?\r\n503 no\r\n"),
        ("RSET", "250 ok\r\n"),
    ])
    .await;
    assert_eq!(queued_as(&second), "SECOND");
    let refused = third.unwrap_err();
    assert_eq!((refused.code.as_str(), refused.maybe_accepted), ("smtp_550", false));
}

#[tokio::test]
async fn a_mail_announced_on_a_connection_that_breaks_goes_over_another() {
    for farewell in ["", "421 4.3.2 shutting down\r\n", "250 ok\r\n421 4.7.0 enough\r\n"] {
        let [first, second, third] = three(&[("DATA", farewell)]).await;
        assert_eq!(queued_as(&first), "FIRST");
        match second {
            Ok(_) => assert!(farewell.starts_with("250"), "{farewell}"),
            // Whether an unanswered message was taken is not known; 421 says that it was not.
            Err(error) => assert_eq!(error.maybe_accepted, farewell.is_empty(), "{error:?}"),
        }
        // The server tells the same again to the next connection.
        assert_eq!(queued_as(&third), "FIRST");
    }
}

#[tokio::test]
async fn a_mail_given_up_after_its_announcement_is_not_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let channel = one_connection(listener.local_addr().unwrap());
    let (announced, given_up) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let server = tokio::spawn({
        let (announced, given_up) = (Arc::clone(&announced), Arc::clone(&given_up));
        async move {
            let mut stream = BufReader::new(listener.accept().await?.0);
            converse(&mut stream, &BEFORE).await?;
            skip_to(&mut stream, "DATA").await?;
            announced.notify_one();
            given_up.notified().await;
            let answers = b"250 2.0.0 queued as SECOND\r\n250 ok\r\n250 ok\r\n354 go\r\n";
            stream.write_all(answers).await?;
            let mut rest = String::new();
            stream.read_to_string(&mut rest).await?;
            io::Result::Ok(rest)
        }
    });
    let [first, second, third] = ["evt_1", "evt_2", "evt_3"].map(|id| spawn(&channel, id));
    announced.notified().await;
    third.abort();
    assert!(third.await.unwrap_err().is_cancelled());
    given_up.notify_one();
    assert_eq!(queued_as(&first.await.unwrap()), "FIRST");
    assert_eq!(queued_as(&second.await.unwrap()), "SECOND");
    let rest = tokio::time::timeout(SOON, server).await.expect("the connection is closed");
    assert_eq!(rest.unwrap().unwrap(), "", "no message, not even an empty one");
}

#[tokio::test]
async fn a_server_that_takes_its_time_gets_no_mail_announced_behind_a_message() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let channel = one_connection(listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let mut stream = BufReader::new(listener.accept().await?.0);
        converse(&mut stream, &BEFORE[..6]).await?;
        skip_to(&mut stream, ".\r\n").await?;
        tokio::time::sleep(Duration::from_millis(300)).await;
        stream.write_all(b"250 2.0.0 queued as FIRST\r\n").await?;
        converse(&mut stream, &BEFORE[7..]).await?;
        skip_to(&mut stream, ".\r\n").await?;
        // What is announced comes in the same segments as the message.
        let more = tokio::time::timeout(Duration::from_millis(100), stream.read_u8()).await;
        stream.write_all(b"250 2.0.0 queued as SECOND\r\n").await?;
        let again = [("MAIL", "250 ok\r\n"), ("RCPT", "250 ok\r\n"), ("DATA", "354 go\r\n")];
        converse(&mut stream, &again).await?;
        converse(&mut stream, &[(".\r\n", "250 2.0.0 queued as THIRD\r\n")]).await?;
        io::Result::Ok(more.is_err())
    });
    let sends = ["evt_1", "evt_2", "evt_3"].map(|id| spawn(&channel, id));
    let all = joined(sends).await;
    assert_eq!(all.each_ref().map(queued_as), ["FIRST", "SECOND", "THIRD"]);
    assert!(server.await.unwrap().unwrap(), "it was announced");
}
