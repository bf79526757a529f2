//! A digest, counted and grouped, of bounded size whatever the number of events: the template sees
//! totals, groups by type and outcome, and the first few events of each.

use std::collections::HashMap;

use fanfare_contract::{Digest, Event, Tally};
use serde_json::{Value, json};

use super::context::title;
use super::escape;
use super::helpers::{self, Tone, humanize, show, summary, tone};

/// Most groups; the rest is counted together.
const GROUPS: usize = 30;
/// Most events that are listed of a group.
const LISTED: usize = 5;
/// Most events that are listed of all groups together.
const LISTED_IN_ALL: usize = 60;
/// Longest outcome, in characters.
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
    // The end is the tick itself; the last moment of the range is just before it.
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

/// What needs somebody first; then by type, then by number.
fn groups(digest: &Digest) -> Vec<Group<'_>> {
    let mut places: HashMap<(&str, Option<&str>), usize> = HashMap::new();
    let mut groups: Vec<Group<'_>> = Vec::new();
    for event in &digest.events {
        let outcome = helpers::outcome(event.data());
        let key = (&*event.kind, outcome.and_then(Value::as_str));
        let place = *places.entry(key).or_insert_with(|| {
            // `fanfare.delivery.dead` says how it went in its own name.
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
    // Stable: what came first stays first among equals.
    groups.sort_by(|a, b| (a.tone, a.kind, b.count).cmp(&(b.tone, b.kind, a.count)));
    groups
}

fn group(group: &Group<'_>, listed: usize) -> Value {
    let events: Vec<Value> = group.first[..listed]
        .iter()
        .map(|event| {
            let (about, reference) = summary(event.data());
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
