//! [`Ledger`]: one event, lists and counts.

use std::sync::Arc;

use async_trait::async_trait;
use fanfare_contract::Tally;
use rusqlite::{Connection, OptionalExtension};

use super::readers::Turn;
use super::{Embedded, lists, names, rows, search, usage};
use crate::{
    Counts, DeliveryQuery, DeliveryRecord, EventQuery, EventRecord, EventSummary, LONGEST_TAIL,
    LaneKey, Ledger, Ms, Page, Rejected, Result, TAIL_BYTES, Tail, Usage,
};

#[async_trait]
impl Ledger for Embedded {
    async fn event(&self, tenant: &str, id: &str) -> Result<Option<EventRecord>> {
        let (name, id): (Arc<str>, String) = (tenant.into(), id.to_owned());
        self.readers.run(Turn::Tenant(tenant), move |conn| event(conn, &name, &id)).await
    }

    async fn events(&self, query: &EventQuery) -> Result<Page<EventSummary>> {
        let turn = Turn::Tenant(&query.tenant);
        let (query, search) = (query.clone(), Arc::clone(&self.search));
        let work = move |conn: &Connection| {
            if query.matches.is_empty() {
                lists::events(conn, &query)
            } else {
                search::events(conn, &search, &query)
            }
        };
        self.readers.run(turn, work).await
    }

    async fn deliveries(&self, query: &DeliveryQuery) -> Result<Page<DeliveryRecord>> {
        let turn = Turn::Tenant(&query.tenant);
        let query = query.clone();
        self.readers.run(turn, move |conn| lists::deliveries(conn, &query)).await
    }

    async fn tail(&self, tenant: &str, after: u64, limit: usize) -> Result<Tail> {
        let name: Arc<str> = tenant.into();
        self.readers.run(Turn::Tenant(tenant), move |conn| tail(conn, &name, after, limit)).await
    }

    async fn rejected(&self, cursor: Option<&str>, limit: usize) -> Result<Page<Rejected>> {
        let cursor = cursor.map(str::to_owned);
        let work = move |conn: &Connection| lists::rejected(conn, cursor.as_deref(), limit);
        self.readers.run(Turn::Tenant(""), work).await
    }

    async fn tally(&self, lane: &LaneKey, from: Ms, to: Ms) -> Result<(Vec<Tally>, Vec<Tally>)> {
        let turn = Turn::Tenant(&lane.tenant);
        let lane = lane.clone();
        self.readers.run(turn, move |conn| tally(conn, &lane, from, to)).await
    }

    async fn counts(&self, tenant: &str, from: Ms, to: Ms) -> Result<Counts> {
        let name = tenant.to_owned();
        self.readers.run(Turn::Tenant(tenant), move |conn| counts(conn, &name, from, to)).await
    }

    async fn note_indexed(&self) -> Result<()> {
        let search = Arc::clone(&self.search);
        self.writer.call(8, move |writing| search::note(writing, &search)).await
    }

    async fn indexed_since(&self, paths: &[String]) -> Result<Option<u64>> {
        let paths = paths.to_vec();
        self.readers.run(Turn::Router, move |conn| search::since(conn, &paths)).await
    }

    async fn usage(&self, tenants: &[Arc<str>]) -> Result<Vec<Usage>> {
        let tenants = tenants.to_vec();
        let work = move |conn: &Connection| {
            tenants.iter().map(|tenant| usage::usage(conn, tenant)).collect()
        };
        self.readers.run(Turn::Tenant(""), work).await
    }
}

