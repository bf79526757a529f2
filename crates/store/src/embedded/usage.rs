//! What each tenant holds: bytes of bodies and waiting deliveries.
//!
//! The requests of one transaction collect their changes in memory, and the transaction writes one
//! row per tenant before it is committed. So the numbers cost little and are right after a crash.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension};

use super::writing::Writing;
use crate::{Result, Usage};

/// The changes of the current transaction, by tenant.
#[derive(Default)]
pub(super) struct UsageChanges(HashMap<i64, Change>);

#[derive(Default)]
struct Change {
    bytes: i64,
    waiting: i64,
}

impl UsageChanges {
    /// A body was added.
    pub(super) fn stored(&mut self, tenant_id: i64, body: usize) {
        self.0.entry(tenant_id).or_default().bytes += i64::try_from(body).unwrap_or(i64::MAX);
    }

    /// A body of this many bytes was removed.
    pub(super) fn removed(&mut self, tenant_id: i64, body: i64) {
        self.0.entry(tenant_id).or_default().bytes -= body;
    }

    /// More deliveries wait, or fewer.
    pub(super) fn waiting(&mut self, tenant_id: i64, change: i64) {
        if change != 0 {
            self.0.entry(tenant_id).or_default().waiting += change;
        }
    }

    /// Writes the changes into the transaction.
    pub(super) fn write(&mut self, conn: &Connection) -> Result<()> {
        if self.0.is_empty() {
            return Ok(());
        }
        let mut add = conn.prepare_cached(
            "INSERT INTO usage (tenant_id, stored_bytes, waiting) VALUES (?1, ?2, ?3) \
             ON CONFLICT (tenant_id) DO UPDATE SET \
             stored_bytes = stored_bytes + excluded.stored_bytes, \
             waiting = waiting + excluded.waiting",
        )?;
        for (tenant_id, change) in self.0.drain() {
            if (change.bytes, change.waiting) != (0, 0) {
                add.execute((tenant_id, change.bytes, change.waiting))?;
            }
        }
        Ok(())
    }
}

/// Removes the body of an event. Returns its size.
pub(super) fn remove_body(conn: &Connection, seq: i64) -> Result<i64> {
    let sql = "DELETE FROM bodies WHERE seq = ?1 RETURNING length(body)";
    let removed = conn.prepare_cached(sql)?.query_row([seq], |row| row.get(0)).optional()?;
    Ok(removed.unwrap_or(0))
}

/// What a tenant holds.
pub(super) fn usage(conn: &Connection, tenant: &str) -> Result<Usage> {
    let sql = "SELECT stored_bytes, waiting FROM usage \
               WHERE tenant_id = (SELECT tenant_id FROM tenants WHERE name = ?1)";
    let number = |row: &rusqlite::Row<'_>, at| row.get(at).map(|n: i64| n.max(0).unsigned_abs());
    let found = conn.prepare_cached(sql)?.query_row([tenant], |row| {
        Ok(Usage { stored_bytes: number(row, 0)?, waiting: number(row, 1)? })
    });
    Ok(found.optional()?.unwrap_or_default())
}

/// What each tenant holds by its rows, where the kept numbers say something else.
const DISAGREEING: &str = "SELECT tenant_id, bytes, waiting FROM (\
    SELECT t.tenant_id, \
    coalesce((SELECT sum(length(b.body)) FROM events e JOIN bodies b USING (seq) \
              WHERE e.tenant_id = t.tenant_id), 0) AS bytes, \
    (SELECT count(*) FROM deliveries d \
     WHERE d.tenant_id = t.tenant_id AND d.state = 1 AND d.state >= 1) AS waiting, \
    coalesce(u.stored_bytes, 0) AS kept_bytes, coalesce(u.waiting, 0) AS kept_waiting \
    FROM tenants t LEFT JOIN usage u USING (tenant_id)) \
    WHERE (bytes, waiting) <> (kept_bytes, kept_waiting)";

/// For how many tenants the kept numbers are wrong. Reads the lengths of all bodies.
pub(super) fn disagreeing(conn: &Connection) -> Result<usize> {
    let sql = format!("SELECT count(*) FROM ({DISAGREEING})");
    let count: i64 = conn.query_row(&sql, [], |row| row.get(0))?;
    Ok(usize::try_from(count).unwrap_or(usize::MAX))
}

/// Corrects the numbers that are wrong. Returns for how many tenants.
pub(super) fn recount(writing: &mut Writing) -> Result<usize> {
    // Changes of the same transaction are in the rows already.
    writing.write_usage()?;
    let sql = format!(
        "INSERT INTO usage (tenant_id, stored_bytes, waiting) {DISAGREEING} \
         ON CONFLICT (tenant_id) DO UPDATE SET \
         stored_bytes = excluded.stored_bytes, waiting = excluded.waiting"
    );
    Ok(writing.conn.execute(&sql, [])?)
}
