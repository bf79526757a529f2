//! What can go wrong with a store, by what the caller can do about it.

/// A failed call to the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Not reachable now; the same call may go through later.
    #[error("the store is away: {message}")]
    Away {
        /// What was seen, without credentials.
        message: String,
        /// The underlying error.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// No room: disk full, or Redis at its `maxmemory`. Reads go on.
    #[error("the store is full: {0}")]
    Full(String),
    /// Cannot be written: read-only folder, or a replica of Redis.
    #[error("the store cannot be written: {0}")]
    ReadOnly(String),
    /// Where it is said to be cannot be understood.
    #[error("{0}")]
    Address(String),
    /// Another process serves from it.
    #[error("{0}")]
    Held(String),
    /// Written by a newer Fanfare.
    #[error("{0}")]
    Newer(String),
    /// Somebody else changed it first.
    #[error("changed by somebody else: revision is {actual}, expected {expected}")]
    Conflict {
        /// What the caller had.
        expected: u64,
        /// What is there.
        actual: u64,
    },
    /// A cursor or an id that no answer of ours ever held.
    #[error("{0}")]
    BadQuery(String),
    /// Something in it is not as Fanfare wrote it.
    #[error("the store holds something unreadable: {0}")]
    Corrupt(String),
    /// Secrets that cannot be kept or read: a master key is missing, or another is needed.
    #[error("{0}")]
    Secrets(String),
    /// Anything else; a defect or a wrong server.
    #[error("the store refused: {message}")]
    Other {
        /// What was asked, and what it said.
        message: String,
        /// The underlying error.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
}

impl StoreError {
    /// Worth the same call again after a while.
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::Away { .. } | Self::Full(_) | Self::ReadOnly(_))
    }
}
