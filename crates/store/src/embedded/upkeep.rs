//! [`Upkeep`]: health, and removing old events without stalling the writer.

use std::sync::{MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension};

use super::memo::wall_clock;
use super::readers::Turn;
use super::writing::Writing;
use super::{Embedded, checkup, disk, names, search, usage};
use crate::{Backlog, Check, Findings, Ms, Result, Upkeep};

/// Events removed in one transaction: some ten milliseconds.
const CHUNK: usize = 256;
/// Free pages that are worth returning to the file system. Fewer are soon used again.
const FREE_PAGES: i64 = 2_048;
/// Pages returned in one step.
const PAGES_AT_ONCE: i64 = 256;
/// Steps in one call, 16 MiB in total.
const GIVEN_BACK: usize = 16;

/// A search from the beginning that takes longer is repeated less often.
const LONG_SEARCH: Duration = Duration::from_millis(20);
/// Longest pause between two searches from the beginning.
const SEARCH_AGAIN_MAX: Duration = Duration::from_mins(5);

/// Where the search for removable events continues: (tenant, received, position).
type Mark = (i64, Ms, i64);

/// After every event.
const NOWHERE: Mark = (i64::MAX, Ms::MAX, i64::MAX);

#[async_trait]
impl Upkeep for Embedded {
    fn kind(&self) -> &'static str {
        "embedded"
    }

    async fn ping(&self) -> Result<()> {
        self.folder.check_sound()?;
        self.folder.check_identity(self.identity)?;
        let pinged =
            |writing: &mut Writing| writing.set_number("pings", writing.number("pings")? + 1);
        self.writer.call(1, pinged).await?;
        self.readers.run(Turn::Router, |conn| names::find_tenant(conn, "").map(drop)).await
    }

    async fn checkup(&self, now: Ms) -> Vec<Check> {
        checkup::run(self, now).await
    }

    async fn repair(&self, now: Ms) -> Result<Vec<String>> {
        checkup::repair(self, now).await
    }

    async fn appendable(&self) -> Result<()> {
        self.folder.check_room()
    }

    async fn beat(&self, _now: Ms) -> Result<()> {
        // No process could take over: the folder is locked while this process lives.
        Ok(())
    }

    async fn leave(&self) -> Result<()> {
        Ok(())
    }

    async fn tidy(&self, before: Ms, max: usize) -> Result<u64> {
        let began = Instant::now();
        let mark = self.tidied().next(began);
        let search = move |conn: &Connection| removable(conn, before, max, mark);
        let found = self.readers.run(Turn::Router, search).await?;
        let searched = began.elapsed();
        let mut removed = 0;
        for chunk in found.chunks(CHUNK) {
            let seqs: Vec<i64> = chunk.iter().map(|(_, _, seq)| *seq).collect();
            let weight = seqs.len() * 4;
            removed += self.writer.call(weight, move |writing| remove(writing, &seqs)).await?;
        }
        let most = i64::try_from(max).unwrap_or(i64::MAX);
        self.writer.call(CHUNK, move |writing| remove_others(writing, before, most)).await?;
        // Other requests get their turn between two steps.
        for _ in 0..GIVEN_BACK {
            if !self.writer.call(CHUNK, give_back).await? {
                break;
            }
        }
        // A full answer may have more after it.
        let last = found.last().copied().filter(|_| found.len() == max);
        self.tidied().searched(last, searched);
        Ok(removed)
    }

    async fn reconcile(&self, now: Ms) -> Result<Findings> {
        let lanes = self.readers.run(Turn::Router, without_line).await?;
        let unscheduled = lanes.len() as u64;
        if !lanes.is_empty() {
            self.writer.call(lanes.len(), move |writing| add_lines(writing, &lanes, now)).await?;
        }
        Ok(Findings { unscheduled, ..Findings::default() })
    }

    async fn inspect(&self, _now: Ms) -> Result<Findings> {
        let lanes = self.readers.run(Turn::Router, without_line).await?;
        Ok(Findings { unscheduled: lanes.len() as u64, ..Findings::default() })
    }

    async fn time(&self) -> Result<Option<Ms>> {
        Ok(None)
    }

    async fn backlog(&self) -> Result<Backlog> {
        self.readers.run(Turn::Tenant(""), backlog).await
    }

    async fn warnings(&self) -> Vec<String> {
        disk::warning(&self.folder.dir).into_iter().collect()
    }
}

