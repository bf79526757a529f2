//! The index of search keys, and finding events through it.
//!
//! Hashes are random, so an index sorted by hash alone would write one page per key. It is sorted by
//! epoch first: events that are appended together share a few pages. A search looks into each epoch,
//! which takes a few microseconds.

use rusqlite::{Connection, Row};

use super::lists::{Filling, NEWEST, OLDEST, empty, selects, summary};
use super::writing::Writing;
use super::{cursor, names};
use crate::search::of_tenant;
use crate::{EventQuery, EventSummary, Page, Result, SearchKey, SearchPaths, StoreError};

/// Bits of a position within its epoch.
const EPOCH_BITS: u32 = 12;
const PLACES: i64 = 1 << EPOCH_BITS;
/// Epochs that one page looks into: 4 million events.
const EPOCHS_LOOKED_AT: usize = 1_000;

/// Adds the keys of an event.
pub(super) fn add(conn: &Connection, tenant_id: i64, seq: i64, hashes: &[u64]) -> Result<()> {
    if hashes.is_empty() {
        return Ok(());
    }
    let mut add = conn.prepare_cached(
        "INSERT INTO search (epoch, hash, place) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
    )?;
    for hash in hashes {
        let hash = of_tenant(*hash, tenant_id).cast_signed();
        add.execute((seq >> EPOCH_BITS, hash, seq & (PLACES - 1)))?;
    }
    Ok(())
}

/// Removes the keys of events, whatever the paths were when they were added. Looks through their
/// epochs, so it is best called with neighbors.
pub(super) fn remove(conn: &Connection, seqs: &[i64]) -> Result<()> {
    let mut seqs = seqs.to_vec();
    seqs.sort_unstable();
    let mut remove = conn.prepare_cached(
        "DELETE FROM search WHERE epoch = ?1 AND place IN (SELECT value FROM json_each(?2))",
    )?;
    for part in seqs.chunk_by(|a, b| a >> EPOCH_BITS == b >> EPOCH_BITS) {
        let places: Vec<i64> = part.iter().map(|seq| seq & (PLACES - 1)).collect();
        let places = serde_json::to_string(&places).unwrap_or_default();
        remove.execute((part[0] >> EPOCH_BITS, places))?;
    }
    Ok(())
}

/// Records that these paths are indexed from the next event on, and no others.
pub(super) fn note(writing: &mut Writing, paths: &SearchPaths) -> Result<()> {
    let known = stored(&writing.conn)?;
    let texts: Vec<&str> = paths.paths().iter().map(|path| &**path).collect();
    for (path, _) in known.iter().filter(|(path, _)| !texts.contains(&path.as_str())) {
        writing.conn.prepare_cached("DELETE FROM search_paths WHERE path = ?1")?.execute([path])?;
    }
    let sql = "INSERT INTO search_paths (path, since_seq) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
    for path in texts {
        writing.conn.prepare_cached(sql)?.execute((path, writing.next_seq))?;
    }
    Ok(())
}

/// The paths that are indexed, each with the position from which on.
pub(super) fn stored(conn: &Connection) -> Result<Vec<(String, i64)>> {
    let mut paths = conn.prepare_cached("SELECT path, since_seq FROM search_paths")?;
    let paths = paths.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(paths.collect::<Result<_, _>>()?)
}

/// The position from which on all of these paths are indexed.
pub(super) fn since(conn: &Connection, paths: &[String]) -> Result<Option<u64>> {
    let stored = stored(conn)?;
    let since = |path: &String| {
        let found = stored.iter().find(|(known, _)| known == path);
        // The tail answers what is after a place.
        found.map(|(_, since)| (since - 1).max(0).unsigned_abs())
    };
    let all: Option<Vec<u64>> = paths.iter().map(since).collect();
    Ok(all.and_then(|all| all.into_iter().max()))
}

