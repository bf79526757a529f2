//! A year of ticks of many schedules in many zones, compared with `cron_ticks.py`, which computes
//! them in another way from the rules in `docs/compatibility.md`.

use chrono::{TimeZone as _, Utc};
use fanfare::agenda::Calendar;

use crate::support::run_peer;

const YEAR: i32 = 2026;

/// Zones that change by an hour and by half an hour, in spring and in autumn, at different times of
/// the day, or never.
const ZONES: [&str; 8] = [
    "Europe/Madrid",
    "America/New_York",
    "Australia/Lord_Howe",
    "America/Santiago",
    "Pacific/Chatham",
    "Europe/Dublin",
    "Asia/Kolkata",
    "UTC",
];

/// Fixed times, lists, ranges and steps, in and around the hours in which clocks change.
const EXPRESSIONS: [&str; 50] = [
    "0 8 * * *",
    "0 8 * * 1-5",
    "30 2 * * *",
    "0 2 * * *",
    "0 3 * * *",
    "59 1 * * *",
    "0,30 2 * * *",
    "*/10 2 * * *",
    "*/15 2 * * 0",
    "0,30 2 29 3 *",
    "10-20 2 * * *",
    "5-55/10 2 * * *",
    "15 1-2 * * *",
    "15 2-3 * * *",
    "0 0-4 * * *",
    "0 */2 * * *",
    "30 */3 * * *",
    "*/20 0,2,4 * * *",
    "0 0 * * *",
    "30 0 * * *",
    "*/15 0 * * *",
    "0 1-23/2 * * *",
    "45 2 * * 7",
    "45 2 * * SUN",
    "15 1 * * SAT,SUN",
    "*/5 1 * * 0",
    "*/7 2 * * *",
    "0 1,2,3 * * *",
    "50 1 * 3,10 *",
    "10 2 * 3-4 *",
    "0 2 8-14 3 *",
    "30 1 1-7 11 *",
    "30 2 * APR,OCT *",
    "0 12 1 * *",
    "0 12 31 * *",
    "0 0 29 2 *",
    "15 10 13 * 5",
    "0 6 1,15 * *",
    "* 2 * * 0",
    "0 * * * *",
    "*/15 * * * *",
    "7 * * * *",
    "30 * * * 0",
    "*/30 * 29 3 *",
    "0,45 * 25 10 *",
    "* * 4,5 4 *",
    "0 30 2 * * *",
    "15,45 0 2 * * *",
    "*/30 59 1 * * 0",
    "*/20 15 * 1 11 *",
];

#[test]
fn a_year_of_ticks_agrees_with_an_independent_implementation() {
    let json = |list: &[&str]| serde_json::to_string(list).expect("plain text");
    let args = [YEAR.to_string(), json(&ZONES), json(&EXPRESSIONS)];
    let expected = run_peer("cron_ticks.py", &args.each_ref().map(String::as_str));
    let year = |year| Utc.with_ymd_and_hms(year, 1, 1, 0, 0, 0).unwrap().timestamp_millis();
    let (begin, end) = (year(YEAR), year(YEAR + 1));
    let mut compared = 0;
    for zone in ZONES {
        for text in EXPRESSIONS {
            let calendar = Calendar::parse(text, zone).unwrap();
            let expected: Vec<i64> = expected[zone][text]
                .as_array()
                .expect("a list")
                .iter()
                .map(|tick| tick.as_i64().expect("seconds") * 1_000)
                .collect();
            let mut found = Vec::with_capacity(expected.len());
            let mut at = begin - 1;
            while let Some(tick) = calendar.after(at).filter(|tick| *tick < end) {
                found.push(tick);
                at = tick;
            }
            assert_eq!(found, expected, "{text} in {zone}");
            let mut back = Vec::with_capacity(expected.len());
            let mut at = end;
            while let Some(tick) = calendar.before(at).filter(|tick| *tick >= begin) {
                back.push(tick);
                at = tick;
            }
            back.reverse();
            assert_eq!(back, expected, "{text} in {zone}, backward");
            compared += expected.len();
        }
    }
    assert!(compared > 200_000, "{compared}");
}
