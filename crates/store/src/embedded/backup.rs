//! Backup and restore: copies a store while a router writes, and makes a store from a copy.
//!
//! Both use SQLite's backup API over one read transaction, so a copy is the store at one moment. In
//! WAL mode, readers and the writer do not wait for each other. Without the transaction, every
//! write by another connection would restart the copy. Until a copy is done, the write-ahead log
//! cannot be reset, so it grows by what is written in that time.
//!
//! A copy is written under another name, checked, synced, and then renamed. A file with the final
//! name is therefore always complete.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};

use super::folder::{DATABASE, Folder, Hold, LOCK, open_private};
use super::{failure, schema};
use crate::{Result, StoreError};

/// Pages copied in one step, 4 KiB each.
const PAGES_AT_ONCE: i32 = 1_024;
/// Pause between two steps, so that a router on the same disk is not starved.
const REST: Duration = Duration::from_millis(1);

/// How far a restore moves the positions of new events: more than any backup misses. They stay
/// exact as JSON numbers (2^53) over a hundred thousand restores.
const EPOCH: i64 = 1 << 36;

/// Receives the progress: bytes copied, and bytes in total.
pub type Progress<'a> = &'a dyn Fn(u64, u64);

/// A finished copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copied {
    /// Its size.
    pub bytes: u64,
    /// Events in it.
    pub events: u64,
    /// Deliveries in it that wait.
    pub waiting: u64,
    /// The version of its schema.
    pub schema: i64,
}

/// What to do with a store that already exists where one is restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InTheWay {
    /// The restore is refused.
    Refuse,
    /// It is kept beside the new one as `fanfare.db.replaced`.
    SetAside,
}

/// Copies the store in `dir` to the file `to`, which must not exist. A router may use the folder
/// meanwhile. Blocks the thread.
pub fn backup(dir: &Path, to: &Path, progress: Progress<'_>) -> Result<Copied> {
    let folder = Folder::existing(dir)?;
    refuse_existing(to)?;
    let source = schema::connect(&folder)?;
    schema::check(&folder.database(), &source)?;
    let part = beside(to, "part");
    let copied = copy(&source, &part, progress).and_then(|()| finish(&part, to));
    copied.inspect_err(|_| remove_part(&part)).map_err(|error| in_parent(to, error))
}

/// Makes the store in `dir` from the backup `from`, checks it and migrates it to the schema of this
/// version. Refuses a folder that a router uses, and a folder that is not empty unless its store
/// may be set aside. Blocks the thread.
pub fn restore(from: &Path, dir: &Path, there: InTheWay, progress: Progress<'_>) -> Result<Copied> {
    let source = open_backup(from)?;
    // Checked first: a running router is the more important error.
    let held = if dir.join(LOCK).exists() { Some(Folder::make_only(dir)?.hold()?) } else { None };
    match there {
        InTheWay::Refuse => refuse_full(dir)?,
        InTheWay::SetAside => refuse_second_aside(dir)?,
    }
    let folder = Folder::make_only(dir)?;
    let hold = held.map_or_else(|| folder.hold(), Ok)?;
    let part = beside(&folder.database(), "restoring");
    let restored = copy(&source, &part, progress).and_then(|()| {
        set_aside(&folder)?;
        finish(&part, &folder.database())
    });
    let copied =
        restored.inspect_err(|_| remove_part(&part)).map_err(|e| failure::in_folder(dir, e))?;
    // Opening it migrates the schema and proves that the store is usable.
    let store = schema::open_writer(&folder)?;
    start_epoch(&store)?;
    drop(store);
    drop::<Hold>(hold);
    Ok(copied)
}

/// Moves the positions of new events far ahead. Followers of the events may have cursors from after
/// the backup: every event that comes now must be beyond them.
fn start_epoch(store: &Connection) -> Result<()> {
    store.execute(
        "UPDATE numbers SET value = ?1 + \
         max(value, (SELECT coalesce(max(seq), 0) FROM events)) WHERE name = 'last_seq'",
        [EPOCH],
    )?;
    Ok(())
}

/// All pages of `source` as they are now, into the new file `part`.
fn copy(source: &Connection, part: &Path, progress: Progress<'_>) -> Result<()> {
    remove_part(part);
    open_private(part).map_err(|error| failure::file("write", part, error))?;
    let mut target = Connection::open(part)?;
    {
        // The snapshot starts with the first read, not with BEGIN.
        let snapshot = source.unchecked_transaction()?;
        snapshot.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
        let backup = Backup::new(&snapshot, &mut target)?;
        loop {
            let step = backup.step(PAGES_AT_ONCE)?;
            let now = backup.progress();
            let bytes = |pages: i32| u64::from(pages.unsigned_abs()) * 4_096;
            progress(bytes(now.pagecount - now.remaining), bytes(now.pagecount));
            match step {
                StepResult::Done => break,
                StepResult::More => std::thread::sleep(REST),
                // A process writes to a store that is not in WAL mode, such as an older backup.
                _ => std::thread::sleep(REST * 20),
            }
        }
    }
    // A backup must be a single file.
    target.pragma_update(None, "journal_mode", "DELETE")?;
    target.close().map_err(|(_, error)| error.into())
}

/// Checks a copy, makes it durable, and renames it to its final name.
fn finish(part: &Path, to: &Path) -> Result<Copied> {
    let copied = examine(part)?;
    let sync = |path: &Path| {
        File::open(path)
            .and_then(|file| file.sync_all())
            .map_err(|error| failure::file("sync", path, error))
    };
    sync(part)?;
    std::fs::rename(part, to).map_err(|error| failure::file("rename to", to, error))?;
    sync(parent(to))?;
    Ok(copied)
}

