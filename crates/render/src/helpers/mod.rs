//! The functions that templates can call, besides handlebars' own `each`, `with`, `lookup`, `eq`,
//! `gt`, and so on.
//!
//! | helper | result |
//! | --- | --- |
//! | `opt x` | `x`, or null if the event does not have it |
//! | `default x "y"` | `x`, or `y` if `x` is missing or empty |
//! | `has x` | whether there is something to show: not null and not empty |
//! | `first a b …` | the first parameter that is not null and not empty |
//! | `choose c "x" "y"` | `x` if `c` is true, null if `c` is null, otherwise `y` |
//! | `list x` | `x` as a list: null is an empty list, a single value is a list of one item |
//! | `entries x limit=40` | the fields of an object, or the items of a list, for a loop with `@key` |
//! | `chunk list 10` | a list of lists with at most 10 items each |
//! | `join list ", "`, `humanize_all list` | the items as one text, and the items as words |
//! | `text x limit=1000` | `x` as text: `Yes` or `No`, lists joined, nested fields with their names |
//! | `line x limit=300` | the same on one line |
//! | `concat a b …` | the values as one text |
//! | `humanize x` | `IN_REVIEW` → `In review`, `kyc.session.created` → `KYC session created` |
//! | `upper_first x`, `upper x` | `abc` → `Abc`, `ABC` |
//! | `truncate x 80` | the first 80 characters, with an ellipsis if the text is longer |
//! | `short x` | the first group of a UUID, `7f6c2a54`, or 24 characters of another id |
//! | `pad x 20` | `x` with spaces up to 20 characters, for plain text |
//! | `rule 60` | a line of 60 dashes |
//! | `url x` | an http or https address, for a place where an address is expected |
//! | `number x`, `percent x`, `of100 n` | `5 000`, `99.1%`, `88 of 100` |
//! | `duration_ms x` | milliseconds as `3 min 4 s` |
//! | `plural n "match" "matches"` | `2 matches` |
//! | `sum a b …` | the sum of whole numbers |
//! | `date x zone="Europe/Madrid"` | Unix seconds or RFC 3339 → `26 Dec 2024, 17:00 CET` |
//! | `day x zone=…` | the date without the time |
//! | `slack_date x` | for Slack only: a time that Slack shows in the reader's time zone |
//! | `outcome data` | the field with the outcome: a decision, an outcome, a status, or a result |
//! | `tone x` | `good`, `bad`, `warn`, `info`, or `neutral`, by the word for an outcome |
//! | `badge x "background"` | the color of that tone: `"text"` or `"background"` |
//! | `icon x` | a circle in that color, for Slack |
//! | `facts x limit=40` | every field of `x`, flattened: a list of `label` and `value` |
//!
//! A number that a producer wrote as `1.50` or with more digits than `f64` has is shown so. Helpers for
//! numbers, `eq`, `ne`, and `if` read it as a number.
//!
//! A missing field is an error for all of them except `opt` and `default`.

mod args;
mod blocks;
mod calls;
mod choice;
mod dates;
mod facts;
mod lists;
mod logic;
mod numbers;
mod outcome;
mod registry;
mod text;
mod written;

pub(super) use choice::has;
pub(super) use outcome::{Tone, outcome, tone};
pub(super) use registry::{CSS_STRING, CSS_VALUE, Registry, SHOW, STEPS};
pub(super) use text::{humanize, short, show, title};