/// One way through the index.
struct Way {
    next_epoch: &'static str,
    places: &'static str,
    /// From an epoch to the next one.
    step: i64,
}

const NEWEST_FIRST: Way = Way {
    next_epoch: "SELECT max(epoch) FROM search WHERE epoch <= ?1",
    places: "SELECT place FROM search WHERE epoch = ?1 AND hash = ?2 ORDER BY place DESC",
    step: -1,
};

const OLDEST_FIRST: Way = Way {
    next_epoch: "SELECT min(epoch) FROM search WHERE epoch >= ?1",
    places: "SELECT place FROM search WHERE epoch = ?1 AND hash = ?2 ORDER BY place",
    step: 1,
};

/// Events with all keys of a query, in the order of the log.
pub(super) fn events(
    conn: &Connection,
    paths: &SearchPaths,
    query: &EventQuery,
) -> Result<Page<EventSummary>> {
    let first = query.matches.first().map_or_else(|| Ok(0), |key| paths.hash(key))?;
    query.matches.iter().try_for_each(|key| paths.hash(key).map(drop))?;
    let way = if query.oldest_first { OLDEST_FIRST } else { NEWEST_FIRST };
    let start = if query.oldest_first { OLDEST } else { NEWEST };
    let [after] = match &query.cursor {
        Some(text) => cursor::read('m', text)?,
        None => [start],
    };
    let Some(tenant_id) = names::find_tenant(conn, &query.tenant)? else { return Ok(empty()) };
    let hash = of_tenant(first, tenant_id).cast_signed();
    let mut next_epoch = conn.prepare_cached(way.next_epoch)?;
    let mut places = conn.prepare_cached(way.places)?;
    let mut page = Filling::new(query.limit);
    let mut from = after >> EPOCH_BITS;
    for _ in 0..EPOCHS_LOOKED_AT {
        let epoch: Option<i64> = next_epoch.query_row([from], |row| row.get(0))?;
        let Some(epoch) = epoch else { return Ok(page.finish(None)) };
        let mut found = places.query((epoch, hash))?;
        while let Some(row) = found.next()? {
            let seq = (epoch << EPOCH_BITS) + row.get::<_, i64>(0)?;
            let is_shown = if query.oldest_first { seq <= after } else { seq >= after };
            if is_shown {
                continue;
            }
            if page.look(event(conn, paths, (tenant_id, seq), query)?) {
                return Ok(page.finish(Some(cursor::write('m', [seq]))));
            }
        }
        from = epoch + way.step;
    }
    // The last position of the epochs that were looked into.
    let last = if query.oldest_first { (from << EPOCH_BITS) - 1 } else { (from + 1) << EPOCH_BITS };
    Ok(page.finish(Some(cursor::write('m', [last]))))
}

/// The event at a position, if the query selects it. Another value may have the same hash.
fn event(
    conn: &Connection,
    paths: &SearchPaths,
    (tenant_id, seq): (i64, i64),
    query: &EventQuery,
) -> Result<Option<EventSummary>> {
    let mut statement = conn.prepare_cached(
        "SELECT e.seq, e.received_ms, e.id, e.kind, e.created, e.state, e.environment, b.body \
         FROM events e CROSS JOIN bodies b ON b.seq = e.seq WHERE e.seq = ?1 AND e.tenant_id = ?2",
    )?;
    let mut found = statement.query((seq, tenant_id))?;
    let Some(row) = found.next()? else { return Ok(None) };
    let selected = selects(conn, query, seq, row)? && has_all(paths, row, &query.matches)?;
    if selected { summary(conn, seq, row).map(Some) } else { Ok(None) }
}

fn has_all(paths: &SearchPaths, row: &Row<'_>, keys: &[SearchKey]) -> Result<bool> {
    let body = row.get_ref(7)?.as_blob();
    let body = body.map_err(|error| StoreError::Corrupt(error.to_string()))?;
    Ok(paths.has_all(body, keys))
}
