//! Shared fixtures: a channel with fixed templates, deliveries, and a mail server that follows a
//! script.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use fanfare_contract::{
    Channel, Content, Delivery, DeliveryError, DeliveryId, Destination, Event, Part, Receipt,
    RenderError, Resend, Resolve, Templates,
};
use fanfare_email::{Config, EmailChannel, Security};
use fanfare_receivers::{Mail, SmtpReceiver};
use mail_parser::{Message, MessageParser};
use serde_json::{Map, Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tower::ServiceExt as _;

/// Long enough for everything that a test waits for.
pub(crate) const SOON: Duration = Duration::from_secs(10);
/// 26 December 2024, 16:05:25 UTC.
pub(crate) const AT_MS: i64 = 1_735_229_125_000;

/// Templates with a fixed result.
pub(crate) struct Fixed {
    pub(crate) subject: String,
    pub(crate) html: String,
    pub(crate) text: String,
}

impl Fixed {
    pub(crate) fn new(subject: &str, html: &str, text: &str) -> Arc<Self> {
        Arc::new(Self { subject: subject.into(), html: html.into(), text: text.into() })
    }

    pub(crate) fn hello() -> Arc<Self> {
        Self::new("Hello", "<p>Hello</p>", "Hello")
    }
}

#[async_trait::async_trait]
impl Templates for Fixed {
    async fn render(&self, _: &Delivery, parts: &[Part]) -> Result<Vec<String>, RenderError> {
        assert_eq!(parts, [Part::Subject, Part::Html, Part::Text]);
        Ok(vec![self.subject.clone(), self.html.clone(), self.text.clone()])
    }
}

/// The resolver of the router.
pub(crate) fn resolver() -> Arc<dyn Resolve> {
    Arc::new(fanfare_dns::Resolver::new(&fanfare_dns::Options::default()))
}

/// Settings for a server without TLS at `addr`.
pub(crate) fn config(addr: SocketAddr) -> Config {
    Config {
        host: addr.ip().to_string(),
        port: addr.port(),
        security: Security::None,
        from: "Fanfare <notifications@fanfare.example>".into(),
        allowed_from_domains: vec!["*".into()],
        connections: 4,
        ..Config::default()
    }
}

pub(crate) fn channel(receiver: &SmtpReceiver) -> EmailChannel {
    EmailChannel::new(config(receiver.addr()), Fixed::hello(), resolver()).unwrap()
}

pub(crate) fn settings(value: Value) -> Map<String, Value> {
    let Value::Object(settings) = value else { panic!("settings are an object") };
    settings
}

pub(crate) fn event(id: &str, kind: &str, data: &Value) -> Arc<Event> {
    let body = json!({"id": id, "type": kind, "created": 1_735_229_125, "data": data}).to_string();
    let created = AT_MS / 1000;
    Arc::new(Event::new("acme".into(), id.into(), kind.into(), created, AT_MS, body.into()))
}

/// A delivery of `content` to the first recipient of `settings`.
pub(crate) fn delivery_of(channel: &EmailChannel, to: Value, content: Content) -> Delivery {
    let lanes = channel.prepare(&settings(to)).unwrap_or_else(|errors| panic!("{errors:?}"));
    let lane = lanes.into_iter().next().unwrap();
    let id = format!("mlro-now~{}", lane.suffix.unwrap());
    let content_id = match &content {
        Content::Event(event) => event.id.to_string(),
        Content::Digest(digest) => digest.id.to_string(),
    };
    let destination = Arc::new(Destination {
        tenant: "acme".into(),
        lane: id.as_str().into(),
        channel: "email".into(),
        settings: lane.settings,
    });
    let id = DeliveryId::derive(&content_id, &id);
    Delivery { id, destination, content, attempt: 1, at_ms: AT_MS, resend: Resend::Allowed }
}

/// A delivery of one event with `data` to `jane.smith@acme.example`.
pub(crate) fn delivery(channel: &EmailChannel, id: &str, data: &Value) -> Delivery {
    let content = Content::Event(event(id, "kyc.session.processed", data));
    delivery_of(channel, json!({"to": "jane.smith@acme.example"}), content)
}

pub(crate) async fn send(
    channel: &EmailChannel,
    delivery: &Delivery,
) -> Result<Receipt, DeliveryError> {
    channel.service().oneshot(delivery.clone()).await
}

/// Sends one event through a new channel, and returns the mail that arrived.
pub(crate) async fn arrived(templates: Arc<Fixed>, data: &Value) -> Mail {
    let receiver = SmtpReceiver::ok().await.unwrap();
    let channel = EmailChannel::new(config(receiver.addr()), templates, resolver()).unwrap();
    send(&channel, &delivery(&channel, "evt_1", data)).await.unwrap();
    receiver.wait_for(1, SOON).await.remove(0)
}

pub(crate) fn parse(mail: &Mail) -> Message<'_> {
    MessageParser::default().parse(&mail.data).expect("a message that parses")
}

/// The value of a header as one line of text.
pub(crate) fn header(message: &Message<'_>, name: &str) -> String {
    let value = message.header_raw(name).unwrap_or_else(|| panic!("no header {name}"));
    value.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The whole text of a failure, as a log or the ledger can show it.
pub(crate) fn shown(error: &DeliveryError) -> String {
    format!("{error} {error:?}")
}

/// Serves connections one after the other. Each entry of the script is the start of a client's
/// line, and the reply to it. An empty start is for the greeting. The lines of a message get no
/// reply.
pub(crate) async fn line_server(script: Vec<(&'static str, &'static str)>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // The client can disconnect before the end of the script.
            let _ = converse(&mut BufReader::new(stream), &script).await;
        }
    });
    addr
}

/// Follows a script to its end.
async fn converse(stream: &mut BufReader<TcpStream>, script: &[(&str, &str)]) -> io::Result<()> {
    for (start, reply) in script {
        skip_to(stream, start).await?;
        stream.write_all(reply.as_bytes()).await?;
    }
    Ok(())
}

/// Reads up to a line that starts with `start`. Reads nothing for an empty start.
async fn skip_to(stream: &mut BufReader<TcpStream>, start: &str) -> io::Result<()> {
    let mut line = String::new();
    while !start.is_empty() && !line.starts_with(start) {
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(())
}
