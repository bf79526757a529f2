//! The current transaction, and what the writer keeps between transactions.

use std::sync::Arc;

use fanfare_contract::Event;
use rusqlite::Connection;

use super::names::Names;
use super::rollups::RollupChanges;
use super::usage::UsageChanges;
use crate::Result;

/// What every request gets: the connection inside a transaction, and the writer's state.
pub(super) struct Writing {
    pub(super) conn: Connection,
    pub(super) names: Names,
    /// The position that the next event gets.
    pub(super) next_seq: i64,
    pub(super) effects: Effects,
    /// Written before the transaction is committed.
    pub(super) usage: UsageChanges,
    /// The same.
    pub(super) rollups: RollupChanges,
    /// Changes when another process has written.
    data_version: i64,
}

/// What is published when the transaction is durable.
#[derive(Default)]
pub(super) struct Effects {
    /// New events, in order.
    pub(super) appended: Vec<(i64, Arc<Event>)>,
    /// Entries that are settled now.
    pub(super) settled: Vec<i64>,
    /// A line of the agenda was added or may have been brought forward.
    pub(super) agenda_changed: bool,
    /// Removed events. The router must not get them from memory.
    pub(super) erased: Vec<i64>,
}

impl Writing {
    pub(super) fn new(conn: Connection) -> Result<Self> {
        let names = Names::default();
        let (effects, usage) = (Effects::default(), UsageChanges::default());
        let (next_seq, data_version, rollups) = (0, -1, RollupChanges::default());
        let mut writing = Self { conn, names, next_seq, effects, usage, rollups, data_version };
        writing.next_seq = writing.read_next_seq()?;
        Ok(writing)
    }

    /// Starts a transaction. Waits while another process writes.
    pub(super) fn begin(&mut self) -> Result<()> {
        self.conn.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let version = "PRAGMA data_version";
        let version = self.conn.prepare_cached(version)?.query_row([], |row| row.get(0))?;
        if version != self.data_version {
            self.next_seq = self.read_next_seq()?;
            // The other process may have erased names.
            self.names.forget();
            self.data_version = version;
        }
        Ok(())
    }

    pub(super) fn commit(&mut self) -> Result<Effects> {
        self.write_usage()?;
        self.conn.prepare_cached("COMMIT")?.execute([])?;
        Ok(std::mem::take(&mut self.effects))
    }

    /// Restores the earlier state, here and in the database.
    pub(super) fn undo(&mut self) {
        // After some errors SQLite has already rolled back.
        if !self.conn.is_autocommit()
            && let Err(error) = self.conn.execute_batch("ROLLBACK")
        {
            tracing::error!(%error, "the store's transaction cannot be rolled back");
        }
        self.names.forget();
        self.effects = Effects::default();
        self.usage = UsageChanges::default();
        self.rollups.undo();
        self.data_version = -1;
    }

    /// Changes as soon as a request has changed anything, in the database or here.
    pub(super) fn progress(&self) -> (u64, usize, usize, i64, bool) {
        let Effects { appended, settled, agenda_changed, .. } = &self.effects;
        let changes = self.conn.total_changes();
        (changes, appended.len(), settled.len(), self.next_seq, *agenda_changed)
    }

    /// Writes what the tenants hold and their rollups, as far as the requests up to now have changed
    /// them.
    pub(super) fn write_usage(&mut self) -> Result<()> {
        self.usage.write(&self.conn)?;
        self.rollups.write(&self.conn)
    }

    pub(super) fn number(&self, name: &str) -> Result<i64> {
        number(&self.conn, name)
    }

    pub(super) fn set_number(&self, name: &str, value: i64) -> Result<()> {
        let sql = "UPDATE numbers SET value = ?2 WHERE name = ?1";
        self.conn.prepare_cached(sql)?.execute((name, value))?;
        Ok(())
    }

    /// Must be called before the newest event is removed. Readers may be past its position, so the
    /// position must not be used again.
    pub(super) fn keep_last_seq(&self) -> Result<()> {
        self.set_number("last_seq", self.next_seq - 1)
    }

    fn read_next_seq(&self) -> Result<i64> {
        let newest = "SELECT coalesce(max(seq), 0) FROM events";
        let newest: i64 = self.conn.prepare_cached(newest)?.query_row([], |row| row.get(0))?;
        Ok(newest.max(self.number("last_seq")?) + 1)
    }
}

/// One of the numbers that are kept without a row.
pub(super) fn number(conn: &Connection, name: &str) -> Result<i64> {
    let sql = "SELECT value FROM numbers WHERE name = ?1";
    Ok(conn.prepare_cached(sql)?.query_row([name], |row| row.get(0))?)
}
