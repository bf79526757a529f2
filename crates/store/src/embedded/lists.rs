//! Lists of the ledger, newest first, page by page. A page looks at a bounded number of rows,
//! however few of them match the filters.

use fanfare_contract::{Environment, LaneId};
use rusqlite::{Connection, Row};

use super::{cursor, names, rows};
use crate::{
    Counts, DeliveryQuery, DeliveryRecord, EventQuery, EventStatus, EventSummary, Ms, Page,
    Rejected, Result, StateKind, StoreError, TypeFilter,
};

/// Rows that one page looks at.
const LOOKED_AT: usize = 5_000;
/// Longest page.
const LIMIT: usize = 1_000;

/// A page that is filled row by row.
pub(super) struct Filling<T> {
    items: Vec<T>,
    limit: usize,
    looked_at: usize,
}

impl<T> Filling<T> {
    pub(super) fn new(limit: usize) -> Self {
        Self { items: Vec::new(), limit: limit.clamp(1, LIMIT), looked_at: 0 }
    }

    /// Adds the item of a row, if it matches. True if the page ends with this row.
    pub(super) fn look(&mut self, item: Option<T>) -> bool {
        self.items.extend(item);
        self.looked_at += 1;
        self.items.len() >= self.limit || self.looked_at >= LOOKED_AT
    }

    /// `last` is the cursor of the last row, if there may be more after it.
    pub(super) fn finish(self, last: Option<String>) -> Page<T> {
        Page { items: self.items, next: last }
    }
}

pub(super) fn empty<T>() -> Page<T> {
    Page { items: Vec::new(), next: None }
}

/// The newest possible position: the start of a list without a cursor.
pub(super) const NEWEST: i64 = i64::MAX;
/// The same for a list that starts with the oldest.
pub(super) const OLDEST: i64 = i64::MIN;

/// Through the events of the tenant.
const EVENTS_BY_TIME: &str = "SELECT seq, received_ms, id, kind, created, state, environment \
     FROM events WHERE tenant_id = ?1 AND received_ms >= ?2 AND received_ms < ?3 \
     AND (received_ms, seq) < (?4, ?5) AND ?6 IS NOT NULL ORDER BY received_ms DESC, seq DESC";

/// Through the deliveries that are not delivered. An event has one row for each of them.
const EVENTS_BY_STATE: &str = "SELECT e.seq, e.received_ms, e.id, e.kind, e.created, e.state, \
     e.environment FROM deliveries d CROSS JOIN events e ON e.seq = d.seq \
     WHERE d.tenant_id = ?1 AND d.state <> 0 AND d.state = ?6 \
     AND d.received_ms >= ?2 AND d.received_ms < ?3 AND (d.received_ms, d.seq) < (?4, ?5) \
     ORDER BY d.received_ms DESC, d.seq DESC";

pub(super) fn events(conn: &Connection, query: &EventQuery) -> Result<Page<EventSummary>> {
    let start = if query.oldest_first { OLDEST } else { NEWEST };
    let after = match &query.cursor {
        Some(text) => cursor::read('e', text)?,
        None => [start; 2],
    };
    let Some(tenant_id) = names::find_tenant(conn, &query.tenant)? else { return Ok(empty()) };
    let (way, state) = match query.status {
        Some(EventStatus::Delivery(kind)) if kind != StateKind::Delivered => {
            (EVENTS_BY_STATE, rows::state_number(kind))
        }
        _ => (EVENTS_BY_TIME, 0),
    };
    let sql = if query.oldest_first { turned(way) } else { way.to_owned() };
    let mut statement = conn.prepare_cached(&sql)?;
    let (from, to) = bounds(query.from_ms, query.to_ms, after[0], query.oldest_first);
    let mut found = statement.query((tenant_id, from, to, after[0], after[1], state))?;
    let mut page = Filling::new(query.limit);
    let mut last_seq = None;
    while let Some(row) = found.next()? {
        let (seq, received_ms): (i64, Ms) = (row.get(0)?, row.get(1)?);
        if last_seq.replace(seq) == Some(seq) {
            continue;
        }
        let selected = selects(conn, query, seq, row)?;
        let item = if selected { Some(summary(conn, seq, row)?) } else { None };
        if page.look(item) {
            return Ok(page.finish(Some(cursor::write('e', [received_ms, seq]))));
        }
    }
    Ok(page.finish(None))
}

