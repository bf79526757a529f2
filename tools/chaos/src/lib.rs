//! The proof of "nothing lost": a real router as a process, killed with `kill -9` under load, with
//! its store killed too, and receivers that do everything wrong that receivers do.
//!
//! `cargo xtask chaos` runs it at length, `tests/it/chaos.rs` briefly. What it counts, it counts
//! where it matters: at the receivers, by delivery (`webhook-id` × destination).
//!
//! - `plan`: which events there are, where each must arrive, and which request meets which fault.
//!   All of it follows from the seed.
//! - `receivers`: the destinations, and the tally of what arrived.
//! - `fleet`: the store and the routers, started by `fanfare-harness`.
//! - `producer`: sends events over HTTP and with `XADD`, again until they are taken.
//! - `unsettled`: what the store has not yet on record; read at every kill, so that each duplicate
//!   can be told from one that has no excuse.
//! - `run`: puts them together; `report`: the table.
//!
//! `storm` has short runs with every kind of fault, and a model of what must be true.
//! `rolling`, `retention` and `parked` are other questions to the same processes: what a rolling restart
//! loses and holds up; what grows when millions of events come and go; what a million that wait cost.

#![forbid(unsafe_code)]

mod fleet;
mod parked;
mod plan;
mod producer;
mod receivers;
mod report;
mod retention;
mod rolling;
mod run;
mod storm;
mod unsettled;

use std::path::PathBuf;
use std::time::Duration;

pub use fleet::Programs;
pub use parked::{Parked, parked};
pub use report::{Report, print};
pub use retention::{Retention, retention};
pub use rolling::{Rolled, Rolling, rolling};
pub use run::run;
pub use storm::{Storm, Stormed, storm};

/// Which store is put under fire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum StoreKind {
    /// One router over a folder; it is killed and started again.
    Embedded,
    /// Three routers on one Redis that writes and syncs before it answers.
    Redis,
}

impl StoreKind {
    /// As on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Redis => "redis",
        }
    }
}

/// One run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Over which store.
    pub store: StoreKind,
    /// How many events are sent.
    pub events: u32,
    /// How often a router is killed.
    pub kills: u32,
    /// How often Redis is killed; nothing with the embedded store.
    pub redis_kills: u32,
    /// From which everything random follows.
    pub seed: u64,
    /// Time between two kills of a router, at least. With Redis it must leave a replica that was
    /// killed two kills ago enough life to see that another is dead.
    pub gap: Duration,
    /// The router's `redis.dead_after` and `router.lease`; `None` leaves the defaults.
    pub dead_after: Option<Duration>,
    /// Tells on standard error how it goes.
    pub progress: bool,
    /// Keeps the folder with logs and data here.
    pub keep: Option<PathBuf>,
}

impl Options {
    /// How long a lane is its server's without a sign of life.
    pub(crate) fn lease(&self) -> Duration {
        self.dead_after.unwrap_or(Duration::from_secs(12))
    }

    /// What the promise is measured by: 100,000 events, 30 kills of a router, 10 of Redis.
    pub fn full(store: StoreKind) -> Self {
        Self {
            store,
            events: 100_000,
            kills: 30,
            redis_kills: 10,
            seed: 1,
            gap: match store {
                StoreKind::Embedded => Duration::from_secs(4),
                StoreKind::Redis => Duration::from_secs(7),
            },
            dead_after: None,
            progress: false,
            keep: None,
        }
    }

    /// The short form: two thousand events, three kills, one of Redis.
    pub fn quick(store: StoreKind) -> Self {
        Self {
            events: 2_000,
            kills: 3,
            redis_kills: 1,
            gap: match store {
                StoreKind::Embedded => Duration::from_secs(2),
                StoreKind::Redis => Duration::from_secs(4),
            },
            dead_after: match store {
                StoreKind::Embedded => None,
                StoreKind::Redis => Some(Duration::from_secs(6)),
            },
            ..Self::full(store)
        }
    }
}
