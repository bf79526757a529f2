//! Turns errors of SQLite and the file system into a [`StoreError`] that the caller can act on.

use std::io;
use std::path::Path;

use rusqlite::ErrorCode;

use crate::StoreError;

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        let message = error.to_string();
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => {
                Self::Full(format!("{message}; free some space and it goes on by itself"))
            }
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
                Self::ReadOnly(format!("{message}; check the owner and mode of the folder"))
            }
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Corrupt(message),
            Some(
                ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::SystemIoFailure
                | ErrorCode::CannotOpen
                | ErrorCode::OutOfMemory,
            ) => Self::Away { message, source: Some(Box::new(error)) },
            _ => Self::Other { message, source: Some(Box::new(error)) },
        }
    }
}

/// A file operation that failed while the store was opened.
pub(super) fn file(doing: &str, path: &Path, error: io::Error) -> StoreError {
    let message = format!("cannot {doing} {}: {error}", path.display());
    match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            StoreError::ReadOnly(format!("{message}; Fanfare needs to write there"))
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::Full(message),
        _ => StoreError::Other { message, source: Some(Box::new(error)) },
    }
}

/// Treats an I/O error on a full disk as a full disk. SQLite reports some of them, for example when
/// it grows its shared memory, only as I/O errors.
pub(super) fn in_folder(dir: &Path, error: StoreError) -> StoreError {
    match error {
        StoreError::Away { message, source } if is_full(dir) => {
            drop(source);
            StoreError::Full(format!("{message}; no space is left in {}", dir.display()))
        }
        other => other,
    }
}

fn is_full(dir: &Path) -> bool {
    let room = nix::sys::statvfs::statvfs(dir).map(|fs| fs.blocks_available());
    matches!(room, Ok(0..64))
}

/// The same failure for another caller. Errors with their sources cannot be cloned.
pub(super) fn again(error: &StoreError) -> StoreError {
    let of = |message: &String| message.clone();
    match error {
        StoreError::Away { message, .. } => StoreError::Away { message: of(message), source: None },
        StoreError::Full(message) => StoreError::Full(of(message)),
        StoreError::ReadOnly(message) => StoreError::ReadOnly(of(message)),
        StoreError::Address(message) => StoreError::Address(of(message)),
        StoreError::Held(message) => StoreError::Held(of(message)),
        StoreError::Newer(message) => StoreError::Newer(of(message)),
        StoreError::Conflict { expected, actual } => {
            StoreError::Conflict { expected: *expected, actual: *actual }
        }
        StoreError::BadQuery(message) => StoreError::BadQuery(of(message)),
        StoreError::Corrupt(message) => StoreError::Corrupt(of(message)),
        StoreError::Secrets(message) => StoreError::Secrets(of(message)),
        StoreError::Other { message, .. } => {
            StoreError::Other { message: of(message), source: None }
        }
    }
}

/// The writer thread has ended, which only a defect can cause.
pub(super) fn thread_gone() -> StoreError {
    let message = "the thread that writes to the store has ended; restart Fanfare".to_owned();
    StoreError::Other { message, source: None }
}
