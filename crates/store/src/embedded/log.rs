//! [`Log`]: append, read, settle.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use fanfare_contract::Event;
use rusqlite::{Connection, OptionalExtension};
use tokio::time::Instant;

use super::queue::{Accounts, Place};
use super::readers::Turn;
use super::rows::{self, PENDING, ROUTED, UNROUTED};
use super::tail::Scan;
use super::usage::{self, UsageChanges};
use super::writing::Writing;
use super::{Embedded, Role, queue, search};
use crate::{
    Admission, Appended, Entry, EntryId, Log, Ms, Outcome, Payload, Rejected, Result, Settlement,
    Share, StoreError,
};

/// How often a waiting reader looks for events that another process appended.
const LOOK_EVERY: Duration = Duration::from_millis(400);
/// Bytes of bodies after which a scan ends.
const FOUND_BYTES: usize = 4 << 20;
/// Events in one request to the writer, so that a huge batch does not delay other requests.
const CHUNK: usize = 4_096;

#[async_trait]
impl Log for Embedded {
    async fn append(&self, mut events: Vec<Arc<Event>>) -> Result<Vec<Appended>> {
        self.folder.check_sound()?;
        self.folder.check_identity(self.identity)?;
        self.folder.check_room()?;
        let mut answers = Vec::with_capacity(events.len());
        while !events.is_empty() {
            let rest = events.split_off(events.len().min(CHUNK));
            let chunk = std::mem::replace(&mut events, rest);
            let count = chunk.len();
            let Some(tenant) = chunk.first().map(|event| Arc::clone(&event.tenant)) else { break };
            let hashes = chunk.iter().map(|event| self.search.hashes(&event.body));
            let chunk: Vec<_> = chunk.iter().cloned().zip(hashes).collect();
            let work = move |writing: &mut Writing| append(writing, &chunk);
            answers.extend(self.writer.call_in_turn(&tenant, count, work).await?);
        }
        Ok(answers)
    }

    async fn read_shared(
        &self,
        max: usize,
        wait: Duration,
        share: &dyn Share,
    ) -> Result<Vec<Entry>> {
        if self.role == Role::Tool {
            let message = "only the router reads the log; open the store as one".to_owned();
            return Err(StoreError::Other { message, source: None });
        }
        if max == 0 {
            return Ok(Vec::new());
        }
        let until = Instant::now() + wait;
        let mut look = false;
        loop {
            // Registered before the check, so that no later append is missed.
            let appended = self.tail.appended.notified();
            let entries = self.read_now(max, look, share).await?;
            if !entries.is_empty() {
                return Ok(entries);
            }
            let now = Instant::now();
            if now >= until && look {
                return Ok(entries);
            }
            look = tokio::time::timeout_at(until.min(now + LOOK_EVERY), appended).await.is_err();
        }
    }

    async fn take_over(&self, _max: usize) -> Result<Vec<Entry>> {
        // There is one reader, and it starts with what its predecessor left: see `Embedded::open`.
        Ok(Vec::new())
    }

    fn arrived_ms(&self, _: EntryId, event: &Event) -> Ms {
        // Events are read in the order of the log, by one reader. They may have been received by
        // several callers in another order, or by a clock that was set back.
        self.newest_ms.fetch_max(event.received_ms, Ordering::AcqRel).max(event.received_ms)
    }

    async fn admit(&self, entries: &[(EntryId, Arc<Event>)]) -> Result<Vec<Admission>> {
        let seqs: Vec<i64> = entries.iter().map(|(entry, _)| rows::seq_of(*entry)).collect();
        if seqs.iter().all(|seq| self.tail.is_in_flight(*seq)) {
            return Ok(vec![Admission::Fresh; seqs.len()]);
        }
        let work = move |conn: &Connection| seqs.iter().map(|seq| admission(conn, *seq)).collect();
        self.readers.run(Turn::Router, work).await
    }

    async fn settle(&self, batch: Vec<Settlement>) -> Result<()> {
        if batch.is_empty() {
            return Ok(());
        }
        let rows = batch.iter().map(|one| match &one.outcome {
            Outcome::Routed(_, updates) => 1 + updates.len(),
            _ => 1,
        });
        self.writer.call(rows.sum(), move |writing| settle(writing, &batch)).await
    }
}

