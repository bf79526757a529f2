//! Hourly rollups: what the requests of one transaction add is summed up in memory, and the
//! transaction writes one row per distinct key before it is committed.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use fanfare_contract::{Environment, Event, LaneId};
use rusqlite::Connection;

use super::readers::Turn;
use super::writing::Writing;
use super::{Embedded, names, rows};
use crate::rollup::{Added, Collect, OTHER_TYPES, ROWS_AN_HOUR, RollupOutcome, Row, hour_of};
use crate::{DeliveryUpdate, Ms, Result, Rollups, Series, StatsQuery, StoreError};

/// The number that adds up all tenants. Numbers of tenants begin with 1.
const ALL_TENANTS: i64 = 0;
/// Numbers of rows that are remembered. Beyond it, they are counted again.
const KNOWN: usize = 10_000;
/// Rows removed in one transaction.
const CHUNK: i64 = 2_048;

#[async_trait]
impl Rollups for Embedded {
    async fn stats(&self, query: &StatsQuery) -> Result<Vec<Series>> {
        let query = query.clone();
        let name = query.tenant.clone().unwrap_or_default();
        self.readers.run(Turn::Tenant(&name), move |conn| stats(conn, &query)).await
    }

    async fn forget_rollups(&self, before: Ms) -> Result<()> {
        let hour = hour_of(before);
        let work = move |conn: &Connection| {
            let mut oldest = conn.prepare_cached(
                "WITH RECURSIVE t (id) AS ( \
                 SELECT min(tenant_id) FROM rollups UNION ALL \
                 SELECT (SELECT min(r.tenant_id) FROM rollups r WHERE r.tenant_id > t.id) \
                 FROM t WHERE t.id IS NOT NULL) \
                 SELECT id FROM t WHERE id IS NOT NULL AND EXISTS \
                 (SELECT 1 FROM rollups r WHERE r.tenant_id = t.id AND r.hour < ?1)",
            )?;
            Ok(oldest.query_map([hour], |row| row.get(0))?.collect::<Result<Vec<i64>, _>>()?)
        };
        for tenant_id in self.readers.run(Turn::Router, work).await? {
            let remove = move |writing: &mut Writing| forget(&writing.conn, tenant_id, hour);
            while self.writer.call(256, remove).await? == CHUNK.unsigned_abs() {}
        }
        Ok(())
    }
}

/// Removes rows of one tenant. Returns how many.
fn forget(conn: &Connection, tenant_id: i64, before: i64) -> Result<u64> {
    let sql = "DELETE FROM rollups WHERE (tenant_id, hour, environment, outcome, class, \
               destination, channel, kind) IN (SELECT tenant_id, hour, environment, outcome, \
               class, destination, channel, kind FROM rollups \
               WHERE tenant_id = ?1 AND hour < ?2 LIMIT ?3)";
    Ok(conn.prepare_cached(sql)?.execute((tenant_id, before, CHUNK))? as u64)
}

/// Removes all rows of a tenant.
pub(super) fn forget_tenant(conn: &Connection, tenant_id: i64) -> Result<()> {
    conn.prepare_cached("DELETE FROM rollups WHERE tenant_id = ?1")?.execute([tenant_id])?;
    Ok(())
}

fn stats(conn: &Connection, query: &StatsQuery) -> Result<Vec<Series>> {
    let mut collect = Collect::new(query);
    let tenant_id = match &query.tenant {
        Some(tenant) => names::find_tenant(conn, tenant)?,
        None => Some(ALL_TENANTS),
    };
    let Some(tenant_id) = tenant_id else { return Ok(collect.finish()) };
    let (from, to) = Collect::hours(query);
    let mut statement = conn.prepare_cached(
        "SELECT hour, environment, outcome, class, destination, channel, kind, count, attempts \
         FROM rollups WHERE tenant_id = ?1 AND hour >= ?2 AND hour < ?3",
    )?;
    let mut found = statement.query((tenant_id, from, to))?;
    while let Some(row) = found.next()? {
        let text = |at: usize| {
            let text = row.get_ref(at)?.as_str();
            text.map_err(|error| StoreError::Corrupt(error.to_string()))
        };
        let number = |at: usize| row.get::<_, i64>(at).map(|n| n.max(0).unsigned_abs());
        collect.add(&Row {
            hour: row.get(0)?,
            environment: rows::environment(row.get(1)?)?,
            outcome: outcome(number(2)?)?,
            class: usize::try_from(number(3)?).unwrap_or(usize::MAX),
            destination: text(4)?,
            channel: text(5)?,
            kind: text(6)?,
            count: number(7)?,
            attempts: row.get(8)?,
        });
    }
    Ok(collect.finish())
}

fn outcome(number: u64) -> Result<RollupOutcome> {
    let at = usize::try_from(number).unwrap_or(usize::MAX);
    let found = RollupOutcome::ALL.get(at).copied();
    found.ok_or_else(|| StoreError::Corrupt(format!("a rollup with the outcome {number}")))
}

/// What the current transaction adds.
#[derive(Default)]
pub(super) struct RollupChanges {
    sums: HashMap<Key, (u64, u64)>,
    /// Rows by tenant and hour, as far as they are known.
    known: HashMap<(i64, i64), usize>,
}

