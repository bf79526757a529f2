//! Wall-clock time as a parameter, so that tests can control it.

use std::future;

use tokio::time::Instant;

use fanfare_store::{Ms, Upkeep, steady};

/// The source of Unix milliseconds: the system, or in tests tokio's clock, which can be paused.
#[derive(Clone, Copy, Debug)]
pub enum Clock {
    /// The system's clock, which advances with elapsed time: see [`steady`].
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
        match self {
            Self::System => steady::now_ms(),
            Self::Tokio { base, base_ms } => {
                base_ms + Ms::try_from(base.elapsed().as_millis()).unwrap_or(0)
            }
        }
    }

    /// Unix milliseconds of the machine's wall clock, for what receivers compare with theirs.
    pub fn wall_ms(&self) -> Ms {
        match self {
            Self::System => steady::wall_ms(),
            Self::Tokio { .. } => self.now_ms(),
        }
    }

    /// Sets the clock to the store's own clock, if that is another machine's.
    pub async fn begin(&self, store: &dyn Upkeep) {
        if matches!(self, Self::System) {
            steady::begin(store).await;
        }
    }

    /// Keeps the clock close to the store's own clock or the machine's, forever.
    pub async fn keep(&self, store: &dyn Upkeep) {
        match self {
            Self::System => steady::keep(store).await,
            Self::Tokio { .. } => future::pending().await,
        }
    }

    /// How often the clock has jumped. Times from before and after a jump cannot be compared.
    pub fn steps(&self) -> u64 {
        if matches!(self, Self::System) { steady::steps() } else { 0 }
    }

    /// Waits until the clock has jumped.
    pub async fn stepped(&self) {
        match self {
            Self::System => steady::stepped().await,
            Self::Tokio { .. } => future::pending().await,
        }
    }
}
