//! [`Agenda`]: claims with leases, the queues of the lanes, the time of the next service.
//!
//! A line has one time: when the lane may be served or, while it is claimed, when the lease ends. A
//! lane can be claimed once that time has come.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use fanfare_contract::{DeliveryId, Event};
use rusqlite::{Connection, OptionalExtension};

use super::queue::{Accounts, Place, Statements};
use super::readers::Turn;
use super::rows::{self, WAITING};
use super::writing::Writing;
use super::{Embedded, choose, failing, names};
use crate::{
    Agenda, Claim, DeliveryUpdate, Failing, Head, LaneKey, Look, Ms, Next, Result, StoreError,
    TenantLimit, WaitingItem,
};

/// How often to check whether another process has changed the agenda.
const LOOK_EVERY: Duration = Duration::from_millis(500);

#[async_trait]
impl Agenda for Embedded {
    async fn claim_limited(
        &self,
        now: Ms,
        lease: Duration,
        max: usize,
        per_tenant: usize,
        limits: &[TenantLimit],
    ) -> Result<Vec<Claim>> {
        // Chosen by a thread that reads: the writer pays for what is taken, not for what is not.
        let limits = limits.to_vec();
        let choose = move |conn: &Connection| choose::lanes(conn, now, max, per_tenant, &limits);
        let chosen = self.readers.run(Turn::Router, choose).await?;
        if chosen.is_empty() {
            return Ok(Vec::new());
        }
        let until = end_of(now, lease);
        let work = move |writing: &mut Writing| claim(writing, now, until, &chosen);
        self.writer.call(max.min(1_000), work).await
    }

    async fn more_due(
        &self,
        claim: &Claim,
        now: Ms,
        look: Look,
        taken: &[Arc<str>],
    ) -> Result<Vec<WaitingItem>> {
        let (claim, taken) = (claim.clone(), taken.iter().cloned().collect());
        self.readers.run(Turn::Router, move |conn| due(conn, &claim, now, look, &taken)).await
    }

    async fn head(&self, claim: &Claim, now: Ms) -> Result<Head> {
        // There is one router, and it queues what it reads in the order in which it was appended.
        Ok(self.due(claim, now, 1).await?.pop().map_or(Head::None, Head::Ready))
    }

    async fn settle(
        &self,
        lane: &LaneKey,
        updates: Vec<(Arc<Event>, DeliveryUpdate)>,
    ) -> Result<()> {
        if updates.is_empty() {
            return Ok(());
        }
        let lane = lane.clone();
        let work = move |writing: &mut Writing| settle(writing, &lane, &updates);
        self.writer.call(64, work).await
    }

    async fn release(&self, claim: &Claim, next: Next) -> Result<()> {
        let claim = claim.clone();
        self.writer.call(1, move |writing| release(writing, &claim, next)).await
    }

    async fn renew(&self, claims: &[Claim], now: Ms, lease: Duration) -> Result<Vec<bool>> {
        if claims.is_empty() {
            return Ok(Vec::new());
        }
        let (claims, until) = (claims.to_vec(), end_of(now, lease));
        let work = move |writing: &mut Writing| {
            let mut renew = writing
                .conn
                .prepare_cached("UPDATE agenda SET at_ms = ?3 WHERE lane_id = ?1 AND token = ?2")?;
            let mut renewed = Vec::with_capacity(claims.len());
            for claim in &claims {
                let done = match names::lane_id(&writing.conn, &claim.lane)? {
                    Some(lane_id) => renew.execute((lane_id, &claim.token, until))? == 1,
                    None => false,
                };
                renewed.push(done);
            }
            Ok(renewed)
        };
        self.writer.call(1, work).await
    }

    async fn next_time_without(&self, tenants: &[Arc<str>]) -> Result<Option<Ms>> {
        let tenants = tenants.to_vec();
        self.readers.run(Turn::Router, move |conn| next_time(conn, &tenants)).await
    }

    async fn changed(&self, at_most: Duration) {
        let wait = async {
            let changed = self.tail.agenda.notified();
            tokio::pin!(changed);
            let mut before = None;
            // Another process, such as a tool, cannot notify this one.
            while tokio::time::timeout(LOOK_EVERY, &mut changed).await.is_err() {
                let Ok(now) = self.next_time().await else { continue };
                if *before.get_or_insert(now) != now {
                    return;
                }
            }
        };
        let _ = tokio::time::timeout(at_most, wait).await;
    }