impl Embedded {
    /// What can be read without waiting. With `look`, also events on disk that another process
    /// added.
    async fn read_now(&self, max: usize, look: bool, share: &dyn Share) -> Result<Vec<Entry>> {
        let mut scan = if look { Some(self.tail.look()) } else { self.tail.scan() };
        loop {
            let is_last = scan.is_none();
            if let Some(scan) = scan {
                self.search(scan).await?;
            }
            // No await from here on: entries that count as read must be returned.
            let events = self.tail.take(max, share);
            if is_last || !events.is_empty() {
                return Ok(events.into_iter().map(entry).collect());
            }
            scan = self.tail.scan();
        }
    }

    async fn search(&self, scan: Scan) -> Result<()> {
        let tail = Arc::clone(&self.tail);
        // What was found is kept even if the caller is gone by then. Otherwise a caller with a short
        // time would search for the same events again and again.
        let work = move |conn: &Connection| {
            let (reached, events) = pending(conn, &scan)?;
            tail.found(&scan, reached, events);
            Ok(())
        };
        self.readers.run(Turn::Router, work).await
    }
}

fn entry((seq, event): (i64, Arc<Event>)) -> Entry {
    Entry { id: rows::entry_id(seq), payload: Payload::Event(event) }
}

/// Appends events with the hashes of their search keys.
fn append(writing: &mut Writing, events: &[(Arc<Event>, Vec<u64>)]) -> Result<Vec<Appended>> {
    let conn = &writing.conn;
    let mut add = conn.prepare_cached(
        "INSERT INTO events (seq, tenant_id, id, kind, created, received_ms, environment, state) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0) ON CONFLICT (tenant_id, id) DO NOTHING",
    )?;
    let mut add_body =
        conn.prepare_cached("INSERT INTO bodies (seq, body, trace) VALUES (?1, ?2, ?3)")?;
    let mut answers = Vec::with_capacity(events.len());
    for (event, hashes) in events {
        let tenant_id = writing.names.tenant(conn, &event.tenant)?;
        let seq = writing.next_seq;
        let (created, received) = (event.created, event.received_ms);
        let environment = rows::environment_number(event.environment);
        let (id, kind) = (&*event.id, &*event.kind);
        if add.execute((seq, tenant_id, id, kind, created, received, environment))? == 0 {
            answers.push(Appended::Duplicate);
            continue;
        }
        add_body.execute((seq, &event.body[..], event.trace.as_deref()))?;
        search::add(conn, tenant_id, seq, hashes)?;
        writing.usage.stored(tenant_id, event.body.len());
        writing.next_seq += 1;
        writing.effects.appended.push((seq, Arc::clone(event)));
        answers.push(Appended::Accepted);
    }
    Ok(answers)
}

/// The latest time at which one of the last events was received. A router that starts after its
/// clock was set back continues from here.
pub(super) fn newest_ms(conn: &Connection) -> Result<Ms> {
    let sql = "SELECT coalesce(max(received_ms), 0) FROM \
               (SELECT received_ms FROM events ORDER BY seq DESC LIMIT 1000)";
    Ok(conn.query_row(sql, [], |row| row.get(0))?)
}

/// The position up to which the log was searched, and what was found.
type Found = (i64, Vec<(i64, Arc<Event>)>);

