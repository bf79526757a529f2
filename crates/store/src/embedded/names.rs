//! The numbers of tenants and lanes inside the store. The writer caches them.

use std::collections::HashMap;
use std::sync::Arc;

use fanfare_contract::LaneId;
use rusqlite::{Connection, OptionalExtension};

use crate::{LaneKey, Result};

/// The cache is emptied beyond this size: lanes of millions of recipients must not fill the memory.
const KEPT: usize = 200_000;

/// The numbers of recently used tenants and lanes.
#[derive(Default)]
pub(super) struct Names {
    tenants: HashMap<Arc<str>, Known>,
    count: usize,
}

struct Known {
    tenant_id: i64,
    lanes: HashMap<LaneId, i64>,
}

impl Names {
    /// Empties the cache. After a rollback, the rows may not exist.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    /// The number of a tenant. Assigns one if it has none.
    pub(super) fn tenant(&mut self, conn: &Connection, name: &Arc<str>) -> Result<i64> {
        Ok(self.known(conn, name)?.tenant_id)
    }

    /// The numbers of a lane and its tenant. Assigns them if they have none.
    pub(super) fn lane(
        &mut self,
        conn: &Connection,
        tenant: &Arc<str>,
        lane: &LaneId,
    ) -> Result<(i64, i64)> {
        let known = self.known(conn, tenant)?;
        let tenant_id = known.tenant_id;
        if let Some(lane_id) = known.lanes.get(lane) {
            return Ok((*lane_id, tenant_id));
        }
        let lane_id = if let Some(lane_id) = find_lane(conn, tenant_id, lane)? {
            lane_id
        } else {
            let sql = "INSERT INTO lanes (tenant_id, destination) VALUES (?1, ?2)";
            conn.prepare_cached(sql)?.insert((tenant_id, lane.as_str()))?
        };
        known.lanes.insert(lane.clone(), lane_id);
        self.count += 1;
        Ok((lane_id, tenant_id))
    }

    fn known(&mut self, conn: &Connection, name: &Arc<str>) -> Result<&mut Known> {
        if self.count > KEPT {
            self.forget();
        }
        if !self.tenants.contains_key(name) {
            let tenant_id = if let Some(tenant_id) = find_tenant(conn, name)? {
                tenant_id
            } else {
                let sql = "INSERT INTO tenants (name) VALUES (?1)";
                conn.prepare_cached(sql)?.insert([&**name])?
            };
            self.tenants.insert(Arc::clone(name), Known { tenant_id, lanes: HashMap::new() });
            self.count += 1;
        }
        Ok(self.tenants.get_mut(name).expect("it was found or inserted above"))
    }
}

/// The number of a tenant, if it has one.
pub(super) fn find_tenant(conn: &Connection, name: &str) -> Result<Option<i64>> {
    let sql = "SELECT tenant_id FROM tenants WHERE name = ?1";
    Ok(conn.prepare_cached(sql)?.query_row([name], |row| row.get(0)).optional()?)
}

fn find_lane(conn: &Connection, tenant_id: i64, lane: &str) -> Result<Option<i64>> {
    let sql = "SELECT lane_id FROM lanes WHERE tenant_id = ?1 AND destination = ?2";
    let mut found = conn.prepare_cached(sql)?;
    Ok(found.query_row((tenant_id, lane), |row| row.get(0)).optional()?)
}

/// The number of a lane, if it has one.
pub(super) fn lane_id(conn: &Connection, lane: &LaneKey) -> Result<Option<i64>> {
    match find_tenant(conn, &lane.tenant)? {
        Some(tenant_id) => find_lane(conn, tenant_id, &lane.id),
        None => Ok(None),
    }
}
