//! The mail receiver, spoken to by hand.

use std::time::Duration;

use fanfare_receivers::{SmtpReceiver, SmtpReply, Stage};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

const SOON: Duration = Duration::from_secs(10);

async fn connect(receiver: &SmtpReceiver) -> BufReader<TcpStream> {
    BufReader::new(TcpStream::connect(receiver.addr()).await.unwrap())
}

/// Sends `text`, and gives back the codes of so many replies.
async fn codes(client: &mut BufReader<TcpStream>, text: &str, replies: usize) -> Vec<u16> {
    client.write_all(text.as_bytes()).await.unwrap();
    let mut codes = Vec::new();
    while codes.len() < replies {
        let mut line = String::new();
        client.read_line(&mut line).await.unwrap();
        if line.as_bytes().get(3) == Some(&b' ') {
            codes.push(line[..3].parse().unwrap());
        }
    }
    codes
}

#[tokio::test]
async fn pipelined_commands_are_answered_in_order_and_dots_are_unstuffed() {
    let receiver = SmtpReceiver::ok().await.unwrap();
    let mut client = connect(&receiver).await;
    let begin = "EHLO me\r\nMAIL FROM:<a@b.example> SIZE=9\r\nRCPT TO:<c@d.example>\r\nDATA\r\n";
    assert_eq!(codes(&mut client, begin, 5).await, [220, 250, 250, 250, 354]);
    // A dot between bare line feeds ends nothing.
    let message = "..one\r\ntwo\n.\n.\r\n...\r\n";
    assert_eq!(codes(&mut client, &format!("{message}.\r\nQUIT\r\n"), 2).await, [250, 221]);
    assert_eq!(client.read(&mut [0; 1]).await.unwrap(), 0);

    let mail = receiver.wait_for(1, SOON).await.remove(0);
    assert_eq!((mail.from.as_str(), mail.to), ("a@b.example", vec!["c@d.example".to_owned()]));
    assert_eq!(mail.data, ".one\r\ntwo\n.\n.\r\n..\r\n");
}

#[tokio::test]
async fn commands_out_of_order_are_refused() {
    let receiver = SmtpReceiver::ok().await.unwrap();
    let mut client = connect(&receiver).await;
    let text = "RCPT TO:<c@d.example>\r\nDATA\r\nMAIL TO:<x>\r\nMAIL FROM:<>\r\nMAIL FROM:<>\r\n\
                RSET\r\nRCPT TO:<c@d.example>\r\nWHAT\r\nNOOP\r\n";
    let answers = [220, 503, 554, 501, 250, 503, 250, 503, 502, 250];
    assert_eq!(codes(&mut client, text, answers.len()).await, answers);
}

#[tokio::test]
async fn the_script_is_asked_at_each_stage_with_its_argument() {
    let script = |stage, argument: &str, nth| match (stage, argument, nth) {
        (Stage::Rcpt, "no@d.example", 0) => SmtpReply::Code(550, "5.1.1 two\nlines".into()),
        (Stage::Data, "yes@d.example", 0) => {
            let refuse = SmtpReply::Code(451, "4.3.0 later".into());
            SmtpReply::After(Duration::from_millis(5), Box::new(refuse))
        }
        (Stage::Data, _, 1) => SmtpReply::CloseAfterData,
        _ => SmtpReply::Ok,
    };
    let receiver = SmtpReceiver::start(script).await.unwrap();
    let mut client = connect(&receiver).await;
    let begin =
        "MAIL FROM:<a@b.example>\r\nRCPT TO:<no@d.example>\r\nRCPT TO:<yes@d.example>\r\nDATA\r\n";
    assert_eq!(codes(&mut client, begin, 5).await, [220, 250, 550, 250, 354]);
    assert_eq!(codes(&mut client, "one\r\n.\r\n", 1).await, [451]);
    assert_eq!(receiver.count(), 0);
    assert_eq!(codes(&mut client, begin, 4).await, [250, 250, 250, 354]);
    client.write_all(b"two\r\n.\r\n").await.unwrap();
    assert_eq!(client.read(&mut [0; 1]).await.unwrap(), 0);
    let mail = receiver.wait_for(1, SOON).await.remove(0);
    assert_eq!(mail.data, "two\r\n");
    assert_eq!(mail.to.len(), 2);
}

#[tokio::test]
async fn a_dropped_receiver_closes_its_connections() {
    let receiver = SmtpReceiver::ok().await.unwrap();
    let mut client = connect(&receiver).await;
    assert_eq!(codes(&mut client, "NOOP\r\n", 2).await, [220, 250]);
    assert_eq!((receiver.connections_open(), receiver.connections_total()), (1, 1));
    drop(receiver);
    assert_eq!(client.read(&mut [0; 1]).await.unwrap(), 0);
}
