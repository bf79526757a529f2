//! Hourly rollups: how many events arrived and what became of deliveries, by destination, channel
//! and event type.
//!
//! Every store adds to them in the same transaction or script that writes an outcome, so they are
//! right after a crash, and no reader has to count. An event counts in the hour in which it was
//! received, and a delivery in the hour of its outcome. Rollups outlive the events (see
//! [`Rollups::forget_rollups`](crate::Rollups::forget_rollups)) and contain no data of them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use fanfare_contract::{Environment, Event};

use crate::{DeliveryUpdate, Ms, StateKind, TypeFilter};

/// Milliseconds in an hour.
pub const HOUR_MS: Ms = 3_600_000;

/// Upper bounds of the classes of latency, in milliseconds. The last class has no bound.
pub const LATENCY_MS: [u32; 18] = [
    5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 30_000, 60_000, 300_000, 1_800_000,
    3_600_000, 21_600_000, 86_400_000,
];

/// Classes of latency.
pub const LATENCIES: usize = LATENCY_MS.len() + 1;

/// Rows that a tenant may have in one hour. Producers choose event types, so further types of that
/// hour count together as [`OTHER_TYPES`].
pub(crate) const ROWS_AN_HOUR: usize = 4_096;

/// Stands for the event types beyond `ROWS_AN_HOUR`.
pub const OTHER_TYPES: &str = "*";

/// What a rollup counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RollupOutcome {
    /// Events that a route matched.
    Routed,
    /// Events that no route matched.
    Unrouted,
    /// Deliveries that the receiver accepted.
    Delivered,
    /// Failed attempts after which the delivery waits for another one.
    Retried,
    /// Deliveries that were not sent on purpose.
    Suppressed,
    /// Deliveries that were given up.
    Dead,
}

impl RollupOutcome {
    /// All of them, by their numbers.
    pub(crate) const ALL: [Self; 6] = [
        Self::Routed,
        Self::Unrouted,
        Self::Delivered,
        Self::Retried,
        Self::Suppressed,
        Self::Dead,
    ];

    /// Whether it counts events rather than deliveries.
    pub fn is_of_events(self) -> bool {
        matches!(self, Self::Routed | Self::Unrouted)
    }
}

/// What one outcome adds to a rollup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Added {
    pub(crate) hour: i64,
    pub(crate) outcome: RollupOutcome,
    /// The class of latency of a delivered delivery, otherwise 0.
    pub(crate) class: usize,
    pub(crate) count: u64,
    pub(crate) attempts: u64,
}

impl Added {
    /// An event was settled.
    pub(crate) fn event(event: &Event, is_routed: bool) -> Self {
        let outcome = if is_routed { RollupOutcome::Routed } else { RollupOutcome::Unrouted };
        Self { hour: hour_of(event.received_ms), outcome, class: 0, count: 1, attempts: 0 }
    }

    /// A delivery changed. `accepted` says whether the change took effect, otherwise only its
    /// attempts count. `None` if there is nothing to count.
    pub(crate) fn delivery(
        received_ms: Ms,
        update: &DeliveryUpdate,
        accepted: bool,
    ) -> Option<Self> {
        let attempts = update.attempts.len() as u64;
        let outcome = match update.change.target_kind() {
            _ if !accepted => RollupOutcome::Retried,
            StateKind::Delivered => RollupOutcome::Delivered,
            StateKind::Waiting => RollupOutcome::Retried,
            StateKind::Suppressed => RollupOutcome::Suppressed,
            StateKind::Dead => RollupOutcome::Dead,
        };
        // What is queued without an attempt has no outcome yet.
        if outcome == RollupOutcome::Retried && attempts == 0 {
            return None;
        }
        let class = match outcome {
            RollupOutcome::Delivered => class_of(update.at_ms.saturating_sub(received_ms)),
            _ => 0,
        };
        let hour = hour_of(update.at_ms);
        Some(Self { hour, outcome, class, count: u64::from(accepted), attempts })
    }
}

