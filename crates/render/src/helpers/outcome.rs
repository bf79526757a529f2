//! Whether an outcome is good or bad news, by the words that producers use for outcomes.

use serde_json::Value;

use super::args::{Args, Function};
use super::written;

/// How good an outcome is, worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Tone {
    Bad,
    Warn,
    Info,
    Neutral,
    Good,
}

impl Tone {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Bad => "bad",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Neutral => "neutral",
            Self::Good => "good",
        }
    }

    /// Text and background. Their contrast is at least 4.5:1 (WCAG AA).
    fn colors(self) -> (&'static str, &'static str) {
        match self {
            Self::Bad => ("#9b1c1c", "#fde8e8"),
            Self::Warn => ("#7c4a03", "#fdf0d5"),
            Self::Info => ("#1e429f", "#e1effe"),
            Self::Neutral => ("#3f4754", "#eceff3"),
            Self::Good => ("#0b5d3b", "#def7ec"),
        }
    }

    fn icon(self) -> &'static str {
        match self {
            Self::Bad => "🔴",
            Self::Warn => "🟠",
            Self::Info => "🔵",
            Self::Neutral => "⚪",
            Self::Good => "🟢",
        }
    }
}

const BAD: &[&str] = &[
    "rejected",
    "declined",
    "denied",
    "fail",
    "failed",
    "failure",
    "error",
    "expired",
    "blocked",
    "disabled",
    "dead",
    "match",
    "matched",
    "match_found",
    "fraud",
    "high",
    "critical",
    "revoked",
    "confirmed_match",
    "invalid",
    "abandoned",
];
const WARN: &[&str] = &[
    "flagged",
    "in_review",
    "review",
    "manual_review",
    "possible_match",
    "warning",
    "warn",
    "medium",
    "needs_review",
    "suspicious",
    "partial",
    "on_hold",
    "paused",
    "pending_review",
    "escalated",
    "resubmit",
    "resubmission_requested",
    "awaiting_review",
];
const INFO: &[&str] = &[
    "created",
    "started",
    "new",
    "pending",
    "processing",
    "in_progress",
    "processed",
    "submitted",
    "opened",
    "open",
    "updated",
    "queued",
    "running",
];
const GOOD: &[&str] = &[
    "approved",
    "pass",
    "passed",
    "clear",
    "cleared",
    "completed",
    "complete",
    "success",
    "succeeded",
    "ok",
    "verified",
    "valid",
    "low",
    "accepted",
    "delivered",
    "no_match",
    "resolved",
    "active",
];

/// The tone of a status, a decision, or a result. A number is a risk score from 0 to 100.
pub(crate) fn tone(value: &Value) -> Tone {
    let word = match value {
        Value::Bool(true) => return Tone::Good,
        Value::Bool(false) => return Tone::Bad,
        score if written::as_f64(score).is_some() => {
            return match written::as_f64(score).unwrap_or_default() {
                score if score >= 70.0 => Tone::Bad,
                score if score >= 40.0 => Tone::Warn,
                _ => Tone::Good,
            };
        }
        Value::String(word) if word.len() <= 64 => {
            word.trim().to_lowercase().replace([' ', '-'], "_")
        }
        _ => return Tone::Neutral,
    };
    let is_in = |words: &[&str]| words.contains(&word.as_str());
    match () {
        () if is_in(BAD) => Tone::Bad,
        () if is_in(WARN) => Tone::Warn,
        () if is_in(INFO) => Tone::Info,
        () if is_in(GOOD) => Tone::Good,
        () => Tone::Neutral,
    }
}

pub(super) const HELPERS: &[(&str, Function)] = &[
    ("tone", tone_name),
    ("badge", badge),
    ("icon", icon),
    ("outcome", |args| Ok(outcome(args.get(0)?).cloned().unwrap_or_default())),
];

/// The field with the outcome, if the data has one.
pub(crate) fn outcome(data: &Value) -> Option<&Value> {
    let fields = ["final_decision", "decision", "outcome", "status", "result"];
    let mut values = fields.iter().filter_map(|field| data.get(field));
    values.find(|value| value.as_str().is_some_and(|word| !word.trim().is_empty()))
}

/// The tone with the name that the parameter has, or the tone of the outcome that it is.
fn named(args: &Args<'_, '_>) -> Result<Tone, String> {
    let value = args.get(0)?;
    let tones = [Tone::Bad, Tone::Warn, Tone::Info, Tone::Neutral, Tone::Good];
    let by_name = value.as_str().and_then(|name| tones.into_iter().find(|t| t.name() == name));
    Ok(by_name.unwrap_or_else(|| tone(value)))
}

fn tone_name(args: &Args<'_, '_>) -> Result<Value, String> {
    Ok(named(args)?.name().into())
}

fn badge(args: &Args<'_, '_>) -> Result<Value, String> {
    let (text, background) = named(args)?.colors();
    match args.text(1) {
        Some("text") => Ok(text.into()),
        Some("background") => Ok(background.into()),
        _ => Err("parameter 2 must be \"text\" or \"background\"".to_owned()),
    }
}

fn icon(args: &Args<'_, '_>) -> Result<Value, String> {
    Ok(named(args)?.icon().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_outcome_has_the_tone_that_a_reader_expects() {
        for (value, expected) in [
            (json!("APPROVED"), Tone::Good),
            (json!("IN_REVIEW"), Tone::Warn),
            (json!("possible match"), Tone::Warn),
            (json!("rejected"), Tone::Bad),
            (json!("CREATED"), Tone::Info),
            (json!("whatever"), Tone::Neutral),
            (json!(88), Tone::Bad),
            (json!(12), Tone::Good),
            (json!(null), Tone::Neutral),
        ] {
            assert_eq!(tone(&value), expected, "{value}");
        }
    }

    #[test]
    fn badges_have_the_contrast_that_wcag_aa_requires() {
        fn channel(hex: &str) -> f64 {
            let part = f64::from(u8::from_str_radix(hex, 16).unwrap()) / 255.0;
            if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
        }
        fn luminance(color: &str) -> f64 {
            0.2126 * channel(&color[1..3])
                + 0.7152 * channel(&color[3..5])
                + 0.0722 * channel(&color[5..7])
        }
        for tone in [Tone::Bad, Tone::Warn, Tone::Info, Tone::Neutral, Tone::Good] {
            let (text, background) = tone.colors();
            let contrast = (luminance(background) + 0.05) / (luminance(text) + 0.05);
            assert!(contrast >= 4.5, "{tone:?}: {contrast}");
        }
    }
}
