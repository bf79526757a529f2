//! A destination's settings: checked, prepared, masked.
//!
//! | field | meaning |
//! | --- | --- |
//! | `url` | the URL of an incoming webhook |
//! | `token`, `slack_channel` | a bot's token and the channel to post to, instead of `url` |
//! | `group_by` | path in the envelope; events with the same value form a group (tokens only) |
//! | `updates` | later events of a group become replies (`thread`) or edit its message (`edit`) |

use std::fmt;
use std::sync::Arc;

use fanfare_contract::{FieldError, PreparedLane, did_you_mean, unknown_setting};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use slack_morphism::{SlackApiToken, SlackApiTokenValue};
use url::Url;

/// The hosts of incoming webhooks: Slack and `GovSlack`.
const WEBHOOK_HOSTS: [&str; 2] = ["hooks.slack.com", "hooks.slack-gov.com"];
/// Bot tokens without and with rotation: <https://docs.slack.dev/authentication/tokens>.
const TOKEN_PREFIXES: [&str; 2] = ["xoxb-", "xoxe.xoxb-"];
const FIELDS: [&str; 5] = ["url", "token", "slack_channel", "group_by", "updates"];
/// Wrong names that people try, and the right ones.
const ALIASES: [(&str, &str); 6] = [
    ("webhook_url", "url"),
    ("webhook", "url"),
    ("bot_token", "token"),
    ("channel_id", "slack_channel"),
    ("thread_by", "group_by"),
    ("to", "slack_channel"),
];

/// A destination that is ready for attempts.
pub(crate) struct Prepared {
    pub(crate) target: Target,
    /// Path in the envelope. Events with the same value form a group.
    pub(crate) group_by: Option<String>,
    pub(crate) updates: Updates,
}

/// Where messages go.
pub(crate) enum Target {
    /// An incoming webhook. The URL is a secret.
    Webhook(Url),
    /// A channel, posted to with a bot's token.
    Bot {
        token: SlackApiToken,
        /// An id or a `#name`.
        channel: String,
    },
}

/// What happens with the later events of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Updates {
    /// They are replies to the group's first message.
    Thread,
    /// They replace the group's first message.
    Edit,
}

impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prepared")
            .field("target", &self.target.label())
            .field("group_by", &self.group_by)
            .field("updates", &self.updates)
            .finish()
    }
}

impl Target {
    /// Slack limits the messages that all senders with this token send to a channel, and the messages
    /// through a webhook: <https://docs.slack.dev/apis/web-api/rate-limits/>. Destinations with the
    /// same target therefore share a pace. A hash, because the parts are secrets.
    fn pace(&self) -> Arc<str> {
        let mut hash = Sha256::new();
        match self {
            Self::Webhook(url) => hash.update(url.as_str()),
            Self::Bot { token, channel } => {
                hash.update(&token.token_value.0);
                hash.update([0]);
                hash.update(channel);
            }
        }
        format!("slack-{}", &hex::encode(hash.finalize())[..32]).into()
    }

    /// A name for people, without secrets: the webhook's host or the channel.
    fn label(&self) -> String {
        match self {
            Self::Webhook(url) => {
                let host = url.host_str().unwrap_or_default();
                url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
            }
            Self::Bot { channel, .. } => channel.clone(),
        }
    }
}

/// Checks and prepares the settings. Returns all errors together.
pub(crate) fn prepare(
    settings: &Map<String, Value>,
    development: bool,
) -> Result<Vec<PreparedLane>, Vec<FieldError>> {
    let mut reader = Reader { settings, errors: Vec::new() };
    reader.unknown_fields();
    let target = reader.target(development);
    let group_by = reader.group_by();
    let updates = reader.updates();
    match target {
        Some(target) if reader.errors.is_empty() => {
            let (label, pace) = (target.label(), Some(target.pace()));
            let prepared = Prepared { target, group_by, updates };
            Ok(vec![PreparedLane { suffix: None, label, pace, settings: Arc::new(prepared) }])
        }
        _ => Err(reader.errors),
    }
}

