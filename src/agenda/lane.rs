//! A lane at run time: its destination, how it is served, its gate.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use fanfare_contract::{Destination, Environment, Event, Policy};

use super::{Calendar, FailureStreak, Gate, Replicas};
use crate::delivery::Stack;
use fanfare_store::{LaneKey, Ms, Reason, StoreError};

/// Later than any due time: the year 2200.
pub const FAR_MS: Ms = 7_258_118_400_000;

/// How a lane's queue is served.
#[derive(Clone, Debug)]
pub enum Mode {
    /// Each delivery alone, several at once.
    Direct,
    /// One at a time in the order of arrival. The first one blocks the others.
    Fifo,
    /// All deliveries that are due at a tick of the calendar, as one message.
    Digest(Box<Calendar>),
}

/// One lane of a destination, ready to be served.
pub struct Lane {
    /// Tenant and lane id.
    pub key: LaneKey,
    /// What the channel receives.
    pub destination: Arc<Destination>,
    /// The channel's policy with the destination's own values.
    pub policy: Arc<Policy>,
    /// How it is served.
    pub mode: Mode,
    /// The environment of its events.
    pub environment: Environment,
    /// Nothing is sent, and deliveries wait.
    pub paused: bool,
    /// Why all deliveries are suppressed, if they are.
    pub disabled: Option<Arc<str>>,
    /// A name for people: a host name, a masked address.
    pub label: String,
    /// Limits, circuit and pace. Survives a reload of the table, unless the destination was changed
    /// or repaired.
    pub gate: Arc<Gate>,
    /// When the destination was last changed or repaired, or 0.
    pub repaired_ms: Ms,
    /// The name of a pace that it shares with lanes of other destinations.
    pub pace: Option<Arc<str>>,
    /// The replicas that its limits hold over.
    pub replicas: Arc<Replicas>,
    /// What was last reported of its health. Survives a reload of the table.
    pub streak: Arc<FailureStreak>,
    /// The channel with its layers.
    pub stack: Arc<Stack>,
    /// Set as soon as the receiver is gone, before the tenant's document says so.
    pub gone: AtomicBool,
}

impl Lane {
    /// Whether the event is of the lane's environment.
    pub fn takes(&self, event: &Event) -> bool {
        self.environment == event.environment
    }

    /// Why deliveries to it are suppressed now, if they are.
    pub fn suppressed(&self) -> Option<Reason> {
        match &self.disabled {
            Some(cause) => Some(Reason::Disabled(cause.clone())),
            None => self.gone.load(Ordering::Relaxed).then(|| Reason::Disabled("gone".into())),
        }
    }
}

/// A lane that was looked for.
pub enum FoundLane {
    /// It is in the current table.
    There(Arc<Lane>),
    /// The tenant's document cannot be used, so it is not known whether the lane was removed.
    Unusable,
    /// It is not in the table any more.
    Unknown,
}

/// Finds lanes in the current tables.
#[async_trait]
pub trait Lanes: Send + Sync {
    /// The lane, after its tenant's table was loaded if it is not in memory.
    async fn find(&self, key: &LaneKey) -> Result<FoundLane, StoreError>;

    /// The lane that has replaced or still is the one that the caller holds. `None` if there is none
    /// any more. A lane that is held is in memory.
    fn current(&self, key: &LaneKey) -> Option<Arc<Lane>>;

    /// Loads tables that changed a moment ago.
    async fn refresh(&self) {}
}
