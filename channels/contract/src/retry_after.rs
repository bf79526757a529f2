//! The one parser of the `Retry-After` header.
//!
//! Receivers send seconds or a date, and sometimes nonsense. Whatever arrives, the result is a wait
//! between zero and [`RETRY_AFTER_MAX`], or nothing.
//!
//! <https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3>

use std::time::{Duration, SystemTime};

/// Longest wait that a receiver can ask for. [`crate::Policy::retry_after_cap`] can only shorten
/// it.
pub const RETRY_AFTER_MAX: Duration = Duration::from_hours(24);

/// The wait that a response asks for, from the raw values of its `Retry-After` headers.
///
/// Dates are relative to `now`; a date in the past is a wait of zero. Values that are neither
/// seconds nor an HTTP-date are ignored. If several values are valid, the longest wait is used.
pub fn retry_after<'a>(
    values: impl IntoIterator<Item = &'a [u8]>,
    now: SystemTime,
) -> Option<Duration> {
    let longest = values.into_iter().filter_map(|value| wait(value, now)).max()?;
    Some(longest.min(RETRY_AFTER_MAX))
}

fn wait(value: &[u8], now: SystemTime) -> Option<Duration> {
    let text = std::str::from_utf8(value).ok()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // A number too large for 64 bits still means "very long".
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(now).unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sun, 06 Nov 1994 08:48:37 GMT, one minute before the dates of RFC 9110, section 5.6.7.
    const NOW_S: u64 = 784_111_717;

    fn parsed(values: &[&str]) -> Option<Duration> {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(NOW_S);
        retry_after(values.iter().map(|value| value.as_bytes()), now)
    }

    #[test]
    fn every_form_of_the_header_becomes_a_bounded_wait_or_nothing() {
        const ZERO: Option<Duration> = Some(Duration::ZERO);
        const MINUTE: Option<Duration> = Some(Duration::from_mins(1));
        const MAX: Option<Duration> = Some(RETRY_AFTER_MAX);
        let table: [(&[&str], Option<Duration>); 33] = [
            // Seconds.
            (&["60"], MINUTE),
            (&["0"], ZERO),
            (&["0060"], MINUTE),
            (&[" 60\t"], MINUTE),
            (&["86399"], Some(Duration::from_secs(86_399))),
            (&["86400"], MAX),
            (&["86401"], MAX),
            (&["18446744073709551615"], MAX),
            (&["99999999999999999999999999"], MAX),
            // The three forms of an HTTP-date: IMF-fixdate, RFC 850, asctime.
            (&["Sun, 06 Nov 1994 08:49:37 GMT"], MINUTE),
            (&["Sunday, 06-Nov-94 08:49:37 GMT"], MINUTE),
            (&["Sun Nov  6 08:49:37 1994"], MINUTE),
            (&["  Sun, 06 Nov 1994 08:49:37 GMT "], MINUTE),
            (&["Sun, 06 Nov 1994 08:48:37 GMT"], ZERO),
            (&["Sun, 06 Nov 1994 08:00:00 GMT"], ZERO),
            (&["Sunday, 06-Nov-94 08:00:00 GMT"], ZERO),
            (&["Thu, 01 Jan 1970 00:00:00 GMT"], ZERO),
            (&["Fri, 31 Dec 9999 23:59:59 GMT"], MAX),
            // Neither.
            (&[], None),
            (&[""], None),
            (&["  "], None),
            (&["-5"], None),
            (&["+3"], None),
            (&["1.5"], None),
            (&["1e3"], None),
            (&["6 0"], None),
            (&["soon"], None),
            (&["٦٠"], None),
            (&["Sun, 99 Nov 1994 08:49:37 GMT"], None),
            // Several headers.
            (&["5", "60", "7"], MINUTE),
            (&["soon", "60"], MINUTE),
            (&["Sun, 06 Nov 1994 08:49:37 GMT", "5"], MINUTE),
            (&["", "-1"], None),
        ];
        for (values, expected) in table {
            assert_eq!(parsed(values), expected, "{values:?}");
        }
    }

    #[test]
    fn bytes_that_are_not_text_are_ignored() {
        let values: [&[u8]; 2] = [b"\xff\xfe", b"7"];
        let wait = retry_after(values, SystemTime::UNIX_EPOCH);
        assert_eq!(wait, Some(Duration::from_secs(7)));
    }
}
