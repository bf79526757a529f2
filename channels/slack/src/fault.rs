//! What Slack's refusals and broken connections mean, and what would mend them.
//!
//! Codes of the Web API: the error tables of `chat.postMessage` and `chat.update`
//! (<https://docs.slack.dev/reference/methods/chat.postMessage>). Those of webhooks:
//! <https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks#handling_errors>.

use std::error::Error as StdError;
use std::time::Duration;

use fanfare_contract::{AnswerPart, DeliveryError, Verdict};
use serde_json::Value;
use slack_morphism::errors::SlackClientError;

use crate::connector::NetworkError;

/// What follows from a failed call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Try again later.
    Retry,
    /// Nothing reaches this destination until somebody mends it.
    Disable,
    /// Slack does not take this content.
    Refused,
    /// The message to reply to or to edit is not there (any more).
    Gone,
}

/// A failed call, before it is known whether something else can be tried.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) kind: Kind,
    /// Slack's own code where there is one.
    pub(crate) code: String,
    message: String,
    not_before: Option<Duration>,
    status: Option<u16>,
    answer: AnswerPart,
    maybe_accepted: bool,
    retry_at_once: bool,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// Which of Slack's two ways in was called; the same code can mean different things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Webhook,
    Api,
}

impl Fault {
    fn new(kind: Kind, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            kind,
            code: code.into(),
            message: message.into(),
            not_before: None,
            status: None,
            answer: AnswerPart::default(),
            maybe_accepted: false,
            retry_at_once: false,
            source: None,
        }
    }

    /// Reads slack-morphism's error. Its `Display` holds bodies, so it is never used.
    pub(crate) fn read(error: SlackClientError, way: Way) -> Self {
        match error {
            SlackClientError::ApiError(error) => {
                let body = error.http_response_body.unwrap_or_default();
                Self::said(&error.code, way).answered(200, &body)
            }
            SlackClientError::RateLimitError(error) => {
                let body = error.http_response_body.unwrap_or_default();
                let mut fault = Self::said("ratelimited", way).answered(429, &body);
                fault.not_before = error.retry_after;
                fault
            }
            SlackClientError::HttpError(error) => {
                let body = error.http_response_body.unwrap_or_default();
                let status = error.status_code.as_u16();
                Self::http(status, &body, way).answered(status, &body)
            }
            SlackClientError::ProtocolError(error) => {
                // Neither Slack's yes nor its no: a proxy's page, or half an answer.
                let body = error.json_body.unwrap_or_default();
                let message = "the answer was not Slack's; is something between here and Slack?";
                let mut fault = Self::new(Kind::Retry, "invalid_answer", message);
                fault.maybe_accepted = true;
                fault.answered(200, &body)
            }
            SlackClientError::HttpProtocolError(error) => match error.cause {
                Some(cause) => Self::network(cause),
                None => Self::new(Kind::Retry, "network_error", "Slack could not be reached"),
            },
            SlackClientError::EndOfStream(_)
            | SlackClientError::SystemError(_)
            | SlackClientError::SocketModeProtocolError(_) => {
                Self::new(Kind::Retry, "network_error", "Slack could not be reached")
            }
        }
    }

    fn answered(mut self, status: u16, body: &str) -> Self {
        self.status = Some(status);
        self.answer = AnswerPart::from_bytes(body.as_bytes());
        self
    }

    fn network(cause: Box<dyn StdError + Send + Sync>) -> Self {
        match cause.downcast::<NetworkError>() {
            Ok(error) => {
                let mut fault = Self::new(Kind::Retry, error.code, network_message(error.code));
                fault.maybe_accepted = error.maybe_accepted;
                let broke = matches!(error.code, "connect_refused" | "connection_reset");
                fault.retry_at_once = broke && !error.maybe_accepted;
                fault.source = Some(error);
                fault
            }
            Err(_) => Self::new(Kind::Retry, "network_error", "Slack could not be reached"),
        }
    }

    /// An answer of another status than 200 and 429. Its body is a code, or JSON with one.
    fn http(status: u16, body: &str, way: Way) -> Self {
        let word = body.trim();
        let json =
            || serde_json::from_str::<Value>(word).ok()?["error"].as_str().map(str::to_owned);
        let code = Some(word.to_owned()).filter(|it| is_code(it)).or_else(json);
        if let Some(code) = code
            && let Some((kind, message)) = meaning(&code, way)
        {
            return Self::of(kind, &code, message);
        }
        let code = format!("http_{status}");
        match status {
            404 | 410 if way == Way::Webhook => Self::new(Kind::Disable, code, WEBHOOK_GONE),
            401 | 403 if way == Way::Webhook => Self::new(Kind::Disable, code, WEBHOOK_FORBIDDEN),
            400 | 413 | 422 => Self::new(Kind::Refused, code, "Slack refused the message"),
            500.. => {
                let mut fault = Self::new(Kind::Retry, code, "Slack has a problem of its own");
                // A gateway that gave up waiting says nothing of what is behind it.
                fault.maybe_accepted = matches!(status, 502 | 504);
                fault
            }
            _ => Self::new(Kind::Retry, code, "Slack answered with an unexpected status"),
        }
    }

    /// A code that Slack gave.
    fn said(code: &str, way: Way) -> Self {
        let code = if is_code(code) { code } else { "unknown_error" };
        let (kind, message) = meaning(code, way).unwrap_or((Kind::Retry, "Slack refused"));
        Self::of(kind, code, message)
    }

    fn of(kind: Kind, code: &str, message: &str) -> Self {
        // "It's possible some aspect of the operation succeeded", says Slack of these two.
        let maybe_accepted = matches!(code, "fatal_error" | "internal_error");
        let code = if code == "ratelimited" { "rate_limited" } else { code };
        Self { maybe_accepted, ..Self::new(kind, code, message) }
    }

    /// The verdict when nothing else is left to try.
    pub(crate) fn into_error(self) -> DeliveryError {
        let verdict = match self.kind {
            Kind::Retry | Kind::Gone => Verdict::Retry { not_before: self.not_before },
            Kind::Disable => Verdict::Disable,
            Kind::Refused => Verdict::Permanent,
        };
        let mut error = match self.kind {
            Kind::Refused => DeliveryError::new(
                verdict,
                "payload_refused",
                format!("Slack refused the message even as plain text ({})", self.code),
            ),
            _ => DeliveryError::new(verdict, self.code, self.message),
        };
        error.status = self.status;
        error.answer = self.answer;
        error.maybe_accepted = self.maybe_accepted;
        error.retry_at_once = self.retry_at_once;
        error.source = self.source;
        error
    }
}

