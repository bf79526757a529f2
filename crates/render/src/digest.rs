//! The digest in a template's context: totals, groups by type and outcome, and the first events of
//! each group. Its size has a bound, however many events the digest has.

use std::collections::HashMap;

use fanfare_contract::{Digest, Event, Tally};
use serde_json::{Value, json};

use super::escape;
use super::helpers::{self, Tone, has, humanize, short, show, title, tone};

/// Most groups. The other groups are counted together.
const GROUPS: usize = 30;
/// Most events that are listed in one group.
const LISTED: usize = 5;
/// Most events that are listed in all groups together.
const LISTED_IN_ALL: usize = 60;
/// Most characters of an outcome.
const OUTCOME: usize = 60;

/// All events of one type with one outcome.
struct Group<'a> {
    kind: &'a str,
    outcome: Option<&'a Value>,
    tone: Tone,
    count: usize,
    first: Vec<&'a Event>,
}

/// The `digest` of a template's context.
pub(super) fn context(digest: &Digest) -> Value {
    let groups = groups(digest);
    let mut budget = LISTED_IN_ALL;
    let shown: Vec<Value> = groups
        .iter()
        .take(GROUPS)
        .map(|of| {
            let listed = of.first.len().min(budget);
            budget -= listed;
            group(of, listed)
        })
        .collect();
    let rest = groups.get(GROUPS..).unwrap_or_default();
    let suppressed: u64 = digest.suppressed.iter().map(|tally| tally.count).sum();
    let failed: u64 = digest.failed.iter().map(|tally| tally.count).sum();
    let delivered = digest.events.len() as u64;
    // The range ends just before `to`.
    let last = (digest.to_ms - 1).max(digest.from_ms);
    json!({
        "id": &*digest.id,
        "from": digest.from_ms.div_euclid(1000),
        "to": digest.to_ms.div_euclid(1000),
        "last": last.div_euclid(1000),
        "timezone": digest.timezone,
        "received": delivered + suppressed + failed,
        "delivered": delivered,
        "suppressed": suppressed,
        "failed": failed,
        "suppressed_by": tallies(&digest.suppressed),
        "failed_by": tallies(&digest.failed),
        "groups": shown,
        "more_groups": rest.len(),
        "more_events": rest.iter().map(|group| group.count).sum::<usize>(),
    })
}

fn tallies(tallies: &[Tally]) -> Value {
    let shown = tallies.iter().filter(|tally| tally.count > 0).take(GROUPS);
    shown.map(|tally| json!({ "reason": humanize(&tally.reason), "count": tally.count })).collect()
}

/// The groups, sorted by tone (bad first), then by type, then by count.
fn groups(digest: &Digest) -> Vec<Group<'_>> {
    let mut places: HashMap<(&str, Option<&str>), usize> = HashMap::new();
    let mut groups: Vec<Group<'_>> = Vec::new();
    for event in &digest.events {
        let outcome = helpers::outcome(event.data());
        let key = (&*event.kind, outcome.and_then(Value::as_str));
        let place = *places.entry(key).or_insert_with(|| {
            // Without an outcome, the last word of the type has the tone: `fanfare.delivery.dead`.
            let last = event.kind.rsplit('.').next().unwrap_or_default();
            let tone = outcome.map_or_else(|| tone(&last.into()), tone);
            groups.push(Group { kind: &event.kind, outcome, tone, count: 0, first: Vec::new() });
            groups.len() - 1
        });
        let group = &mut groups[place];
        group.count += 1;
        if group.first.len() < LISTED {
            group.first.push(event);
        }
    }
    // A stable sort keeps equal groups in the order of their first events.
    groups.sort_by(|a, b| (a.tone, a.kind, b.count).cmp(&(b.tone, b.kind, a.count)));
    groups
}

fn group(group: &Group<'_>, listed: usize) -> Value {
    let events: Vec<Value> = group.first[..listed]
        .iter()
        .map(|event| {
            let (about, reference) = summary(&event.json()["data"].shown());
            json!({ "id": &*event.id, "created": event.created, "about": about, "reference": reference })
        })
        .collect();
    let outcome = group.outcome.map(|value| {
        let word = humanize(&escape::one_line(&show(value)));
        escape::truncate(&word, OUTCOME).into_owned()
    });
    json!({
        "type": group.kind,
        "title": title(group.kind),
        "outcome": outcome,
        "tone": group.tone.name(),
        "count": group.count,
        "more": group.count - events.len(),
        "events": events,
    })
}

/// The name of the person or thing that an event is about, and a short id.
fn summary(data: &Value) -> (Option<String>, Option<String>) {
    const NAMES: [&str; 8] = [
        "/subject/full_name",
        "/metadata/user_name",
        "/watchlist_name",
        "/name",
        "/full_name",
        "/title",
        "/destination",
        "/document_type",
    ];
    const IDS: [&str; 7] = [
        "/session_id",
        "/job_id",
        "/subject/identifier",
        "/watchlist_id",
        "/document_id",
        "/delivery",
        "/id",
    ];
    let find = |paths: &[&str]| {
        let value = paths.iter().find_map(|path| data.pointer(path).filter(|value| has(value)))?;
        match value {
            Value::Array(_) | Value::Object(_) => None,
            scalar => Some(escape::truncate(&escape::one_line(&show(scalar)), 80).into_owned()),
        }
    };
    (find(&NAMES), find(&IDS).map(|id| short(&id)))
}
