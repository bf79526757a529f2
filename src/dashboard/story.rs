//! Deliveries in words: what the receiver did, why something waits, and what happens next.

/// One attempt as the story sees it.
pub(super) struct Step<'a> {
    /// `ok`, or the code of the failure.
    pub(super) code: &'a str,
    /// The HTTP status or SMTP code.
    pub(super) status: Option<u16>,
}

/// Who receives on a channel.
pub(super) fn receiver(channel: &str) -> &'static str {
    match channel {
        "webhook" => "The tenant's server",
        "email" => "The mail server",
        "slack" => "Slack",
        "poll" => "The mailbox",
        _ => "The receiver",
    }
}

/// What the receiver did, in one sentence without a full stop: "The tenant's server answered 503
/// twice, then accepted it". Empty without attempts.
pub(super) fn told<'a>(channel: &str, steps: impl IntoIterator<Item = Step<'a>>) -> String {
    let mut runs: Vec<(String, usize)> = Vec::new();
    for step in steps {
        let done = did(&step);
        match runs.last_mut() {
            Some((last, times)) if *last == done => *times += 1,
            _ => runs.push((done, 1)),
        }
    }
    let parts: Vec<String> =
        runs.iter().map(|(done, times)| format!("{done}{}", often(*times))).collect();
    match parts.split_last() {
        None => String::new(),
        Some((only, [])) => format!("{} {only}", receiver(channel)),
        Some((last, before)) => {
            format!("{} {}, then {last}", receiver(channel), before.join(", then "))
        }
    }
}

/// What one attempt led to, as a verb.
fn did(step: &Step<'_>) -> String {
    match (step.code, step.status) {
        ("ok", _) => "accepted it".to_owned(),
        (_, Some(status)) => format!("answered {status}"),
        (code, None) => match code {
            "timeout" => "did not answer in time".to_owned(),
            "connect_refused" => "refused the connection".to_owned(),
            "connect_timeout" | "unreachable" | "connect_failed" => {
                "could not be reached".to_owned()
            }
            "connection_reset" => "closed the connection without an answer".to_owned(),
            "dns_failed" => "has a name that did not resolve".to_owned(),
            "tls_failed" => "failed the TLS handshake".to_owned(),
            "blocked_address" => "has an address that must not be called".to_owned(),
            "render_failed" | "compose_failed" => {
                "got nothing, because the message could not be rendered".to_owned()
            }
            other => format!("failed with {}", other.replace('_', " ")),
        },
    }
}

fn often(times: usize) -> String {
    match times {
        1 => String::new(),
        2 => " twice".to_owned(),
        3 => " three times".to_owned(),
        n => format!(" {n} times"),
    }
}

/// Why a delivery is in its state, in a sentence. Empty if the attempts say it.
pub(super) fn why(state: &str, reason: &str) -> String {
    let known = match reason {
        "retry" => "The last attempt failed. Fanfare tries again by the retry schedule.",
        "retry_after" => "The receiver asked Fanfare to wait before the next attempt.",
        "digest" => "It is part of the next digest.",
        "rate_limit" => "The destination's rate is used up for the moment.",
        "paused" => "The destination is paused.",
        "circuit_open" => {
            "The receiver failed repeatedly, so Fanfare tries it with single events first."
        }
        "fifo" => "It waits for earlier events of this destination, which keeps their order.",
        "queued" | "backlog" => "It waits behind earlier deliveries of this destination.",
        "busy" => "All connections that the destination allows are in use.",
        "in_flight" => "An attempt is running.",
        "quota" => "The tenant sends more than its quota allows, so it is sent later.",
        "replay" => "A person sent it again.",
        "cancelled" => "A person cancelled it.",
        "destination_removed" => "The destination no longer exists.",
        "other_environment" => {
            "The destination now belongs to the other environment, live or test."
        }
        "store_refused" => "The store refused to write its outcome. The log says why.",
        "" => "",
        other => {
            if let Some(cause) = other.strip_prefix("disabled: ") {
                return format!("The destination was disabled ({}).", cause.replace('_', " "));
            }
            if state == "dead" {
                return "There are no further attempts. Repair the cause, then send it again."
                    .to_owned();
            }
            return format!("Reason: {}.", other.replace('_', " "));
        }
    };
    known.to_owned()
}

/// What holds a destination back, in a few words, for reasons that are about the destination.
pub(super) fn hold(reason: &str) -> &'static str {
    match reason {
        "circuit_open" => "The receiver keeps failing, so it is tried with one event at a time",
        "retry_after" => "The receiver asked Fanfare to wait",
        "rate_limit" => "The destination's rate is used up",
        "paused" => "The destination is paused",
        "retry" => "The last attempts failed",
        "digest" => "Collected for the next digest",
        "quota" => "The tenant's quota is exceeded",
        "fifo" => "Waits for an earlier event",
        _ => "Waits for its turn",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn story(channel: &str, steps: &[(&str, Option<u16>)]) -> String {
        told(channel, steps.iter().map(|&(code, status)| Step { code, status }))
    }

    #[test]
    fn attempts_become_one_sentence() {
        let failed = ("http_503", Some(503));
        assert_eq!(story("webhook", &[failed, failed]), "The tenant's server answered 503 twice");
        assert_eq!(
            story("webhook", &[failed, failed, failed, ("timeout", None), ("ok", Some(204))]),
            "The tenant's server answered 503 three times, then did not answer in time, then accepted \
             it"
        );
        assert_eq!(story("slack", &[("ok", Some(200))]), "Slack accepted it");
        assert_eq!(
            story("email", &[("smtp_greylisted", None)]),
            "The mail server failed with smtp greylisted"
        );
        assert_eq!(story("email", &[]), "");
    }

    #[test]
    fn a_reason_with_a_code_is_said_in_words() {
        assert_eq!(why("suppressed", "disabled: gone"), "The destination was disabled (gone).");
        assert!(why("dead", "http_500").starts_with("There are no further attempts."));
        assert_eq!(why("delivered", ""), "");
        assert_eq!(why("waiting", "something_new"), "Reason: something new.");
    }
}