/// The hour since 1970 of a time.
pub(crate) fn hour_of(ms: Ms) -> i64 {
    ms.div_euclid(HOUR_MS)
}

fn class_of(latency_ms: Ms) -> usize {
    LATENCY_MS.partition_point(|bound| Ms::from(*bound) < latency_ms)
}

/// One row of a store.
#[derive(Clone, Debug)]
pub(crate) struct Row<'a> {
    pub(crate) hour: i64,
    pub(crate) environment: Environment,
    pub(crate) destination: &'a str,
    pub(crate) channel: &'a str,
    pub(crate) kind: &'a str,
    pub(crate) outcome: RollupOutcome,
    pub(crate) class: usize,
    pub(crate) count: u64,
    /// Negative where another row of the same key counts too many.
    pub(crate) attempts: i64,
}

/// Which rollups to add up, and how to group them.
#[derive(Clone, Debug, Default)]
pub struct StatsQuery {
    /// The tenant. `None` adds up all tenants; then there are no destinations and no types.
    pub tenant: Option<Arc<str>>,
    /// From the hour that contains this time.
    pub from_ms: Ms,
    /// Hours that begin before this time.
    pub to_ms: Ms,
    /// Hours in one point. Points begin at multiples of it since 1970.
    pub step_hours: i64,
    /// Of this environment.
    pub environment: Option<Environment>,
    /// Only deliveries to this destination.
    pub destination: Option<String>,
    /// Only events of these types.
    pub kind: Option<TypeFilter>,
    /// One series per destination.
    pub by_destination: bool,
    /// One series per channel.
    pub by_channel: bool,
    /// One series per event type.
    pub by_type: bool,
}

/// What a series is about. A part is `None` if the query does not group by it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SeriesKey {
    /// The destination.
    pub destination: Option<Arc<str>>,
    /// The channel.
    pub channel: Option<Arc<str>>,
    /// The event type.
    pub kind: Option<Arc<str>>,
}

/// Sums over time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Series {
    /// What it is about.
    pub key: SeriesKey,
    /// All of it.
    pub total: Sums,
    /// The sums of each step that has any, by the time at which it begins.
    pub points: Vec<(Ms, Sums)>,
}

/// Counts of one step, or of all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// Events that were settled. 0 where the query is about destinations or channels.
    pub received: u64,
    /// Those of them that no route matched.
    pub unrouted: u64,
    /// Deliveries that the receiver accepted.
    pub delivered: u64,
    /// Failed attempts that will be repeated.
    pub retried: u64,
    /// Deliveries that were not sent on purpose.
    pub suppressed: u64,
    /// Deliveries that were given up.
    pub dead: u64,
    /// Attempts.
    pub attempts: u64,
    /// Delivered deliveries by the time from the receipt of the event to their delivery, in the
    /// classes of [`LATENCY_MS`].
    pub latency: [u64; LATENCIES],
}

impl Sums {
    fn add(&mut self, row: &Row<'_>) {
        // Sums in between may be below 0.
        self.attempts = self.attempts.wrapping_add_signed(row.attempts);
        match row.outcome {
            RollupOutcome::Routed => self.received += row.count,
            RollupOutcome::Unrouted => {
                self.received += row.count;
                self.unrouted += row.count;
            }
            RollupOutcome::Delivered => {
                self.delivered += row.count;
                self.latency[row.class.min(LATENCIES - 1)] += row.count;
            }
            RollupOutcome::Retried => self.retried += row.count,
            RollupOutcome::Suppressed => self.suppressed += row.count,
            RollupOutcome::Dead => self.dead += row.count,
        }
    }

    /// Deliveries that ended.
    pub fn ended(&self) -> u64 {
        self.delivered + self.suppressed + self.dead
    }

