//! Composes a message: headers, text and HTML, a digest's file, the signature.
//!
//! The message id and the MIME boundaries are derived from the delivery. So every attempt sends the
//! same message, and a receiver can recognize a duplicate.

use std::fmt;
use std::time::{Duration, SystemTime};

use fanfare_contract::{Content, Delivery, Event, Json};
use lettre::address::Envelope;
use lettre::message::header::{
    ContentTransferEncoding, ContentType, HeaderName, HeaderValue, MIME_VERSION_1_0,
};
use lettre::message::{Attachment, Body, Mailbox, MessageBuilder};
use lettre::{Address, Message};
use memchr::memmem;
use sha2::{Digest as _, Sha256};

use crate::config::{self, TOKEN};
use crate::digest;
use crate::dkim::{Signer, Unsigned};
use crate::mime::Parts;
use crate::settings::Recipient;
use crate::text;

/// Maximum length of a subject, in characters.
const LONGEST_SUBJECT: usize = 200;
/// Maximum length of a header that holds an id, in characters.
const LONGEST_ID: usize = 128;
/// The event type of a digest.
const DIGEST_TYPE: &str = "fanfare.digest";
/// The fields of `data` that name the subject of an event, the most specific first.
const SUBJECTS: [&str; 3] = ["session_id", "watchlist_id", "job_id"];
/// The last second of the year 9999, the last year that a `Date` header can hold.
const LAST_SECOND: u64 = 253_402_300_799;

/// A message that is ready to send. It is ASCII, so that every server accepts it.
pub(crate) struct Outgoing {
    /// The envelope's sender.
    pub(crate) from: Address,
    /// The envelope's recipient.
    pub(crate) to: Address,
    /// Bytes of the message as the server counts them.
    pub(crate) size: usize,
    /// All headers and the empty line.
    headers: String,
    /// The body and the closing dot.
    body: String,
    /// A remark for the receipt.
    pub(crate) remark: Option<String>,
}

/// Why the rendered parts cannot become a message.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// lettre refuses the headers or the envelope.
    #[error("the message cannot be built: {0}")]
    Build(#[from] lettre::error::Error),
    /// The message is not ASCII, or a part cannot be encoded.
    #[error("the message cannot be encoded as mail")]
    NotMail,
    /// There is a key, and the message cannot be signed.
    #[error(transparent)]
    Unsigned(#[from] Unsigned),
}

/// The rendered parts of a message.
pub(crate) struct Rendered {
    pub(crate) subject: String,
    pub(crate) html: String,
    pub(crate) text: String,
}

/// Composes messages.
pub(crate) struct Composer {
    sender: Mailbox,
    unsubscribe_url: Option<String>,
    signer: Option<Signer>,
}

impl Composer {
    pub(crate) fn new(config: &config::Config, sender: Mailbox) -> Result<Self, config::Error> {
        let signer = config.dkim.as_ref().map(Signer::new).transpose()?;
        Ok(Self { sender, unsubscribe_url: config.unsubscribe_url.clone(), signer })
    }

    /// Whether composing takes long enough to run on the blocking pool.
    pub(crate) fn is_slow(&self, content: &Content) -> bool {
        self.signer.is_some() || matches!(content, Content::Digest(_))
    }

    pub(crate) fn compose(
        &self,
        delivery: &Delivery,
        recipient: &Recipient,
        rendered: Rendered,
    ) -> Result<Outgoing, Error> {
        let head = self.head(delivery, recipient, &rendered.subject);
        let boundary = boundary(delivery, &rendered);
        let alternative = alternative(rendered, format!("{boundary}a"));
        let mut remark = None;
        let parts = match &delivery.content {
            Content::Event(_) => alternative,
            Content::Digest(digest) => {
                let file = digest::file(digest);
                remark = file.remark;
                // base64 keeps all bytes of the file, including its line ends.
                let content =
                    Body::new_with_encoding(file.content, ContentTransferEncoding::Base64)
                        .map_err(|_| Error::NotMail)?;
                let table = Attachment::new(file.name).body(content, csv_type());
                Parts::mixed(format!("{boundary}m"), 0).multiple(alternative).single(&table)
            }
        };
        let (from, to) = (self.sender.email.clone(), recipient.to.email.clone());
        // Without this envelope, lettre would derive one from the headers.
        let envelope = Envelope::new(Some(from.clone()), vec![to.clone()])?;
        let kind = parts.kind().ok_or(Error::NotMail)?;
        let head = head.envelope(envelope).header(MIME_VERSION_1_0).header(kind);
        let mut body = parts.into_body();
        let mut headers = self.headers(head, &body, delivery.at_ms)?;
        headers.push_str("\r\n");
        if !headers.is_ascii() || !body.is_ascii() {
            return Err(Error::NotMail);
        }
        let size = headers.len() + body.len();
        body.push_str(".\r\n");
        Ok(Outgoing { from, to, size, headers, body, remark })
    }

    /// All headers of a message with this body, including the signature. lettre's own `multipart`
    /// keeps `Content-Type` with the parts, where it would not be signed.
    fn headers(&self, head: MessageBuilder, body: &str, at_ms: i64) -> Result<String, Error> {
        let nothing = Body::dangerous_pre_encoded(Vec::new(), ContentTransferEncoding::SevenBit);
        let headers = head.body(nothing)?.headers().to_string();
        let Some(signer) = &self.signer else { return Ok(headers) };
        let signature = signer.sign(&headers, body, at_ms.div_euclid(1000))?;
        Ok(signature + &headers)
    }

    fn head(&self, delivery: &Delivery, recipient: &Recipient, subject: &str) -> MessageBuilder {
        let kind = match &delivery.content {
            Content::Event(event) => event.kind.as_ref(),
            Content::Digest(_) => DIGEST_TYPE,
        };
        let subject = match text::one_line(subject, LONGEST_SUBJECT) {
            blank if blank.is_empty() => text::one_line(kind, LONGEST_SUBJECT),
            subject => subject,
        };
        let mut head = Message::builder().from(recipient.from.clone());
        if recipient.from.email != self.sender.email {
            head = head.sender(self.sender.clone());
        }
        if let Some(reply_to) = &recipient.reply_to {
            head = head.reply_to(reply_to.clone());
        }
        head = head
            .to(recipient.to.clone())
            .subject(subject)
            .date(date(delivery.at_ms))
            .message_id(Some(self.message_id(delivery)));
        if let Content::Event(event) = &delivery.content
            && let Some(thread) = self.thread_id(event)
        {
            head = head.in_reply_to(thread.clone()).references(thread);
        }
        head = head
            .raw_header(raw("Auto-Submitted", "auto-generated"))
            .raw_header(raw("X-Fanfare-Event-ID", delivery.content_id()))
            .raw_header(raw("X-Fanfare-Event-Type", kind))
            .raw_header(raw("X-Fanfare-Delivery-ID", delivery.id.as_str()));
        self.unsubscribe(head, delivery)
    }

    /// RFC 8058: a POST request to the URL unsubscribes with one click.
    fn unsubscribe(&self, head: MessageBuilder, delivery: &Delivery) -> MessageBuilder {
        let Some(template) = &self.unsubscribe_url else { return head };
        let url = template.replace(TOKEN, &id_text(delivery.id.as_str()));
        let header = HeaderName::new_from_ascii_str("List-Unsubscribe");
        head.raw_header(HeaderValue::new(header, format!("<{url}>")))
            .raw_header(raw("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"))
    }

    fn message_id(&self, delivery: &Delivery) -> String {
        let id = delivery.id.as_str();
        // The hash keeps ids distinct that become equal when reduced to allowed characters.
        format!(
            "<{}.{}@{}>",
            id_text(id),
            hash(&["message", &delivery.destination.tenant, id]),
            self.sender.email.domain()
        )
    }

    /// The id of a message that was never sent. All mails about one session reply to it, so that
    /// mail programs show them as one conversation.
    fn thread_id(&self, event: &Event) -> Option<String> {
        let subject = SUBJECTS.iter().find_map(|field| {
            let value = match event.json()["data"].get(field)? {
                Json::Text(text) | Json::Number(text) if !text.is_empty() => text,
                _ => return None,
            };
            Some(hash(&["thread", &event.tenant, field, value]))
        })?;
        Some(format!("<thread.{subject}@{}>", self.sender.email.domain()))
    }
}

fn raw(name: &'static str, value: &str) -> HeaderValue {
    let value = text::one_line(value, LONGEST_ID);
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value)
}

