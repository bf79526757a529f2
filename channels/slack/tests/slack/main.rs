//! The channel against a receiver that answers like Slack, over real sockets, and its messages
//! against Slack's limits.

mod limits;
mod posting;
mod properties;
mod refusals;
mod threads;

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use fanfare_contract::{
    Channel, Content, Delivery, DeliveryError, DeliveryId, Destination, Digest, Event, Memo, Part,
    RETRY_AFTER_MAX, Receipt, RenderError, Resend, Resolve, Templates, Verdict,
};
use fanfare_receivers::{HttpReceiver, Received, Reply};
use fanfare_slack::{Config, Error, SlackChannel};
use serde_json::{Value, json};
use tower::ServiceExt as _;
use url::Url;

const TOKEN: &str = "xoxb-111-222-verysecret";
const SECRET_PATH: &str = "services/T0001/B0002/verysecret";
const DAY: Duration = Duration::from_hours(24);

/// Renders every delivery with the same result.
struct Fixed(Result<String, RenderError>);

#[async_trait::async_trait]
impl Templates for Fixed {
    async fn render(&self, _: &Delivery, parts: &[Part]) -> Result<Vec<String>, RenderError> {
        assert_eq!(parts, [Part::Slack]);
        self.0.clone().map(|text| vec![text])
    }
}

/// A memo in memory.
#[derive(Default)]
struct Memory(Mutex<HashMap<String, (String, Duration)>>);

impl Memory {
    fn value(&self, key: &str) -> Option<Value> {
        let value = self.0.lock().unwrap().get(key)?.0.clone();
        Some(serde_json::from_str(&value).unwrap())
    }
}

#[async_trait]
impl Memo for Memory {
    async fn get(&self, key: &str) -> Option<String> {
        self.0.lock().unwrap().get(key).map(|(value, _)| value.clone())
    }
    async fn put(&self, key: &str, value: &str, ttl: Duration) {
        self.0.lock().unwrap().insert(key.to_owned(), (value.to_owned(), ttl));
    }
}

/// The channel, its receiver, and one destination.
struct Bench {
    slack: HttpReceiver,
    channel: SlackChannel,
    memory: Arc<Memory>,
    settings: Value,
}

fn blocks() -> Value {
    json!({"text": "Review needed", "blocks": [
        {"type": "header", "text": {"type": "plain_text", "text": "Review needed"}},
        {"type": "section", "text": {"type": "mrkdwn", "text": "Jane &amp; co", "new_in_2027": 1}},
    ]})
}

/// The resolver of the router.
fn resolver() -> Arc<dyn Resolve> {
    Arc::new(fanfare_dns::Resolver::new(&fanfare_dns::Options::default()))
}

fn channel(api: &str, rendered: Result<String, RenderError>, memory: &Arc<Memory>) -> SlackChannel {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let config =
        Config { api_url: Url::parse(api).unwrap(), development: true, ..Config::default() };
    let templates = Arc::new(Fixed(rendered));
    SlackChannel::new(config, templates, Arc::clone(memory) as _, resolver()).unwrap()
}

async fn bench(
    settings: impl Fn(&HttpReceiver) -> Value,
    script: impl Fn(&Received, usize) -> Reply + Send + Sync + 'static,
) -> Bench {
    let slack = HttpReceiver::start(script).await.unwrap();
    let memory = Arc::new(Memory::default());
    let channel = channel(&slack.url("api"), Ok(blocks().to_string()), &memory);
    let settings = settings(&slack);
    Bench { slack, channel, memory, settings }
}

fn webhook(slack: &HttpReceiver) -> Value {
    json!({"url": slack.url(SECRET_PATH)})
}

fn bot(_: &HttpReceiver) -> Value {
    json!({"token": TOKEN, "slack_channel": "#kyc", "group_by": "data.session"})
}

fn editing_bot(slack: &HttpReceiver) -> Value {
    let mut settings = bot(slack);
    settings["updates"] = "edit".into();
    settings
}

fn event(id: &str, created: i64, session: &str) -> Content {
    let data = json!({"session": session});
    let body = json!({"id": id, "type": "kyc.session.created", "created": created, "data": data});
    Content::Event(Arc::new(Event::new(
        "acme".into(),
        id.into(),
        "kyc.session.created".into(),
        created,
        created * 1000,
        body.to_string().into(),
    )))
}

fn delivery(channel: &SlackChannel, settings: &Value, content: Content) -> Delivery {
    let lane = channel.prepare(settings.as_object().unwrap()).unwrap().remove(0);
    let destination = Destination {
        tenant: "acme".into(),
        lane: "support".into(),
        channel: "slack".into(),
        settings: lane.settings,
    };
    let destination = Arc::new(destination);
    Delivery {
        id: DeliveryId::from("dlv_1"),
        destination,
        content,
        attempt: 1,
        at_ms: 0,
        resend: Resend::Allowed,
    }
}

impl Bench {
    async fn send(&self, content: Content) -> Result<Receipt, DeliveryError> {
        let delivery = delivery(&self.channel, &self.settings, content);
        self.channel.service().oneshot(delivery).await
    }

    async fn fail(&self) -> DeliveryError {
        let error = self.send(event("evt_1", 1, "s1")).await.expect_err("a failure");
        assert_says_no_secret(&error);
        error
    }

    fn bodies(&self) -> Vec<Value> {
        self.slack.received().iter().map(json_of).collect()
    }

    fn paths(&self) -> Vec<String> {
        self.slack.received().into_iter().map(|it| it.path).collect()
    }
}

fn json_of(received: &Received) -> Value {
    serde_json::from_slice(&received.body).unwrap()
}

/// Checks that neither the error nor its sources hold a token, a webhook's path or the payload. The
/// kept answer holds Slack's own words.
fn assert_says_no_secret(error: &DeliveryError) {
    let mut said = format!("{error} {} {}", error.code, error.message);
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let _ = write!(said, " {cause} {cause:?}");
        source = cause.source();
    }
    for secret in ["verysecret", "T0001", "xoxb", "Jane", "Review"] {
        assert!(!said.contains(secret), "{said}");
    }
}

fn answer(status: u16, body: &str) -> Reply {
    let headers = vec![("content-type".to_owned(), "text/html".to_owned())];
    Reply::Full { status, headers, body: body.to_owned().into() }
}

fn api(body: &Value) -> Reply {
    let json = "application/json; charset=utf-8".to_owned();
    let headers = vec![("content-type".to_owned(), json)];
    Reply::Full { status: 200, headers, body: body.to_string().into() }
}

fn no(code: &str) -> Reply {
    api(&json!({"ok": false, "error": code}))
}

/// The Web API's answer to an accepted message. The `n`th message gets the ts `n.000`.
fn posted(n: usize) -> Reply {
    api(&json!({"ok": true, "channel": "C0777KYC", "ts": format!("{n}.000"),
        "message": {"text": "Review needed"}}))
}
