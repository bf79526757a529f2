//! Limits on one event.

/// Limits on one event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest envelope in bytes.
    pub max_bytes: usize,
    /// Deepest nesting of objects and arrays. The envelope itself has depth 1.
    pub max_depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_bytes: 256 * 1024, max_depth: 64 }
    }
}