/// The first 16 hex digits of a SHA-256 over the parts, each followed by a NUL.
fn hash(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
        hash.update([0]);
    }
    hex::encode(&hash.finalize()[..8])
}

/// The characters of an id that are allowed in headers and URLs.
fn id_text(id: &str) -> String {
    let fit = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '~');
    id.chars().filter(fit).take(LONGEST_ID).collect()
}

fn date(at_ms: i64) -> SystemTime {
    let seconds = u64::try_from(at_ms).unwrap_or(0) / 1000;
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.min(LAST_SECOND))
}

/// A boundary that is the same on every attempt and does not occur in the content.
fn boundary(delivery: &Delivery, rendered: &Rendered) -> String {
    let mut salt = String::new();
    loop {
        let boundary = format!("fanfare-{}", hash(&["boundary", delivery.id.as_str(), &salt]));
        let within = |text: &str| memmem::find(text.as_bytes(), boundary.as_bytes()).is_some();
        if !within(&rendered.text) && !within(&rendered.html) {
            return boundary;
        }
        salt.push('x');
    }
}

fn alternative(rendered: Rendered, boundary: String) -> Parts {
    let length = rendered.text.len() + rendered.html.len();
    Parts::alternative(boundary, length + length / 16).plain(rendered.text).html(rendered.html)
}

/// The message as it is sent.
impl fmt::Display for Outgoing {
    /// RFC 5321, section 4.5.2: a line that starts with a dot gets another dot, and a lone dot ends
    /// the message. Header lines never start with a dot.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.headers)?;
        let mut start = 0;
        let end = self.body.len() - ".\r\n".len();
        for dot in memmem::find_iter(&self.body.as_bytes()[..end], "\n.").map(|at| at + 1) {
            f.write_str(&self.body[start..dot])?;
            f.write_str(".")?;
            start = dot;
        }
        f.write_str(&self.body[start..])
    }
}

fn csv_type() -> ContentType {
    ContentType::parse("text/csv; charset=utf-8; header=present").expect("a valid constant")
}
