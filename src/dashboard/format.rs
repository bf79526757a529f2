//! Times, states and sizes, as people read them.

use chrono::{DateTime, SecondsFormat, Utc};

/// A moment. Pages show it in UTC, and the script in the reader's own time zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Time(DateTime<Utc>);

impl Time {
    /// From Unix milliseconds.
    pub(super) fn ms(ms: i64) -> Self {
        Self(DateTime::from_timestamp_millis(ms).unwrap_or_default())
    }

    /// For machines.
    pub(super) fn iso(&self) -> String {
        self.0.to_rfc3339_opts(SecondsFormat::Millis, true)
    }

    /// The time of day, where the day is known: `13:52:07`.
    pub(super) fn clock(&self) -> String {
        self.0.format("%H:%M:%S").to_string()
    }

    /// The day and the time without seconds: `30 Nov, 13:52`.
    pub(super) fn short(&self) -> String {
        self.0.format("%-d %b, %H:%M").to_string()
    }

    /// For people: `30 Nov 2026, 13:52:07 UTC`.
    pub(super) fn text(&self) -> String {
        self.0.format("%-d %b %Y, %H:%M:%S UTC").to_string()
    }
}

/// One of the four roles of a state, as a CSS class.
pub(super) fn tone(state: &str) -> &'static str {
    match state {
        "delivered" | "active" | "routed" | "ok" | "healthy" => "ok",
        "waiting" | "pending" | "paused" | "held" => "wait",
        "dead" | "disabled" => "bad",
        _ => "off",
    }
}

/// A duration: `38 ms`, `1.2 s`, `3 min`.
pub(super) fn duration(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..60_000 => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
        60_000..7_200_000 => format!("{} min", ms / 60_000),
        _ => format!("{} h", ms / 3_600_000),
    }
}

/// A count with its noun: `1 event`, `2 events`, `12,480 deliveries`.
pub(super) fn count(n: u64, noun: &str) -> String {
    if n == 1 {
        return format!("1 {noun}");
    }
    match noun.strip_suffix('y') {
        Some(stem) if !noun.ends_with("ay") && !noun.ends_with("ey") => {
            format!("{} {stem}ies", number(n))
        }
        _ => format!("{} {noun}s", number(n)),
    }
}

/// A number with separators: `12,480`.
pub(super) fn number(n: impl Into<u64>) -> String {
    let digits = n.into().to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A size: `512 bytes`, `1.4 KB`, `3.0 MB`.
pub(super) fn bytes(n: u64) -> String {
    let tenths = |unit: u64| format!("{}.{}", n / unit, n % unit * 10 / unit);
    match n {
        0..1_024 => count(n, "byte"),
        1_024..1_048_576 => tenths(1_024) + " KB",
        1_048_576..1_073_741_824 => tenths(1_048_576) + " MB",
        _ => tenths(1_073_741_824) + " GB",
    }
}

/// A text of at most `most` characters. What is left out is shown as `…`.
pub(super) fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// An event type as a heading: `kyc.session.manual_review` is "Session manual review".
pub(super) fn heading(kind: &str) -> String {
    let words = kind.split_once('.').map_or(kind, |(_, rest)| rest);
    let words = words.replace(['.', '_', '-'], " ");
    let mut chars = words.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// What a person calls a lane: the destination, without the suffix of its recipient.
pub(super) fn destination(lane: &str) -> &str {
    lane.split_once('~').map_or(lane, |(destination, _)| destination)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_durations_and_counts_read_as_people_write_them() {
        let time = Time::ms(1_796_046_727_114);
        assert_eq!(time.iso(), "2026-11-30T13:52:07.114Z");
        assert_eq!(time.text(), "30 Nov 2026, 13:52:07 UTC");
        let durations = [38, 1_240, 185_000, 10_800_000].map(duration);
        assert_eq!(durations, ["38 ms", "1.2 s", "3 min", "3 h"]);
        assert_eq!(time.short(), "30 Nov, 13:52");
        assert_eq!([0, 1, 2].map(|n| count(n, "event")), ["0 events", "1 event", "2 events"]);
        assert_eq!(count(12_480, "delivery"), "12,480 deliveries");
        assert_eq!(count(3, "key"), "3 keys");
        let numbers = [0_u64, 999, 1_000, 1_234_567].map(number);
        assert_eq!(numbers, ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(
            [1, 512, 1_434, 3_145_728].map(bytes),
            ["1 byte", "512 bytes", "1.4 KB", "3.0 MB"]
        );
        assert_eq!((cut("naïve", 3), cut("abc", 3)), ("naï…".to_owned(), "abc".to_owned()));
        assert_eq!(heading("kyc.session.manual_review"), "Session manual review");
        assert_eq!(heading("ping"), "Ping");
        assert_eq!(destination("mlro-now~4f2a90"), "mlro-now");
    }
}
