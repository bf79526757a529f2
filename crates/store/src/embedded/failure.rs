//! Turns errors of SQLite and the file system into a [`StoreError`] that the caller can act on.

use std::io;
use std::path::Path;

use rusqlite::ErrorCode;

use crate::StoreError;

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::Error as Sqlite;
        let message = error.to_string();
        let code = error.sqlite_error_code();
        match code {
            Some(ErrorCode::DiskFull) => {
                Self::Full(format!("{message}; free some space and it goes on by itself"))
            }
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
                Self::ReadOnly(format!("{message}; check the owner and mode of the folder"))
            }
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Damaged(message),
            Some(ErrorCode::TooBig | ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch) => {
                Self::Refused { message, source: Some(Box::new(error)) }
            }
            Some(
                ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::SystemIoFailure
                | ErrorCode::CannotOpen
                | ErrorCode::OutOfMemory
                | ErrorCode::FileLockingProtocolFailed
                | ErrorCode::OperationAborted
                | ErrorCode::OperationInterrupted
                | ErrorCode::SchemaChanged,
            ) => Self::Away { message, source: Some(Box::new(error)) },
            Some(_) => Self::Other { message, source: Some(Box::new(error)) },
            // Not an answer of SQLite: a value could not be converted from or to a column.
            None => match error {
                Sqlite::FromSqlConversionFailure(..)
                | Sqlite::IntegralValueOutOfRange(..)
                | Sqlite::InvalidColumnType(..)
                | Sqlite::Utf8Error(..) => Self::Corrupt(message),
                Sqlite::ToSqlConversionFailure(_) | Sqlite::NulError(_) => {
                    Self::Refused { message, source: Some(Box::new(error)) }
                }
                error => Self::Other { message, source: Some(Box::new(error)) },
            },
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
        StoreError::NotIndexed(message) => StoreError::NotIndexed(of(message)),
        StoreError::BadQuery(message) => StoreError::BadQuery(of(message)),
        StoreError::Corrupt(message) => StoreError::Corrupt(of(message)),
        StoreError::Damaged(message) => StoreError::Damaged(of(message)),
        StoreError::Denied { message, .. } => {
            StoreError::Denied { message: of(message), source: None }
        }
        StoreError::Refused { message, .. } => {
            StoreError::Refused { message: of(message), source: None }
        }
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

#[cfg(test)]
mod tests {
    use rusqlite::ffi;

    use super::*;

    fn error(code: i32) -> StoreError {
        rusqlite::Error::SqliteFailure(ffi::Error::new(code), None).into()
    }

    #[test]
    fn only_an_error_of_the_data_sets_an_event_aside() {
        for code in [ffi::SQLITE_TOOBIG, ffi::SQLITE_CONSTRAINT, ffi::SQLITE_MISMATCH] {
            assert!(error(code).is_about_data(), "{code}");
        }
        for code in 1..=26 {
            let about_data =
                [ffi::SQLITE_TOOBIG, ffi::SQLITE_CONSTRAINT, ffi::SQLITE_MISMATCH].contains(&code);
            assert_eq!(error(code).is_about_data(), about_data, "{code}: {}", error(code));
        }
        let of_a_value = rusqlite::Error::IntegralValueOutOfRange(0, 1 << 40);
        assert!(StoreError::from(of_a_value).is_about_data());
    }

    #[test]
    fn each_condition_of_sqlite_has_its_word() {
        for code in [ffi::SQLITE_BUSY, ffi::SQLITE_LOCKED, ffi::SQLITE_IOERR, ffi::SQLITE_CANTOPEN]
        {
            assert!(matches!(error(code), StoreError::Away { .. }), "{code}");
        }
        assert!(matches!(error(ffi::SQLITE_IOERR_FSYNC), StoreError::Away { .. }));
        assert!(matches!(error(ffi::SQLITE_FULL), StoreError::Full(_)));
        assert!(matches!(error(ffi::SQLITE_READONLY), StoreError::ReadOnly(_)));
        for code in [ffi::SQLITE_CORRUPT, ffi::SQLITE_NOTADB] {
            assert!(matches!(error(code), StoreError::Damaged(_)), "{code}");
        }
    }
}
