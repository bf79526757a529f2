//! What a run came to, as a table; and whether it is good.

use std::fmt::Write as _;
use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets};

use crate::StoreKind;
use crate::plan::{SITES, event_id};
use crate::producer::Load;
use crate::receivers::{Duplicate, Key};
use crate::run::{Arena, Kill};
use crate::unsettled::Unsettled;

/// How many things of a kind are told one by one.
const TOLD: usize = 5;

/// What a run came to.
#[derive(Debug)]
pub struct Report {
    /// Over which store.
    pub store: StoreKind,
    /// Events that the router took.
    pub events: u32,
    /// Requests of producers that had to be sent again.
    pub resent: u32,
    /// Deliveries that there must be.
    pub expected: usize,
    /// Deliveries that arrived, each counted once.
    pub delivered: usize,
    /// Requests that the receivers saw.
    pub requests: usize,
    /// Deliveries that arrived again.
    pub duplicates: usize,
    /// Of these, those whose outcome could not be written for longer than a lease holds, for Redis
    /// was away: another replica served the lane as soon as it was back.
    pub outlived: usize,
    /// Of these, how many nothing explains.
    pub unexplained: usize,
    /// Deliveries taken by their receivers and not on record at the kills, together.
    pub in_flight: usize,
    /// Deliveries that did not arrive.
    pub lost: usize,
    /// Events and deliveries that the store has open though everything arrived.
    pub left: usize,
    /// Strange things: bodies that changed, redirects followed, strays.
    pub wrong: usize,
    /// Kills of a router.
    pub kills: usize,
    /// Kills of Redis.
    pub redis_kills: usize,
    /// The longest from a kill to the arrival of an event that had been taken before it.
    pub takeover: Duration,
    /// How long producers took.
    pub sent: Duration,
    /// The most memory of a router, in KiB.
    pub peak_kib: u64,
    /// What is not good, for people; empty when all is.
    pub failures: Vec<String>,
}

impl Report {
    pub(crate) fn new(
        arena: &Arena<'_>,
        load: &Load,
        kills: &[Kill],
        sent: Duration,
        left: &Unsettled,
    ) -> Self {
        let tally = arena.receivers.tally();
        let plan = arena.plan;
        let keys = (0..plan.events).flat_map(|n| plan.sites(n).map(move |site| (n, site)));
        let lost: Vec<Key> = keys.filter(|key| !tally.has(*key)).collect();
        let others = tally.duplicates.iter().filter(|one| !explained(one, kills));
        let (outlived, unexplained): (Vec<&Duplicate>, Vec<&Duplicate>) =
            others.partition(|one| outlived(one, &arena.absences, arena.options.lease()));
        let mut report = Self {
            store: arena.options.store,
            events: load.accepted(),
            resent: load.retries(),
            expected: plan.deliveries(),
            delivered: tally.taken(),
            requests: tally.requests,
            duplicates: tally.duplicates.len(),
            outlived: outlived.len(),
            unexplained: unexplained.len(),
            in_flight: kills.iter().map(|kill| kill.in_flight).sum(),
            lost: lost.len(),
            left: left.events.len() + left.waiting.len(),
            wrong: tally.wrong.len(),
            kills: kills.len(),
            redis_kills: arena.absences.len(),
            takeover: takeover(load, &tally.steady, kills),
            sent,
            peak_kib: arena.peak_kib,
            failures: Vec::new(),
        };
        let lines = |what: &str, list: Vec<String>| {
            (!list.is_empty()).then(|| format!("{} {what}: {}", list.len(), first(&list)))
        };
        report.failures.extend(lines("lost", lost.iter().map(name).collect()));
        let unexplained = unexplained
            .into_iter()
            .map(|one| format!("{} at {:.1?} and {:.1?}", name(&one.key), one.before, one.again));
        report.failures.extend(lines("duplicates without a reason", unexplained.collect()));
        report.failures.extend(lines("wrong", tally.wrong.clone()));
        if report.duplicates > report.in_flight {
            report.failures.push("more duplicates than were in flight at the kills".to_owned());
        }
        if report.left > 0 {
            report.failures.push(format!(
                "{} events and {} deliveries are still open in the store",
                left.events.len(),
                left.waiting.len()
            ));
        }
        report
    }

