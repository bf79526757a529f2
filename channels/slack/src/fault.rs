//! From a failed call to the verdict on the delivery. This is where a 429 with `Retry-After`
//! becomes a wait.

mod codes;

use std::error::Error as StdError;
use std::time::Duration;

use fanfare_contract::{AnswerPart, DeliveryError, Verdict, is_refusal};
use serde_json::Value;
use slack_morphism::errors::SlackClientError;

pub(crate) use self::codes::{Api, Kind};
use self::codes::{WEBHOOK_FORBIDDEN, WEBHOOK_GONE, is_code, meaning, network_message};
use crate::connector::NetworkError;

const UNKNOWN: &str = "Slack answered with an error code that Fanfare does not know";

/// A failed call. The sender may still try something else before it becomes a [`DeliveryError`].
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) kind: Kind,
    /// Slack's own error code, if it sent one.
    pub(crate) code: String,
    message: String,
    not_before: Option<Duration>,
    status: Option<u16>,
    answer: AnswerPart,
    maybe_accepted: bool,
    source: Option<Box<dyn StdError + Send + Sync>>,
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
            source: None,
        }
    }

    /// Reads slack-morphism's error. Its `Display` holds response bodies, so it is never used.
    pub(crate) fn read(error: SlackClientError, api: Api) -> Self {
        match error {
            SlackClientError::ApiError(error) => {
                let body = error.http_response_body.unwrap_or_default();
                Self::said(&error.code, api).answered(200, &body)
            }
            SlackClientError::RateLimitError(error) => {
                let body = error.http_response_body.unwrap_or_default();
                let mut fault = Self::said("ratelimited", api).answered(429, &body);
                fault.not_before = error.retry_after;
                fault
            }
            SlackClientError::HttpError(error) => {
                let body = error.http_response_body.unwrap_or_default();
                let status = error.status_code.as_u16();
                Self::http(status, &body, api).answered(status, &body)
            }
            SlackClientError::ProtocolError(error) => {
                // For example the page of a proxy, or a truncated answer.
                let body = error.json_body.unwrap_or_default();
                let message = "the answer is not from Slack; check for a proxy in between";
                let mut fault = Self::new(Kind::Retry, "invalid_answer", message);
                fault.maybe_accepted = true;
                fault.answered(200, &body)
            }
            SlackClientError::HttpProtocolError(error) => Self::network(error.cause),
            SlackClientError::EndOfStream(_)
            | SlackClientError::SystemError(_)
            | SlackClientError::SocketModeProtocolError(_) => Self::network(None),
        }
    }

    fn answered(mut self, status: u16, body: &str) -> Self {
        self.status = Some(status);
        self.answer = AnswerPart::from_bytes(body.as_bytes());
        self
    }

    fn network(cause: Option<Box<dyn StdError + Send + Sync>>) -> Self {
        let Some(Ok(error)) = cause.map(<dyn StdError + Send + Sync>::downcast::<NetworkError>)
        else {
            return Self::new(Kind::Retry, "network_error", "the request to Slack failed");
        };
        let mut fault = Self::new(Kind::Retry, error.code, network_message(error.code));
        fault.maybe_accepted = error.maybe_accepted;
        fault.source = Some(error);
        fault
    }

    /// An error status other than 429. The body is a code, or JSON with a code in `error`.
    fn http(status: u16, body: &str, api: Api) -> Self {
        let word = body.trim();
        let json =
            || serde_json::from_str::<Value>(word).ok()?["error"].as_str().map(str::to_owned);
        let code = Some(word.to_owned()).filter(|it| is_code(it)).or_else(json);
        if let Some(code) = code
            && let Some((kind, message)) = meaning(&code, api)
        {
            return Self::of(kind, &code, message);
        }
        let code = format!("http_{status}");
        match status {
            404 | 410 if api == Api::Webhook => Self::new(Kind::Disable, code, WEBHOOK_GONE),
            401 | 403 if api == Api::Webhook => Self::new(Kind::Disable, code, WEBHOOK_FORBIDDEN),
            400 | 413 | 422 => Self::new(Kind::Refused, code, "Slack refused the message"),
            500.. => {
                let mut fault = Self::new(Kind::Retry, code, "Slack answered with a server error");
                // A gateway that timed out does not know whether Slack posted the message.
                fault.maybe_accepted = matches!(status, 502 | 504);
                fault
            }
            _ => Self::new(Kind::Retry, code, "Slack answered with an unexpected status"),
        }
    }

    /// An error code of the Web API, or `ratelimited`.
    fn said(code: &str, api: Api) -> Self {
        let code = if is_code(code) { code } else { "unknown_error" };
        let (kind, message) = meaning(code, api).unwrap_or((Kind::Retry, UNKNOWN));
        Self::of(kind, code, message)
    }

    fn of(kind: Kind, code: &str, message: &str) -> Self {
        // Slack's documentation of both says that the operation may have succeeded in part.
        let maybe_accepted = matches!(code, "fatal_error" | "internal_error");
        let code = if code == "ratelimited" { "rate_limited" } else { code };
        Self { maybe_accepted, ..Self::new(kind, code, message) }
    }

    /// The verdict, if nothing else can be tried.
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
        error.refused = self.status.is_some_and(is_refusal);
        error.answer = self.answer;
        error.maybe_accepted = self.maybe_accepted;
        error.source = self.source;
        error
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(status: u16, body: &str, api: Api) -> (Kind, String) {
        let fault = Fault::http(status, body, api);
        (fault.kind, fault.code)
    }

    #[test]
    fn a_removed_webhook_disables_by_code_and_by_status() {
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
            let found = verdict(status, body, Api::Webhook);
            assert_eq!(found, (Kind::Disable, code.to_owned()), "{body}");
        }
    }

    #[test]
    fn temporary_errors_of_slack_are_retried() {
        assert_eq!(verdict(500, "rollup_error", Api::Webhook).0, Kind::Retry);
        assert_eq!(verdict(503, "<html>", Api::Web), (Kind::Retry, "http_503".to_owned()));
        assert_eq!(verdict(404, "<html>", Api::Web), (Kind::Retry, "http_404".to_owned()));
        assert_eq!(verdict(302, "", Api::Webhook), (Kind::Retry, "http_302".to_owned()));
        let json = r#"{"ok":false,"error":"service_unavailable"}"#;
        assert_eq!(verdict(503, json, Api::Web), (Kind::Retry, "service_unavailable".to_owned()));
        assert_eq!(Fault::said("some_news_from_slack", Api::Web).kind, Kind::Retry);
    }

    #[test]
    fn refused_content_is_not_retried() {
        assert_eq!(verdict(400, "invalid_blocks", Api::Webhook).0, Kind::Refused);
        assert_eq!(verdict(400, "what is this?", Api::Webhook).0, Kind::Refused);
        assert_eq!(Fault::said("msg_too_long", Api::Web).kind, Kind::Refused);
    }

    #[test]
    fn a_disabling_error_says_how_to_fix_it() {
        for code in ["token_revoked", "not_in_channel", "missing_scope", "is_archived"] {
            let error = Fault::said(code, Api::Web).into_error();
            assert_eq!((error.verdict, error.code.as_str()), (Verdict::Disable, code));
            assert!(error.message.contains(';'), "{}", error.message);
        }
    }

    #[test]
    fn maybe_accepted_is_set_if_slack_may_have_posted() {
        assert!(Fault::said("fatal_error", Api::Web).maybe_accepted);
        assert!(Fault::http(504, "", Api::Web).maybe_accepted);
        assert!(!Fault::http(503, "", Api::Web).maybe_accepted);
        assert!(!Fault::said("invalid_auth", Api::Web).maybe_accepted);
    }
}
