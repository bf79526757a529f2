//! A store in memory, for tests with a paused clock: every promise of the traits, no thread, no
//! disk, and faults on demand. It passes the conformance suite like the stores that are shipped.

mod agenda;
mod erasure;
mod faults;
mod ledger;
mod limits;
mod log;
mod records;
mod rollups;
mod state;
mod upkeep;

use std::sync::atomic::AtomicI64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fanfare_contract::Event;
use tokio::sync::Notify;

pub use faults::Faults;
use state::State;

use crate::limits::LocalPaces;
use crate::{SearchPaths, Store};

/// What outlives every process.
#[derive(Default)]
pub struct World {
    state: Mutex<State>,
    appended: Notify,
    agenda: Notify,
    /// The latest time at which an event was received that was routed so far.
    newest_ms: AtomicI64,
    /// Failures to come.
    pub faults: Faults,
    search: SearchPaths,
    paces: LocalPaces,
}

/// One process over a [`World`].
pub struct Memory {
    world: Arc<World>,
    process: u64,
}

impl World {
    /// An empty one.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// An empty one that finds events by the values at these paths.
    pub fn indexed(search: SearchPaths) -> Arc<Self> {
        Arc::new(Self { search, ..Self::default() })
    }

    /// Its processes keep limits together from now on, as replicas do.
    pub fn share_limits(&self) {
        self.lock().shares_limits = true;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Another process beside those that are there.
    pub fn open(self: &Arc<Self>) -> Store {
        let process = self.lock().begin();
        let memory = Arc::new(Memory { world: self.clone(), process });
        Store {
            log: memory.clone(),
            agenda: memory.clone(),
            ledger: memory.clone(),
            directory: memory.clone(),
            records: memory.clone(),
            rollups: memory.clone(),
            limits: memory.clone(),
            memo: memory.clone(),
            upkeep: memory.clone(),
            erasure: memory,
        }
    }

    /// Entries that were read and are not settled.
    pub fn in_flight(&self) -> usize {
        self.lock().reading.len()
    }

    /// Every event there is.
    pub fn events(&self) -> Vec<Arc<Event>> {
        self.lock().events.values().map(|row| row.event.clone()).collect()
    }

    /// All processes there are end as `kill -9` would end them.
    pub fn kill_all(&self) {
        self.lock().kill_all();
    }
}
