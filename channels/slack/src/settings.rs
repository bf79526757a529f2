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
mod tests {
    use serde_json::json;

    use super::*;

    fn check(settings: Value, development: bool) -> Result<Lane, Vec<(String, String)>> {
        let Value::Object(settings) = settings else { unreachable!() };
        prepare(&settings, development)
            .map(|mut lanes| lanes.remove(0))
            .map_err(|errors| errors.into_iter().map(|it| (it.field, it.message)).collect())
    }

    fn errors(settings: Value) -> Vec<(String, String)> {
        check(settings, false).err().expect("errors")
    }

    const WEBHOOK: &str = "https://hooks.slack.com/services/T0001/B0002/abcdefghijklmnop";

    #[test]
    fn a_webhook_is_one_lane_labelled_by_its_host() {
        let lane = check(json!({"url": WEBHOOK, "group_by": "data.session_id"}), false).unwrap();
        assert_eq!((lane.label.as_str(), lane.suffix), ("hooks.slack.com", None));
        let gov = "https://hooks.slack-gov.com/services/T0001/B0002/abc";
        assert_eq!(check(json!({"url": gov}), false).unwrap().label, "hooks.slack-gov.com");
    }

    #[test]
    fn a_bot_is_one_lane_labelled_by_its_channel() {
        for channel in ["#kyc-alerts", "C0123ABCD", "#größe_1"] {
            let settings = json!({"token": "xoxb-1-2-abc", "slack_channel": channel,
                "group_by": "data.session_id", "updates": "edit"});
            assert_eq!(check(settings, false).unwrap().label, channel);
        }
    }

    #[test]
    fn only_slack_is_reached_outside_development() {
        for url in [
            "http://hooks.slack.com/services/T/B/x",
            "https://hooks.slack.com.evil.example/services/T/B/x",
            "https://example.com/services/T/B/x",
            "https://127.0.0.1/services/T/B/x",
            "https://hooks.slack.com:8443/services/T/B/x",
            "https://me@hooks.slack.com/services/T/B/x",
            "https://hooks.slack.com",
            "ftp://hooks.slack.com/services/T/B/x",
            "hooks.slack.com/services",
        ] {
            let errors = errors(json!({"url": url}));
            assert_eq!(errors.len(), 1, "{url}");
            assert_eq!(errors[0].0, "url");
        }
        let local = json!({"url": "http://127.0.0.1:9100/services/T000/B000/XXXX"});
        assert_eq!(check(local, true).unwrap().label, "127.0.0.1:9100");
        assert!(check(json!({"url": "ftp://127.0.0.1/x"}), true).is_err());
    }

    #[test]
    fn every_error_is_told_at_once_with_its_field() {
        let errors = errors(json!({
            "token": "xoxp-user", "slack_channel": "kyc", "group_by": "data..id",
            "updates": "edti", "webhok": 1,
        }));
        let fields: Vec<&str> = errors.iter().map(|(field, _)| field.as_str()).collect();
        assert_eq!(fields, ["webhok", "token", "slack_channel", "group_by", "updates"]);
        assert!(errors[4].1.contains("did you mean `edit`?"), "{errors:?}");
    }

    #[test]
    fn a_field_that_is_nearly_right_is_suggested() {
        for (given, meant) in [
            ("slack_chanel", "slack_channel"),
            ("slackchannel", "slack_channel"),
            ("groupby", "group_by"),
            ("Token", "token"),
            ("webhook_url", "url"),
            ("update", "updates"),
        ] {
            let errors = errors(json!({"url": WEBHOOK, (given): "x"}));
            assert_eq!(errors[0].1, format!("unknown field; did you mean `{meant}`?"), "{given}");
        }
        let errors = errors(json!({"url": WEBHOOK, "icon_emoji": ":x:"}));
        assert!(errors[0].1.contains("url, token, slack_channel"), "{errors:?}");
    }

    #[test]
    fn settings_that_contradict_each_other_are_refused() {
        let cases = [
            (json!({}), "url"),
            (json!({"slack_channel": "#a"}), "token"),
            (json!({"url": WEBHOOK, "token": "xoxb-1"}), "url"),
            (json!({"url": WEBHOOK, "slack_channel": "#a"}), "slack_channel"),
            (json!({"url": WEBHOOK, "updates": "edit", "group_by": "id"}), "updates"),
            (json!({"token": "xoxb-1"}), "slack_channel"),
            (json!({"token": "xoxb-1", "slack_channel": "#a", "updates": "edit"}), "updates"),
            (json!({"token": "xoxb-1\n", "slack_channel": "#a", "updates": 1}), "updates"),
            (json!({"token": {"env": "X"}, "slack_channel": "#a"}), "token"),
            (json!({"url": ""}), "url"),
        ];
        for (settings, field) in cases {
            let errors = errors(settings.clone());
            assert_eq!(errors.len(), 1, "{settings}: {errors:?}");
            assert_eq!(errors[0].0, field, "{settings}");
        }
    }

    #[test]
    fn secrets_are_masked_in_what_is_shown_and_in_debug() {
        let Value::Object(settings) = json!({"url": WEBHOOK, "group_by": "id"}) else { panic!() };
        let stars = "*".repeat(28);
        let shown = masked(&settings);
        assert_eq!(shown["url"], format!("https://hooks.slack.com/{stars}mnop"));
        assert_eq!(shown["group_by"], "id");
        let bot = json!({"token": "xoxb-123456-abcdwxyz", "slack_channel": "#a"});
        let Value::Object(settings) = bot else { panic!() };
        assert_eq!(masked(&settings)["token"], format!("{stars}wxyz"));
        let lane = prepare(&settings, false).unwrap().remove(0);
        let prepared = lane.settings.downcast_ref::<Prepared>().unwrap();
        assert!(!format!("{prepared:?}").contains("wxyz"));
        for odd in ["https://hooks.slack.com", "nonsense", "", "https://x/ab"] {
            let settings = Map::from_iter([("url".to_owned(), odd.into())]);
            let shown = masked(&settings)["url"].as_str().unwrap().to_owned();
            assert!(shown.ends_with(&stars), "{shown}");
        }
    }
}
