//! Failures of lanes since their last success.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension};

use super::names;
use super::writing::Writing;
use crate::{Failing, LaneKey, Ms, Result};

/// Records a failure. If the one before is longer than `gap` ago, the count starts again.
pub(super) fn note(
    writing: &mut Writing,
    lane: &LaneKey,
    at: Ms,
    gap: Duration,
) -> Result<Failing> {
    let conn = &writing.conn;
    // An erased tenant does not come back with a late failure.
    if names::find_tenant(conn, &lane.tenant)?.is_none() {
        return Ok(Failing { since_ms: at, told: 1 });
    }
    let (lane_id, _) = writing.names.lane(conn, &lane.tenant, &lane.id)?;
    let gap = Ms::try_from(gap.as_millis()).unwrap_or(Ms::MAX / 2);
    let sql = "INSERT INTO failing (lane_id, since_ms, last_ms, told) VALUES (?1, ?2, ?2, 1) \
         ON CONFLICT (lane_id) DO UPDATE SET \
         since_ms = CASE WHEN ?2 - last_ms > ?3 THEN ?2 ELSE min(since_ms, ?2) END, \
         told = CASE WHEN ?2 - last_ms > ?3 THEN 1 ELSE told + 1 END, \
         last_ms = max(last_ms, ?2) RETURNING since_ms, told";
    let mut noted = conn.prepare_cached(sql)?;
    let noted = noted.query_row((lane_id, at, gap), |row| {
        Ok(Failing { since_ms: row.get(0)?, told: row.get::<_, i64>(1)?.unsigned_abs() })
    })?;
    Ok(noted)
}

/// Whether a lane has failures. Runs on a reader, so lanes without failures cost no write.
pub(super) fn is_noted(conn: &Connection, lane: &LaneKey) -> Result<bool> {
    let Some(lane_id) = names::lane_id(conn, lane)? else { return Ok(false) };
    let sql = "SELECT 1 FROM failing WHERE lane_id = ?1";
    let found = conn.prepare_cached(sql)?.query_row([lane_id], |_| Ok(())).optional()?;
    Ok(found.is_some())
}

/// Removes the failures of a lane.
pub(super) fn forget(writing: &mut Writing, lane: &LaneKey) -> Result<()> {
    if let Some(lane_id) = names::lane_id(&writing.conn, lane)? {
        let sql = "DELETE FROM failing WHERE lane_id = ?1";
        writing.conn.prepare_cached(sql)?.execute([lane_id])?;
    }
    Ok(())
}
