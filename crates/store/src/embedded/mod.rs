//! The embedded store: SQLite in one folder, for one router and any number of tools beside it.
//!
//! One thread writes, with group commit (`writer.rs`). A few more threads read (`readers.rs`).
//! The router gets recent events from memory (`tail.rs`). `schema.sql` and the migrations after it
//! explain the tables.
//!
//! Invariants:
//! - A call that changes something returns when the change is on disk (one fsync per group).
//! - Positions in the log grow in the order of commits, and no position is used twice.
//! - A lane has a line in the agenda if and only if a delivery waits in it or it is claimed.
//! - Memory does not grow with the backlog.

mod agenda;
mod backup;
mod checkpoint;
mod checkup;
mod choose;
mod cursor;
mod directory;
mod disk;
mod erasure;
mod failing;
mod failure;
mod folder;
mod gate;
mod ledger;
mod limits;
mod lists;
mod log;
mod memo;
mod names;
mod queue;
mod readers;
mod records;
mod rollups;
mod rows;
mod schema;
mod search;
mod tail;
mod upkeep;
mod usage;
mod writer;
mod writing;

use std::path::Path;
use std::sync::atomic::AtomicI64;
use std::sync::{Arc, Mutex};

pub use self::backup::{Copied, InTheWay, Progress, backup, restore};
use self::folder::Folder;
use self::readers::Readers;
use self::tail::Tail;
use self::writer::{Parts, Writer};
use self::writing::Writing;
use super::limits::LocalPaces;
use super::{Result, SearchPaths, Store, StoreError};

/// How to open a folder.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The role of this process.
    pub role: Role,
    /// Connections that read for tenants, 1 to 64. One more reads for the router.
    pub readers: usize,
}

/// The role of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Reads the log and the agenda. There can be one; a second one is refused.
    Router,
    /// Reads, and writes a little, even while a router runs.
    Tool,
}

/// The type behind all traits.
struct Embedded {
    role: Role,
    writer: Writer,
    readers: Readers,
    tail: Arc<Tail>,
    folder: Folder,
    /// The file that is open; see [`Folder::identity`].
    identity: (u64, u64),
    tidied_up_to: Mutex<upkeep::Tidied>,
    /// The latest time at which an event was received that was read so far.
    newest_ms: AtomicI64,
    paces: LocalPaces,
    /// The paths whose values are indexed.
    search: Arc<SearchPaths>,
}

/// Opens the store in `dir` and creates it if it does not exist. Blocks on the disk.
///
/// When the last part of the [`Store`] is dropped, pending writes finish, the database is closed,
/// and the folder is unlocked before the drop returns.
pub fn open(dir: &Path, options: Options) -> Result<Store> {
    open_indexed(dir, options, SearchPaths::default())
}

/// The same, with an index of the values at these paths.
pub fn open_indexed(dir: &Path, options: Options, search: SearchPaths) -> Result<Store> {
    let folder = Folder::make(dir)?;
    let opened = open_in(&folder, options, search);
    let opened = opened.map_err(|error| failure::in_folder(&folder.dir, error));
    let parts = Arc::new(opened?);
    Ok(Store {
        log: Arc::clone(&parts) as _,
        agenda: Arc::clone(&parts) as _,
        ledger: Arc::clone(&parts) as _,
        directory: Arc::clone(&parts) as _,
        records: Arc::clone(&parts) as _,
        rollups: Arc::clone(&parts) as _,
        limits: Arc::clone(&parts) as _,
        memo: Arc::clone(&parts) as _,
        upkeep: Arc::clone(&parts) as _,
        erasure: parts,
    })
}

fn open_in(folder: &Folder, options: Options, mut search: SearchPaths) -> Result<Embedded> {
    let hold = match options.role {
        Role::Router => Some(folder.hold()?),
        Role::Tool => None,
    };
    let mut writing = Writing::new(schema::open_writer(folder)?)?;
    // A tool indexes what the router does, whatever its own settings say.
    let stored = search::stored(&writing.conn)?;
    if options.role == Role::Tool && !stored.is_empty() {
        let paths: Vec<String> = stored.into_iter().map(|(path, _)| path).collect();
        search = SearchPaths::new(&paths).map_err(StoreError::Corrupt)?;
    }
    if hold.is_some() {
        backup::remove_leftovers(folder);
        writing.begin()?;
        agenda::free_all(&mut writing)?;
        writing.commit()?;
    }
    // Entries that an earlier process read and did not settle are at or after this position, so
    // they are read again, and there is nothing to take over.
    let tail = Arc::new(Tail::new(writing.number("settled_below")?, writing.next_seq));
    let readers = Readers::open(folder, options.readers)?;
    let newest_ms = AtomicI64::new(log::newest_ms(&writing.conn)?);
    let identity = folder.identity()?;
    let parts = Parts { writing, folder: folder.clone(), tail: Arc::clone(&tail), hold };
    let writer = Writer::start(parts)?;
    let (role, folder) = (options.role, folder.clone());
    let tidied_up_to = Mutex::default();
    let (paces, search) = (LocalPaces::default(), Arc::new(search));
    Ok(Embedded {
        role,
        writer,
        readers,
        tail,
        folder,
        identity,
        tidied_up_to,
        newest_ms,
        paces,
        search,
    })
}
