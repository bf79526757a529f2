//! When digests are due: a cron expression in a time zone.

use std::str::FromStr;

use chrono::{DateTime, TimeZone, Utc};
use chrono_tz::Tz;
use croner::Cron;
use croner::parser::{CronParser, Seconds};

use fanfare_store::Ms;

/// The ticks of a cron expression in a time zone.
#[derive(Clone, Debug)]
pub struct Calendar {
    cron: Cron,
    zone: Tz,
}

/// What is wrong with a schedule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CalendarError {
    /// Not a cron expression, or one that never ticks.
    #[error(
        "`{0}` is not a cron expression ({1}); the five fields are minute, hour, day, month and \
         weekday: \"0 8 * * 1-5\" is 8:00 from Monday to Friday"
    )]
    Cron(String, String),
    /// Not a time zone.
    #[error("`{0}` is not an IANA time zone; write for example \"Europe/Madrid\" or \"UTC\"")]
    Zone(String),
}

impl Calendar {
    /// Five fields, or six with seconds first; and an IANA time zone.
    pub fn parse(schedule: &str, zone: &str) -> Result<Self, CalendarError> {
        let wrong = |why: String| CalendarError::Cron(schedule.to_owned(), why);
        let cron = CronParser::builder()
            .seconds(Seconds::Optional)
            .build()
            .parse(schedule)
            .map_err(|error| wrong(error.to_string()))?;
        let zone = Tz::from_str(zone).map_err(|_| CalendarError::Zone(zone.to_owned()))?;
        let calendar = Self { cron, zone };
        if calendar.after(1_700_000_000_000).is_none() {
            return Err(wrong("it never ticks".to_owned()));
        }
        Ok(calendar)
    }

    /// The first tick after `ms`.
    pub fn after(&self, ms: Ms) -> Option<Ms> {
        let from = self.local(ms)?;
        let next = self.cron.find_next_occurrence(&from, false).ok()?;
        Some(next.timestamp_millis())
    }

    /// The last tick before `ms`.
    pub fn before(&self, ms: Ms) -> Option<Ms> {
        let from = self.local(ms)?;
        let last = self.cron.find_previous_occurrence(&from, false).ok()?;
        Some(last.timestamp_millis())
    }

    /// IANA name of the zone.
    pub fn zone(&self) -> &'static str {
        self.zone.name()
    }

    fn local(&self, ms: Ms) -> Option<DateTime<Tz>> {
        Some(self.zone.from_utc_datetime(&DateTime::<Utc>::from_timestamp_millis(ms)?.naive_utc()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Ms {
        DateTime::parse_from_rfc3339(text).unwrap().timestamp_millis()
    }

    #[test]
    fn ticks_follow_the_zone_through_both_changes_of_the_clock() {
        let calendar = Calendar::parse("0 8 * * *", "Europe/Madrid").unwrap();
        let next = |from| calendar.after(at(from)).unwrap();
        assert_eq!(next("2026-03-28T12:00:00Z"), at("2026-03-29T08:00:00+02:00"));
        assert_eq!(next("2026-10-24T12:00:00Z"), at("2026-10-25T08:00:00+01:00"));
        assert_eq!(calendar.before(at("2026-10-25T07:00:00Z")), Some(at("2026-10-24T06:00:00Z")));
    }

    #[test]
    fn weekdays_are_left_out_and_seconds_may_be_given() {
        let calendar = Calendar::parse("0 8 * * 1-5", "UTC").unwrap();
        assert_eq!(calendar.after(at("2026-11-20T08:00:00Z")), Some(at("2026-11-23T08:00:00Z")));
        let calendar = Calendar::parse("*/2 * * * * *", "UTC").unwrap();
        assert_eq!(calendar.after(at("2026-11-20T08:00:00Z")), Some(at("2026-11-20T08:00:02Z")));
    }

    #[test]
    fn errors_say_what_is_wrong_and_what_to_do() {
        let error = Calendar::parse("every day", "UTC").unwrap_err();
        assert!(error.to_string().contains("five fields"), "{error}");
        let error = Calendar::parse("0 8 * * *", "Madrid").unwrap_err();
        assert_eq!(
            error.to_string(),
            "`Madrid` is not an IANA time zone; write for example \"Europe/Madrid\" or \"UTC\""
        );
        assert!(Calendar::parse("0 0 30 2 *", "UTC").is_err());
    }
}
