//! The fields of the form of a destination, by channel.
//!
//! They are the settings that people set by hand. Settings that a form does not have stay as they
//! are.

use serde_json::{Map, Value};

use crate::dashboard::form::{Field, Form, Json};

/// The channels: name, heading, and what they are for.
pub(super) const CHANNELS: [(&str, &str, &str); 4] = [
    (
        "webhook",
        "Webhook",
        "Signed HTTPS requests to a server of yours. For systems that act on events.",
    ),
    ("email", "Email", "A message per event, or a digest by a schedule. For people."),
    ("slack", "Slack", "A message in a channel, with buttons and threads. For teams."),
    ("poll", "Mailbox", "Your program fetches the events. For networks that accept no requests."),
];

/// The words for a channel.
pub(super) fn channel_name(channel: &str) -> &str {
    CHANNELS.iter().find(|(name, ..)| *name == channel).map_or(channel, |(_, heading, _)| heading)
}

/// The form of a channel. `settings` are those of the destination that is edited, with secrets
/// masked. `None` for a channel that has no form.
pub(super) fn form(channel: &str, edited: Option<(&str, &Map<String, Value>)>) -> Option<Form> {
    let own = match channel {
        "webhook" => webhook(edited.is_some()),
        "email" => email(),
        "slack" => slack(),
        "poll" => Vec::new(),
        _ => return None,
    };
    let id = Field {
        fixed: edited.is_some(),
        required: true,
        value: edited.map_or_else(String::new, |(id, _)| id.to_owned()),
        ..Field::new("id", "Name", "Lower-case letters, digits, - and _. It appears in routes.")
            .example("backoffice")
    };
    let mut form = Form { fields: vec![id], more: more(channel), ..Form::default() };
    form.fields.extend(own);
    if let Some((_, settings)) = edited {
        for field in form.fields.iter_mut().chain(&mut form.more) {
            let Some(path) = field.name.strip_prefix("settings.") else { continue };
            let value = path.split('.').try_fold(None::<&Value>, |at, part| match at {
                None => settings.get(part).map(Some),
                Some(value) => value.get(part).map(Some),
            });
            field.value = value.flatten().map(|value| field.json.show(value)).unwrap_or_default();
        }
    }
    Some(form)
}

fn webhook(exists: bool) -> Vec<Field> {
    let secret = if exists {
        "Leave it as it is to keep the secret. Use the button Rotate to change it without a gap."
    } else {
        "Leave it empty, and Fanfare makes one. It is shown once."
    };
    vec![
        Field::new("settings.url", "URL", "Fanfare sends each event as a POST to this address.")
            .example("https://hooks.example.com/kyc")
            .required(),
        Field::new("settings.secret", "Signing secret", secret).secret(),
        Field::new("settings.headers", "Additional headers", "One per line: name: value.")
            .example("x-team: risk")
            .lines(Json::Pairs),
    ]
}

fn email() -> Vec<Field> {
    vec![
        Field::new(
            "settings.to",
            "Recipients",
            "One address per line. Each gets a mail of its own.",
        )
        .example("compliance@acme.example")
        .lines(Json::List)
        .required(),
        Field::new(
            "settings.from",
            "From",
            "Leave it empty to send from the server's own address.",
        )
        .example("Acme Alerts <alerts@acme.example>"),
        Field::new("settings.reply_to", "Reply to", "Where answers go.")
            .example("support@acme.example"),
    ]
}

fn slack() -> Vec<Field> {
    vec![
        Field::new(
            "settings.url",
            "Incoming webhook URL",
            "From the settings of your Slack app. Or use a bot token and a channel below.",
        )
        .example("https://hooks.slack.com/services/…"),
        Field::new("settings.token", "Bot token", "Needed for threads and updates.").secret(),
        Field::new("settings.slack_channel", "Slack channel", "An id or a name. With a bot token.")
            .example("#kyc-alerts"),
        Field::new(
            "settings.group_by",
            "Group by",
            "Events with the same value at this path become one thread. With a bot token.",
        )
        .example("data.session_id"),
        Field::new("settings.updates", "Later events of a group", "").choices(&[
            ("", "Reply in the thread (default)"),
            ("thread", "Reply in the thread"),
            ("edit", "Replace the message"),
        ]),
    ]
}

/// The settings that every channel has.
fn more(channel: &str) -> Vec<Field> {
    let mut fields =
        vec![
            Field::new("settings.environment", "Environment", "Which events it receives.")
                .choices(&[("", "Live (default)"), ("live", "Live"), ("test", "Test")]),
            Field::new("settings.rate", "Rate", "Most messages per second, minute or hour.")
                .example("10/s")
                .json(Json::TextOrFalse),
        ];
    if channel == "poll" {
        return fields;
    }
    fields.extend([
        Field::new("settings.concurrency", "Requests at once", "From 1 to 1,024.")
            .example("16")
            .json(Json::Number),
        Field::new("settings.timeout", "Timeout", "How long one attempt may take.").example("10s"),
        Field::new(
            "settings.retry",
            "Retry schedule",
            "The waits between attempts, one per line. Empty for the channel's own schedule.",
        )
        .example("5s\n30s\n5m")
        .lines(Json::List),
        Field::new(
            "settings.disable_after",
            "Disable after",
            "How long it may fail before it is disabled. \"false\" for never.",
        )
        .example("5d")
        .json(Json::TextOrFalse),
        Field::new("settings.fifo", "Order", "Whether a failed event holds the later ones back.")
            .json(Json::Word)
            .choices(&[
                ("", "As fast as possible (default)"),
                ("true", "In order of arrival; a dead event lets the others pass"),
                ("strict", "In order of arrival; nothing passes a failed event"),
            ]),
        Field::new(
            "settings.digest.schedule",
            "Digest schedule",
            "Collects events into one message. A cron expression: minute, hour, day, month, weekday.",
        )
        .example("0 8 * * 1-5"),
        Field::new("settings.digest.timezone", "Time zone of the digest", "An IANA name.")
            .example("Europe/Madrid"),
    ]);
    fields
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::dashboard::form::settings;

    #[test]
    fn an_edited_destination_that_is_not_changed_keeps_its_settings() {
        for (channel, before) in [
            (
                "webhook",
                json!({
                    "url": "https://a/", "secret": "****1a2b", "headers": {"x-a": "1"},
                    "retry": ["5s", "1m"], "rate": false, "concurrency": 4, "fifo": "strict",
                    "digest": {"schedule": "0 8 * * *", "timezone": "Europe/Madrid"},
                    "previous_secrets": [{"secret": "****", "expires": 1}],
                }),
            ),
            ("email", json!({"to": ["a@x.example", "b@x.example"], "fifo": true, "paused": true})),
            ("slack", json!({"token": "****", "slack_channel": "#x", "updates": "edit"})),
            ("poll", json!({"environment": "test"})),
        ] {
            let before = before.as_object().unwrap();
            let form = form(channel, Some(("one", before))).unwrap();
            assert_eq!(settings(&form, before), *before, "{channel}");
        }
    }
}
