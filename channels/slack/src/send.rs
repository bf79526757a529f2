//! One attempt: render the message, post it, and try simpler forms if Slack refuses it.

use std::sync::Arc;

use fanfare_contract::{AnswerPart, Delivery, DeliveryError, Memo, Part, Receipt, Templates};
use serde_json::{Map, Value, json};
use slack_morphism::{
    SlackApiToken, SlackClient, SlackClientApiCallContext, SlackClientHttpConnector as _,
};
use url::Url;

use crate::connector::{Connector, Posted};
use crate::fault::{Api, Fault, Kind};
use crate::fit::{self, Notes};
use crate::payload::Message;
use crate::settings::{Prepared, Target, Updates};
use crate::thread::{First, Group};

/// Runs the attempts of all destinations.
pub(crate) struct Sender {
    pub(crate) slack: SlackClient<Connector>,
    pub(crate) templates: Arc<dyn Templates>,
    pub(crate) memo: Arc<dyn Memo>,
}

/// One call to Slack.
#[derive(Clone, Copy)]
enum Call<'a> {
    Webhook(&'a Url),
    Post { token: &'a SlackApiToken, channel: &'a str, thread: Option<&'a str> },
    Update { token: &'a SlackApiToken, first: &'a First },
}

/// The form in which a message is sent.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// As the template rendered it.
    Whole,
    /// With fewer blocks.
    Lighter,
    /// As text alone.
    Plain,
}

/// An accepted message, and remarks for people.
struct Sent {
    posted: Posted,
    remarks: Vec<String>,
}

impl Sender {
    /// Runs one attempt.
    pub(crate) async fn attempt(&self, delivery: Delivery) -> Result<Receipt, DeliveryError> {
        let Some(prepared) = delivery.destination.settings::<Prepared>() else {
            let message = "another channel prepared the destination; this is a bug in Fanfare";
            return Err(DeliveryError::permanent("not_prepared", message));
        };
        let message = self.message(&delivery).await?;
        let sent = match &prepared.target {
            Target::Webhook(url) => self.send(Call::Webhook(url), &message, &delivery).await,
            Target::Bot { token, channel } => {
                self.to_channel(prepared, token, channel, &message, &delivery).await
            }
        };
        sent.map(|sent| receipt(sent, &message)).map_err(Fault::into_error)
    }

    async fn message(&self, delivery: &Delivery) -> Result<Message, DeliveryError> {
        let rendered = self.templates.render(delivery, &[Part::Slack]).await;
        let rendered = rendered.map_err(|error| {
            DeliveryError::permanent("render_failed", error.to_string()).with_source(error)
        })?;
        Message::parse(rendered.first().map_or("", String::as_str)).map_err(|error| {
            DeliveryError::permanent("render_failed", error.to_string()).with_source(error)
        })
    }

    /// Replies to the group's first message or edits it. Starts a new group if there is none, or if
    /// Slack does not accept replies or edits any more.
    async fn to_channel(
        &self,
        prepared: &Prepared,
        token: &SlackApiToken,
        channel: &str,
        message: &Message,
        delivery: &Delivery,
    ) -> Result<Sent, Fault> {
        let path = prepared.group_by.as_deref();
        let group = path.and_then(|path| Group::of(delivery, path, &self.memo));
        let mut gone = None;
        if let Some(group) = &group
            && let Some(first) = group.first(channel).await
        {
            let edit = prepared.updates == Updates::Edit;
            match self.follow_up(group, &first, edit, token, message, delivery).await {
                Err(fault) if fault.kind == Kind::Gone => gone = Some(fault.code),
                done => return done,
            }
        }
        let call = Call::Post { token, channel, thread: None };
        let mut sent = self.send(call, message, delivery).await?;
        sent.remarks.extend(gone.map(|code| format!("started a new thread ({code})")));
        if let (Some(group), Some(ts)) = (&group, &sent.posted.ts) {
            let to = channel.to_owned();
            let id = sent.posted.channel.clone().unwrap_or_else(|| to.clone());
            group
                .remember(&First { to, channel: id, ts: ts.clone(), created: group.created })
                .await;
        }
        Ok(sent)
    }

    /// Edits the group's first message or replies to it.
    async fn follow_up(
        &self,
        group: &Group,
        first: &First,
        edit: bool,
        token: &SlackApiToken,
        message: &Message,
        delivery: &Delivery,
    ) -> Result<Sent, Fault> {
        // A late event must not replace a newer one, but it must be visible: it becomes a reply.
        if !edit || group.created < first.created {
            let call = Call::Post { token, channel: &first.to, thread: Some(&first.ts) };
            return self.send(call, message, delivery).await;
        }
        match self.send(Call::Update { token, first }, message, delivery).await {
            Ok(sent) => {
                if group.created > first.created {
                    group.remember(&First { created: group.created, ..first.clone() }).await;
                }
                Ok(sent)
            }
            // A channel that was recreated under the same name has another id.
            Err(mut fault) => {
                if fault.code == "channel_not_found" {
                    fault.kind = Kind::Gone;
                }
                Err(fault)
            }
        }
    }

