//! A destination's settings: checked, prepared, masked.

use std::fmt;
use std::sync::Arc;

use fanfare_contract::{FieldError, Lane};
use serde_json::{Map, Value};
use slack_morphism::{SlackApiToken, SlackApiTokenValue};
use url::Url;

/// The hosts of incoming webhooks: commercial Slack and `GovSlack`.
const WEBHOOK_HOSTS: [&str; 2] = ["hooks.slack.com", "hooks.slack-gov.com"];
/// Bot tokens, and bot tokens with rotation: <https://docs.slack.dev/authentication/tokens>.
const TOKEN_PREFIXES: [&str; 2] = ["xoxb-", "xoxe.xoxb-"];
const FIELDS: [&str; 5] = ["url", "token", "slack_channel", "group_by", "updates"];
/// Names that people try, and what they mean.
const ALIASES: [(&str, &str); 6] = [
    ("webhook_url", "url"),
    ("webhook", "url"),
    ("bot_token", "token"),
    ("channel_id", "slack_channel"),
    ("thread_by", "group_by"),
    ("to", "slack_channel"),
];

/// What every attempt needs to know of its destination.
pub(crate) struct Prepared {
    pub(crate) target: Target,
    /// Path in the envelope whose value tells threads apart.
    pub(crate) group_by: Option<String>,
    pub(crate) updates: Updates,
}

/// Where messages go.
pub(crate) enum Target {
    /// An incoming webhook; the URL is the secret.
    Webhook(Url),
    /// A channel, with a bot's token.
    Bot {
        token: SlackApiToken,
        /// An id or a `#name`.
        channel: String,
    },
}

/// What a further event of the same group does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Updates {
    /// Goes into the thread of the group's first message.
    Thread,
    /// Takes the place of the group's first message.
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
    /// For people, without secrets: a webhook's host, or the channel.
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

/// Checks the settings; all errors at once.
pub(crate) fn prepare(
    settings: &Map<String, Value>,
    development: bool,
) -> Result<Vec<Lane>, Vec<FieldError>> {
    let mut reader = Reader { settings, errors: Vec::new() };
    reader.unknown_fields();
    let target = reader.target(development);
    let group_by = reader.group_by();
    let updates = reader.updates();
    match target {
        Some(target) if reader.errors.is_empty() => {
            let label = target.label();
            let prepared = Prepared { target, group_by, updates };
            Ok(vec![Lane { suffix: None, label, settings: Arc::new(prepared) }])
        }
        _ => Err(reader.errors),
    }
}