/// Reads a copy from end to end.
fn examine(path: &Path) -> Result<Copied> {
    let conn = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let schema = schema::check(path, &conn)?;
    let found: String = conn.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if found != "ok" {
        let path = path.display();
        return Err(StoreError::Damaged(format!("{path} is damaged ({found})")));
    }
    let count = |sql: &str| conn.query_row(sql, [], |row| row.get::<_, i64>(0));
    let bytes = path.metadata().map_err(|error| failure::file("read", path, error))?.len();
    Ok(Copied {
        bytes,
        events: count("SELECT count(*) FROM events")?.unsigned_abs(),
        waiting: count("SELECT count(*) FROM deliveries WHERE state = 1")?.unsigned_abs(),
        schema,
    })
}

/// A backup that was checked: written by Fanfare, complete, and not by a newer version.
fn open_backup(from: &Path) -> Result<Connection> {
    if !from.is_file() {
        let message = format!("{} is no file; name what `fanfare backup` wrote", from.display());
        return Err(StoreError::BadQuery(message));
    }
    let damaged = |error: StoreError| match error {
        StoreError::Damaged(message) => {
            StoreError::Damaged(format!("{}: {message}; use another backup", from.display()))
        }
        other => other,
    };
    examine(from).map_err(damaged)?;
    Ok(Connection::open_with_flags(from, OpenFlags::SQLITE_OPEN_READ_ONLY)?)
}

fn refuse_existing(to: &Path) -> Result<()> {
    if to.is_dir() {
        let message = format!("{} is a folder; name the file to write", to.display());
        return Err(StoreError::BadQuery(message));
    }
    if to.exists() {
        let message = format!("{} is there already; name another file", to.display());
        return Err(StoreError::BadQuery(message));
    }
    Ok(())
}

fn refuse_full(dir: &Path) -> Result<()> {
    let entries = match dir.read_dir() {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failure::file("read", dir, error)),
    };
    // An earlier router leaves its lock file behind. Only a held lock matters.
    let is_lock = |name: std::ffi::OsString| name == LOCK;
    if entries.flatten().any(|entry| !is_lock(entry.file_name())) {
        return Err(StoreError::BadQuery(format!(
            "{} is not empty; restore into a new folder with --store, or give --replace: \
             the store that is there is then kept as fanfare.db.replaced",
            dir.display()
        )));
    }
    Ok(())
}

/// What an earlier restore set aside may be the only copy of what was there first.
fn refuse_second_aside(dir: &Path) -> Result<()> {
    let database = dir.join(DATABASE);
    let aside = beside(&database, "replaced");
    if database.exists() && aside.exists() {
        return Err(StoreError::BadQuery(format!(
            "{} is there already, from an earlier restore; move or remove it first",
            aside.display()
        )));
    }
    Ok(())
}

/// Sets the existing database aside. At no moment would a crash leave the folder without one.
fn set_aside(folder: &Folder) -> Result<()> {
    let database = folder.database();
    if !database.exists() {
        return Ok(());
    }
    let aside = beside(&database, "replaced");
    let (log, index) = (beside_dash(&database, "wal"), beside_dash(&database, "shm"));
    if let Err(error) = fold_log(folder) {
        if matches!(error, StoreError::Away { .. }) {
            let dir = folder.dir.display();
            return Err(StoreError::Held(format!(
                "{dir} is in use by another command ({error}); wait for its end and try again"
            )));
        }
        // The database is damaged, which may be why it is replaced. Its log is set aside unread.
        rename_if_there(&log, &beside_dash(&aside, "wal"))?;
    }
    for stale in [&aside, &index] {
        if stale.exists() {
            std::fs::remove_file(stale).map_err(|e| failure::file("remove", stale, e))?;
        }
    }
    // Link it under a second name first. The following rename then replaces the old file at once.
    std::fs::hard_link(&database, &aside).map_err(|e| failure::file("write", &aside, e))
}

/// Moves the write-ahead log into the database. Fails if another process has the database open.
fn fold_log(folder: &Folder) -> Result<()> {
    let conn = Connection::open(folder.database())?;
    conn.busy_timeout(Duration::from_secs(2))?;
    let mode: String = conn.query_row("PRAGMA journal_mode = DELETE", [], |row| row.get(0))?;
    if mode == "delete" {
        return Ok(());
    }
    Err(StoreError::Away {
        message: "another process has the database open; stop it first".to_owned(),
        source: None,
    })
}

fn rename_if_there(from: &Path, to: &Path) -> Result<()> {
    if from.exists() {
        std::fs::rename(from, to).map_err(|error| failure::file("rename to", to, error))?;
    }
    Ok(())
}

/// `fanfare.db.part` for `fanfare.db`.
fn beside(path: &Path, ending: &str) -> PathBuf {
    with_ending(path, ".", ending)
}

fn beside_dash(path: &Path, ending: &str) -> PathBuf {
    with_ending(path, "-", ending)
}

fn with_ending(path: &Path, mark: &str, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(mark);
    name.push(ending);
    name.into()
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn in_parent(path: &Path, error: StoreError) -> StoreError {
    failure::in_folder(parent(path), error)
}

/// Removes what a killed restore left in the folder. The caller holds the folder, so no restore is
/// under way.
pub(super) fn remove_leftovers(folder: &Folder) {
    remove_part(&beside(&folder.database(), "restoring"));
}

/// Removes what a failed copy left behind, including its journal.
fn remove_part(part: &Path) {
    for path in [part.to_owned(), beside_dash(part, "journal"), beside_dash(part, "wal")] {
        // It rarely exists. If it cannot be removed, the next copy fails with an error.
        let _ = std::fs::remove_file(path);
    }
}
