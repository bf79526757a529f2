//! Which lanes a claim takes: the earliest ones, limited per tenant.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension};

use super::names;
use crate::{Ms, Result, TenantLimit};

/// Most lines to skip because their tenants have reached the limit. Beyond that, each tenant is
/// queried on its own.
const STEPPED_OVER: usize = 2_000;

/// How many lanes of a tenant may be chosen.
struct Limits {
    per_tenant: usize,
    /// Tenants with fewer.
    fewer: HashMap<i64, usize>,
}

impl Limits {
    fn of(&self, tenant_id: i64) -> usize {
        self.fewer.get(&tenant_id).map_or(self.per_tenant, |most| self.per_tenant.min(*most))
    }
}

/// Up to `max` lanes whose time has come, at most `per_tenant` of one tenant, earliest first.
pub(super) fn lanes(
    conn: &Connection,
    now: Ms,
    max: usize,
    per_tenant: usize,
    limits: &[TenantLimit],
) -> Result<Vec<i64>> {
    let mut fewer = HashMap::new();
    for (tenant, most) in limits {
        fewer.extend(names::find_tenant(conn, tenant)?.map(|tenant_id| (tenant_id, *most)));
    }
    let limits = Limits { per_tenant, fewer };
    match by_time(conn, now, max, &limits)? {
        Some(lanes) => Ok(lanes),
        None => by_tenant(conn, now, max, &limits),
    }
}

/// The lanes in order of time over all tenants. None if too many lines would have to be skipped.
fn by_time(conn: &Connection, now: Ms, max: usize, limits: &Limits) -> Result<Option<Vec<i64>>> {
    let mut due = conn.prepare_cached(
        "SELECT lane_id, tenant_id FROM agenda WHERE at_ms <= ?1 ORDER BY at_ms, lane_id",
    )?;
    let mut due = due.query([now])?;
    let mut share: HashMap<i64, usize> = HashMap::new();
    let (mut lanes, mut stepped_over) = (Vec::new(), 0);
    while lanes.len() < max {
        let Some(row) = due.next()? else { break };
        let tenant_id = row.get(1)?;
        let taken = share.entry(tenant_id).or_default();
        if *taken < limits.of(tenant_id) {
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

/// The first lanes of every tenant that has some due, then the earliest of those.
fn by_tenant(conn: &Connection, now: Ms, max: usize, limits: &Limits) -> Result<Vec<i64>> {
    let mut next_tenant = conn.prepare_cached(
        "SELECT tenant_id FROM agenda WHERE tenant_id > ?1 ORDER BY tenant_id LIMIT 1",
    )?;
    let mut of_tenant = conn.prepare_cached(
        "SELECT at_ms, lane_id FROM agenda WHERE tenant_id = ?1 AND at_ms <= ?2 \
         ORDER BY at_ms, lane_id LIMIT ?3",
    )?;
    let mut due: Vec<(Ms, i64)> = Vec::new();
    let mut tenant_id = i64::MIN;
    while let Some(next) = next_tenant.query_row([tenant_id], |row| row.get(0)).optional()? {
        tenant_id = next;
        let share = i64::try_from(limits.of(tenant_id)).unwrap_or(i64::MAX);
        if share == 0 {
            continue;
        }
        let mut rows = of_tenant.query((tenant_id, now, share))?;
        while let Some(row) = rows.next()? {
            due.push((row.get(0)?, row.get(1)?));
        }
    }
    due.sort_unstable();
    due.truncate(max);
    Ok(due.into_iter().map(|(_, lane_id)| lane_id).collect())
}