/// The settings with the webhook's path and the token masked.
pub(crate) fn masked(settings: &Map<String, Value>) -> Map<String, Value> {
    let mut shown = settings.clone();
    for (key, value) in &mut shown {
        match (key.as_str(), &*value) {
            ("url", Value::String(url)) => *value = masked_url(url).into(),
            ("token", Value::String(token)) => *value = masked_text(token).into(),
            // An object names where the secret is (`{ env = "…" }`), and is none itself.
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

/// 28 `*` and the last 4 characters, if that leaves enough unsaid.
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

    /// A field's text, trimmed; `None` when it is absent or an error was noted.
    fn text(&mut self, field: &str) -> Option<&'a str> {
        match self.settings.get(field)? {
            Value::String(text) if !text.trim().is_empty() => Some(text.trim()),
            Value::String(_) => {
                self.error(field, "is empty; leave it out or give a value");
                None
            }
            _ => {
                self.error(field, "must be a text");
                None
            }
        }
    }

    fn has(&self, field: &str) -> bool {
        self.settings.contains_key(field)
    }

    fn unknown_fields(&mut self) {
        for field in self.settings.keys().filter(|field| !FIELDS.contains(&field.as_str())) {
            let message = match suggestion(field) {
                Some(known) => format!("unknown field; did you mean `{known}`?"),
                None => format!("unknown field; a Slack destination has {}", FIELDS.join(", ")),
            };
            self.error(field, message);
        }
    }

    fn target(&mut self, development: bool) -> Option<Target> {
        match (self.has("url"), self.has("token")) {
            (true, true) => {
                self.error("url", "give either `url` (an incoming webhook) or `token`, not both");
                None
            }
            (true, false) => self.webhook(development),
            (false, true) => self.bot(),
            (false, false) => {
                let mend =
                    "give `url` (an incoming webhook), or `token` (a bot's) and `slack_channel`";
                self.error(if self.has("slack_channel") { "token" } else { "url" }, mend);
                None
            }
        }
    }

    fn webhook(&mut self, development: bool) -> Option<Target> {
        if self.has("slack_channel") {
            let why = "an incoming webhook has its channel already; remove it, or use a `token`";
            self.error("slack_channel", why);
        }
        if self.settings.get("updates").is_some_and(|updates| updates == "edit") {
            self.error("updates", "a webhook cannot edit; use a `token`, or remove it");
        }
        let text = self.text("url")?;
        let problem = match Url::parse(text) {
            Err(_) => "is not a URL; Slack shows it as https://hooks.slack.com/services/T…/B…/…",
            Ok(url) if development && matches!(url.scheme(), "http" | "https") => {
                return Some(Target::Webhook(url));
            }
            Ok(url) if url.scheme() != "https" => "must begin with https://",
            Ok(url) if !url.host_str().is_some_and(|host| WEBHOOK_HOSTS.contains(&host)) => {
                "must be of hooks.slack.com or hooks.slack-gov.com (others need --development)"
            }
            Ok(url) if url.port().is_some() || !url.username().is_empty() => {
                "must have no port and no user name"
            }
            Ok(url) if url.path().len() < 2 => {
                "lacks its path; Slack shows it as https://hooks.slack.com/services/T…/B…/…"
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
            // It goes into a header.
            let clean = token.bytes().all(|byte| byte.is_ascii_graphic());
            if !(bot && clean) {
                self.error("token", "must be a bot token, which begins with xoxb-");
            }
            bot && clean
        });
        if !self.has("slack_channel") {
            self.error("slack_channel", "is needed beside a token: C0123ABCD or #name");
        }
        let channel = self.text("slack_channel")?;
        if !is_channel(channel) {
            let why = "must be a channel's id (C0123ABCD, from its details) or its #name";
            self.error("slack_channel", why);
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
                let nearest = ["thread", "edit"].into_iter().find(|it| distance(it, other) <= 2);
                let nearest = nearest.map_or(String::new(), |it| format!("; did you mean `{it}`?"));
                self.error("updates", format!("must be `thread` or `edit`{nearest}"));
                return Updates::Thread;
            }
        };
        if updates == Updates::Edit && !self.has("group_by") {
            let why = "`edit` needs `group_by`, which says whose message is edited";
            self.error("updates", why);
        }
        updates
    }
}

/// `C…`, `G…`, `D…`, `U…` of capital letters and digits, or `#` and a name.
fn is_channel(text: &str) -> bool {
    if let Some(name) = text.strip_prefix('#') {
        let allowed = |c: char| !c.is_whitespace() && !c.is_control() && !c.is_uppercase();
        return (1..=80).contains(&name.chars().count()) && name.chars().all(allowed);
    }
    text.starts_with(['C', 'G', 'D', 'U'])
        && (8..=30).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
}

/// The field that was meant, if one is near.
fn suggestion(field: &str) -> Option<&'static str> {
    let lower = field.to_ascii_lowercase().replace('-', "_");
    let alias = ALIASES.iter().find(|(alias, _)| *alias == lower).map(|(_, known)| *known);
    let near = || {
        let nearest = FIELDS.into_iter().min_by_key(|known| distance(known, &lower))?;
        (distance(nearest, &lower) * 3 <= nearest.len()).then_some(nearest)
    };
    alias.or_else(near)
}

/// How many letters must change to get from one to the other (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, to) in b.iter().enumerate() {
            let changed = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests;
