//! The embedded store: SQLite in one folder, for one router and any number of tools beside it.
//!
//! One thread writes, with group commit (`writer.rs`); a pool of connections reads (`readers.rs`).
//! What was just appended is handed to the router from memory (`tail.rs`). The rows are explained in
//! `schema.sql` and what leads on from it.
//!
//! What always holds:
//! - a call that changes something returns when the change is on disk (one fsync a group);
//! - positions in the log grow in the order of commits and are never given twice;
//! - a lane has a line in the agenda if and only if something waits in it or it is claimed;
//! - memory does not grow with the backlog.

mod agenda;
mod backup;
mod checkpoint;
mod choose;
mod cursor;
mod directory;
mod erasure;
mod failing;
mod failure;
mod folder;
mod ledger;
mod lists;
mod log;
mod memo;
mod names;
mod queue;
mod readers;
mod records;
mod rows;
mod schema;
mod tail;
mod upkeep;
mod writer;
mod writing;

use std::path::Path;
use std::sync::{Arc, Mutex};

pub use self::backup::{Copied, InTheWay, Progress, backup, restore};
use self::folder::Folder;
use self::readers::Readers;
use self::tail::Tail;
use self::writer::{Parts, Writer};
use self::writing::Writing;
use super::{Result, Store};

/// How to open a folder.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// What for.
    pub role: Role,
    /// Connections that read, 1 to 64.
    pub readers: usize,
}

/// What a process does with the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Serves from it: reads the log and the agenda. There is one; a second is refused.
    Router,
    /// Reads, and writes a little, also beside a running router.
    Tool,
}

/// The one type behind all the traits.
struct Embedded {
    role: Role,
    writer: Writer,
    readers: Readers,
    tail: Arc<Tail>,
    folder: Folder,
    /// The file that is open; see [`Folder::identity`].
    identity: (u64, u64),
    tidied_up_to: Mutex<Option<upkeep::Mark>>,
}

/// Opens the store in `dir`, making it if it is not there. Blocks for as long as the disk does.
///
/// When the last part of the [`Store`] is dropped, what was asked for is written, the database
/// closed and the folder let go of, before the drop returns.
pub fn open(dir: &Path, options: Options) -> Result<Store> {
    let folder = Folder::make(dir)?;
    let opened = open_in(&folder, options).map_err(|error| failure::in_folder(&folder.dir, error));
    let parts = Arc::new(opened?);
    Ok(Store {
        log: Arc::clone(&parts) as _,
        agenda: Arc::clone(&parts) as _,
        ledger: Arc::clone(&parts) as _,
        directory: Arc::clone(&parts) as _,
        records: Arc::clone(&parts) as _,
        memo: Arc::clone(&parts) as _,
        upkeep: Arc::clone(&parts) as _,
        erasure: parts,
    })
}

fn open_in(folder: &Folder, options: Options) -> Result<Embedded> {
    let hold = match options.role {
        Role::Router => Some(folder.hold()?),
        Role::Tool => None,
    };
    let mut writing = Writing::new(schema::open_writer(folder)?)?;
    if hold.is_some() {
        writing.begin()?;
        agenda::free_all(&mut writing)?;
        writing.commit()?;
    }
    // Entries that were read and not settled before are at or after this position: they come
    // again, and nothing is left to be taken over.
    let tail = Arc::new(Tail::new(writing.number("settled_below")?, writing.next_seq));
    let readers = Readers::open(folder, options.readers)?;
    let identity = folder.identity()?;
    let parts = Parts { writing, folder: folder.clone(), tail: Arc::clone(&tail), hold };
    let writer = Writer::start(parts)?;
    let (role, folder) = (options.role, folder.clone());
    Ok(Embedded { role, writer, readers, tail, folder, identity, tidied_up_to: Mutex::new(None) })
}
