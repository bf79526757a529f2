//! The values of labels: a small fixed set, whatever comes in.

use fanfare_store::StateKind;

/// How an entry entered the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A producer wrote it to the stream.
    Stream,
    /// Fanfare wrote it: over HTTP, by `fanfare send`, or as an event of its own.
    Store,
}

impl Source {
    pub(super) const ALL: [&'static str; 2] = ["stream", "store"];
}

/// The result of `POST /v1/events` for one event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// The event is durable.
    Accepted,
    /// The event had been accepted before.
    Duplicate,
    /// The event was refused, with this code.
    Rejected(&'static str),
    /// The store failed.
    Failed,
}

pub(super) const ACCEPTED: [&str; 4] = ["accepted", "duplicate", "rejected", "failed"];

/// How an entry was settled.
pub(super) const OUTCOMES: [&str; 4] = ["routed", "unrouted", "duplicate", "rejected"];

/// The states of a delivery.
pub(super) const STATES: [&str; 4] = [
    StateKind::Delivered.as_str(),
    StateKind::Waiting.as_str(),
    StateKind::Suppressed.as_str(),
    StateKind::Dead.as_str(),
];

/// The codes of refusals. Any other code counts as the last one.
pub(super) const REFUSALS: [&str; 16] = [
    "bad_created",
    "bad_id",
    "bad_tenant",
    "bad_type",
    "duplicate_key",
    "missing_field",
    "no_event",
    "no_tenant",
    "not_json",
    "not_utf8",
    "quota_exceeded",
    "too_deep",
    "too_large",
    "unknown_tenant",
    "wrong_type",
    "other",
];

/// The codes of requests that are not authenticated. Any other code counts as the last one.
pub(super) const AUTH_FAILURES: [&str; 4] = ["no_key", "wrong_key", "expired_key", "other"];

/// The channels. Any other channel, or none, counts as the last one.
pub(super) const CHANNELS: [&str; 4] = ["webhook", "email", "slack", "other"];

/// The classes of attempt results, see [`result`].
pub(super) const RESULTS: [&str; 15] = [
    "ok",
    "http_3xx",
    "http_4xx",
    "http_5xx",
    "smtp_4xx",
    "smtp_5xx",
    "rate_limited",
    "timeout",
    "connect",
    "tls",
    "broken",
    "blocked",
    "busy",
    "internal",
    "refused",
];

/// The index of a word in a list. Unknown words get the last index.
pub(super) fn place(list: &[&str], word: &str) -> usize {
    list.iter().position(|known| *known == word).unwrap_or(list.len() - 1)
}

/// The index of the class of an attempt's code.
pub(super) fn result(code: Result<(), &str>) -> usize {
    place(&RESULTS, code.map_or_else(class, |()| "ok"))
}

fn class(code: &str) -> &'static str {
    match code {
        "http_429" | "ratelimited" | "rate_limited" | "message_limit_exceeded" => "rate_limited",
        "timeout" | "deadline" | "connect_timeout" | "smtp_timeout" | "request_timeout" => {
            "timeout"
        }
        "dns_failed" | "connect_refused" | "connect_failed" | "unreachable" | "smtp_dns"
        | "smtp_connect" | "network_error" => "connect",
        "tls_failed" | "smtp_tls" => "tls",
        "connection_reset" | "answer_broken" | "request_failed" | "smtp_lost" | "smtp_protocol"
        | "invalid_answer" => "broken",
        "blocked_address" => "blocked",
        crate::delivery::layers::BUSY => "busy",
        "internal" | "render_failed" | "compose_failed" | "not_prepared" | "wrong_channel" => {
            "internal"
        }
        "gone" => "http_4xx",
        _ if code.starts_with("http_3") => "http_3xx",
        _ if code.starts_with("http_4") => "http_4xx",
        _ if code.starts_with("http_5") => "http_5xx",
        _ if code.starts_with("smtp_4") => "smtp_4xx",
        _ if code.starts_with("smtp_5") => "smtp_5xx",
        _ => "refused",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn results_are_counted_by_class() {
        let word = |code| RESULTS[result(Err(code))];
        assert_eq!(RESULTS[result(Ok(()))], "ok");
        for (code, class) in [
            ("http_404", "http_4xx"),
            ("http_429", "rate_limited"),
            ("http_599", "http_5xx"),
            ("smtp_451", "smtp_4xx"),
            ("smtp_550", "smtp_5xx"),
            ("deadline", "timeout"),
            ("channel_busy", "busy"),
            ("invalid_blocks", "refused"),
        ] {
            assert_eq!(word(code), class, "{code}");
        }
    }

    proptest! {
        #[test]
        fn every_code_has_a_known_class(code in "\\PC{0,40}|(http|smtp)_[0-9]{1,5}") {
            prop_assert!(result(Err(&code)) < RESULTS.len());
            prop_assert!(place(&REFUSALS, &code) < REFUSALS.len());
            prop_assert!(place(&CHANNELS, &code) < CHANNELS.len());
        }
    }
}
