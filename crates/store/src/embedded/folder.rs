//! The folder of a store: creates it, and locks it so that two routers never use the same one.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use super::failure;
use crate::{Result, StoreError};

/// A router that uses the folder holds a lock on this file.
pub(super) const LOCK: &str = "fanfare.lock";
/// Bytes that new events must leave free on the disk, for the outcomes of accepted events.
const RESERVE: u64 = 64 << 20;

/// The folder of one store.
#[derive(Clone, Debug)]
pub(super) struct Folder {
    pub(super) dir: PathBuf,
}

/// Held while a router uses the folder. The kernel releases it when the process ends in any way.
pub(super) struct Hold {
    _file: Flock<File>,
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
        Ok(Self { dir })
    }

    /// Where the database is.
    pub(super) fn database(&self) -> PathBuf {
        self.dir.join("fanfare.db")
    }

    /// Locks the folder for this process.
    pub(super) fn hold(&self) -> Result<Hold> {
        let path = self.dir.join(LOCK);
        let file =
            open_private(&path).map_err(|error| failure::file("open for writing", &path, error))?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(mut file) => {
                write_pid(&mut file).map_err(|error| failure::file("write", &path, error))?;
                Ok(Hold { _file: file })
            }
            Err((file, Errno::EWOULDBLOCK)) => Err(self.held(file)),
            Err((_, errno)) => Err(failure::file("lock", &path, errno.into())),
        }
    }

    fn held(&self, mut file: File) -> StoreError {
        let mut text = String::new();
        // The process id helps people. The message is complete without it.
        let _ = file.read_to_string(&mut text);
        let holder = match text.trim().parse::<u32>() {
            Ok(pid) => format!("process {pid}"),
            Err(_) => "another process".to_owned(),
        };
        StoreError::Held(format!(
            "{} is already served by {holder}; stop that one, or name another folder with --store",
            self.dir.display()
        ))
    }

    /// Whether there is room for new events. They are refused before the disk is full, so accepted
    /// events can still be delivered and their outcomes written.
    pub(super) fn check_room(&self) -> Result<()> {
        // If the free space cannot be read, the first failing write reports a full disk.
        let Ok(disk) = nix::sys::statvfs::statvfs(&self.dir) else { return Ok(()) };
        let bytes = |blocks: u64| blocks.saturating_mul(disk.fragment_size());
        let reserve = RESERVE.min(bytes(disk.blocks()) / 8);
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
