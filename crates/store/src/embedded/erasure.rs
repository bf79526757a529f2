//! [`Erasure`]: removes rows, and then their traces in the files.
//!
//! SQLite keeps deleted data in three places. In pages that are still in use, it is overwritten
//! with zeros at once (`secure_delete`, see `schema.rs`). An incremental vacuum removes free pages
//! from the file. The write-ahead log is moved into the database and truncated. After
//! [`Erasure::scrub`] no file of the folder contains the data. The store cannot reach earlier
//! backups, or blocks that the disk keeps after they were overwritten or freed.

use async_trait::async_trait;
use rusqlite::wal::CheckpointMode;
use rusqlite::{Connection, OptionalExtension};

use super::writing::Writing;
use super::{Embedded, failure, names, rollups, schema, search, upkeep, usage};
use crate::{Entry, EntryId, Erased, Erasure, Ms, Page, Result};

/// Events removed in one transaction: some ten milliseconds.
const CHUNK: usize = 64;
/// Steps of freeing pages in one call. Bounded, because new free pages can always appear.
const STEPS: usize = 20_000;

#[async_trait]
impl Erasure for Embedded {
    async fn erase_events(&self, tenant: &str, ids: &[String], _now: Ms) -> Result<Erased> {
        let mut all = Erased::default();
        for ids in ids.chunks(CHUNK) {
            let (tenant, ids) = (tenant.to_owned(), ids.to_vec());
            let work = move |writing: &mut Writing| erase(writing, &tenant, &ids);
            let erased = self.writer.call(CHUNK * 8, work).await?;
            all.events += erased.events;
            all.deliveries += erased.deliveries;
        }
        Ok(all)
    }

    async fn unsettled(&self, _cursor: Option<&str>, _limit: usize) -> Result<Page<Entry>> {
        // The log and the ledger share the table of events, so nothing else is unsettled.
        Ok(Page { items: Vec::new(), next: None })
    }

    async fn erase_entries(&self, _: &str, _entries: &[EntryId], _now: Ms) -> Result<u64> {
        Ok(0)
    }

    async fn erase_rejected(&self, entries: &[String]) -> Result<u64> {
        self.delete("DELETE FROM rejected WHERE entry = ?1", entries).await
    }

    async fn erase_memos(&self, keys: &[String]) -> Result<u64> {
        self.delete("DELETE FROM memo WHERE key = ?1", keys).await
    }

    async fn forget_tenant(&self, tenant: &str) -> Result<()> {
        let tenant = tenant.to_owned();
        self.writer.call(CHUNK, move |writing| forget(writing, &tenant)).await
    }

    async fn elsewhere(&self) -> Vec<String> {
        self.folder.other_files()
    }

    async fn scrub(&self) -> Result<bool> {
        for _ in 0..STEPS {
            if !self.writer.call(CHUNK, free_page).await? {
                break;
            }
        }
        let folder = self.folder.clone();
        let cut = tokio::task::spawn_blocking(move || {
            let conn = schema::open_checkpointer(&folder)?;
            // Most of the work without blocking the writer, then the rest and the truncation.
            conn.wal_checkpoint_v2(None::<&str>, CheckpointMode::PASSIVE)?;
            let cut = conn.wal_checkpoint_v2(None::<&str>, CheckpointMode::TRUNCATE);
            Ok(cut.is_ok_and(|(left, _)| left == 0))
        });
        cut.await.map_err(|_| failure::thread_gone())?
    }
}

impl Embedded {
    /// Deletes rows by one text each.
    async fn delete(&self, sql: &'static str, keys: &[String]) -> Result<u64> {
        let mut deleted = 0;
        for keys in keys.chunks(CHUNK) {
            let keys = keys.to_vec();
            let work = move |writing: &mut Writing| {
                let mut statement = writing.conn.prepare_cached(sql)?;
                let mut deleted = 0;
                for key in &keys {
                    deleted += statement.execute([key])? as u64;
                }
                Ok(deleted)
            };
            deleted += self.writer.call(CHUNK, work).await?;
        }
        Ok(deleted)
    }
}

