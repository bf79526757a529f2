//! Errors of a store, by what they say something about.
//!
//! Only an error of the data itself ([`StoreError::is_about_data`]) allows the router to set an
//! event or an outcome aside. Every other error says something about the connection, the server,
//! its memory, its disk, or its configuration. The router waits then, however long it takes, and
//! continues by itself.

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
    /// It refuses access: the password is wrong, or the user lacks a permission.
    #[error("the store refuses access: {message}")]
    Denied {
        /// The answer of the store, without credentials.
        message: String,
        /// The underlying error.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// Its file is damaged.
    #[error("the store is damaged: {0}")]
    Damaged(String),
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
    /// A search for a value at a path that is not indexed.
    #[error("{0}")]
    NotIndexed(String),
    /// A cursor or an id that Fanfare never gave out.
    #[error("{0}")]
    BadQuery(String),
    /// A value in it is not as Fanfare wrote it. Other values can still be read.
    #[error("the store has a value that Fanfare did not write: {0}")]
    Corrupt(String),
    /// It refuses what this call brings: the data itself, such as a value that is too big.
    #[error("the store refuses this data: {message}")]
    Refused {
        /// The call, and the answer.
        message: String,
        /// The underlying error.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// Secrets cannot be sealed or opened: the master key is missing or is another one.
    #[error("{0}")]
    Secrets(String),
    /// Anything else: a defect, or a server of another kind.
    #[error("the store failed: {message}")]
    Other {
        /// The call, and the answer.
        message: String,
        /// The underlying error.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
}

impl StoreError {
    /// Whether the error says something about the data of this call, so that a call with other data
    /// may succeed, and this one never will.
    pub fn is_about_data(&self) -> bool {
        matches!(
            self,
            Self::Refused { .. }
                | Self::Corrupt(_)
                | Self::Conflict { .. }
                | Self::NotIndexed(_)
                | Self::BadQuery(_)
                | Self::Secrets(_)
        )
    }

    /// Whether the store is in a condition that ends: the same call may succeed later.
    pub fn is_temporary(&self) -> bool {
        matches!(
            self,
            Self::Away { .. }
                | Self::Full(_)
                | Self::ReadOnly(_)
                | Self::Denied { .. }
                | Self::Damaged(_)
        )
    }
}