impl Embedded {
    fn tidied(&self) -> MutexGuard<'_, Tidied> {
        self.tidied_up_to.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where the search for removable events continues, and when it may start again from the beginning.
/// A search passes over old events that still wait, which may be many.
#[derive(Default)]
pub(super) struct Tidied {
    mark: Option<Mark>,
    /// The time that the current search has taken so far.
    took: Duration,
    again: Option<Instant>,
}

impl Tidied {
    /// Where to continue at `now`. Until a long search may be repeated, none.
    fn next(&mut self, now: Instant) -> Option<Mark> {
        let is_early = self.mark.is_none() && self.again.is_some_and(|again| now < again);
        if is_early { Some(NOWHERE) } else { self.mark }
    }

    /// A search ended at `last`, or found everything.
    fn searched(&mut self, last: Option<Mark>, took: Duration) {
        self.took += took;
        self.mark = last;
        let is_over = last.is_none() && self.again.is_none_or(|again| Instant::now() >= again);
        if is_over {
            let took = std::mem::take(&mut self.took);
            // One percent of a core at most.
            let pause = (took >= LONG_SEARCH).then(|| took.saturating_mul(100));
            self.again = pause.map(|pause| Instant::now() + pause.min(SEARCH_AGAIN_MAX));
        }
    }
}

/// Adds up what each tenant has, and reads the first row of an index for each tenant.
fn backlog(conn: &Connection) -> Result<Backlog> {
    let count = "SELECT coalesce(sum(waiting), 0) FROM usage";
    let waiting: i64 = conn.prepare_cached(count)?.query_row([], |row| row.get(0))?;
    // SQLite uses the partial index only with its own condition, `state >= 1`.
    let oldest = "SELECT min((SELECT min(received_ms) FROM deliveries d \
         WHERE d.tenant_id = t.tenant_id AND d.state = 1 AND d.state >= 1)) FROM tenants t";
    let oldest_ms = conn.prepare_cached(oldest)?.query_row([], |row| row.get(0))?;
    Ok(Backlog { waiting: waiting.unsigned_abs(), oldest_ms })
}

/// Lanes in which a delivery waits and that have no line in the agenda. One step in an index for
/// each lane with a queue.
fn without_line(conn: &Connection) -> Result<Vec<i64>> {
    let sql = "WITH RECURSIVE queues (lane_id) AS ( \
         SELECT min(lane_id) FROM deliveries INDEXED BY deliveries_waiting WHERE state = 1 \
         UNION ALL \
         SELECT (SELECT min(d.lane_id) FROM deliveries d INDEXED BY deliveries_waiting \
                 WHERE d.state = 1 AND d.lane_id > queues.lane_id) \
         FROM queues WHERE queues.lane_id IS NOT NULL) \
         SELECT lane_id FROM queues WHERE lane_id IS NOT NULL \
         AND lane_id NOT IN (SELECT lane_id FROM agenda)";
    let mut lanes = conn.prepare_cached(sql)?;
    Ok(lanes.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?)
}

/// Adds their lines, to be served now. Checks again inside the transaction.
fn add_lines(writing: &mut Writing, lanes: &[i64], now: Ms) -> Result<()> {
    let sql = "INSERT INTO agenda (lane_id, tenant_id, at_ms, token) \
         SELECT lane_id, tenant_id, ?2, NULL FROM lanes l WHERE lane_id = ?1 \
         AND EXISTS (SELECT 1 FROM deliveries d WHERE d.lane_id = l.lane_id AND d.state = 1) \
         ON CONFLICT (lane_id) DO NOTHING";
    let mut add = writing.conn.prepare_cached(sql)?;
    let mut added = 0;
    for lane in lanes {
        added += add.execute((lane, now))?;
    }
    drop(add);
    writing.effects.agenda_changed |= added > 0;
    Ok(())
}

/// Finds up to `max` settled events that were received before `before` and have no waiting
/// delivery, after the mark. So a long run of old events that wait is searched once per round.
fn removable(conn: &Connection, before: Ms, max: usize, mark: Option<Mark>) -> Result<Vec<Mark>> {
    let (first, mut after_ms, mut after) = mark.unwrap_or((0, Ms::MIN, 0));
    let mut tenants = conn
        .prepare_cached("SELECT tenant_id FROM tenants WHERE tenant_id >= ?1 ORDER BY tenant_id")?;
    let tenants = tenants.query_map([first], |row| row.get(0))?.collect::<Result<Vec<i64>, _>>()?;
    let mut events = conn.prepare_cached(
        "SELECT received_ms, seq FROM events e \
         WHERE tenant_id = ?1 AND received_ms < ?2 AND (received_ms, seq) > (?3, ?4) \
         AND state <> 0 \
         AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.seq = e.seq AND d.state = 1) \
         ORDER BY received_ms, seq LIMIT ?5",
    )?;
    let mut found = Vec::new();
    for tenant_id in tenants {
        if tenant_id != first {
            (after_ms, after) = (Ms::MIN, 0);
        }
        let room = i64::try_from(max - found.len()).unwrap_or(i64::MAX);
        let mut rows = events.query((tenant_id, before, after_ms, after, room))?;
        while let Some(row) = rows.next()? {
            found.push((tenant_id, row.get(0)?, row.get(1)?));
        }
        if found.len() >= max {
            break;
        }
    }
    Ok(found)
}

/// Checks again inside the transaction: a delivery may have been replayed meanwhile.
fn remove(writing: &mut Writing, seqs: &[i64]) -> Result<u64> {
    writing.keep_last_seq()?;
    let Writing { conn, usage: changes, .. } = writing;
    let mut event = conn.prepare_cached(
        "DELETE FROM events WHERE seq = ?1 AND state <> 0 \
         AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.seq = ?1 AND d.state = 1) \
         RETURNING tenant_id",
    )?;
    let mut deliveries = conn.prepare_cached("DELETE FROM deliveries WHERE seq = ?1")?;
    let mut removed = Vec::new();
    for seq in seqs {
        let tenant_id = event.query_row([seq], |row| row.get(0)).optional()?;
        if let Some(tenant_id) = tenant_id {
            changes.removed(tenant_id, usage::remove_body(conn, *seq)?);
            deliveries.execute([seq])?;
            removed.push(*seq);
        }
    }
    search::remove(conn, &removed)?;
    Ok(removed.len() as u64)
}

/// Removes old dead letters, expired memos and records, and failures that are not reported any
/// more.
fn remove_others(writing: &mut Writing, before: Ms, max: i64) -> Result<()> {
    let conn = &writing.conn;
    let rejected = "DELETE FROM rejected WHERE n IN \
                    (SELECT n FROM rejected WHERE at_ms < ?1 ORDER BY at_ms LIMIT ?2)";
    conn.prepare_cached(rejected)?.execute((before, max))?;
    let memos = "DELETE FROM memo WHERE key IN \
                 (SELECT key FROM memo WHERE expires_ms <= ?1 ORDER BY expires_ms LIMIT ?2)";
    conn.prepare_cached(memos)?.execute((wall_clock(), max))?;
    let failing = "DELETE FROM failing WHERE last_ms < ?1";
    conn.prepare_cached(failing)?.execute([before])?;
    let records = "DELETE FROM records WHERE rowid IN \
                   (SELECT rowid FROM records WHERE expires_ms <= ?1 ORDER BY expires_ms LIMIT ?2)";
    conn.prepare_cached(records)?.execute((wall_clock(), max))?;
    Ok(())
}

/// Returns free pages to the file system. True if there may be more.
fn give_back(writing: &mut Writing) -> Result<bool> {
    let conn = &writing.conn;
    let number = |name| conn.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let (free, all) = (number("freelist_count")?, number("page_count")?);
    if free <= FREE_PAGES || free <= all / 4 {
        return Ok(false);
    }
    vacuum_some(conn)?;
    Ok(true)
}

/// Returns a few free pages. The transaction is short.
pub(super) fn vacuum_some(conn: &Connection) -> Result<()> {
    // Each step of the pragma returns one page.
    let mut vacuum = conn.prepare(&format!("PRAGMA incremental_vacuum({PAGES_AT_ONCE})"))?;
    let mut pages = vacuum.query([])?;
    while pages.next()?.is_some() {}
    Ok(())
}