/// Whether it looks like one of Slack's codes, and not like a page or a sentence.
fn is_code(word: &str) -> bool {
    (3..=60).contains(&word.len())
        && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

const WEBHOOK_GONE: &str = "the incoming webhook was removed or its channel is gone; make a new one \
    in the Slack app's settings and set it as `url`";
const WEBHOOK_FORBIDDEN: &str = "Slack forbids this webhook to post; check the app and the \
    workspace's rules for posting, or make a new webhook and set it as `url`";

/// What a code of Slack's means; `None` for one that is not known here.
#[expect(clippy::too_many_lines, reason = "a table: one row for each mend")]
fn meaning(code: &str, way: Way) -> Option<(Kind, &'static str)> {
    let row = match code {
        "ratelimited" | "rate_limited" | "message_limit_exceeded" => {
            (Kind::Retry, "Slack asks to slow down")
        }
        "service_unavailable"
        | "request_timeout"
        | "internal_error"
        | "fatal_error"
        | "rollup_error"
        | "update_failed" => (Kind::Retry, "Slack has a problem of its own"),
        "team_added_to_org" | "org_login_required" | "external_channel_migrating" => {
            (Kind::Retry, "the workspace is being migrated")
        }
        "invalid_blocks"
        | "invalid_blocks_format"
        | "block_mismatch"
        | "invalid_payload"
        | "msg_too_long"
        | "msg_blocks_too_long"
        | "no_text"
        | "invalid_attachments"
        | "attachment_payload_limit_exceeded"
        | "too_many_attachments"
        | "too_many_contact_cards"
        | "missing_text_or_fallback_or_attachments"
        | "markdown_text_conflict"
        | "invalid_metadata_format"
        | "invalid_metadata_schema"
        | "metadata_too_large"
        | "metadata_must_be_sent_from_app"
        | "invalid_arguments"
        | "invalid_arg_name"
        | "invalid_array_arg"
        | "invalid_charset"
        | "invalid_form_data"
        | "invalid_post_type"
        | "invalid_json"
        | "json_not_object"
        | "missing_post_type"
        | "slack_connect_canvas_sharing_blocked"
        | "slack_connect_file_link_sharing_blocked"
        | "slack_connect_lists_sharing_blocked" => (Kind::Refused, "Slack refused the message"),
        "thread_not_found"
        | "invalid_thread_ts"
        | "message_not_found"
        | "cant_update_message"
        | "edit_window_closed"
        | "cannot_reply_to_message"
        | "is_inactive"
        | "streaming_state_conflict"
        | "restricted_action_thread_locked"
        | "restricted_action_non_threadable_channel" => {
            (Kind::Gone, "the message to follow up on cannot be followed up on")
        }
        "token_revoked"
        | "token_expired"
        | "account_inactive"
        | "invalid_auth"
        | "not_authed"
        | "not_allowed_token_type" => (
            Kind::Disable,
            "Slack no longer accepts the token; reinstall the app in the workspace and set the new \
             `token`",
        ),
        "invalid_token" | "no_service" | "no_service_id" | "no_active_hooks" | "no_team"
        | "team_disabled" => (Kind::Disable, WEBHOOK_GONE),
        "channel_not_found" => match way {
            Way::Webhook => (Kind::Disable, WEBHOOK_GONE),
            Way::Api => (
                Kind::Disable,
                "there is no such channel, or the app may not see it; invite the app to the channel \
                 or correct `slack_channel`",
            ),
        },
        "is_archived" | "channel_is_archived" => {
            (Kind::Disable, "the channel is archived; restore it or choose another one")
        }
        "user_not_found" | "team_not_found" => (
            Kind::Disable,
            "Slack does not find the receiver; set `slack_channel` to an id (C0123ABCD) that this \
             workspace has",
        ),
        "not_in_channel" => {
            (Kind::Disable, "the app is not in the channel; invite it there (/invite @app)")
        }
        "missing_scope" | "no_permission" | "access_denied" | "team_access_not_granted" => (
            Kind::Disable,
            "the app lacks a permission; add the scope chat:write (and chat:write.public for public \
             channels that it is not in) and reinstall it",
        ),
        "action_prohibited" | "posting_to_general_channel_denied" if way == Way::Webhook => {
            (Kind::Disable, WEBHOOK_FORBIDDEN)
        }
        "restricted_action"
        | "restricted_action_read_only_channel"
        | "restricted_action_thread_only_channel"
        | "posting_to_general_channel_denied"
        | "action_prohibited"
        | "ekm_access_denied"
        | "enterprise_is_restricted"
        | "messages_tab_disabled"
        | "two_factor_setup_required"
        | "accesslimited" => (
            Kind::Disable,
            "the workspace's rules keep the app from posting there; ask its administrators, or \
             choose another channel",
        ),
        _ => return None,
    };
    Some(row)
}

fn network_message(code: &str) -> &'static str {
    match code {
        "timeout" => "Slack did not answer in time",
        "connect_refused" => "the connection was refused",
        "dns_failed" => "the host's name could not be resolved",
        "tls_failed" => "no secure connection could be made",
        "connection_reset" => "the connection broke before the answer",
        _ => "no connection could be made",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(status: u16, body: &str, way: Way) -> (Kind, String) {
        let fault = Fault::http(status, body, way);
        (fault.kind, fault.code)
    }

    #[test]
    fn a_webhook_that_is_gone_disables_by_code_and_by_status() {
        for (status, body, code) in [
            (404, "no_service", "no_service"),
            (404, "no_active_hooks", "no_active_hooks"),
            (410, "channel_is_archived", "channel_is_archived"),
            (404, "channel_not_found", "channel_not_found"),
            (403, "invalid_token", "invalid_token"),
            (403, "action_prohibited", "action_prohibited"),
            (404, "<html>not here</html>", "http_404"),
            (410, "", "http_410"),
        ] {
            let found = verdict(status, body, Way::Webhook);
            assert_eq!(found, (Kind::Disable, code.to_owned()), "{body}");
        }
    }

    #[test]
    fn trouble_at_slack_is_tried_again() {
        assert_eq!(verdict(500, "rollup_error", Way::Webhook).0, Kind::Retry);
        assert_eq!(verdict(503, "<html>", Way::Api), (Kind::Retry, "http_503".to_owned()));
        assert_eq!(verdict(404, "<html>", Way::Api), (Kind::Retry, "http_404".to_owned()));
        assert_eq!(verdict(302, "", Way::Webhook), (Kind::Retry, "http_302".to_owned()));
        let json = r#"{"ok":false,"error":"service_unavailable"}"#;
        assert_eq!(verdict(503, json, Way::Api), (Kind::Retry, "service_unavailable".to_owned()));
        assert_eq!(Fault::said("some_news_from_slack", Way::Api).kind, Kind::Retry);
    }

    #[test]
    fn content_that_slack_does_not_take_is_refused() {
        assert_eq!(verdict(400, "invalid_blocks", Way::Webhook).0, Kind::Refused);
        assert_eq!(verdict(400, "what is this?", Way::Webhook).0, Kind::Refused);
        assert_eq!(Fault::said("msg_too_long", Way::Api).kind, Kind::Refused);
    }

    #[test]
    fn what_disables_says_what_would_mend_it() {
        for code in ["token_revoked", "not_in_channel", "missing_scope", "is_archived"] {
            let error = Fault::said(code, Way::Api).into_error();
            assert_eq!((error.verdict, error.code.as_str()), (Verdict::Disable, code));
            assert!(error.message.contains(';'), "{}", error.message);
        }
    }

    #[test]
    fn what_may_have_happened_is_said() {
        assert!(Fault::said("fatal_error", Way::Api).maybe_accepted);
        assert!(Fault::http(504, "", Way::Api).maybe_accepted);
        assert!(!Fault::http(503, "", Way::Api).maybe_accepted);
        assert!(!Fault::said("invalid_auth", Way::Api).maybe_accepted);
    }
}