#[derive(PartialEq, Eq, Hash)]
struct Key {
    tenant_id: i64,
    hour: i64,
    environment: Environment,
    outcome: RollupOutcome,
    class: usize,
    /// With the recipient: it is cut off once per transaction rather than once per delivery.
    lane: Option<LaneId>,
    channel: Option<Arc<str>>,
    kind: Arc<str>,
}

/// What the rows of all tenants distinguish: hour, environment, outcome, class, channel.
type Total = (i64, Environment, RollupOutcome, usize, Option<Arc<str>>);

impl RollupChanges {
    /// An event was settled.
    pub(super) fn event(&mut self, tenant_id: i64, event: &Event, is_routed: bool) {
        self.add(tenant_id, event, None, Added::event(event, is_routed));
    }

    /// A delivery changed, or only got attempts.
    pub(super) fn delivery(
        &mut self,
        tenant_id: i64,
        event: &Event,
        update: &DeliveryUpdate,
        accepted: bool,
    ) {
        if let Some(added) = Added::delivery(event.received_ms, update, accepted) {
            self.add(tenant_id, event, Some(update), added);
        }
    }

    fn add(&mut self, tenant_id: i64, event: &Event, of: Option<&DeliveryUpdate>, added: Added) {
        let key = Key {
            tenant_id,
            hour: added.hour,
            environment: event.environment,
            outcome: added.outcome,
            class: added.class,
            lane: of.map(|update| update.lane.clone()),
            channel: of.map(|update| Arc::clone(&update.channel)),
            kind: Arc::clone(&event.kind),
        };
        let sum = self.sums.entry(key).or_default();
        sum.0 += added.count;
        sum.1 += added.attempts;
    }

    /// Forgets what was not committed.
    pub(super) fn undo(&mut self) {
        *self = Self::default();
    }

    /// Writes the sums into the transaction.
    pub(super) fn write(&mut self, conn: &Connection) -> Result<()> {
        if self.sums.is_empty() {
            return Ok(());
        }
        if self.known.len() > KNOWN {
            self.known.clear();
        }
        let mut all: HashMap<Total, (u64, u64)> = HashMap::new();
        let mut table = Table::prepare(conn)?;
        for (key, sum) in self.sums.drain() {
            let total = (key.hour, key.environment, key.outcome, key.class, key.channel.clone());
            let total = all.entry(total).or_default();
            total.0 += sum.0;
            total.1 += sum.1;
            table.add(&key, sum, &mut self.known)?;
        }
        for ((hour, environment, outcome, class, channel), sum) in all {
            let kind: Arc<str> = "".into();
            let (tenant_id, lane) = (ALL_TENANTS, None);
            let key = Key { tenant_id, hour, environment, outcome, class, lane, channel, kind };
            table.add(&key, sum, &mut self.known)?;
        }
        Ok(())
    }
}

/// The statements that add to rows.
struct Table<'c> {
    conn: &'c Connection,
    add: rusqlite::CachedStatement<'c>,
    insert: rusqlite::CachedStatement<'c>,
}

impl<'c> Table<'c> {
    fn prepare(conn: &'c Connection) -> Result<Self> {
        Ok(Self {
            conn,
            add: conn.prepare_cached(
                "UPDATE rollups SET count = count + ?9, attempts = attempts + ?10 \
                 WHERE tenant_id = ?1 AND hour = ?2 AND environment = ?3 AND outcome = ?4 \
                 AND class = ?5 AND destination = ?6 AND channel = ?7 AND kind = ?8",
            )?,
            insert: conn.prepare_cached(
                "INSERT INTO rollups VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) \
                 ON CONFLICT DO UPDATE SET count = count + excluded.count, \
                 attempts = attempts + excluded.attempts",
            )?,
        })
    }

    /// Adds to a row. A new row needs room among those of its tenant and hour.
    fn add(
        &mut self,
        key: &Key,
        (count, attempts): (u64, u64),
        known: &mut HashMap<(i64, i64), usize>,
    ) -> Result<()> {
        let destination = key.lane.as_ref().map_or("", |lane| lane.destination());
        let channel = key.channel.as_deref().unwrap_or_default();
        let environment = rows::environment_number(key.environment);
        let (outcome, class) = (key.outcome as i64, i64::try_from(key.class).unwrap_or(0));
        let (count, attempts) = (count.cast_signed(), attempts.cast_signed());
        let values = |kind| {
            let of = (key.tenant_id, key.hour, environment, outcome, class);
            (of.0, of.1, of.2, of.3, of.4, destination, channel, kind, count, attempts)
        };
        if self.add.execute(values(&*key.kind))? == 1 {
            return Ok(());
        }
        let place = (key.tenant_id, key.hour);
        let rows = match known.get(&place) {
            Some(rows) => *rows,
            None => rows_of(self.conn, place)?,
        };
        let kind = if rows < ROWS_AN_HOUR { &*key.kind } else { OTHER_TYPES };
        self.insert.execute(values(kind))?;
        known.insert(place, rows + 1);
        Ok(())
    }
}

fn rows_of(conn: &Connection, (tenant_id, hour): (i64, i64)) -> Result<usize> {
    let sql = "SELECT count(*) FROM rollups WHERE tenant_id = ?1 AND hour = ?2";
    let count: i64 = conn.prepare_cached(sql)?.query_row((tenant_id, hour), |row| row.get(0))?;
    Ok(usize::try_from(count).unwrap_or(usize::MAX))
}
