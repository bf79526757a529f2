//! Hourly rollups. The scripts that write outcomes add to them (`scripts/rollup.lua`).
//!
//! A field of a rollup is `outcome class⇥destination⇥channel⇥type` and counts. The outcome is a
//! letter, in upper case for events of the test environment. Where attempts and counts differ, the
//! same field after a plus has the difference: nearly every outcome has one attempt, so most have
//! one field.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use async_trait::async_trait;
use fanfare_contract::{Environment, Event};
use redis::{Cmd, Value};

use super::connection::Batch;
use super::keys::{SHARDS, Tag};
use super::{Core, reply};
use crate::rollup::{Added, Collect, RollupOutcome, Row};
use crate::{DeliveryUpdate, Ms, Result, Rollups, Series, StatsQuery};

/// Rollups that are read in one round trip.
const HOURS_AT_ONCE: usize = 64;
/// Kept longer by this, so that the first hour of the time is whole.
const LONGER_S: u64 = 3_600;

/// See the trait.
pub(super) struct RedisRollups {
    core: Arc<Core>,
}

impl RedisRollups {
    pub(super) fn new(core: Arc<Core>) -> Self {
        Self { core }
    }

    /// The names of the rollups that a query needs.
    async fn names(&self, query: &StatsQuery) -> Result<Vec<(Tag, i64, String)>> {
        let (from, to) = Collect::hours(query);
        let keys = &self.core.keys;
        let mut batch = Batch::new();
        let mut shards = Vec::new();
        let tenant = query.tenant.as_ref().map(|tenant| keys.tenant(tenant));
        match &tenant {
            Some(keys) => shards.push((keys.shard, keys.rollup_hours())),
            None => shards.extend((0..SHARDS).map(|shard| (shard, keys.all_rollup_hours(shard)))),
        }
        for (shard, index) in &shards {
            let mut cmd = redis::cmd("ZRANGEBYSCORE");
            cmd.arg(index).arg(from).arg(format!("({to}"));
            batch.push(Tag::Shard(*shard), cmd);
        }
        let mut names = Vec::new();
        for ((shard, _), answer) in shards.iter().zip(self.core.link.run(&batch).await?) {
            for hour in reply::array(answer)? {
                let hour = reply::int(&hour)?;
                let name = match &tenant {
                    Some(keys) => keys.rollup(hour),
                    None => keys.all_rollup(*shard, hour),
                };
                names.push((Tag::Shard(*shard), hour, name));
            }
        }
        Ok(names)
    }
}

#[async_trait]
impl Rollups for RedisRollups {
    async fn stats(&self, query: &StatsQuery) -> Result<Vec<Series>> {
        let mut collect = Collect::new(query);
        for names in self.names(query).await?.chunks(HOURS_AT_ONCE) {
            let mut batch = Batch::new();
            for (tag, _, name) in names {
                let mut cmd = redis::cmd("HGETALL");
                cmd.arg(name);
                batch.push(*tag, cmd);
            }
            for ((_, hour, _), answer) in names.iter().zip(self.core.link.run(&batch).await?) {
                add_all(&mut collect, *hour, answer)?;
            }
        }
        Ok(collect.finish())
    }

    async fn forget_rollups(&self, _before: Ms) -> Result<()> {
        // The server expires them.
        Ok(())
    }
}

fn add_all(collect: &mut Collect<'_>, hour: i64, answer: Value) -> Result<()> {
    let mut fields = reply::array(answer)?.into_iter();
    while let (Some(field), Some(number)) = (fields.next(), fields.next()) {
        let (field, number) = (reply::text(field)?, reply::int(&number)?);
        let (field, is_difference) = match field.strip_prefix('+') {
            Some(rest) => (rest, true),
            None => (field.as_str(), false),
        };
        let mut parts = field.splitn(4, '\t');
        let (Some(head), Some(destination), Some(channel), Some(kind)) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            continue;
        };
        // A later version may know more outcomes.
        let Some((environment, outcome, class)) = read_head(head) else { continue };
        let (count, attempts) = match (is_difference, implies_attempt(outcome)) {
            (true, _) => (0, number),
            (false, true) => (number, number),
            (false, false) => (number, 0),
        };
        let count = count.max(0).unsigned_abs();
        collect.add(&Row {
            hour,
            environment,
            destination,
            channel,
            kind,
            outcome,
            class,
            count,
            attempts,
        });
    }
    Ok(())
}

fn letter(outcome: RollupOutcome) -> char {
    match outcome {
        RollupOutcome::Routed => 'e',
        RollupOutcome::Unrouted => 'u',
        RollupOutcome::Delivered => 'd',
        RollupOutcome::Retried => 'r',
        RollupOutcome::Suppressed => 's',
        RollupOutcome::Dead => 'x',
    }
}