/// The entries that a scan looks for, which are not settled.
fn pending(conn: &Connection, scan: &Scan) -> Result<Found> {
    // The plus sign keeps SQLite from using an index by tenant, which has another order.
    let (of, names) = match &scan.tenant {
        Some(tenant) => {
            ("+e.tenant_id IN (SELECT tenant_id FROM tenants WHERE name = ?4)", tenant.to_string())
        }
        None => (
            "+e.tenant_id NOT IN \
             (SELECT n.tenant_id FROM json_each(?4) j CROSS JOIN tenants n ON n.name = j.value)",
            serde_json::to_string(&scan.without).unwrap_or_default(),
        ),
    };
    let sql = format!(
        "SELECT e.seq, t.name, {} FROM events e \
         CROSS JOIN tenants t ON t.tenant_id = e.tenant_id CROSS JOIN bodies b ON b.seq = e.seq \
         WHERE e.seq >= ?1 AND e.seq < ?2 AND e.state = {PENDING} AND {of} \
         ORDER BY e.seq LIMIT ?3",
        rows::EVENT
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let max = i64::try_from(scan.max).unwrap_or(i64::MAX);
    let mut found = statement.query((scan.from, scan.until, max, names))?;
    let (mut events, mut bytes) = (Vec::new(), 0);
    while bytes < FOUND_BYTES
        && let Some(row) = found.next()?
    {
        let tenant: Arc<str> = row.get(1)?;
        let event = rows::event(row, 2, tenant)?;
        bytes += event.body.len();
        events.push((row.get(0)?, Arc::new(event)));
    }
    let is_cut = events.len() == scan.max || bytes >= FOUND_BYTES || scan.until == i64::MAX;
    if is_cut {
        let last = events.last().map_or(scan.from, |(seq, _)| seq + 1);
        return Ok((last, events));
    }
    // Positions have gaps: a restored store continues far ahead of what it was restored from.
    let mut next = conn.prepare_cached("SELECT min(seq) FROM events WHERE seq >= ?1")?;
    let next: Option<i64> = next.query_row([scan.until], |row| row.get(0))?;
    Ok((next.map_or(scan.end, |next| next.min(scan.end)), events))
}

fn admission(conn: &Connection, seq: i64) -> Result<Admission> {
    let mut found = conn.prepare_cached("SELECT state FROM events WHERE seq = ?1")?;
    let state: Option<i64> = found.query_row([seq], |row| row.get(0)).optional()?;
    // Its row is gone: it was settled so long ago that the retention removed it.
    Ok(if state == Some(PENDING) { Admission::Fresh } else { Admission::Settled })
}

fn settle(writing: &mut Writing, batch: &[Settlement]) -> Result<()> {
    // The statements borrow the connection while the names change, so both are borrowed separately.
    let Writing { conn, names, effects, usage, rollups, .. } = &mut *writing;
    let mut accounts = Accounts { usage, rollups };
    let mut set_state =
        conn.prepare_cached("UPDATE events SET state = ?2 WHERE seq = ?1 AND state = 0")?;
    let mut queue = queue::Statements::prepare(conn)?;
    for Settlement { entry, outcome } in batch {
        let seq = rows::seq_of(*entry);
        match outcome {
            // The ledger names the entry that came first.
            Outcome::Duplicate => {}
            Outcome::Unrouted(event) => {
                if set_state.execute((seq, UNROUTED))? == 1 {
                    let tenant_id = names.tenant(conn, &event.tenant)?;
                    accounts.rollups.event(tenant_id, event, false);
                }
            }
            Outcome::Routed(event, updates) => {
                // If it is no longer pending, this is a repetition, and its deliveries may have
                // changed.
                if set_state.execute((seq, ROUTED))? == 1 {
                    let tenant_id = names.tenant(conn, &event.tenant)?;
                    accounts.rollups.event(tenant_id, event, true);
                    for update in updates {
                        let (lane_id, _) = names.lane(conn, &event.tenant, &update.lane)?;
                        let received_ms = event.received_ms;
                        let place = Place { seq, lane_id, tenant_id, received_ms };
                        queue.add(&place, (event, update), &mut accounts)?;
                        effects.agenda_changed |= queue.woke();
                    }
                }
            }
            Outcome::Rejected(rejected) => reject(conn, accounts.usage, seq, rejected)?,
        }
        effects.settled.push(seq);
    }
    drop(set_state);
    drop(queue);
    if batch.iter().any(|one| matches!(one.outcome, Outcome::Rejected(_))) {
        writing.keep_last_seq()?;
    }
    Ok(())
}

/// Moves an entry to the dead letters. Not if it was erased meanwhile, or rejected before.
fn reject(
    conn: &Connection,
    usage: &mut UsageChanges,
    seq: i64,
    rejected: &Rejected,
) -> Result<()> {
    let mut there = conn.prepare_cached("SELECT 1 FROM events WHERE seq = ?1 AND state = 0")?;
    if !there.exists([seq])? {
        return Ok(());
    }
    let Rejected { entry, at_ms, tenant, code, reason, raw } = rejected;
    let sql = "INSERT INTO rejected (entry, at_ms, tenant, code, reason, raw) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (entry) DO NOTHING";
    conn.prepare_cached(sql)?.execute((entry, at_ms, tenant, code, reason, raw))?;
    let sql = "DELETE FROM events WHERE seq = ?1 AND state = 0 RETURNING tenant_id";
    let removed = conn.prepare_cached(sql)?.query_row([seq], |row| row.get(0)).optional()?;
    if let Some(tenant_id) = removed {
        usage.removed(tenant_id, usage::remove_body(conn, seq)?);
        search::remove(conn, &[seq])?;
    }
    Ok(())
}