/// Whether a query selects the event of a row.
pub(super) fn selects(
    conn: &Connection,
    query: &EventQuery,
    seq: i64,
    row: &Row<'_>,
) -> Result<bool> {
    let kind = row.get_ref(3)?.as_str();
    let kind = kind.map_err(|error| StoreError::Corrupt(error.to_string()))?;
    let (environment, state) = (rows::environment(row.get(6)?)?, rows::event_state(row.get(5)?)?);
    if !query.selects(kind, environment, row.get(1)?, state) {
        return Ok(false);
    }
    let wanted = match query.status {
        Some(EventStatus::Delivery(kind)) => Some(rows::state_number(kind)),
        _ => None,
    };
    if wanted.is_none() && query.lane.is_none() {
        return Ok(true);
    }
    let mut deliveries = conn.prepare_cached(
        "SELECT d.state, l.destination FROM deliveries d JOIN lanes l USING (lane_id) \
         WHERE d.seq = ?1",
    )?;
    let mut deliveries = deliveries.query([seq])?;
    while let Some(row) = deliveries.next()? {
        let in_state =
            wanted.is_none_or(|wanted| row.get(0).is_ok_and(|state: i64| state == wanted));
        if in_state && is_of(query.lane.as_ref(), row, 1)? {
            return Ok(true);
        }
    }
    Ok(false)
}

pub(super) fn summary(conn: &Connection, seq: i64, row: &Row<'_>) -> Result<EventSummary> {
    let mut states = conn.prepare_cached("SELECT state FROM deliveries WHERE seq = ?1")?;
    let mut states = states.query([seq])?;
    let mut deliveries = Counts::default();
    while let Some(row) = states.next()? {
        *count_of(&mut deliveries, row.get(0)?)? += 1;
    }
    Ok(EventSummary {
        id: row.get(2)?,
        kind: row.get(3)?,
        created: row.get(4)?,
        received_ms: row.get(1)?,
        state: rows::event_state(row.get(5)?)?,
        environment: rows::environment(row.get(6)?)?,
        deliveries,
    })
}

/// Where deliveries of a state are counted.
pub(super) fn count_of(counts: &mut Counts, state: i64) -> Result<&mut u64> {
    Ok(counts.of(rows::state_kind(state)?))
}

/// The range of times to search. It excludes what earlier pages showed, so a late page costs no
/// more than the first. The cursor itself only distinguishes rows of the same time.
fn bounds(from: Option<Ms>, to: Option<Ms>, after: Ms, oldest_first: bool) -> (Ms, Ms) {
    let (from, to) = (from.unwrap_or(Ms::MIN), to.unwrap_or(Ms::MAX));
    if oldest_first { (from.max(after), to) } else { (from, to.min(after.saturating_add(1))) }
}

/// Whether the type in this column is selected.
fn fits(filter: Option<&TypeFilter>, row: &Row<'_>, column: usize) -> Result<bool> {
    let Some(filter) = filter else { return Ok(true) };
    let text = row.get_ref(column)?.as_str();
    Ok(filter.selects(text.map_err(|error| StoreError::Corrupt(error.to_string()))?))
}

/// Whether this column has the wanted environment, if one is wanted.
fn is_in(wanted: Option<Environment>, row: &Row<'_>, column: usize) -> Result<bool> {
    let Some(wanted) = wanted else { return Ok(true) };
    Ok(row.get::<_, i64>(column)? == rows::environment_number(wanted))
}

/// Through the index of deliveries that are not delivered.
const BY_STATE: &str = "FROM deliveries d CROSS JOIN events e ON e.seq = d.seq \
     CROSS JOIN lanes l ON l.lane_id = d.lane_id \
     WHERE d.tenant_id = ?1 AND d.state <> 0 AND d.state = ?7 \
     AND d.received_ms >= ?2 AND d.received_ms < ?3 \
     AND (d.received_ms, d.seq, d.lane_id) < (?4, ?5, ?6) \
     ORDER BY d.received_ms DESC, d.seq DESC, d.lane_id DESC";

/// Through the events of the tenant.
const BY_EVENT: &str = "FROM events e INDEXED BY events_by_time \
     CROSS JOIN deliveries d ON d.seq = e.seq CROSS JOIN lanes l ON l.lane_id = d.lane_id \
     WHERE e.tenant_id = ?1 AND e.received_ms >= ?2 AND e.received_ms < ?3 \
     AND (e.received_ms, e.seq, d.lane_id) < (?4, ?5, ?6) AND (?7 < 0 OR d.state = ?7) \
     ORDER BY e.received_ms DESC, e.seq DESC, d.lane_id DESC";

/// The same list in the opposite order.
fn turned(sql: &str) -> String {
    sql.replace(") < (", ") > (").replace(" DESC", " ASC")
}

