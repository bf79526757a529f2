//! The embedded store: SQLite in one folder.

use std::path::Path;

use super::{Result, Store};

/// How to open it.
pub struct Options {
    /// What for.
    pub role: Role,
    /// Reader connections.
    pub readers: usize,
}

/// What for.
pub enum Role {
    /// Serves.
    Router,
    /// Beside.
    Tool,
}

/// Opens it.
pub fn open(_dir: &Path, _options: Options) -> Result<Store> {
    Err(super::StoreError::Away { message: "not built yet".into(), source: None })
}