/// The settings as a JSON Schema.
pub(crate) fn schema() -> Value {
    json!({
        "type": "object",
        "description": "Either `url`, or `token` and `slack_channel`.",
        "properties": {
            "url": {
                "type": "string",
                "description": "The URL of an incoming webhook. It is a secret and therefore masked \
                                in answers.",
                "example": "https://hooks.slack.com/services/T0/B0/XXXX",
            },
            "token": {
                "type": "string",
                "description": "A bot's token, which starts with `xoxb-`. It is masked in answers.",
            },
            "slack_channel": {
                "type": "string",
                "description": "The channel to post to with the token: an id such as C0123ABCD, or a \
                                #name.",
            },
            "group_by": {
                "type": "string",
                "description": "A path in the event, such as `data.session_id`. Events with the same \
                                value form a group.",
            },
            "updates": {
                "type": "string", "enum": ["thread", "edit"],
                "description": "Whether later events of a group become replies or edit its message. \
                                The default is `thread`.",
            },
        },
    })
}

/// The scheme, host and port of an incoming webhook. A token has no receiver in the settings: it is
/// sent to Slack's API alone.
pub(crate) fn receiver(settings: &Map<String, Value>) -> Option<String> {
    let url = Url::parse(settings.get("url")?.as_str()?).ok()?;
    url.has_host().then(|| url.origin().ascii_serialization())
}

/// The settings with the webhook's path and the token masked.
pub(crate) fn masked(settings: &Map<String, Value>) -> Map<String, Value> {
    let mut shown = settings.clone();
    for (key, value) in &mut shown {
        match (key.as_str(), &*value) {
            ("url", Value::String(url)) => *value = masked_url(url).into(),
            ("token", Value::String(token)) => *value = masked_text(token).into(),
            // An object (`{ env = "…" }`) names the place of a secret and is not a secret itself.
            _ => {}
        }
    }
    shown
}

fn masked_url(url: &str) -> String {
    match Url::parse(url) {
        Ok(parsed) if parsed.has_host() => {
            let origin = parsed.origin().ascii_serialization();
            format!("{origin}/{}", masked_text(parsed.path()))
        }
        _ => masked_text(url),
    }
}

/// 28 `*` and the last 4 characters. A short secret is masked completely.
fn masked_text(secret: &str) -> String {
    let last = secret.char_indices().rev().nth(3).map_or(0, |(at, _)| at);
    let shown = if last >= 8 { &secret[last..] } else { "" };
    format!("{}{shown}", "*".repeat(28))
}

struct Reader<'a> {
    settings: &'a Map<String, Value>,
    errors: Vec<FieldError>,
}

impl<'a> Reader<'a> {
    fn error(&mut self, field: &str, message: impl Into<String>) {
        self.errors.push(FieldError::new(field, message));
    }