pub(super) fn deliveries(conn: &Connection, query: &DeliveryQuery) -> Result<Page<DeliveryRecord>> {
    let start = if query.oldest_first { OLDEST } else { NEWEST };
    let after = match &query.cursor {
        Some(text) => cursor::read('d', text)?,
        None => [start; 3],
    };
    let Some(tenant_id) = names::find_tenant(conn, &query.tenant)? else { return Ok(empty()) };
    let indexed = query.state.is_some_and(|state| state != StateKind::Delivered);
    let way = if indexed { BY_STATE } else { BY_EVENT };
    let sql = format!("SELECT d.seq, d.lane_id, {} {way}", rows::DELIVERY);
    let sql = if query.oldest_first { turned(&sql) } else { sql };
    let mut statement = conn.prepare_cached(&sql)?;
    let (from, to) = bounds(query.from_ms, query.to_ms, after[0], query.oldest_first);
    let state = query.state.map_or(-1, rows::state_number);
    let mut found = statement.query((tenant_id, from, to, after[0], after[1], after[2], state))?;
    let mut page = Filling::new(query.limit);
    while let Some(row) = found.next()? {
        let fits = fits(query.kind.as_ref(), row, 3)?
            && is_of(query.lane.as_ref(), row, 4)?
            && is_in(query.environment, row, 13)?;
        let item = if fits { Some(rows::delivery(row, 2)?) } else { None };
        if page.look(item) {
            let last = [row.get("received_ms")?, row.get(0)?, row.get(1)?];
            return Ok(page.finish(Some(cursor::write('d', last))));
        }
    }
    Ok(page.finish(None))
}

/// Whether this column has the wanted lane, or a lane of the wanted destination.
fn is_of(wanted: Option<&LaneId>, row: &Row<'_>, column: usize) -> Result<bool> {
    let Some(wanted) = wanted else { return Ok(true) };
    let lane = row.get_ref(column)?.as_str();
    Ok(wanted.covers(lane.map_err(|error| StoreError::Corrupt(error.to_string()))?))
}

pub(super) fn rejected(
    conn: &Connection,
    cursor: Option<&str>,
    limit: usize,
) -> Result<Page<Rejected>> {
    let [before_ms, before] = match cursor {
        Some(text) => cursor::read('r', text)?,
        None => [NEWEST; 2],
    };
    let mut statement = conn.prepare_cached(
        "SELECT n, entry, at_ms, tenant, code, reason, raw FROM rejected \
         WHERE (at_ms, n) < (?1, ?2) ORDER BY at_ms DESC, n DESC",
    )?;
    let mut found = statement.query((before_ms, before))?;
    let mut page = Filling::new(limit);
    while let Some(row) = found.next()? {
        let item = Rejected {
            entry: row.get(1)?,
            at_ms: row.get(2)?,
            tenant: row.get(3)?,
            code: row.get(4)?,
            reason: row.get(5)?,
            raw: row.get(6)?,
        };
        let last = [item.at_ms, row.get(0)?];
        if page.look(Some(item)) {
            return Ok(page.finish(Some(cursor::write('r', last))));
        }
    }
    Ok(page.finish(None))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sort would read all rows for every page.
    #[test]
    fn no_list_of_events_or_deliveries_is_sorted() {
        let conn = Connection::open_in_memory().unwrap();
        for step in super::super::schema::MIGRATIONS {
            conn.execute_batch(step).unwrap();
        }
        let deliveries = |way| format!("SELECT {} {way}", rows::DELIVERY);
        let lists = [
            (deliveries(BY_STATE), 7),
            (deliveries(BY_EVENT), 7),
            (EVENTS_BY_TIME.to_owned(), 6),
            (EVENTS_BY_STATE.to_owned(), 6),
        ];
        for (list, parameters) in lists {
            let sql = format!("EXPLAIN QUERY PLAN {list}");
            for sql in [turned(&sql), sql] {
                let mut statement = conn.prepare(&sql).unwrap();
                let given = rusqlite::params_from_iter(vec![1; parameters]);
                let plan = statement.query_map(given, |row| row.get("detail")).unwrap();
                let plan: Vec<String> = plan.collect::<Result<_, _>>().unwrap();
                let bad = |line: &String| line.contains("TEMP B-TREE") || line.starts_with("SCAN");
                assert!(!plan.iter().any(bad), "{plan:?}");
                assert!(plan[0].contains("received_ms>? AND received_ms<?"), "{plan:?}");
            }
        }
    }
}
