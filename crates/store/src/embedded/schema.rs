//! Opens connections, checks that the file is a store of Fanfare, and migrates its schema.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::folder::Folder;
use crate::{Result, StoreError};

/// `FANF`: marks a file as ours.
const APPLICATION_ID: i32 = 0x4641_4e46;
/// Migrations: step n leads from version n to n + 1. Steps are only ever appended.
pub(super) const MIGRATIONS: &[&str] = &[
    include_str!("schema.sql"),
    include_str!("schema_2.sql"),
    include_str!("schema_3.sql"),
    include_str!("schema_4.sql"),
    include_str!("schema_5.sql"),
    include_str!("schema_6.sql"),
    include_str!("schema_7.sql"),
    include_str!("schema_8.sql"),
];
/// How long to wait for another process that writes.
const BUSY_FOR: Duration = Duration::from_secs(15);
/// Pause between two tries. Transactions of other processes take milliseconds.
const BUSY_STEP: Duration = Duration::from_millis(1);
/// The write-ahead log is truncated to this size when it is reset, in bytes.
const WAL_KEPT: i64 = 64 << 20;
/// Page cache of the connection that writes, KiB.
const WRITER_CACHE_KIB: i64 = 32 << 10;
/// Page cache of each connection that reads, KiB.
const READER_CACHE_KIB: i64 = 4 << 10;

/// Opens the connection that writes, and brings the schema up to date.
pub(super) fn open_writer(folder: &Folder) -> Result<Connection> {
    let mut conn = connect(folder)?;
    check_owner(&folder.database(), &conn)?;
    // This has an effect only on an empty file.
    conn.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    conn.pragma_update(None, "journal_mode", "WAL")?;
    // Durable before the answer: every commit is one fsync of the write-ahead log.
    conn.pragma_update(None, "synchronous", "FULL")?;
    conn.pragma_update(None, "journal_size_limit", WAL_KEPT)?;
    // Deleted data is overwritten where that costs no extra write. `Erasure` removes the rest.
    conn.pragma_update(None, "secure_delete", "FAST")?;
    conn.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
    conn.set_prepared_statement_cache_capacity(64);
    migrate(folder, &mut conn)?;
    Ok(conn)
}

/// Opens a connection that reads.
pub(super) fn open_reader(folder: &Folder) -> Result<Connection> {
    let conn = connect(folder)?;
    conn.pragma_update(None, "query_only", true)?;
    conn.pragma_update(None, "cache_size", -READER_CACHE_KIB)?;
    conn.set_prepared_statement_cache_capacity(32);
    Ok(conn)
}

/// Opens a connection with a single setting: how long it waits for other writers.
pub(super) fn connect(folder: &Folder) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut conn = Connection::open_with_flags(folder.database(), flags)?;
    // SQLite's own waits grow to 100 ms, and a busy router would always win. So wait in short
    // steps.
    let steps = i32::try_from(BUSY_FOR.as_millis() / BUSY_STEP.as_millis()).unwrap_or(i32::MAX);
    conn.busy_handler(Some(move |tries| {
        std::thread::sleep(BUSY_STEP);
        tries < steps
    }))?;
    Ok(conn)
}

/// Opens a connection for moving the write-ahead log into the database.
pub(super) fn open_checkpointer(folder: &Folder) -> Result<Connection> {
    let conn = connect(folder)?;
    // A checkpoint on a connection that has not read anything does nothing and reports success.
    conn.pragma_query_value(None, "schema_version", |row| row.get::<_, i64>(0))?;
    Ok(conn)
}

/// Checks that this is a store of Fanfare and not newer than this version. Returns its version.
pub(super) fn check(path: &Path, conn: &Connection) -> Result<i64> {
    check_owner(path, conn)?;
    match conn.pragma_query_value(None, "user_version", |row| row.get(0))? {
        0 => Err(StoreError::Damaged(format!("{} is empty", path.display()))),
        version => Ok(version),
    }
}

fn check_owner(path: &Path, conn: &Connection) -> Result<()> {
    let number = |name: &str| conn.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let foreign = || {
        StoreError::Damaged(format!(
            "{} is not a store of Fanfare; move it away or name another folder with --store",
            path.display()
        ))
    };
    let id = match number("application_id") {
        Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::NotADatabase) => {
            return Err(foreign());
        }
        other => other?,
    };
    let version = number("user_version")?;
    let ours = id == i64::from(APPLICATION_ID);
    let newest = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    if ours && version > newest {
        return Err(StoreError::Newer(format!(
            "{} was written by a newer Fanfare (schema {version}, this one knows up to {newest}); \
             start that one, or restore a copy from before",
            path.display()
        )));
    }
    let empty = number("page_count")? == 0 || (id == 0 && version == 0 && !has_tables(conn)?);
    if ours || empty { Ok(()) } else { Err(foreign()) }
}

fn has_tables(conn: &Connection) -> Result<bool> {
    Ok(conn.query_row("SELECT EXISTS (SELECT 1 FROM sqlite_schema)", [], |row| row.get(0))?)
}

fn migrate(folder: &Folder, conn: &mut Connection) -> Result<()> {
    let version = |conn: &Connection| {
        let version: i64 = conn.pragma_query_value(None, "user_version", |row| row.get(0))?;
        Ok::<_, StoreError>(usize::try_from(version).unwrap_or(usize::MAX))
    };
    if version(conn)? >= MIGRATIONS.len() {
        return Ok(());
    }
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Another process may have migrated it meanwhile, perhaps a newer version.
    check_owner(&folder.database(), &tx)?;
    for step in MIGRATIONS.iter().skip(version(&tx)?) {
        tx.execute_batch(step)?;
    }
    tx.pragma_update(None, "application_id", APPLICATION_ID)?;
    tx.pragma_update(None, "user_version", i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX))?;
    tx.commit()?;
    Ok(())
}
