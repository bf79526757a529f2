//! A lane as it runs: where it leads, how it is served, its gate.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use fanfare_contract::{Destination, Environment, Event, Policy};

use super::{Calendar, FailureStreak, Gate};
use crate::delivery::Stack;
use fanfare_store::{LaneKey, Ms, Reason};

/// Later than anything is due: the year 2200.
pub const FAR_MS: Ms = 7_258_118_400_000;

/// How a lane's queue is served.
#[derive(Clone, Debug)]
pub enum Mode {
    /// Each delivery by itself, several at once.
    Direct,
    /// One at a time in the order of arrival; the first one blocks.
    Fifo,
    /// All that is due at a tick of the calendar, as one message.
    Digest(Box<Calendar>),
}

/// One lane of a destination, ready to be served.
pub struct Lane {
    /// Tenant and lane id.
    pub key: LaneKey,
    /// What the channel gets.
    pub destination: Arc<Destination>,
    /// The channel's policy with the destination's changes.
    pub policy: Arc<Policy>,
    /// How it is served.
    pub mode: Mode,
    /// The events it may get.
    pub environment: Environment,
    /// Nothing is sent, everything is kept.
    pub paused: bool,
    /// Why nothing is sent and everything is suppressed, if so.
    pub disabled: Option<Arc<str>>,
    /// For people: a host name, a masked address.
    pub label: String,
    /// Limits, circuit, pace. Outlives a reload of the table.
    pub gate: Arc<Gate>,
    /// What was last reported of its health. Outlives a reload of the table.
    pub streak: Arc<FailureStreak>,
    /// The channel with its layers.
    pub stack: Arc<Stack>,
    /// Set at once when the receiver is gone, before the directory says so.
    pub gone: AtomicBool,
}

impl Lane {
    /// Whether it may get this event at all.
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

/// Finds lanes; answers change when a table is loaded.
#[async_trait]
pub trait Lanes: Send + Sync {
    /// The lane as the table has it now; `None` when it is not in the table any more.
    fn lane(&self, key: &LaneKey) -> Option<Arc<Lane>>;

    /// Is there a table for this tenant that cannot be used? Then nobody knows whether a lane that
    /// is not there was removed.
    fn is_unusable(&self, tenant: &str) -> bool {
        let _ = tenant;
        false
    }

    /// Takes up what was changed a moment ago and is not known here yet.
    async fn refresh(&self) {}
}
