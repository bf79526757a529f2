//! Checks a folder from end to end, and repairs what can be repaired without guessing.

use std::os::unix::fs::PermissionsExt;

use rusqlite::Connection;

use super::Embedded;
use super::readers::Turn;
use super::writing::Writing;
use super::{disk, schema, usage};
use crate::{Check, Ms, Result, StoreError, Upkeep as _};

/// Problems of the file that are reported one by one.
const SHOWN: i64 = 20;

/// Checks everything.
pub(super) async fn run(store: &Embedded, now: Ms) -> Vec<Check> {
    let mut checks =
        vec![store.readers.run(Turn::Tenant(""), |conn| Ok(file(conn))).await.unwrap_or_else(
            |error| {
                Check::problem("file", format!("{error}; put back a backup with `fanfare restore`"))
            },
        )];
    match store.readers.run(Turn::Tenant(""), usage::disagreeing).await {
        Ok(0) => checks.push(Check::good("totals", "what each tenant holds is counted correctly")),
        Ok(count) => checks.push(Check::problem(
            "totals",
            format!("the totals of {count} tenants are wrong; run `fanfare repair`"),
        )),
        Err(error) => checks.push(Check::problem("totals", error.to_string())),
    }
    checks.push(match store.inspect(now).await {
        Ok(found) if found.is_empty() => {
            Check::good("queues", "every waiting delivery has its place in the agenda")
        }
        Ok(found) => Check::problem("queues", found.problems().join("; ")),
        Err(error) => Check::problem("queues", error.to_string()),
    });
    let folder = &store.folder;
    checks.push(match folder.check_room() {
        Ok(()) => Check::good("room", "the disk has room for new events"),
        Err(error) => Check::problem("room", error.to_string()),
    });
    checks.push(match disk::warning(&folder.dir) {
        None => Check::good("disk", "a local disk"),
        Some(warning) => Check::warning("disk", warning),
    });
    checks.push(permissions(store));
    let others = folder.other_files();
    checks.push(if others.is_empty() {
        Check::good("folder", "contains nothing else")
    } else {
        let found = format!("also contains {}, which may hold data", others.join(", "));
        Check::warning("folder", found)
    });
    checks
}

/// Reads the file from end to end.
fn file(conn: &Connection) -> Check {
    match problems(conn) {
        Ok(found) if found.is_empty() => {
            let bytes = size(conn).unwrap_or(0);
            Check::good("file", format!("{} MiB were read without an error", bytes >> 20))
        }
        Ok(found) => {
            let advice = if found.iter().all(|line| is_about_index(line)) {
                "stop Fanfare and run `fanfare repair`"
            } else {
                "stop Fanfare and put back a backup with `fanfare restore`"
            };
            Check::problem("file", format!("{}; {advice}", found.join("; ")))
        }
        Err(error) => Check::problem("file", error.to_string()),
    }
}

fn problems(conn: &Connection) -> Result<Vec<String>> {
    let mut check = conn.prepare(&format!("PRAGMA integrity_check({SHOWN})"))?;
    let lines = check.query_map([], |row| row.get(0))?.collect::<Result<Vec<String>, _>>()?;
    Ok(lines.into_iter().filter(|line| line != "ok").collect())
}

/// An index can be built again from its table.
fn is_about_index(line: &str) -> bool {
    ["missing from index", "wrong # of entries in index", "non-unique entry in index"]
        .iter()
        .any(|part| line.contains(part))
}

fn size(conn: &Connection) -> Result<i64> {
    let number = |name| conn.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    Ok(number("page_count")? * number("page_size")?)
}

fn permissions(store: &Embedded) -> Check {
    let path = store.folder.database();
    let mode = path.metadata().map(|file| file.permissions().mode() & 0o077);
    match mode {
        Ok(0) => Check::good("permissions", "only the owner can read the database"),
        Ok(_) => Check::warning(
            "permissions",
            format!("other users can read {0}; run `chmod 600 {0}`", path.display()),
        ),
        Err(error) => Check::problem("permissions", error.to_string()),
    }
}

/// Repairs. Returns what was done.
pub(super) async fn repair(store: &Embedded, now: Ms) -> Result<Vec<String>> {
    let mut done = Vec::new();
    let indexes = store.writer.call(1, rebuild_indexes).await?;
    if indexes > 0 {
        done.push(format!("built the indexes again, which had {indexes} problems"));
    }
    let found = store.reconcile(now).await?;
    if found.unscheduled > 0 {
        done.push(format!("put {} lanes back into the agenda", found.unscheduled));
    }
    let totals = store.writer.call(1, usage::recount).await?;
    if totals > 0 {
        done.push(format!("counted the totals of {totals} tenants again"));
    }
    let cut = store.folder.clone();
    let truncated = tokio::task::spawn_blocking(move || {
        use rusqlite::wal::CheckpointMode;
        let before = cut.log_bytes();
        let conn = schema::open_checkpointer(&cut)?;
        conn.wal_checkpoint_v2(None::<&str>, CheckpointMode::TRUNCATE)?;
        Ok::<_, StoreError>(before.saturating_sub(cut.log_bytes()))
    });
    let freed = truncated.await.map_err(|_| super::failure::thread_gone())??;
    if freed > 0 {
        done.push(format!("moved {} KiB of the write-ahead log into the database", freed >> 10));
    }
    Ok(done)
}

/// Builds the indexes again if one disagrees with its table. Damage of a table is an error.
fn rebuild_indexes(writing: &mut Writing) -> Result<usize> {
    let found = problems(&writing.conn)?;
    if let Some(line) = found.iter().find(|line| !is_about_index(line)) {
        return Err(StoreError::Damaged(line.clone()));
    }
    if !found.is_empty() {
        writing.conn.execute_batch("REINDEX")?;
    }
    Ok(found.len())
}