/// Whether an outcome has an attempt as a rule.
fn implies_attempt(outcome: RollupOutcome) -> bool {
    matches!(outcome, RollupOutcome::Delivered | RollupOutcome::Retried | RollupOutcome::Dead)
}

fn read_head(head: &str) -> Option<(Environment, RollupOutcome, usize)> {
    let first = head.chars().next()?;
    let environment =
        if first.is_ascii_uppercase() { Environment::Test } else { Environment::Live };
    let wanted = first.to_ascii_lowercase();
    let outcome = RollupOutcome::ALL.into_iter().find(|one| letter(*one) == wanted)?;
    Some((environment, outcome, head[first.len_utf8()..].parse().ok()?))
}

/// What rollups count apart.
#[derive(PartialEq, Eq, Hash)]
struct Key<'a> {
    hour: i64,
    environment: Environment,
    outcome: RollupOutcome,
    class: usize,
    destination: &'a str,
    channel: &'a str,
    kind: &'a str,
}

impl Key<'_> {
    fn field(&self) -> String {
        let Self { environment, outcome, class, destination, channel, kind, .. } = self;
        let letter = letter(*outcome);
        let letter = if environment.is_live() { letter } else { letter.to_ascii_uppercase() };
        format!("{letter}{class}\t{destination}\t{channel}\t{kind}")
    }
}

/// Fields of a hash, and what is added to each.
type Fields = BTreeMap<String, i64>;

/// What the outcomes of one script add.
#[derive(Default)]
pub(super) struct Gathered<'a>(HashMap<Key<'a>, (u64, u64)>);

impl<'a> Gathered<'a> {
    /// The settlement of an event: the event, and each of its deliveries.
    pub(super) fn settled(&mut self, event: &'a Event, updates: &'a [DeliveryUpdate]) {
        self.add(event, "", "", Added::event(event, !updates.is_empty()));
        for update in updates {
            if let Some(added) = Added::delivery(event.received_ms, update, true) {
                self.add(event, update.lane.destination(), &update.channel, added);
            }
        }
    }

    fn add(&mut self, event: &'a Event, destination: &'a str, channel: &'a str, added: Added) {
        let key = Key {
            hour: added.hour,
            environment: event.environment,
            outcome: added.outcome,
            class: added.class,
            destination,
            channel,
            kind: &event.kind,
        };
        let sum = self.0.entry(key).or_default();
        sum.0 += added.count;
        sum.1 += added.attempts;
    }

    /// Adds the place of the first argument after its own, when there are `before` arguments
    /// including that one, and then the arguments that `rollup.lua` reads.
    pub(super) fn add_to(self, cmd: &mut Cmd, core: &Core, before: usize) {
        let hours = self.hours();
        let fields = |sums: &[Fields; 2]| 3 + 2 * (sums[0].len() + sums[1].len());
        let own = 2 + hours.values().map(fields).sum::<usize>();
        cmd.arg(before + own + 1).arg(core.keep_rollups_s()).arg(hours.len());
        for (hour, sums) in hours {
            cmd.arg(hour);
            for fields in sums {
                cmd.arg(fields.len());
                for (field, number) in fields {
                    cmd.arg(field).arg(number);
                }
            }
        }
    }

    /// The fields to add to, of the tenant and of all tenants, by hour.
    fn hours(self) -> BTreeMap<i64, [Fields; 2]> {
        let mut hours: BTreeMap<i64, [Fields; 2]> = BTreeMap::new();
        for (key, (count, attempts)) in self.0 {
            let implied = if implies_attempt(key.outcome) { count } else { 0 };
            let difference = attempts.cast_signed() - implied.cast_signed();
            let sums = hours.entry(key.hour).or_default();
            let own = key.field();
            let of_all = Key { destination: "", kind: "", ..key }.field();
            for (sums, field) in sums.iter_mut().zip([own, of_all]) {
                if difference != 0 {
                    *sums.entry(format!("+{field}")).or_default() += difference;
                }
                *sums.entry(field).or_default() += count.cast_signed();
            }
        }
        hours
    }
}

/// Adds the arguments of one delivery of a lane: the hour, the field that counts it if its change
/// takes effect, and its attempts.
pub(super) fn add_delivery(cmd: &mut Cmd, event: &Event, update: &DeliveryUpdate) {
    let Some(added) = Added::delivery(event.received_ms, update, true) else {
        cmd.arg(0).arg("").arg(0);
        return;
    };
    let key = Key {
        hour: added.hour,
        environment: event.environment,
        outcome: added.outcome,
        class: added.class,
        destination: update.lane.destination(),
        channel: &update.channel,
        kind: &event.kind,
    };
    cmd.arg(key.hour).arg(key.field()).arg(added.attempts);
}

impl Core {
    /// How long rollups are kept, in seconds.
    pub(super) fn keep_rollups_s(&self) -> u64 {
        self.keep_rollups.as_secs().clamp(LONGER_S, 1 << 31) + LONGER_S
    }
}
