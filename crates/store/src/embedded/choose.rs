//! Which lanes a claim takes: the earliest ones, limited per tenant.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension};

use crate::{Ms, Result};

/// Most lines to skip because their tenants have reached the limit. Beyond that, each tenant is
/// queried on its own.
const STEPPED_OVER: usize = 500;

/// Up to `max` lanes whose time has come, at most `per_tenant` of one tenant, earliest first.
pub(super) fn lanes(conn: &Connection, now: Ms, max: usize, per_tenant: usize) -> Result<Vec<i64>> {
    match by_time(conn, now, max, per_tenant)? {
        Some(lanes) => Ok(lanes),
        None => by_tenant(conn, now, max, per_tenant),
    }
}

/// The lanes in order of time over all tenants. None if too many lines would have to be skipped.
fn by_time(conn: &Connection, now: Ms, max: usize, per_tenant: usize) -> Result<Option<Vec<i64>>> {
    let mut due = conn.prepare_cached(
        "SELECT lane_id, tenant_id FROM agenda WHERE at_ms <= ?1 ORDER BY at_ms, lane_id",
    )?;
    let mut due = due.query([now])?;
    let mut share: HashMap<i64, usize> = HashMap::new();
    let (mut lanes, mut stepped_over) = (Vec::new(), 0);
    while lanes.len() < max {
        let Some(row) = due.next()? else { break };
        let taken = share.entry(row.get(1)?).or_default();
        if *taken < per_tenant {
            *taken += 1;
            lanes.push(row.get(0)?);
        } else {
            stepped_over += 1;
            if stepped_over > STEPPED_OVER {
                return Ok(None);
            }
        }
    }
    Ok(Some(lanes))
}

/// The first lanes of every tenant, then the earliest of those.
fn by_tenant(conn: &Connection, now: Ms, max: usize, per_tenant: usize) -> Result<Vec<i64>> {
    let mut next_tenant = conn.prepare_cached(
        "SELECT tenant_id FROM agenda WHERE tenant_id > ?1 ORDER BY tenant_id LIMIT 1",
    )?;
    let mut of_tenant = conn.prepare_cached(
        "SELECT at_ms, lane_id FROM agenda WHERE tenant_id = ?1 AND at_ms <= ?2 \
         ORDER BY at_ms, lane_id LIMIT ?3",
    )?;
    let share = i64::try_from(per_tenant).unwrap_or(i64::MAX);
    let mut due: Vec<(Ms, i64)> = Vec::new();
    let mut tenant_id = i64::MIN;
    while let Some(next) = next_tenant.query_row([tenant_id], |row| row.get(0)).optional()? {
        tenant_id = next;
        let mut rows = of_tenant.query((tenant_id, now, share))?;
        while let Some(row) = rows.next()? {
            due.push((row.get(0)?, row.get(1)?));
        }
    }
    due.sort_unstable();
    due.truncate(max);
    Ok(due.into_iter().map(|(_, lane_id)| lane_id).collect())
}
