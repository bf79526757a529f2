//! Wall time as a parameter.

use std::time::{SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use fanfare_store::Ms;

/// Tells Unix milliseconds: the system's, or in tests those of tokio's (paused) clock.
#[derive(Clone, Copy, Debug)]
pub enum Clock {
    /// The machine's wall clock.
    System,
    /// `base_ms` at `base`, going on with tokio's clock.
    Tokio {
        /// Unix milliseconds at `base`.
        base_ms: Ms,
        /// When that was.
        base: Instant,
    },
}

impl Clock {
    /// A clock for tests: starts at `base_ms` now.
    pub fn starting_at(base_ms: Ms) -> Self {
        Self::Tokio { base_ms, base: Instant::now() }
    }

    /// Unix milliseconds now.
    pub fn now_ms(&self) -> Ms {
        let since = match self {
            Self::System => SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
            Self::Tokio { base, .. } => base.elapsed(),
        };
        let base = if let Self::Tokio { base_ms, .. } = self { *base_ms } else { 0 };
        base + Ms::try_from(since.as_millis()).unwrap_or(0)
    }
}
