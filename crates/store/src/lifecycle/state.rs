//! The four states of a delivery.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Reason;
use crate::Ms;

/// Where a delivery stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum DeliveryState {
    /// The receiver accepted it.
    Delivered,
    /// It is in its lane's queue.
    Waiting {
        /// When it is due, in Unix milliseconds. This is also its order within the queue.
        due_ms: Ms,
        /// When the lane may next be served because of it, in Unix milliseconds. The agenda keeps
        /// the earliest.
        serve_ms: Ms,
        /// Why it waits.
        reason: Reason,
    },
    /// Fanfare does not send it, on purpose.
    Suppressed {
        /// Why.
        reason: Reason,
    },
    /// Fanfare gave it up.
    Dead {
        /// Why.
        reason: Reason,
    },
}

impl DeliveryState {
    /// The state without its reason and times.
    pub fn kind(&self) -> StateKind {
        match self {
            Self::Delivered => StateKind::Delivered,
            Self::Waiting { .. } => StateKind::Waiting,
            Self::Suppressed { .. } => StateKind::Suppressed,
            Self::Dead { .. } => StateKind::Dead,
        }
    }

    /// Whether it is in its lane's queue.
    pub fn is_waiting(&self) -> bool {
        self.kind() == StateKind::Waiting
    }

    /// The reason. A delivered delivery has none.
    pub fn reason(&self) -> Option<&Reason> {
        match self {
            Self::Delivered => None,
            Self::Waiting { reason, .. } | Self::Suppressed { reason } | Self::Dead { reason } => {
                Some(reason)
            }
        }
    }

    /// When it is due and when its lane may be served, if it waits.
    pub fn times(&self) -> Option<(Ms, Ms)> {
        match self {
            Self::Waiting { due_ms, serve_ms, .. } => Some((*due_ms, *serve_ms)),
            _ => None,
        }
    }

    /// Puts a stored state together again. `times` counts only for a delivery that waits.
    pub fn from_parts(kind: StateKind, reason: &str, (due_ms, serve_ms): (Ms, Ms)) -> Self {
        let reason = || Reason::parse(kind, reason);
        match kind {
            StateKind::Delivered => Self::Delivered,
            StateKind::Waiting => Self::Waiting { due_ms, serve_ms, reason: reason() },
            StateKind::Suppressed => Self::Suppressed { reason: reason() },
            StateKind::Dead => Self::Dead { reason: reason() },
        }
    }
}

/// A state without its reason and times, for filters, counts and tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StateKind {
    /// The receiver accepted it.
    Delivered,
    /// It is in its lane's queue.
    Waiting,
    /// Fanfare does not send it, on purpose.
    Suppressed,
    /// Fanfare gave it up.
    Dead,
}

impl StateKind {
    /// All states.
    pub const ALL: [Self; 4] = [Self::Delivered, Self::Waiting, Self::Suppressed, Self::Dead];

    /// The serialized form.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Waiting => "waiting",
            Self::Suppressed => "suppressed",
            Self::Dead => "dead",
        }
    }
}

impl fmt::Display for StateKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A text that names no state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a state; use delivered, waiting, suppressed or dead")]
pub struct UnknownState(String);

impl FromStr for StateKind {
    type Err = UnknownState;

    fn from_str(text: &str) -> Result<Self, UnknownState> {
        let found = Self::ALL.into_iter().find(|kind| kind.as_str() == text);
        found.ok_or_else(|| UnknownState(text.to_owned()))
    }
}
