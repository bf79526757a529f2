//! Moving the write-ahead log into the database without stalling the writer.
//!
//! SQLite's automatic checkpoint runs inside a commit and makes everybody wait for two fsyncs. Here
//! another thread does nearly all of it beside the writer. Under steady load the log could then
//! never start anew, for something new is always in it; so beyond a size the writer does the
//! rest itself, which is little.

use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::mpsc;

use rusqlite::Connection;
use rusqlite::wal::CheckpointMode;

use super::folder::Folder;
use super::schema;
use crate::{Result, StoreError};

/// Pages in the log (4 KiB each) from which on the other thread is told.
const SOFT_PAGES: i32 = 2_000;
/// Pages in the log from which on the writer finishes the checkpoint itself.
const HARD_PAGES: i32 = 12_000;
/// After an attempt, so many more pages before the next.
const AGAIN_PAGES: i32 = 1_000;

/// The thread beside the writer.
pub(super) struct Checkpointer {
    wake: Option<mpsc::SyncSender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
    told_at: i32,
    tried_at: i32,
}

impl Checkpointer {
    pub(super) fn start(folder: &Folder) -> Result<Self> {
        let conn = schema::open_checkpointer(folder)?;
        let (wake, woken) = mpsc::sync_channel(1);
        let name = "fanfare-checkpoint".to_owned();
        let spawned = std::thread::Builder::new().name(name).spawn(move || {
            while woken.recv().is_ok() {
                checkpoint(&conn);
            }
        });
        let thread = spawned.map_err(|error| StoreError::Other {
            message: "cannot start the thread that tends the store's log".to_owned(),
            source: Some(Box::new(error)),
        })?;
        Ok(Self { wake: Some(wake), thread: Some(thread), told_at: 0, tried_at: 0 })
    }

    /// To be called by the writer between transactions.
    pub(super) fn after_commit(&mut self, writer: &Connection, pages: &AtomicI32) {
        let pages = pages.load(Ordering::Relaxed);
        if pages < SOFT_PAGES {
            // The log has started anew, or not grown enough yet.
            (self.told_at, self.tried_at) = (0, 0);
            return;
        }
        if pages >= self.told_at + AGAIN_PAGES {
            self.told_at = pages;
            // A full channel: the thread has been told and not begun.
            let _ = self.wake.as_ref().map(|wake| wake.try_send(()));
        }
        if pages >= HARD_PAGES && pages >= self.tried_at + AGAIN_PAGES {
            self.tried_at = pages;
            checkpoint(writer);
        }
    }
}

/// As far as it goes without making anybody wait. What remains is for the next time.
fn checkpoint(conn: &Connection) {
    if let Err(error) = conn.wal_checkpoint_v2(None::<&str>, CheckpointMode::PASSIVE) {
        tracing::debug!(%error, "a checkpoint of the store was put off");
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.wake = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_beside_the_writer_moves_the_log() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::make(dir.path()).unwrap();
        let writer = schema::open_writer(&folder).unwrap();
        writer.execute("UPDATE numbers SET value = value + 1 WHERE name = 'pings'", []).unwrap();
        let moved = |conn: &Connection| {
            conn.wal_checkpoint_v2(None::<&str>, CheckpointMode::PASSIVE).unwrap()
        };
        // A connection that has not read yet does nothing, and says that all is well.
        assert_eq!(moved(&schema::connect(&folder).unwrap()), (-1, -1));
        let (log, done) = moved(&schema::open_checkpointer(&folder).unwrap());
        assert!(log > 0 && log == done, "{done} of {log} pages");
    }
}
