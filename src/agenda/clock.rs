//! Wall-clock time as a parameter, so that tests can control it.

use std::time::{SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use fanfare_store::Ms;

/// The source of Unix milliseconds: the system, or in tests tokio's clock, which can be paused.
#[derive(Clone, Copy, Debug)]
pub enum Clock {
    /// The machine's wall clock.
    System,
    /// `base_ms` at `base`, from there on with tokio's clock.
    Tokio {
        /// Unix milliseconds at `base`.
        base_ms: Ms,
        /// The moment of `base_ms`.
        base: Instant,
    },
}

impl Clock {
    /// A clock for tests that shows `base_ms` now.
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
