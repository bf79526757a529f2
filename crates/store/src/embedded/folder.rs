//! The folder of a store: creates it, locks it so that two routers never use the same one, and
//! knows what is wrong with it: removed, replaced, nearly full, damaged.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, OnceLock};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use super::failure;
use super::gate::Gate;
use crate::{Result, StoreError};

/// A router that uses the folder holds a lock on this file.
pub(super) const LOCK: &str = "fanfare.lock";
/// The database.
pub(super) const DATABASE: &str = "fanfare.db";
/// Bytes that new events must leave free on the disk, for the outcomes of accepted events.
const RESERVE: u64 = 64 << 20;
/// Bytes of a page of the database.
const PAGE: u64 = 4_096;

/// The folder of one store.
#[derive(Clone, Debug)]
pub(super) struct Folder {
    pub(super) dir: PathBuf,
    /// What SQLite found damaged since the store was opened. Damage does not go away by itself.
    damage: Arc<OnceLock<String>>,
    /// Pages of the write-ahead log that may not be in the database yet.
    pub(super) log_pages: Arc<AtomicI32>,
    /// Reads pass it.
    pub(super) gate: Arc<Gate>,
}

/// Held while a router uses the folder. The kernel releases it when the process ends in any way.
pub(super) struct Hold {
    _file: Flock<File>,
    /// The folder itself: the lock on the file ends with the file if that is removed. `None` on
    /// file systems that lock no folders.
    _dir: Option<Flock<File>>,
}

impl Folder {
    /// Creates the folder and an empty database file if they do not exist. Only their owner can
    /// read them.
    pub(super) fn make(dir: &Path) -> Result<Self> {
        let folder = Self::make_only(dir)?;
        let path = folder.database();
        let opened = open_private(&path);
        opened.map_err(|error| failure::file("open for writing", &path, error))?;
        Ok(folder)
    }

