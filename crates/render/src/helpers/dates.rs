//! Times as people read them. Producers send Unix seconds, milliseconds, or RFC 3339.

use chrono::{DateTime, NaiveDate, TimeZone, Utc};
use chrono_tz::Tz;
use serde_json::Value;

use super::args::{Args, Function};
use super::text::show;
use super::written;
use crate::escape;

pub(super) const HELPERS: &[(&str, Function)] =
    &[("date", |args| date_helper(args, true)), ("day", |args| date_helper(args, false))];

fn date_helper(args: &Args<'_, '_>, with_time: bool) -> Result<Value, String> {
    let zone = match args.named("zone").or(args.at(1)) {
        Some(Value::String(name)) => {
            let zone = name.parse::<Tz>().map_err(|_| {
                format!("`{name}` is not a time zone; write an IANA name such as Europe/Madrid")
            })?;
            Some(zone)
        }
        _ => None,
    };
    let value = args.get(0)?;
    Ok(match date(value, zone, with_time) {
        Some(date) => date.into(),
        None => value.clone(),
    })
}

/// The time in Unix seconds or RFC 3339. A number above 100 billion is taken as milliseconds,
/// because as seconds it would be after the year 5000.
fn instant(value: &Value) -> Option<DateTime<Utc>> {
    match value {
        number if written::as_f64(number).is_some() => {
            let seconds = written::as_f64(number)?;
            #[expect(clippy::cast_possible_truncation, reason = "the conversion saturates")]
            let ms = if seconds.abs() > 1e11 { seconds as i64 } else { (seconds * 1000.0) as i64 };
            Utc.timestamp_millis_opt(ms).single()
        }
        Value::String(text) => {
            DateTime::parse_from_rfc3339(text).ok().map(|date| date.with_timezone(&Utc))
        }
        _ => None,
    }
}

/// The time as `26 Dec 2024, 16:00 UTC`, or `None` if the value is not a time.
pub(super) fn date(value: &Value, zone: Option<Tz>, with_time: bool) -> Option<String> {
    if let Value::String(text) = value
        && let Ok(day) = NaiveDate::parse_from_str(text, "%Y-%m-%d")
    {
        return Some(day.format("%-d %b %Y").to_string());
    }
    let format = if with_time { "%-d %b %Y, %H:%M %Z" } else { "%-d %b %Y" };
    let instant = instant(value)?.with_timezone(&zone.unwrap_or(Tz::UTC));
    Some(instant.format(format).to_string())
}

/// Slack's date format. Slack shows it in the reader's time zone, and other places show the fallback
/// (<https://docs.slack.dev/messaging/formatting-message-text#date-formatting>).
pub(super) fn slack_date(args: &Args<'_, '_>) -> Result<Value, String> {
    let value = args.get(0)?;
    let Some(instant) = instant(value) else {
        return Ok(escape::clean(&show(value)).replace(['<', '>', '&'], "").into());
    };
    let fallback = date(value, None, true).unwrap_or_default();
    let unix = instant.timestamp();
    Ok(format!("<!date^{unix}^{{date_short_pretty}} at {{time}}|{fallback}>").into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn times_are_read_in_every_form_and_shown_with_their_zone() {
        let utc = Some("26 Dec 2024, 16:00 UTC".to_owned());
        assert_eq!(date(&json!(1_735_228_800), None, true), utc);
        assert_eq!(date(&json!(1_735_228_800_000_u64), None, true), utc);
        assert_eq!(date(&json!("2024-12-26T17:00:00+01:00"), None, true), utc);
        let madrid = date(&json!(1_735_228_800), Some(Tz::Europe__Madrid), true);
        assert_eq!(madrid.as_deref(), Some("26 Dec 2024, 17:00 CET"));
        assert_eq!(date(&json!("2031-04-30"), None, true).as_deref(), Some("30 Apr 2031"));
        assert_eq!(date(&json!("soon"), None, true), None);
        assert_eq!(date(&json!(1e300), None, true), None);
    }
}
