//! From what went wrong to the verdict: statuses, and connections that broke.
//!
//! Messages name the host and nothing else of the URL, whose path and user may be secrets.

use std::error::Error;
use std::io;
use std::time::Duration;

use fanfare_contract::{AnswerPart, DeliveryError, Verdict};
use http::header::RETRY_AFTER;
use http::{HeaderMap, StatusCode};
use hyper_util::client::legacy;

use crate::client::TooSlow;
use crate::resolver::Unresolved;

/// The longest `Retry-After` that is passed on; the router caps it further.
const RETRY_AFTER_MAX: Duration = Duration::from_hours(24 * 365);

/// The verdict on an answer that is not 2xx.
pub(crate) fn refused(
    host: &str,
    status: StatusCode,
    not_before: Option<Duration>,
    answer: AnswerPart,
) -> DeliveryError {
    let code = status.as_u16();
    let error = match code {
        410 => {
            let message = format!(
                "{host} answered 410: it says this endpoint is gone for good; set a new URL and enable the destination"
            );
            DeliveryError::disable("gone", message)
        }
        429 | 503 => {
            let message = match not_before {
                Some(wait) => {
                    format!("{host} answered {code} and asks to wait {} s", wait.as_secs())
                }
                None => format!("{host} answered {code}: it is overloaded or away"),
            };
            DeliveryError::new(Verdict::Retry { not_before }, format!("http_{code}"), message)
        }
        _ => DeliveryError::retry(
            format!("http_{code}"),
            format!("{host} answered {code}{}", hint(code)),
        ),
    };
    error.with_answer(code, answer)
}

/// What a person could do about a status.
fn hint(code: u16) -> &'static str {
    match code {
        300..=399 => {
            ": it redirects, and redirects are not followed; set the URL to where it leads in the end"
        }
        401 | 403 | 407 => {
            ": it wants other credentials, or refuses the signature; compare the secret"
        }
        404 | 405 => ": nothing takes a POST there; check the URL's path",
        413 => ": the event is larger than it takes",
        400..=499 => ": it does not accept the request; its answer may say why",
        _ => ": it failed; its own logs will say why",
    }
}

/// `Retry-After` as a wait from `now_ms` (Unix milliseconds): seconds, or a date
/// (<https://www.rfc-editor.org/rfc/rfc9110#name-retry-after>).
pub(crate) fn retry_after(headers: &HeaderMap, now_ms: i64) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = if text.bytes().all(|byte| byte.is_ascii_digit()) && !text.is_empty() {
        // So many digits that they do not fit mean "very long" all the same.
        Duration::from_secs(text.parse().unwrap_or(u64::MAX))
    } else {
        let date = httpdate::parse_http_date(text).ok()?;
        let now = Duration::from_millis(u64::try_from(now_ms).ok()?);
        date.duration_since(std::time::UNIX_EPOCH).ok()?.saturating_sub(now)
    };
    Some(wait.min(RETRY_AFTER_MAX))
}

/// The verdict on an attempt that got no answer.
pub(crate) fn broken(host: &str, error: legacy::Error) -> DeliveryError {
    let connecting = error.is_connect();
    if let Some(Unresolved::Refused(blocked)) = find(&error) {
        let message = format!(
            "{host} resolves to {}, which webhooks are not sent to; the operator can allow its network",
            blocked.kind
        );
        return DeliveryError::permanent("blocked_address", message).with_source(error);
    }
    let Broken { code, what, at_once } = describe(&error);
    DeliveryError::retry(code, format!("{host}: {what}"))
        .maybe_accepted(!connecting)
        .retry_at_once(at_once)
        .with_source(error)
}

/// A sort of broken attempt, for counting and for people.
struct Broken {
    code: &'static str,
    what: &'static str,
    /// A connection that had gone stale is the likely reason: another is worth a try now.
    at_once: bool,
}

