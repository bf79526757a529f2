//! The verdict on a failed attempt: on a refusing status, and on a broken connection.
//!
//! Messages name the host and no other part of the URL: its path and user can be secrets.

use std::error::Error;
use std::io;
use std::time::Duration;

use fanfare_contract::{AnswerPart, DeliveryError, Verdict, is_refusal};
use http::StatusCode;
use hyper_util::client::legacy;

use crate::client::TooSlow;
use crate::connection::Talk;
use crate::resolver::Unresolved;
use crate::settings::Prepared;
use crate::settings::statuses::Decision;

/// The verdict on an answer that is not 2xx.
pub(crate) fn refused(
    to: &Prepared,
    status: StatusCode,
    retry_after: Option<Duration>,
    answer: AnswerPart,
) -> DeliveryError {
    let (host, code) = (&to.host, status.as_u16());
    let name = || format!("http_{code}");
    let error = match (code, to.statuses.decide(code)) {
        (_, Some(Decision::GiveUp)) => DeliveryError::permanent(
            name(),
            format!("{host} answered {code}, which `give_up_on` does not retry: {}", hint(code)),
        ),
        (410, None) => DeliveryError::disable(
            "gone",
            format!(
                "{host} answered 410: the endpoint is gone for good; set a new URL and enable the \
                 destination"
            ),
        ),
        _ => {
            let message = match retry_after {
                Some(wait) => {
                    format!("{host} answered {code} and asks to wait {} s", wait.as_secs())
                }
                None => format!("{host} answered {code}: {}", hint(code)),
            };
            DeliveryError::new(Verdict::Retry { not_before: retry_after }, name(), message)
        }
    };
    error.with_answer(code, answer).refused(is_refusal(code))
}

/// What a status means and how to fix it.
fn hint(code: u16) -> &'static str {
    match code {
        300..=399 => "redirects are not followed; set the URL to the final location",
        401 | 403 | 407 => "it rejects the credentials or the signature; compare the secret",
        404 | 405 => "nothing accepts a POST at this URL; check its path",
        413 => "the event is too large for it",
        429 | 503 => "it is overloaded or unavailable",
        400..=499 => "it rejects the request; its answer may say why",
        _ => "it failed; check its logs",
    }
}

/// The verdict on an attempt without an answer. `talk` is the connection that it failed on.
pub(crate) fn broken(host: &str, error: legacy::Error, talk: Option<&Talk>) -> DeliveryError {
    if let Some(Unresolved::Blocked(blocked)) = find(&error) {
        let message = format!(
            "{host} resolves to {}, which webhooks must not reach; an operator can allow its \
             network",
            blocked.kind
        );
        return DeliveryError::permanent("blocked_address", message).with_source(error);
    }
    let Broken { code, message, is_dead } = describe(&error);
    // On a new connection the receiver itself ended it, and would do the same again.
    let is_stale = is_dead && talk.is_some_and(Talk::is_reused);
    DeliveryError::retry(code, format!("{host}: {message}"))
        .maybe_accepted(!error.is_connect())
        .retry_at_once(is_stale)
        .with_source(error)
}

/// Whether there is an answer, but not one that hyper can parse.
pub(crate) fn is_unreadable(error: &legacy::Error) -> bool {
    find::<hyper::Error>(error).is_some_and(hyper::Error::is_parse)
}

/// What broke.
struct Broken {
    code: &'static str,
    message: &'static str,
    /// The connection ended. If it had been kept open, it was probably dead before the request.
    is_dead: bool,
}

const RESET: Broken = Broken {
    code: "connection_reset",
    message: "the connection ended before the answer; the receiver may have crashed or restarted",
    is_dead: true,
};
const CONNECT_TIMEOUT: Broken =
    broken_by("connect_timeout", "the connection timed out; a firewall may block it");

const fn broken_by(code: &'static str, message: &'static str) -> Broken {
    Broken { code, message, is_dead: false }
}

fn describe(error: &legacy::Error) -> Broken {
    if find::<Unresolved>(error).is_some() {
        return broken_by(
            "dns_failed",
            "the name does not resolve; check its spelling and its DNS",
        );
    }
    if let Some(tls) = find(error) {
        return broken_by("tls_failed", fanfare_tls::explain(tls));
    }
    if find::<TooSlow>(error).is_some() {
        return CONNECT_TIMEOUT;
    }
    if let Some(http) = find::<hyper::Error>(error) {
        if http.is_parse() {
            let message = "the answer is not HTTP/1.1; check the URL's port and scheme";
            return broken_by("answer_broken", message);
        }
        if http.is_incomplete_message() || http.is_canceled() || http.is_closed() {
            return RESET;
        }
    }
    match find::<io::Error>(error).map(io::Error::kind) {
        Some(io::ErrorKind::ConnectionRefused) => broken_by(
            "connect_refused",
            "the connection was refused; check that the receiver is running",
        ),
        Some(
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::NotConnected
            | io::ErrorKind::UnexpectedEof,
        ) => RESET,
        Some(io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable) => {
            broken_by("unreachable", "there is no network route to its address")
        }
        Some(io::ErrorKind::TimedOut) => CONNECT_TIMEOUT,
        _ if error.is_connect() => broken_by("connect_failed", "the connection failed"),
        _ => broken_by("request_failed", "the request failed"),
    }
}

/// The first error of type `E` in the chain of sources. Looks inside I/O errors too.
fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<E>() {
            return Some(found);
        }
        // `io::Error::source` skips the error that the I/O error wraps.
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = wrapped.map(|inner| inner as &(dyn Error + 'static)).or_else(|| error.source());
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_wrapped_in_an_io_error_is_found() {
        let tls = rustls::Error::General("inner".to_owned());
        let wrapped = io::Error::other(io::Error::new(io::ErrorKind::InvalidData, tls));
        assert!(find::<rustls::Error>(&wrapped).is_some());
        assert!(find::<Unresolved>(&wrapped).is_none());
    }
}
