//! Writes what the receivers got to files that people can open.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::Context;
use fanfare_contract::Json;
use fanfare_receivers::Received;
use mail_parser::MessageParser;

use super::receivers::Receivers;

/// `mail/`, `slack/` and `webhook/` under `folder`.
pub(super) fn write(folder: &Path, receivers: &Receivers) -> anyhow::Result<()> {
    for dir in ["mail", "slack", "webhook"] {
        fs::create_dir_all(folder.join(dir)).context("cannot write to the demo's folder")?;
    }
    for (n, mail) in receivers.smtp.mails().iter().enumerate() {
        let subject = parsed_name(&mail.data);
        let base = folder.join("mail").join(format!("{:02}-{subject}", n + 1));
        put(&base.with_extension("eml"), &mail.data)?;
        if let Some(message) = MessageParser::default().parse(&mail.data[..]) {
            if let Some(html) = message.body_html(0) {
                put(&base.with_extension("html"), html.as_bytes())?;
            }
            if let Some(text) = message.body_text(0) {
                put(&base.with_extension("txt"), text.as_bytes())?;
            }
        }
    }
    for (n, message) in receivers.slack.received().iter().enumerate() {
        let path = folder.join("slack").join(format!("{:02}.json", n + 1));
        put(&path, pretty(&message.body).as_bytes())?;
    }
    for (n, request) in receivers.webhook.received().iter().enumerate() {
        let name = format!("{:02}-{}.http", n + 1, file_name(request.header("webhook-id")));
        put(&folder.join("webhook").join(name), http_text(request).as_bytes())?;
    }
    Ok(())
}

fn put(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}

fn parsed_name(mail: &[u8]) -> String {
    let parsed = MessageParser::default().parse(mail);
    let subject = parsed.as_ref().and_then(|message| message.subject()).unwrap_or("mail");
    file_name(subject)
}

/// Up to eight words of letters and digits, joined by dashes: a safe file name.
fn file_name(text: &str) -> String {
    let plain: String =
        text.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let words: Vec<_> = plain.split('-').filter(|word| !word.is_empty()).take(8).collect();
    words.join("-").to_lowercase()
}

fn pretty(body: &[u8]) -> String {
    let pretty = Json::parse(body).and_then(|json| serde_json::to_string_pretty(&json).ok());
    pretty.unwrap_or_else(|| String::from_utf8_lossy(body).into_owned())
}

/// The request as it arrived.
fn http_text(request: &Received) -> String {
    let mut text = format!("{} {} HTTP/1.1\n", request.method, request.path);
    for (name, value) in &request.headers {
        let _ = writeln!(text, "{name}: {}", String::from_utf8_lossy(value.as_bytes()));
    }
    text.push('\n');
    text.push_str(&String::from_utf8_lossy(&request.body));
    text
}