    /// Nothing lost, no duplicate without excuse, nothing strange.
    pub fn is_good(&self) -> bool {
        self.failures.is_empty()
    }
}

/// A router died between the two, and the first was not on record then.
fn explained(one: &Duplicate, kills: &[Kill]) -> bool {
    kills.iter().any(|kill| {
        one.before <= kill.dead
            && one.again >= kill.frozen
            && (kill.unsettled.events.contains(&one.key.0)
                || kill.unsettled.waiting.contains(&one.key))
    })
}

/// Redis was away so long that leases ended, which are renewed at a third of their time. What was
/// taken shortly before it went, or meanwhile, could not be written.
fn outlived(one: &Duplicate, absences: &[(Duration, Duration)], lease: Duration) -> bool {
    let slack = Duration::from_secs(1);
    absences.iter().any(|(gone, back)| {
        back.saturating_sub(*gone) >= lease / 2
            && one.before + slack >= *gone
            && one.before <= *back
            && one.again + slack >= *back
    })
}

fn takeover(
    load: &Load,
    arrived: &std::collections::HashMap<u32, Duration>,
    kills: &[Kill],
) -> Duration {
    let times = load.times();
    let waits = kills.iter().flat_map(|kill| {
        times
            .iter()
            .filter(|(_, taken)| **taken <= kill.frozen)
            .filter_map(|(n, _)| arrived.get(n).and_then(|arrived| arrived.checked_sub(kill.dead)))
    });
    waits.max().unwrap_or_default()
}

fn name((n, site): &Key) -> String {
    format!("{} to {}", event_id(*n), SITES[*site].id)
}

fn first(list: &[String]) -> String {
    let mut text = list.iter().take(TOLD).cloned().collect::<Vec<_>>().join("; ");
    if list.len() > TOLD {
        let _ = write!(text, "; …");
    }
    text
}

/// Prints the runs side by side, and what is not good.
pub fn print(reports: &[Report]) {
    type Column = fn(&Report) -> String;
    let rows: [(&str, Column); 17] = [
        ("events in", |r| r.events.to_string()),
        ("sent in", |r| format!("{:.0} s", r.sent.as_secs_f64())),
        ("producers' requests sent again", |r| r.resent.to_string()),
        ("kills of the router", |r| r.kills.to_string()),
        ("kills of Redis", |r| r.redis_kills.to_string()),
        ("deliveries expected", |r| r.expected.to_string()),
        ("delivered", |r| r.delivered.to_string()),
        ("requests at the receivers", |r| r.requests.to_string()),
        ("in flight at the kills", |r| r.in_flight.to_string()),
        ("duplicates", |r| r.duplicates.to_string()),
        ("of these, Redis away too long", |r| r.outlived.to_string()),
        ("duplicates without a reason", |r| r.unexplained.to_string()),
        ("lost", |r| r.lost.to_string()),
        ("left open in the store", |r| r.left.to_string()),
        ("bodies changed, strays, redirects", |r| r.wrong.to_string()),
        ("worst takeover", |r| format!("{:.1} s", r.takeover.as_secs_f64())),
        ("router's memory, most", |r| format!("{} MiB", r.peak_kib / 1_024)),
    ];
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    let names = reports.iter().map(|report| report.store.name().to_owned());
    table.set_header([String::new()].into_iter().chain(names));
    for (label, column) in rows {
        table.add_row([label.to_owned()].into_iter().chain(reports.iter().map(column)));
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    println!("{table}");
    for report in reports {
        for failure in &report.failures {
            println!("{}: {failure}", report.store.name());
        }
    }
}
