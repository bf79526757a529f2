//! Hands entries that this process added itself to its own reader.
//!
//! `enter` puts them here; `reader` takes them. The reader opens the handoff while it waits for
//! entries and has room, so a process that does not read takes no event this way.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, OwnedRwLockReadGuard, RwLock};

use crate::Entry;

/// Entries on their way from [`enter`](super::enter) to the reader.
#[derive(Default)]
pub(super) struct Handoff {
    /// How many more entries the waiting reader can take.
    room: AtomicUsize,
    /// Put here and not yet fetched.
    came: Mutex<VecDeque<Entry>>,
    bell: Notify,
    /// Held by every event that is being added.
    passing: Arc<RwLock<()>>,
}

/// The handoff is open as long as this lives.
pub(super) struct Open<'a>(&'a Handoff);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.room.store(0, Ordering::Release);
    }
}

/// The right to add one event.
pub(super) struct Pass(#[expect(dead_code, reason = "held")] OwnedRwLockReadGuard<()>);

impl Handoff {
    /// Opens it for `room` entries.
    pub(super) fn open(&self, room: usize) -> Open<'_> {
        self.room.store(room, Ordering::Release);
        Open(self)
    }

    /// A pass, if the reader waits and has room for one more entry.
    pub(super) fn pass(&self) -> Option<Pass> {
        // Taken first: `wait_for_all` must see every event that found room.
        let passing = self.passing.clone().try_read_owned().ok()?;
        let less = |room: usize| room.checked_sub(1);
        self.room.fetch_update(Ordering::AcqRel, Ordering::Acquire, less).ok()?;
        Some(Pass(passing))
    }

    /// Waits until an entry was put here.
    pub(super) async fn rings(&self) {
        self.bell.notified().await;
    }

    /// Takes all entries.
    pub(super) fn fetch(&self) -> VecDeque<Entry> {
        std::mem::take(&mut *self.came())
    }

    /// Waits for every event that is being added. No new one starts while the reader does not wait.
    pub(super) async fn wait_for_all(&self) {
        drop(self.passing.write().await);
    }

    /// Puts entries here for the reader.
    pub(super) fn put(&self, entries: impl IntoIterator<Item = Entry>) {
        self.came().extend(entries);
        self.bell.notify_one();
    }

    fn came(&self) -> MutexGuard<'_, VecDeque<Entry>> {
        self.came.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