    /// A field's trimmed text. `None` if the field is missing or invalid.
    fn text(&mut self, field: &str) -> Option<&'a str> {
        match self.settings.get(field)? {
            Value::String(text) if !text.trim().is_empty() => Some(text.trim()),
            Value::String(_) => {
                self.error(field, "is empty; set a value or remove it");
                None
            }
            _ => {
                self.error(field, "must be a string");
                None
            }
        }
    }

    fn has(&self, field: &str) -> bool {
        self.settings.contains_key(field)
    }

    fn unknown_fields(&mut self) {
        for field in self.settings.keys().filter(|field| !FIELDS.contains(&field.as_str())) {
            let message = match alias(field) {
                Some(known) => {
                    format!("is not a setting of a Slack destination; did you mean `{known}`?")
                }
                None => unknown_setting("a Slack destination", field, &FIELDS),
            };
            self.error(field, message);
        }
    }

    fn target(&mut self, development: bool) -> Option<Target> {
        match (self.has("url"), self.has("token")) {
            (true, true) => {
                self.error("url", "cannot be combined with `token`; remove one of them");
                None
            }
            (true, false) => self.webhook(development),
            (false, true) => self.bot(),
            (false, false) => {
                let message = "is required: set `url` (of an incoming webhook), or `token` (of a \
                               bot) and `slack_channel`";
                self.error(if self.has("slack_channel") { "token" } else { "url" }, message);
                None
            }
        }
    }

    fn webhook(&mut self, development: bool) -> Option<Target> {
        if self.has("slack_channel") {
            let message = "cannot be combined with `url`, because a webhook has its own channel; \
                           remove it or use a `token`";
            self.error("slack_channel", message);
        }
        if self.settings.get("updates").is_some_and(|updates| updates == "edit") {
            self.error("updates", "cannot be `edit` with `url`; use a `token` or remove it");
        }
        let text = self.text("url")?;
        let problem = match Url::parse(text) {
            Err(_) => "is not a URL; copy it from Slack: https://hooks.slack.com/services/T…/B…/…",
            Ok(url) if development && matches!(url.scheme(), "http" | "https") => {
                return Some(Target::Webhook(url));
            }
            Ok(url) if url.scheme() != "https" => "must start with https://",
            Ok(url) if !url.host_str().is_some_and(|host| WEBHOOK_HOSTS.contains(&host)) => {
                "must have the host hooks.slack.com or hooks.slack-gov.com outside development mode"
            }
            Ok(url) if url.port().is_some() || !url.username().is_empty() => {
                "must not have a port or a user name"
            }
            Ok(url) if url.path().len() < 2 => {
                "has no path; copy it from Slack: https://hooks.slack.com/services/T…/B…/…"
            }
            Ok(url) => return Some(Target::Webhook(url)),
        };
        self.error("url", problem);
        None
    }

    fn bot(&mut self) -> Option<Target> {
        let token = self.text("token");
        let token = token.filter(|token| {
            let bot = TOKEN_PREFIXES.iter().any(|prefix| token.starts_with(prefix));
            // The token is sent in a header.
            let clean = token.bytes().all(|byte| byte.is_ascii_graphic());
            if !(bot && clean) {
                self.error("token", "must be a bot token, which starts with xoxb-");
            }
            bot && clean
        });
        if !self.has("slack_channel") {
            self.error(
                "slack_channel",
                "is required with `token`; set an id such as C0123ABCD or a #name",
            );
        }
        let channel = self.text("slack_channel")?;
        if !is_channel(channel) {
            let message = "must be a channel's id, such as C0123ABCD, or its #name";
            self.error("slack_channel", message);
            return None;
        }
        let token = SlackApiToken::new(SlackApiTokenValue(token?.to_owned()));
        Some(Target::Bot { token, channel: channel.to_owned() })
    }

    fn group_by(&mut self) -> Option<String> {
        let path = self.text("group_by")?;
        if path.split('.').any(|key| key.is_empty() || key.contains(char::is_whitespace)) {
            self.error("group_by", "must be a dotted path such as data.session_id");
            return None;
        }
        Some(path.to_owned())
    }

    fn updates(&mut self) -> Updates {
        let updates = match self.text("updates") {
            None | Some("thread") => Updates::Thread,
            Some("edit") => Updates::Edit,
            Some(other) => {
                let nearest = did_you_mean(other, ["thread", "edit"]);
                self.error("updates", format!("must be `thread` or `edit`{nearest}"));
                return Updates::Thread;
            }
        };
        if updates == Updates::Edit && !self.has("group_by") {
            let message = "cannot be `edit` without `group_by`, which selects the message to edit";
            self.error("updates", message);
        }
        updates
    }
}

/// An id of capital letters and digits that starts with C, G, D or U, or `#` and a name.
fn is_channel(text: &str) -> bool {
    if let Some(name) = text.strip_prefix('#') {
        let allowed = |c: char| !c.is_whitespace() && !c.is_control() && !c.is_uppercase();
        return (1..=80).contains(&name.chars().count()) && name.chars().all(allowed);
    }
    text.starts_with(['C', 'G', 'D', 'U'])
        && (8..=30).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
}

/// The setting that is meant by another name.
fn alias(field: &str) -> Option<&'static str> {
    let lower = field.to_ascii_lowercase().replace('-', "_");
    ALIASES.iter().find(|(alias, _)| *alias == lower).map(|(_, known)| *known)
}

#[cfg(test)]
mod tests;