    /// Sends the message. If Slack refuses it, sends it with fewer blocks (if it is too long) or as
    /// plain text instead of losing it.
    async fn send(
        &self,
        call: Call<'_>,
        message: &Message,
        delivery: &Delivery,
    ) -> Result<Sent, Fault> {
        let mut form = Form::Whole;
        let mut remarks = Vec::new();
        loop {
            let mut notes = Notes::default();
            let body = body(call, form, message, delivery, &mut notes);
            let fault = match self.call(call, &body).await {
                Ok(posted) => {
                    remarks.extend(notes.line());
                    return Ok(Sent { posted, remarks });
                }
                Err(fault) => fault,
            };
            form = match form {
                _ if fault.kind != Kind::Refused => return Err(fault),
                Form::Plain => return Err(fault),
                Form::Whole if fault.code == "msg_blocks_too_long" => Form::Lighter,
                Form::Whole | Form::Lighter => Form::Plain,
            };
            remarks.clear();
            if form == Form::Plain {
                remarks
                    .push(format!("sent as plain text: Slack refused the blocks ({})", fault.code));
            }
        }
    }

    async fn call(&self, call: Call<'_>, body: &Value) -> Result<Posted, Fault> {
        let (method, token) = match call {
            Call::Webhook(url) => return self.webhook(url, body).await,
            Call::Post { token, .. } => ("chat.postMessage", token),
            Call::Update { token, .. } => ("chat.update", token),
        };
        // Raw JSON, because the typed requests drop unknown fields silently.
        let session = self.slack.open_session(token);
        let posted = session.http_session_api.http_post(method, body, None).await;
        posted.map_err(|error| Fault::read(error, Api::Web))
    }

    async fn webhook(&self, url: &Url, body: &Value) -> Result<Posted, Fault> {
        let span = tracing::Span::none();
        let context = SlackClientApiCallContext {
            rate_control_params: None,
            token: None,
            tracing_span: &span,
            is_sensitive_url: true,
        };
        let connector = &self.slack.http_api.connector;
        let posted = connector.http_post_uri(url.clone(), body, context).await;
        posted.map_err(|error| Fault::read(error, Api::Webhook))
    }
}

/// The JSON body of a call.
fn body(
    call: Call<'_>,
    form: Form,
    message: &Message,
    delivery: &Delivery,
    notes: &mut Notes,
) -> Value {
    let mut body = Map::new();
    match call {
        Call::Webhook(_) => {}
        Call::Post { channel, thread, .. } => {
            body.insert("channel".to_owned(), channel.into());
            if let Some(ts) = thread {
                body.insert("thread_ts".to_owned(), ts.into());
                body.insert("reply_broadcast".to_owned(), false.into());
            }
        }
        Call::Update { first, .. } => {
            body.insert("channel".to_owned(), first.channel.as_str().into());
            body.insert("ts".to_owned(), first.ts.as_str().into());
        }
    }
    let blocks = match form {
        Form::Whole => message.blocks.clone(),
        Form::Lighter => fit::lighter(message.blocks.clone(), notes),
        Form::Plain => Vec::new(),
    };
    let text = match form {
        Form::Plain => message.as_plain_text(),
        Form::Whole | Form::Lighter => message.text.clone(),
    };
    body.insert("text".to_owned(), text.into());
    // An update without `blocks` keeps the old blocks.
    if !blocks.is_empty() || matches!(call, Call::Update { .. }) {
        body.insert("blocks".to_owned(), blocks.into());
    }
    if !matches!(call, Call::Update { .. }) {
        body.insert("unfurl_links".to_owned(), false.into());
        body.insert("unfurl_media".to_owned(), false.into());
    }
    // Slack has no idempotency key. The metadata lets an app recognize duplicates.
    if !matches!(call, Call::Webhook(_)) && form != Form::Plain {
        let payload = json!({"delivery": delivery.id, "event": delivery.content_id()});
        let metadata = json!({"event_type": "fanfare_delivery", "event_payload": payload});
        body.insert("metadata".to_owned(), metadata);
    }
    Value::Object(body)
}

fn receipt(sent: Sent, message: &Message) -> Receipt {
    let Sent { posted, mut remarks } = sent;
    remarks.extend(message.notes.line());
    // The Web API's answer repeats the message. The ledger needs only its ids.
    let answer = posted.answer.unwrap_or_else(|| {
        json!({"ok": true, "channel": posted.channel, "ts": posted.ts}).to_string()
    });
    Receipt {
        resent: Vec::new(),
        status: Some(posted.status.unwrap_or(200)),
        answer: AnswerPart::from_bytes(answer.as_bytes()),
        remote_id: posted.ts,
        remark: (!remarks.is_empty()).then(|| remarks.join("; ")),
    }
}
