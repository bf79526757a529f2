//! Errors of a store, by what the caller can do about them.

/// A failed call to the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It cannot be reached now. The same call may succeed later.
    #[error("the store cannot be reached: {message}")]
    Away {
        /// What happened, without credentials.
        message: String,
        /// The underlying error.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// No room: the disk is full, or Redis is at its `maxmemory`. Reads still work.
    #[error("the store is full: {0}")]
    Full(String),
    /// It cannot be written: a read-only folder, or a replica of Redis.
    #[error("the store cannot be written: {0}")]
    ReadOnly(String),
    /// Its address is not valid.
    #[error("{0}")]
    Address(String),
    /// Another process uses it.
    #[error("{0}")]
    Held(String),
    /// A newer version of Fanfare wrote it.
    #[error("{0}")]
    Newer(String),
    /// Another change came first.
    #[error("another change came first: the revision is {actual}, not {expected}; read it again")]
    Conflict {
        /// The revision that the caller expected.
        expected: u64,
        /// The current revision.
        actual: u64,
    },
    /// A cursor or an id that Fanfare never gave out.
    #[error("{0}")]
    BadQuery(String),
    /// Its data is damaged or was changed by another program.
    #[error("the store is damaged: {0}")]
    Corrupt(String),
    /// Secrets cannot be sealed or opened: the master key is missing or is another one.
    #[error("{0}")]
    Secrets(String),
    /// Anything else: a defect, or a server of another kind.
    #[error("the store refused: {message}")]
    Other {
        /// The call, and the answer.
        message: String,
        /// The underlying error.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
}

impl StoreError {
    /// Whether the same call may succeed later.
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::Away { .. } | Self::Full(_) | Self::ReadOnly(_))
    }
}
