//! Moving the write-ahead log into the database without stalling the writer.
//!
//! SQLite's automatic checkpoint runs inside a commit, and all callers wait for two fsyncs. Here
//! another thread does nearly all of the work beside the writer. Under steady load that thread
//! alone could never reset the log, because it always contains something new. So beyond a size the
//! writer does the small rest itself. And where reads overlap all the time, one of them always uses
//! the log. So beyond a larger size the writer lets them wait for a moment (`gate`).

use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::wal::CheckpointMode;

use super::folder::Folder;
use super::gate::Gate;
use super::schema;
use crate::{Result, StoreError};

/// Pages in the log (4 KiB each) from which on the other thread starts a checkpoint.
const SOFT_PAGES: i32 = 2_000;
/// Pages in the log from which on the writer finishes the checkpoint itself.
const HARD_PAGES: i32 = 12_000;
/// Pages in the log (62 MiB) from which on reads wait for the checkpoint, so that the log starts
/// from its beginning again.
const RESET_PAGES: i32 = 16_000;
/// How long the writer waits for running reads then. It waits longer while the log grows.
const RESET_WAIT: Duration = Duration::from_millis(50);
/// The longest of these waits.
const RESET_WAIT_MAX: Duration = Duration::from_secs(1);
/// Pages that must be added between two attempts.
const AGAIN_PAGES: i32 = 1_000;

/// The thread beside the writer.
pub(super) struct Checkpointer {
    wake: Option<mpsc::SyncSender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
    notified_at: i32,
    tried_at: i32,
    gate: Arc<Gate>,
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
            message: "cannot start the checkpoint thread of the store".to_owned(),
            source: Some(Box::new(error)),
        })?;
        let gate = Arc::clone(&folder.gate);
        Ok(Self { wake: Some(wake), thread: Some(thread), notified_at: 0, tried_at: 0, gate })
    }

    /// The writer calls this between transactions.
    pub(super) fn after_commit(&mut self, writer: &Connection, pages: &AtomicI32) {
        let pages = pages.load(Ordering::Relaxed);
        if pages < SOFT_PAGES {
            // The log was reset, or has not grown enough yet.
            (self.notified_at, self.tried_at) = (0, 0);
            return;
        }
        if pages >= self.notified_at + AGAIN_PAGES {
            self.notified_at = pages;
            // If the channel is full, the thread was notified and has not started yet.
            let _ = self.wake.as_ref().map(|wake| wake.try_send(()));
        }
        if pages >= HARD_PAGES && pages >= self.tried_at + AGAIN_PAGES {
            self.tried_at = pages;
            let beyond = u32::try_from((pages - RESET_PAGES) / AGAIN_PAGES).ok();
            let wait = |beyond: u32| (RESET_WAIT * (beyond + 1)).min(RESET_WAIT_MAX);
            // A read that takes longer is waited for the next time.
            let _closed = beyond.and_then(|beyond| self.gate.close(wait(beyond)));
            checkpoint(writer);
        }
    }
}

/// Checkpoints as far as possible without waiting. The next attempt does the rest.
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
        // A checkpoint on a connection that has not read anything does nothing and reports success.
        assert_eq!(moved(&schema::connect(&folder).unwrap()), (-1, -1));
        let (log, done) = moved(&schema::open_checkpointer(&folder).unwrap());
        assert!(log > 0 && log == done, "{done} of {log} pages");
    }
}