    /// The latency in milliseconds below which `share` (0 to 1) of the delivered deliveries were,
    /// estimated within its class. `None` if nothing was delivered.
    pub fn latency_ms(&self, share: f64) -> Option<u64> {
        let all: u64 = self.latency.iter().sum();
        if all == 0 {
            return None;
        }
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "an estimate; counts stay far below 2^53"
        )]
        let place = |count: u64, share: f64| (count as f64 * share).ceil().max(1.0) as u64;
        let wanted = place(all, share);
        let mut before = 0;
        for (class, count) in self.latency.iter().enumerate() {
            if before + count >= wanted {
                let from = class.checked_sub(1).map_or(0, |at| u64::from(LATENCY_MS[at]));
                let Some(to) = LATENCY_MS.get(class).map(|to| u64::from(*to)) else {
                    return Some(from);
                };
                return Some(from + (to - from) * (wanted - before) / count);
            }
            before += count;
        }
        None
    }
}

/// Adds up rows into series.
pub(crate) struct Collect<'q> {
    query: &'q StatsQuery,
    series: HashMap<SeriesKey, (Sums, BTreeMap<Ms, Sums>)>,
    /// The same texts occur in every hour.
    texts: HashMap<String, Arc<str>>,
}

impl<'q> Collect<'q> {
    pub(crate) fn new(query: &'q StatsQuery) -> Self {
        Self { query, series: HashMap::new(), texts: HashMap::new() }
    }

    /// The hours of a query, first and after the last.
    pub(crate) fn hours(query: &StatsQuery) -> (i64, i64) {
        let to = query.to_ms.saturating_add(HOUR_MS - 1);
        (hour_of(query.from_ms), hour_of(to))
    }

    pub(crate) fn add(&mut self, row: &Row<'_>) {
        let query = self.query;
        let is_about_deliveries =
            query.destination.is_some() || query.by_destination || query.by_channel;
        if (is_about_deliveries && row.outcome.is_of_events())
            || query.environment.is_some_and(|wanted| wanted != row.environment)
            || query.destination.as_ref().is_some_and(|wanted| wanted != row.destination)
            || query.kind.as_ref().is_some_and(|kind| !kind.selects(row.kind))
        {
            return;
        }
        let key = SeriesKey {
            destination: query.by_destination.then(|| self.text(row.destination)),
            channel: query.by_channel.then(|| self.text(row.channel)),
            kind: query.by_type.then(|| self.text(row.kind)),
        };
        let step = query.step_hours.max(1);
        let at_ms = row.hour.div_euclid(step) * step * HOUR_MS;
        let (total, points) = self.series.entry(key).or_default();
        total.add(row);
        points.entry(at_ms).or_default().add(row);
    }

    fn text(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.texts.get(text) {
            return Arc::clone(known);
        }
        let shared: Arc<str> = text.into();
        self.texts.insert(text.to_owned(), Arc::clone(&shared));
        shared
    }

    /// The series, the one with most deliveries first.
    pub(crate) fn finish(self) -> Vec<Series> {
        let series = self.series.into_iter().map(|(key, (total, points))| Series {
            key,
            total,
            points: points.into_iter().collect(),
        });
        let mut series: Vec<Series> = series.collect();
        series.sort_by(|a, b| {
            let weight = |one: &Series| (one.total.ended() + one.total.retried, one.total.received);
            weight(b).cmp(&weight(a)).then_with(|| a.key.cmp(&b.key))
        });
        series
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_lies_within_its_class() {
        let mut sums = Sums::default();
        assert_eq!(sums.latency_ms(0.5), None);
        for latency in [3, 7, 40, 45, 180] {
            sums.latency[class_of(latency)] += 1;
        }
        assert_eq!(sums.latency_ms(0.0), Some(5));
        assert_eq!(sums.latency_ms(0.5), Some(35), "the third of five, in 20 to 50 ms");
        assert_eq!(sums.latency_ms(1.0), Some(200));
        sums.latency[class_of(Ms::MAX)] += 1;
        assert_eq!(sums.latency_ms(1.0), Some(86_400_000), "beyond the last bound");
    }

    #[test]
    fn a_latency_is_in_the_class_whose_bound_it_does_not_exceed() {
        for (latency, class) in
            [(-5, 0), (0, 0), (5, 0), (6, 1), (86_400_000, 17), (86_400_001, 18)]
        {
            assert_eq!(class_of(latency), class, "{latency} ms");
        }
    }
}