fn event(conn: &Connection, tenant: &Arc<str>, id: &str) -> Result<Option<EventRecord>> {
    let Some(tenant_id) = names::find_tenant(conn, tenant)? else { return Ok(None) };
    let sql = format!(
        "SELECT e.seq, e.state, {} FROM events e JOIN bodies b USING (seq) \
         WHERE e.tenant_id = ?1 AND e.id = ?2",
        rows::EVENT
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let mut found = statement.query((tenant_id, id))?;
    let Some(row) = found.next()? else { return Ok(None) };
    let event = Arc::new(rows::event(row, 2, Arc::clone(tenant))?);
    let state = rows::event_state(row.get(1)?)?;
    Ok(Some(EventRecord { event, state, deliveries: deliveries_of(conn, row.get(0)?)? }))
}

/// Rows that one call looks at, of all tenants. Rows are numbered in the order of commits, and the
/// promise of a tail without gaps depends on that order.
const TAIL_LOOKED_AT: usize = 5_000;

fn tail(conn: &Connection, tenant: &Arc<str>, after: u64, limit: usize) -> Result<Tail> {
    let after_seq = i64::try_from(after).unwrap_or(i64::MAX);
    let mut tail = Tail { next: after, ..Tail::default() };
    let Some(tenant_id) = names::find_tenant(conn, tenant)? else { return Ok(tail) };
    let limit = limit.clamp(1, LONGEST_TAIL);
    let sql = format!(
        "SELECT e.seq, e.tenant_id, e.state, {} FROM events e NOT INDEXED \
         CROSS JOIN bodies b ON b.seq = e.seq WHERE e.seq > ?1 ORDER BY e.seq",
        rows::EVENT
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let mut found = statement.query([after_seq])?;
    let (mut looked_at, mut bytes) = (0, 0);
    while let Some(row) = found.next()? {
        let seq: i64 = row.get(0)?;
        looked_at += 1;
        if row.get::<_, i64>(1)? == tenant_id {
            let event = Arc::new(rows::event(row, 3, Arc::clone(tenant))?);
            let state = rows::event_state(row.get(2)?)?;
            bytes += event.body.len();
            let record = EventRecord { event, state, deliveries: deliveries_of(conn, seq)? };
            tail.items.push((seq.unsigned_abs(), record));
        }
        tail.next = seq.unsigned_abs();
        if tail.items.len() == limit || bytes >= TAIL_BYTES || looked_at == TAIL_LOOKED_AT {
            tail.more = true;
            break;
        }
    }
    Ok(tail)
}

fn deliveries_of(conn: &Connection, seq: i64) -> Result<Vec<DeliveryRecord>> {
    let sql = format!(
        "SELECT {} FROM deliveries d JOIN events e USING (seq) JOIN lanes l USING (lane_id) \
         WHERE d.seq = ?1 ORDER BY l.destination",
        rows::DELIVERY
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let mut found = statement.query([seq])?;
    let mut deliveries = Vec::new();
    while let Some(row) = found.next()? {
        deliveries.push(rows::delivery(row, 0)?);
    }
    Ok(deliveries)
}

fn tally(conn: &Connection, lane: &LaneKey, from: Ms, to: Ms) -> Result<(Vec<Tally>, Vec<Tally>)> {
    let (mut suppressed, mut failed) = (Vec::new(), Vec::new());
    let Some(lane_id) = names::lane_id(conn, lane)? else { return Ok((suppressed, failed)) };
    let mut statement = conn.prepare_cached(
        "SELECT state, coalesce(reason, ''), count(*) FROM deliveries \
         WHERE lane_id = ?1 AND state >= 2 AND updated_ms >= ?2 AND updated_ms < ?3 \
         GROUP BY 1, 2 ORDER BY 1, 2",
    )?;
    let mut found = statement.query((lane_id, from, to))?;
    while let Some(row) = found.next()? {
        let counted = Tally { reason: row.get(1)?, count: row.get::<_, i64>(2)?.unsigned_abs() };
        let of = if row.get::<_, i64>(0)? == rows::DEAD { &mut failed } else { &mut suppressed };
        of.push(counted);
    }
    Ok((suppressed, failed))
}

fn counts(conn: &Connection, tenant: &str, from: Ms, to: Ms) -> Result<Counts> {
    let mut counts = Counts::default();
    let Some(tenant_id) = names::find_tenant(conn, tenant)? else { return Ok(counts) };
    let events = "SELECT count(*), count(*) FILTER (WHERE state = 0), \
                  count(*) FILTER (WHERE state = 1) FROM events \
                  WHERE tenant_id = ?1 AND received_ms >= ?2 AND received_ms < ?3";
    let number = |row: &rusqlite::Row<'_>, n| row.get(n).map(i64::unsigned_abs);
    let found = conn.prepare_cached(events)?.query_row((tenant_id, from, to), |row| {
        Ok((number(row, 0)?, number(row, 1)?, number(row, 2)?))
    });
    (counts.received, counts.pending, counts.unrouted) = found.optional()?.unwrap_or_default();
    let mut deliveries = conn.prepare_cached(
        "SELECT d.state, count(*) FROM events e CROSS JOIN deliveries d ON d.seq = e.seq \
         WHERE e.tenant_id = ?1 AND e.received_ms >= ?2 AND e.received_ms < ?3 GROUP BY 1",
    )?;
    let mut found = deliveries.query((tenant_id, from, to))?;
    while let Some(row) = found.next()? {
        *lists::count_of(&mut counts, row.get(0)?)? = number(row, 1)?;
    }
    Ok(counts)
}