    async fn reschedule(&self, lane: &LaneKey, at: Ms) -> Result<()> {
        let lane = lane.clone();
        let work = move |writing: &mut Writing| {
            // An unclaimed lane has a line exactly while a delivery waits in it.
            let sql = "UPDATE agenda SET at_ms = ?2, token = NULL \
                       WHERE lane_id = ?1 AND (token IS NULL OR token = ?3)";
            if let Some(lane_id) = names::lane_id(&writing.conn, &lane)? {
                let moved = writing.conn.prepare_cached(sql)?.execute((lane_id, at, HELD))?;
                writing.effects.agenda_changed |= moved == 1;
            }
            Ok(())
        };
        self.writer.call(1, work).await
    }

    async fn failing(&self, lane: &LaneKey, at: Ms, gap: Duration) -> Result<Failing> {
        let lane = lane.clone();
        self.writer.call(1, move |writing| failing::note(writing, &lane, at, gap)).await
    }

    async fn well(&self, lane: &LaneKey) -> Result<()> {
        let asked = lane.clone();
        if !self.readers.run(Turn::Router, move |conn| failing::is_noted(conn, &asked)).await? {
            return Ok(());
        }
        let lane = lane.clone();
        self.writer.call(1, move |writing| failing::forget(writing, &lane)).await
    }

    async fn waiting(&self, lane: &LaneKey) -> Result<u64> {
        let turn = Turn::Tenant(&lane.tenant);
        let lane = lane.clone();
        self.readers
            .run(turn, move |conn| {
                let Some(lane_id) = names::lane_id(conn, &lane)? else { return Ok(0) };
                let sql = "SELECT count(*) FROM deliveries WHERE lane_id = ?1 AND state = 1";
                let count: i64 =
                    conn.prepare_cached(sql)?.query_row([lane_id], |row| row.get(0))?;
                Ok(count.unsigned_abs())
            })
            .await
    }
}

/// Stored instead of a token: the lane is free, and new deliveries do not bring it forward.
const HELD: &str = "!";

fn end_of(now: Ms, lease: Duration) -> Ms {
    now.saturating_add(Ms::try_from(lease.as_millis()).unwrap_or(Ms::MAX))
}

fn next_time(conn: &Connection, without: &[Arc<str>]) -> Result<Option<Ms>> {
    if without.is_empty() {
        let sql = "SELECT min(at_ms) FROM agenda";
        return Ok(conn.prepare_cached(sql)?.query_row([], |row| row.get(0))?);
    }
    let sql = "SELECT at_ms FROM agenda WHERE tenant_id NOT IN \
               (SELECT t.tenant_id FROM json_each(?1) j CROSS JOIN tenants t ON t.name = j.value) \
               ORDER BY at_ms LIMIT 1";
    let names = serde_json::to_string(without).unwrap_or_default();
    Ok(conn.prepare_cached(sql)?.query_row([names], |row| row.get(0)).optional()?)
}

/// Takes those of the chosen lanes that are still free.
fn claim(writing: &mut Writing, now: Ms, until: Ms, chosen: &[i64]) -> Result<Vec<Claim>> {
    let conn = &writing.conn;
    let mut take = conn.prepare_cached(
        "UPDATE agenda SET at_ms = ?2, token = ?3 WHERE lane_id = ?1 AND at_ms <= ?4",
    )?;
    let mut name = conn.prepare_cached(
        "SELECT t.name, l.destination FROM lanes l JOIN tenants t USING (tenant_id) \
         WHERE l.lane_id = ?1",
    )?;
    let mut claims = Vec::new();
    for lane_id in chosen {
        let token = format!("{:032x}", rand::random::<u128>());
        if take.execute((lane_id, until, &token, now))? == 0 {
            continue;
        }
        let lane = name.query_row([lane_id], |row| {
            let id = row.get::<_, String>(1)?.into();
            Ok(LaneKey { tenant: row.get(0)?, id })
        })?;
        claims.push(Claim { lane, token });
    }
    Ok(claims)
}

/// The number of a claimed lane. None if another process has claimed it since.
fn held(conn: &Connection, claim: &Claim) -> Result<Option<i64>> {
    let Some(lane_id) = names::lane_id(conn, &claim.lane)? else { return Ok(None) };
    let sql = "SELECT lane_id FROM agenda WHERE lane_id = ?1 AND token = ?2";
    let mut statement = conn.prepare_cached(sql)?;
    Ok(statement.query_row((lane_id, &claim.token), |row| row.get(0)).optional()?)
}