    /// Creates the folder if it does not exist, without files in it.
    pub(super) fn make_only(dir: &Path) -> Result<Self> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
        made.map_err(|error| failure::file("make the folder", dir, error))?;
        Self::at(dir)
    }

    /// A folder that has a database.
    pub(super) fn existing(dir: &Path) -> Result<Self> {
        let folder = Self::at(dir)?;
        folder.identity()?;
        Ok(folder)
    }

    fn at(dir: &Path) -> Result<Self> {
        let dir = dir.canonicalize().map_err(|error| failure::file("open", dir, error))?;
        let (damage, log_pages, gate) = (Arc::default(), Arc::default(), Arc::default());
        Ok(Self { dir, damage, log_pages, gate })
    }

    /// Where the database is.
    pub(super) fn database(&self) -> PathBuf {
        self.dir.join(DATABASE)
    }

    /// Locks the folder for this process.
    pub(super) fn hold(&self) -> Result<Hold> {
        let path = self.dir.join(LOCK);
        let file =
            open_private(&path).map_err(|error| failure::file("open for writing", &path, error))?;
        let mut file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(file) => file,
            Err((file, Errno::EWOULDBLOCK)) => return Err(self.held(file)),
            Err((_, errno)) => return Err(failure::file("lock", &path, errno.into())),
        };
        let dir = File::open(&self.dir).map_err(|error| failure::file("open", &self.dir, error))?;
        let dir = match Flock::lock(dir, FlockArg::LockExclusiveNonblock) {
            Ok(dir) => Some(dir),
            // The lock file was removed under a running router, and this one is new.
            Err((_, Errno::EWOULDBLOCK)) => return Err(self.held_by(None)),
            Err(_) => None,
        };
        write_pid(&mut file).map_err(|error| failure::file("write", &path, error))?;
        Ok(Hold { _file: file, _dir: dir })
    }

    fn held(&self, mut file: File) -> StoreError {
        let mut text = String::new();
        // The process id helps people. The message is complete without it.
        let _ = file.read_to_string(&mut text);
        self.held_by(text.trim().parse::<u32>().ok())
    }

    fn held_by(&self, process: Option<u32>) -> StoreError {
        let holder = match process {
            Some(pid) => format!("process {pid}"),
            None => "another process".to_owned(),
        };
        StoreError::Held(format!(
            "{} is already served by {holder}; stop that one, or name another folder with --store",
            self.dir.display()
        ))
    }

    /// An error of SQLite, as one about this folder. Damage is remembered.
    pub(super) fn judge(&self, error: StoreError) -> StoreError {
        match error {
            StoreError::Damaged(found) => {
                let is_new = self.damage.set(found.clone()).is_ok();
                let damaged = self.damaged(&found);
                if is_new {
                    tracing::error!("{damaged}");
                }
                damaged
            }
            error => failure::in_folder(&self.dir, error),
        }
    }

    /// Whether no damage was found so far. New events are refused in a damaged store, because their
    /// outcomes could perhaps not be written.
    pub(super) fn check_sound(&self) -> Result<()> {
        self.damage.get().map_or(Ok(()), |found| Err(self.damaged(found)))
    }

    fn damaged(&self, found: &str) -> StoreError {
        StoreError::Damaged(format!(
            "{}: {found}; stop Fanfare and put back a backup with `fanfare restore`",
            self.database().display()
        ))
    }

    /// Whether the file at the database's path is still the one that is open.
    pub(super) fn check_identity(&self, opened: (u64, u64)) -> Result<()> {
        if self.identity()? == opened {
            return Ok(());
        }
        let message = format!(
            "{} was replaced while Fanfare was running; restart Fanfare to use the new file",
            self.database().display()
        );
        Err(StoreError::Away { message, source: None })
    }

    /// Whether there is room for new events. They are refused before the disk is full, so accepted
    /// events can still be delivered and their outcomes written. The write-ahead log needs as much
    /// room again when it is moved into the database.
    pub(super) fn check_room(&self) -> Result<()> {
        // If the free space cannot be read, the first failing write reports a full disk.
        let Ok(disk) = nix::sys::statvfs::statvfs(&self.dir) else { return Ok(()) };
        let bytes = |blocks: u64| blocks.saturating_mul(disk.fragment_size());
        let pages = u64::try_from(self.log_pages.load(Ordering::Relaxed)).unwrap_or(0);
        let reserve = RESERVE.min(bytes(disk.blocks()) / 8).saturating_add(pages * PAGE);
        let room = bytes(disk.blocks_available());
        if room >= reserve {
            return Ok(());
        }
        Err(StoreError::Full(format!(
            "{} KiB are left on the disk of {}, and {} KiB are kept for the outcomes of events that \
             are there; free some space and it goes on by itself",
            room >> 10,
            self.dir.display(),
            reserve >> 10
        )))
    }

    /// The size of the write-ahead log.
    pub(super) fn log_bytes(&self) -> u64 {
        let path = self.dir.join(format!("{DATABASE}-wal"));
        path.metadata().map_or(0, |file| file.len())
    }

    /// Files of the folder that do not belong to the open store.
    pub(super) fn other_files(&self) -> Vec<String> {
        let own = |name: &str| {
            // The master key is not data.
            name == LOCK
                || name == "master.key"
                || name
                    .strip_prefix(DATABASE)
                    .is_some_and(|end| matches!(end, "" | "-wal" | "-shm"))
        };
        let Ok(entries) = self.dir.read_dir() else { return Vec::new() };
        let files = entries.flatten().filter(|entry| entry.path().is_file());
        let others = files.filter(|entry| !own(&entry.file_name().to_string_lossy()));
        let mut paths: Vec<_> = others.map(|entry| entry.path().display().to_string()).collect();
        paths.sort_unstable();
        paths
    }

    /// Identifies the file that is at the database's path now.
    pub(super) fn identity(&self) -> Result<(u64, u64)> {
        let path = self.database();
        match path.metadata() {
            Ok(file) => Ok((file.dev(), file.ino())),
            Err(error) => {
                let message = format!("cannot find {}: {error}", path.display());
                Err(StoreError::Away { message, source: Some(Box::new(error)) })
            }
        }
    }
}

/// Creates a file that only its owner can read, if it does not exist.
pub(super) fn open_private(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

fn write_pid(file: &mut File) -> std::io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}
