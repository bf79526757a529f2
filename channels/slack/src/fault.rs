//! What Slack's refusals and broken connections mean for the delivery.

mod codes;

use std::error::Error as StdError;
use std::time::Duration;

use fanfare_contract::{AnswerPart, DeliveryError, Verdict};
use serde_json::Value;
use slack_morphism::errors::SlackClientError;

use self::codes::{WEBHOOK_FORBIDDEN, WEBHOOK_GONE, is_code, meaning, network_message};
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
                let broke = matches!(error.code, "connect_refused" | "connect_failed");
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
