//! Deliveries as rows: in their lane's queue while they wait, with their lane's line in the agenda.

use fanfare_contract::Event;
use rusqlite::{CachedStatement, Connection};

use super::rollups::RollupChanges;
use super::rows;
use super::usage::UsageChanges;
use crate::lifecycle::transition;
use crate::{DeliveryState, DeliveryUpdate, Ms, Reason, Result};

/// The key of a delivery's row, and the columns that it copies from its event.
pub(super) struct Place {
    pub(super) seq: i64,
    pub(super) lane_id: i64,
    pub(super) tenant_id: i64,
    pub(super) received_ms: Ms,
}

/// What the transaction adds up of its changes.
pub(super) struct Accounts<'a> {
    pub(super) usage: &'a mut UsageChanges,
    pub(super) rollups: &'a mut RollupChanges,
}

/// The statements of one batch.
pub(super) struct Statements<'c> {
    add: CachedStatement<'c>,
    find: CachedStatement<'c>,
    change: CachedStatement<'c>,
    only_attempts: CachedStatement<'c>,
    bring_forward: CachedStatement<'c>,
    woke: bool,
}

impl<'c> Statements<'c> {
    pub(super) fn prepare(conn: &'c Connection) -> Result<Self> {
        Ok(Self {
            add: conn.prepare_cached(
                "INSERT INTO deliveries (seq, lane_id, tenant_id, received_ms, channel, state, \
                 reason, due_ms, serve_ms, updated_ms, tries, attempts) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12) \
                 ON CONFLICT (seq, lane_id) DO NOTHING",
            )?,
            find: conn.prepare_cached(&format!(
                "SELECT {} FROM deliveries WHERE seq = ?1 AND lane_id = ?2",
                rows::STATE
            ))?,
            // A replay (?11) starts the schedule again: earlier tries no longer count.
            change: conn.prepare_cached(
                "UPDATE deliveries SET channel = ?3, state = ?4, reason = ?5, due_ms = ?6, \
                 serve_ms = ?7, updated_ms = ?8, tries = iif(?11, 0, tries) + ?9, \
                 attempts = attempts || ?10 WHERE seq = ?1 AND lane_id = ?2",
            )?,
            only_attempts: conn.prepare_cached(
                "UPDATE deliveries SET tries = tries + ?3, attempts = attempts || ?4 \
                 WHERE seq = ?1 AND lane_id = ?2",
            )?,
            bring_forward: conn.prepare_cached(
                "INSERT INTO agenda (lane_id, tenant_id, at_ms) VALUES (?1, ?2, ?3) \
                 ON CONFLICT (lane_id) DO UPDATE SET at_ms = excluded.at_ms \
                 WHERE token IS NULL AND excluded.at_ms < at_ms",
            )?,
            woke: false,
        })
    }

    /// Whether a line was added or brought forward since the last call.
    pub(super) fn woke(&mut self) -> bool {
        std::mem::take(&mut self.woke)
    }

    /// A new delivery. If it waits, its lane is served at its time at the latest.
    pub(super) fn add(
        &mut self,
        place: &Place,
        (event, update): (&Event, &DeliveryUpdate),
        accounts: &mut Accounts<'_>,
    ) -> Result<()> {
        let state = transition(None, &update.change);
        let times = state.times();
        let added = self.add.execute((
            place.seq,
            place.lane_id,
            place.tenant_id,
            place.received_ms,
            &*update.channel,
            rows::state_number(state.kind()),
            state.reason().map(Reason::as_text),
            times.map(|(due_ms, _)| due_ms),
            times.map(|(_, serve_ms)| serve_ms),
            update.at_ms,
            rows::tries(update),
            rows::attempt_lines(&update.attempts)?,
        ))?;
        if added == 1 {
            accounts.usage.waiting(place.tenant_id, i64::from(state.is_waiting()));
            accounts.rollups.delivery(place.tenant_id, event, update, true);
            self.schedule(place, &state)?;
        }
        Ok(())
    }

    /// A change of an existing delivery. If its row does not exist, it is added.
    pub(super) fn change(
        &mut self,
        place: &Place,
        (event, update): (&Event, &DeliveryUpdate),
        accounts: &mut Accounts<'_>,
    ) -> Result<()> {
        let Some(before) = self.find(place)? else {
            return self.add(place, (event, update), accounts);
        };
        let (tries, lines) = (rows::tries(update), rows::attempt_lines(&update.attempts)?);
        if !before.accepts(&update.change) {
            self.only_attempts.execute((place.seq, place.lane_id, tries, lines))?;
            accounts.rollups.delivery(place.tenant_id, event, update, false);
            return Ok(());
        }
        let state = transition(Some(&before), &update.change);
        let times = state.times();
        self.change.execute((
            place.seq,
            place.lane_id,
            &*update.channel,
            rows::state_number(state.kind()),
            state.reason().map(Reason::as_text),
            times.map(|(due_ms, _)| due_ms),
            times.map(|(_, serve_ms)| serve_ms),
            update.at_ms,
            tries,
            &lines,
            update.change.is_replay(),
        ))?;
        let change = i64::from(state.is_waiting()) - i64::from(before.is_waiting());
        accounts.usage.waiting(place.tenant_id, change);
        accounts.rollups.delivery(place.tenant_id, event, update, true);
        self.schedule(place, &state)
    }

    fn find(&mut self, place: &Place) -> Result<Option<DeliveryState>> {
        let mut found = self.find.query((place.seq, place.lane_id))?;
        found.next()?.map(|row| rows::state(row, 0)).transpose()
    }

    /// A queue that holds something always has a line in the agenda. A claimed line stays as it is.
    fn schedule(&mut self, place: &Place, state: &DeliveryState) -> Result<()> {
        if let Some((_, serve_ms)) = state.times() {
            let line = (place.lane_id, place.tenant_id, serve_ms);
            self.woke |= self.bring_forward.execute(line)? == 1;
        }
        Ok(())
    }
}