fn due(
    conn: &Connection,
    claim: &Claim,
    now: Ms,
    look: Look,
    taken: &HashSet<Arc<str>>,
) -> Result<Vec<WaitingItem>> {
    // A process that lost the lane must not send: the new holder sends the same deliveries.
    let Some(lane_id) = held(conn, claim)? else { return Ok(Vec::new()) };
    let sql = format!(
        "SELECT d.due_ms, d.tries, {} FROM deliveries d \
         CROSS JOIN events e ON e.seq = d.seq CROSS JOIN bodies b ON b.seq = d.seq \
         WHERE d.lane_id = ?1 AND d.state = {WAITING} AND d.due_ms <= ?2 \
         ORDER BY d.due_ms, d.seq LIMIT ?3",
        rows::EVENT
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let most = i64::try_from(look.max.saturating_add(taken.len())).unwrap_or(i64::MAX);
    let mut found = statement.query((lane_id, now, most))?;
    let (mut items, mut bytes) = (Vec::new(), 0);
    while items.len() < look.max
        && (bytes < look.bytes || items.is_empty())
        && let Some(row) = found.next()?
    {
        if taken.contains(rows::event_id(row, 2)?) {
            continue;
        }
        let event = rows::event(row, 2, Arc::clone(&claim.lane.tenant))?;
        bytes += event.body.len();
        items.push(WaitingItem {
            id: DeliveryId::derive(&event.id, &claim.lane.id),
            event: Arc::new(event),
            attempts: row.get(1)?,
            due_ms: row.get(0)?,
        });
    }
    Ok(items)
}

fn settle(
    writing: &mut Writing,
    lane: &LaneKey,
    updates: &[(Arc<Event>, DeliveryUpdate)],
) -> Result<()> {
    let Writing { conn, names: ids, effects, usage, rollups, .. } = writing;
    let mut accounts = Accounts { usage, rollups };
    let conn = &*conn;
    // An erased tenant does not come back with a late outcome.
    let Some(tenant_id) = names::find_tenant(conn, &lane.tenant)? else { return Ok(()) };
    let mut find = conn
        .prepare_cached("SELECT seq, received_ms FROM events WHERE tenant_id = ?1 AND id = ?2")?;
    let mut queue = Statements::prepare(conn)?;
    for (event, update) in updates {
        let found = find.query_row((tenant_id, &*event.id), |row| Ok((row.get(0)?, row.get(1)?)));
        // An event that was removed after its retention needs no outcome.
        if let Some((seq, received_ms)) = found.optional()? {
            let (lane_id, tenant_id) = ids.lane(conn, &lane.tenant, &lane.id)?;
            let place = Place { seq, lane_id, tenant_id, received_ms };
            queue.change(&place, (event, update), &mut accounts)?;
        }
    }
    effects.agenda_changed |= queue.woke();
    Ok(())
}

fn release(writing: &mut Writing, claim: &Claim, next: Next) -> Result<()> {
    let conn = &writing.conn;
    let Some(lane_id) = held(conn, claim)? else { return Ok(()) };
    match first_due(conn, lane_id)? {
        None => {
            conn.prepare_cached("DELETE FROM agenda WHERE lane_id = ?1")?.execute([lane_id])?;
        }
        Some(due_ms) => {
            let (at, token) = match next {
                Next::WhenDue => (due_ms, None),
                Next::NotBefore(at) => (at, Some(HELD)),
            };
            let sql = "UPDATE agenda SET at_ms = ?2, token = ?3 WHERE lane_id = ?1";
            conn.prepare_cached(sql)?.execute((lane_id, at, token))?;
            writing.effects.agenda_changed = true;
        }
    }
    Ok(())
}

/// When the first delivery in a lane's queue is due.
fn first_due(conn: &Connection, lane_id: i64) -> Result<Option<Ms>> {
    let sql = "SELECT min(due_ms) FROM deliveries WHERE lane_id = ?1 AND state = 1";
    Ok(conn.prepare_cached(sql)?.query_row([lane_id], |row| row.get(0))?)
}

/// Frees all claimed lanes when a router starts. It holds the folder alone, so no claim is alive.
pub(super) fn free_all(writing: &mut Writing) -> Result<()> {
    let conn = &writing.conn;
    let mut held = conn.prepare("SELECT lane_id FROM agenda WHERE token <> '!'")?;
    let held = held.query_map([], |row| row.get(0))?.collect::<Result<Vec<i64>, _>>();
    for lane_id in held.map_err(StoreError::from)? {
        match first_due(conn, lane_id)? {
            None => conn.execute("DELETE FROM agenda WHERE lane_id = ?1", [lane_id])?,
            Some(due_ms) => conn.execute(
                "UPDATE agenda SET at_ms = ?2, token = NULL WHERE lane_id = ?1",
                (lane_id, due_ms),
            )?,
        };
    }
    Ok(())
}