fn erase(writing: &mut Writing, tenant: &str, ids: &[String]) -> Result<Erased> {
    writing.keep_last_seq()?;
    let (mut erased, mut seqs) = (Erased::default(), Vec::new());
    let Some(tenant_id) = names::find_tenant(&writing.conn, tenant)? else { return Ok(erased) };
    for id in ids {
        let find = "SELECT seq FROM events WHERE tenant_id = ?1 AND id = ?2";
        let mut find = writing.conn.prepare_cached(find)?;
        let found: Option<i64> = find.query_row((tenant_id, id), |row| row.get(0)).optional()?;
        drop(find);
        let Some(seq) = found else { continue };
        erased.events += 1;
        erased.deliveries += remove(writing, tenant_id, seq)?;
        writing.effects.erased.push(seq);
        seqs.push(seq);
    }
    search::remove(&writing.conn, &seqs)?;
    Ok(erased)
}

/// Removes one event and returns how many deliveries it had. A lane without a waiting delivery
/// loses its line. If the lane is claimed, its holder removes the line on release.
fn remove(writing: &mut Writing, tenant_id: i64, seq: i64) -> Result<u64> {
    let Writing { conn, usage: changes, .. } = writing;
    let waits = "SELECT lane_id FROM deliveries WHERE seq = ?1 AND state = 1";
    let mut waits = conn.prepare_cached(waits)?;
    let lanes = waits.query_map([seq], |row| row.get(0))?.collect::<Result<Vec<i64>, _>>()?;
    conn.prepare_cached("DELETE FROM events WHERE seq = ?1")?.execute([seq])?;
    changes.removed(tenant_id, usage::remove_body(conn, seq)?);
    changes.waiting(tenant_id, -i64::try_from(lanes.len()).unwrap_or(i64::MAX));
    let count = conn.prepare_cached("DELETE FROM deliveries WHERE seq = ?1")?.execute([seq])?;
    let mut line = conn.prepare_cached(
        "DELETE FROM agenda WHERE lane_id = ?1 AND (token IS NULL OR token = '!') \
         AND NOT EXISTS (SELECT 1 FROM deliveries WHERE lane_id = ?1 AND state = 1)",
    )?;
    for lane in lanes {
        line.execute([lane])?;
    }
    Ok(count as u64)
}

fn forget(writing: &mut Writing, tenant: &str) -> Result<()> {
    // The key of a memo is `channel/tenant/…`; there are few of them.
    let memos =
        "DELETE FROM memo WHERE substr(key, instr(key, '/') + 1, length(?1) + 1) = ?1 || '/'";
    writing.conn.prepare_cached(memos)?.execute([tenant])?;
    let Some(tenant_id) = names::find_tenant(&writing.conn, tenant)? else { return Ok(()) };
    let has = "SELECT EXISTS (SELECT 1 FROM events WHERE tenant_id = ?1)";
    if writing.conn.prepare_cached(has)?.query_row([tenant_id], |row| row.get(0))? {
        return Ok(());
    }
    // Changes of the same transaction must not write the tenant's row again.
    writing.write_usage()?;
    rollups::forget_tenant(&writing.conn, tenant_id)?;
    for sql in [
        "DELETE FROM usage WHERE tenant_id = ?1",
        "DELETE FROM agenda WHERE tenant_id = ?1",
        "DELETE FROM failing WHERE lane_id IN (SELECT lane_id FROM lanes WHERE tenant_id = ?1)",
        "DELETE FROM lanes WHERE tenant_id = ?1",
        "DELETE FROM tenants WHERE tenant_id = ?1",
    ] {
        writing.conn.prepare_cached(sql)?.execute([tenant_id])?;
    }
    writing.names.forget();
    Ok(())
}

/// Removes free pages from the file. True while there are more.
fn free_page(writing: &mut Writing) -> Result<bool> {
    let free = |conn: &Connection| {
        conn.pragma_query_value(None, "freelist_count", |row| row.get::<_, i64>(0))
    };
    if free(&writing.conn)? == 0 {
        return Ok(false);
    }
    upkeep::vacuum_some(&writing.conn)?;
    Ok(free(&writing.conn)? > 0)
}
