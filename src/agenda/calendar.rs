//! When digests are due: a cron expression in a time zone.
//!
//! A schedule names times of the wall clock. Where the clock changes, `docs/compatibility.md` says
//! what they mean:
//!
//! - A schedule with an hour (`0,30 2 * * *`) ticks once for each of its times. Times that the clock
//!   skips are due together when the clock goes on. Times that occur twice are due the first time.
//! - A schedule for every hour (`*/15 * * * *`) ticks whenever the clock shows one of its times, so
//!   it neither pauses nor hurries.
//!
//! `croner` reads the expressions and finds the times of the wall clock. It is asked in UTC, because
//! in a time zone it leaves out times that the clock skips.

use std::str::FromStr;

use chrono::{DateTime, MappedLocalTime, NaiveDateTime, Offset, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use croner::Cron;
use croner::parser::{CronParser, Seconds};

use fanfare_store::Ms;

/// More than any change of a clock, except at the date line.
const CHANGE: TimeDelta = TimeDelta::hours(3);
/// Steps back to a time that the clock did not skip, and how many: a whole day, as in Samoa in 2011.
const STEP: TimeDelta = TimeDelta::minutes(15);
const STEPS: usize = 4 * 25;

/// The ticks of a cron expression in a time zone.
#[derive(Clone, Debug)]
pub struct Calendar {
    cron: Cron,
    zone: Tz,
    /// Whether the schedule is for every hour.
    hourly: bool,
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
        let hourly = cron.pattern.hours.values().len() == 24;
        let calendar = Self { cron, zone, hourly };
        if calendar.after(1_700_000_000_000).is_none() {
            return Err(wrong("it never ticks".to_owned()));
        }
        Ok(calendar)
    }

    /// The first tick after `ms`.
    pub fn after(&self, ms: Ms) -> Option<Ms> {
        let now = DateTime::from_timestamp_millis(ms)?;
        let wall = self.wall(now);
        // Before the clock goes back, times that it has shown are still to come again.
        let again = self.offset(now) - self.offset(now + CHANGE);
        let mut at = wall - again.max(TimeDelta::zero());
        let mut best: Option<DateTime<Utc>> = None;
        loop {
            at = self.cron.find_next_occurrence(&at.and_utc(), false).ok()?.naive_utc();
            let found = self.instants(at).into_iter().flatten().filter(|tick| *tick > now).min();
            best = [best, found].into_iter().flatten().min();
            if at > wall && found.is_some() {
                return best.map(|tick| tick.timestamp_millis());
            }
        }
    }

    /// The last tick before `ms`.
    pub fn before(&self, ms: Ms) -> Option<Ms> {
        let now = DateTime::from_timestamp_millis(ms)?;
        let wall = self.wall(now);
        // After the clock has gone back, it has already shown later times.
        let back = self.offset(now - CHANGE) - self.offset(now);
        // Also a time of this very second is before, if `ms` is within the second.
        let mut at = wall + back.max(TimeDelta::zero()) + TimeDelta::seconds(1);
        let mut best: Option<DateTime<Utc>> = None;
        loop {
            at = self.cron.find_previous_occurrence(&at.and_utc(), false).ok()?.naive_utc();
            let found = self.instants(at).into_iter().flatten().filter(|tick| *tick < now).max();
            best = [best, found].into_iter().flatten().max();
            if at < wall && found.is_some() {
                return best.map(|tick| tick.timestamp_millis());
            }
        }
    }

    /// IANA name of the zone.
    pub fn zone(&self) -> &'static str {
        self.zone.name()
    }

    /// When a time of the wall clock is due, in ascending order.
    fn instants(&self, wall: NaiveDateTime) -> [Option<DateTime<Utc>>; 2] {
        let utc = |local: DateTime<Tz>| Some(local.to_utc());
        match self.zone.from_local_datetime(&wall) {
            MappedLocalTime::Single(only) => [utc(only), None],
            MappedLocalTime::Ambiguous(first, second) if self.hourly => [utc(first), utc(second)],
            MappedLocalTime::Ambiguous(first, _) => [utc(first), None],
            MappedLocalTime::None if self.hourly => [None, None],
            MappedLocalTime::None => [self.end_of_gap(wall), None],
        }
    }

    /// When the clock goes on after it has skipped a time.
    fn end_of_gap(&self, wall: NaiveDateTime) -> Option<DateTime<Utc>> {
        let mut earlier = (1..).map_while(|n| wall.checked_sub_signed(STEP * n)).take(STEPS);
        let shown = |wall| self.zone.from_local_datetime(&wall).latest();
        let mut before = earlier.find_map(shown)?.to_utc();
        let offset = self.offset(before);
        let mut after = before + STEP;
        while after - before > TimeDelta::seconds(1) {
            let middle = before + (after - before) / 2;
            let middle = middle - TimeDelta::nanoseconds(middle.timestamp_subsec_nanos().into());
            if self.offset(middle) == offset { before = middle } else { after = middle }
        }
        Some(after)
    }

    fn wall(&self, at: DateTime<Utc>) -> NaiveDateTime {
        at.with_timezone(&self.zone).naive_local()
    }

    fn offset(&self, at: DateTime<Utc>) -> TimeDelta {
        let offset = self.zone.offset_from_utc_datetime(&at.naive_utc()).fix();
        TimeDelta::seconds(offset.local_minus_utc().into())
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

    /// The first ticks after a time.
    fn ticks(schedule: &str, zone: &str, from: &str, count: usize) -> Vec<String> {
        let calendar = Calendar::parse(schedule, zone).unwrap();
        let mut at = at(from);
        let mut next = || {
            let before = at;
            at = calendar.after(at).unwrap();
            assert!(calendar.before(at).unwrap() <= before, "{schedule} has a tick between");
            let back = calendar.before(at + 1).unwrap();
            assert_eq!(back, at, "{schedule}: the tick before {at}");
            let local = DateTime::from_timestamp_millis(at).unwrap().with_timezone(&calendar.zone);
            local.format("%m-%d %H:%M%:z").to_string()
        };
        (0..count).map(|_| next()).collect()
    }

    #[test]
    fn times_that_the_clock_skips_are_due_once_when_it_goes_on() {
        let asked = "2026-03-29T00:59:00Z";
        for (schedule, later) in [
            ("30 2 * * *", "03-30 02:30+02:00"),
            ("0,30 2 * * *", "03-30 02:00+02:00"),
            ("*/10 2 * * *", "03-30 02:00+02:00"),
            ("10-20 2 * * *", "03-30 02:10+02:00"),
            ("*/15 2 * * 0", "04-05 02:00+02:00"),
            ("15 1-2 * * *", "03-30 01:15+02:00"),
            ("0 2,3 * * *", "03-30 02:00+02:00"),
            ("*/20 30 2 * * *", "03-30 02:30+02:00"),
        ] {
            let found = ticks(schedule, "Europe/Madrid", asked, 2);
            assert_eq!(found, ["03-29 03:00+02:00", later], "{schedule}");
        }
        let yearly = ticks("0,30 2 29 3 *", "Europe/Madrid", asked, 2);
        assert_eq!(yearly, ["03-29 03:00+02:00", "03-29 02:00+02:00"]);
        // Half an hour is skipped at Lord Howe, and a whole day was in Samoa.
        let half = ticks("*/10 2 * * *", "Australia/Lord_Howe", "2026-10-03T15:00:00Z", 4);
        let expected = ["10-04 02:30+11:00", "10-04 02:40+11:00", "10-04 02:50+11:00"];
        assert_eq!(half[..3], expected);
        let day = ticks("0 8 * * *", "Pacific/Apia", "2011-12-29T18:00:00Z", 3);
        assert_eq!(day, ["12-31 00:00+14:00", "12-31 08:00+14:00", "01-01 08:00+14:00"]);
    }

    #[test]
    fn times_that_occur_twice_are_due_the_first_time() {
        let asked = "2026-10-24T23:59:00Z";
        for (schedule, due) in [
            ("30 2 * * *", &["10-25 02:30+02:00", "10-26 02:30+01:00"][..]),
            ("0,30 2 * * *", &["10-25 02:00+02:00", "10-25 02:30+02:00", "10-26 02:00+01:00"]),
            (
                "*/20 2,3 * * *",
                &[
                    "10-25 02:00+02:00",
                    "10-25 02:20+02:00",
                    "10-25 02:40+02:00",
                    "10-25 03:00+01:00",
                ],
            ),
        ] {
            assert_eq!(ticks(schedule, "Europe/Madrid", asked, due.len()), due, "{schedule}");
        }
    }

    #[test]
    fn a_schedule_for_every_hour_neither_pauses_nor_hurries() {
        let spring = ticks("*/30 * * * *", "Europe/Madrid", "2026-03-29T00:15:00Z", 3);
        assert_eq!(spring, ["03-29 01:30+01:00", "03-29 03:00+02:00", "03-29 03:30+02:00"]);
        let autumn = ticks("*/30 * * * *", "Europe/Madrid", "2026-10-25T00:15:00Z", 5);
        let expected = [
            "10-25 02:30+02:00",
            "10-25 02:00+01:00",
            "10-25 02:30+01:00",
            "10-25 03:00+01:00",
            "10-25 03:30+01:00",
        ];
        assert_eq!(autumn, expected);
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