fn describe(error: &legacy::Error) -> Broken {
    let broken = |code, what| Broken { code, what, at_once: false };
    if find::<Unresolved>(error).is_some() {
        return broken("dns_failed", "the name does not resolve; check its spelling and DNS");
    }
    if let Some(tls) = find(error) {
        return broken("tls_failed", tls_trouble(tls));
    }
    if find::<TooSlow>(error).is_some() {
        return broken(
            "connect_timeout",
            "nothing answered the connection; a firewall may drop it",
        );
    }
    let reset = Broken {
        code: "connection_reset",
        what: "the connection ended before an answer; the receiver may have crashed or restarted",
        at_once: true,
    };
    if let Some(http) = find::<hyper::Error>(error) {
        if http.is_parse() {
            return broken("answer_broken", "the answer is not HTTP/1.1; check port and scheme");
        }
        if http.is_incomplete_message() || http.is_canceled() || http.is_closed() {
            return reset;
        }
    }
    match find::<io::Error>(error).map(io::Error::kind) {
        Some(io::ErrorKind::ConnectionRefused) => {
            broken("connect_refused", "nothing listens there; is the receiver running?")
        }
        Some(
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::NotConnected
            | io::ErrorKind::UnexpectedEof,
        ) => reset,
        Some(io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable) => {
            broken("unreachable", "there is no network route to it")
        }
        Some(io::ErrorKind::TimedOut) => {
            broken("connect_timeout", "nothing answered the connection; a firewall may drop it")
        }
        _ if error.is_connect() => broken("connect_failed", "it cannot be connected to"),
        _ => broken("request_failed", "the request could not be completed"),
    }
}

fn tls_trouble(error: &rustls::Error) -> &'static str {
    use rustls::{CertificateError as Cert, Error as Tls};
    match error {
        Tls::InvalidCertificate(Cert::Expired | Cert::ExpiredContext { .. }) => {
            "its TLS certificate has expired; renew it"
        }
        Tls::InvalidCertificate(Cert::NotValidForName | Cert::NotValidForNameContext { .. }) => {
            "its TLS certificate is for another name"
        }
        Tls::InvalidCertificate(Cert::UnknownIssuer) => {
            "its TLS certificate is not from a trusted authority, or an intermediate one is missing"
        }
        Tls::InvalidCertificate(_) => "its TLS certificate is not valid",
        Tls::InvalidMessage(_) => "it does not speak TLS on this port",
        Tls::AlertReceived(_) => "it refused the TLS handshake",
        _ => "the TLS handshake failed",
    }
}

/// The first error of type `E` in the chain, looking inside I/O errors too.
fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<E>() {
            return Some(found);
        }
        // An I/O error's source skips the very error that it wraps.
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = wrapped.map(|inner| inner as &(dyn Error + 'static)).or_else(|| error.source());
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(text: &str, now_ms: i64) -> Option<Duration> {
        let headers = HeaderMap::from_iter([(RETRY_AFTER, text.parse().unwrap())]);
        retry_after(&headers, now_ms)
    }

    #[test]
    fn retry_after_is_read_as_seconds_or_any_http_date() {
        let now_ms = 784_111_717_000; // Sun, 06 Nov 1994 08:48:37 GMT
        assert_eq!(wait("120", now_ms), Some(Duration::from_mins(2)));
        assert_eq!(wait("0", now_ms), Some(Duration::ZERO));
        for date in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            assert_eq!(wait(date, now_ms), Some(Duration::from_mins(1)), "{date}");
        }
        assert_eq!(wait("Sun, 06 Nov 1994 08:00:00 GMT", now_ms), Some(Duration::ZERO));
    }

    #[test]
    fn a_senseless_retry_after_is_as_good_as_none_and_a_huge_one_is_bounded() {
        for senseless in ["", "soon", "-5", "1.5", "+3", "Sun, 99 Nov 1994 08:49:37 GMT"] {
            assert_eq!(wait(senseless, 0), None, "{senseless}");
        }
        for huge in ["99999999999", "99999999999999999999999999", "Fri, 31 Dec 9999 23:59:59 GMT"] {
            assert_eq!(wait(huge, 0), Some(RETRY_AFTER_MAX), "{huge}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), 0), None);
    }

    #[test]
    fn an_error_wrapped_in_an_io_error_is_found() {
        let tls = rustls::Error::General("inner".to_owned());
        let wrapped = io::Error::other(io::Error::new(io::ErrorKind::InvalidData, tls));
        assert!(find::<rustls::Error>(&wrapped).is_some());
        assert!(find::<Unresolved>(&wrapped).is_none());
    }
}
