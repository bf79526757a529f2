//! What can happen to a delivery.

use std::sync::Arc;

use super::{DeliveryState, Reason, StateKind};
use crate::Ms;

/// Something that happened to a delivery. [`transition`](super::transition) says what follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// An attempt succeeded.
    Delivered,
    /// An attempt failed, and there will be another one.
    Retried {
        /// When it is due again, in Unix milliseconds. A FIFO lane keeps the time of arrival.
        due_ms: Ms,
        /// When its lane may next be served because of it, in Unix milliseconds.
        serve_ms: Ms,
    },
    /// An attempt failed for good, with this code.
    GivenUp(Arc<str>),
    /// An attempt showed that nothing reaches the destination, with this code.
    ReceiverGone(Arc<str>),
    /// It goes to its lane's queue without an attempt.
    Queued {
        /// When it is due, in Unix milliseconds.
        due_ms: Ms,
        /// When its lane may next be served because of it, in Unix milliseconds.
        serve_ms: Ms,
        /// Why it does not go now.
        reason: Reason,
    },
    /// A person puts it back into its queue. Its schedule starts again.
    Replayed {
        /// When it is due, in Unix milliseconds.
        due_ms: Ms,
    },
    /// A person ends it.
    Cancelled,
    /// The table says that it must not be sent.
    Suppressed(Reason),
    /// The store refuses to write its outcome.
    SetAside,
}

impl Change {
    /// The state that it leads to where it takes effect.
    pub fn target(&self) -> DeliveryState {
        match self {
            Self::Delivered => DeliveryState::Delivered,
            Self::Retried { due_ms, serve_ms } => waiting(*due_ms, *serve_ms, Reason::Retry),
            Self::Queued { due_ms, serve_ms, reason } => {
                waiting(*due_ms, *serve_ms, reason.clone())
            }
            Self::Replayed { due_ms } => waiting(*due_ms, *due_ms, Reason::Replay),
            Self::GivenUp(code) => DeliveryState::Dead { reason: Reason::Failed(code.clone()) },
            Self::ReceiverGone(code) => {
                DeliveryState::Suppressed { reason: Reason::Disabled(code.clone()) }
            }
            Self::Cancelled => DeliveryState::Suppressed { reason: Reason::Cancelled },
            Self::Suppressed(reason) => DeliveryState::Suppressed { reason: reason.clone() },
            Self::SetAside => DeliveryState::Dead { reason: Reason::StoreRefused },
        }
    }

    /// The kind of state that it leads to where it takes effect.
    pub fn target_kind(&self) -> StateKind {
        match self {
            Self::Delivered => StateKind::Delivered,
            Self::Retried { .. } | Self::Queued { .. } | Self::Replayed { .. } => {
                StateKind::Waiting
            }
            Self::ReceiverGone(_) | Self::Cancelled | Self::Suppressed(_) => StateKind::Suppressed,
            Self::GivenUp(_) | Self::SetAside => StateKind::Dead,
        }
    }

    /// The same change with another due time, where it leads to the queue. Lanes that keep an order
    /// (FIFO, digests) keep the due time, which is the place in the queue, and delay the lane.
    #[must_use]
    pub fn with_due(self, due_ms: Ms) -> Self {
        match self {
            Self::Retried { serve_ms, .. } => Self::Retried { due_ms, serve_ms },
            Self::Queued { serve_ms, reason, .. } => Self::Queued { due_ms, serve_ms, reason },
            other => other,
        }
    }

    /// When the lane may next be served because of it, where it leads to the queue.
    pub fn serve_ms(&self) -> Option<Ms> {
        match self {
            Self::Retried { serve_ms, .. } | Self::Queued { serve_ms, .. } => Some(*serve_ms),
            Self::Replayed { due_ms } => Some(*due_ms),
            _ => None,
        }
    }

    /// Whether it puts back what has ended and starts the schedule again.
    pub fn is_replay(&self) -> bool {
        matches!(self, Self::Replayed { .. })
    }

    /// One of each, for table tests.
    #[cfg(any(test, feature = "memory"))]
    pub fn samples() -> Vec<Self> {
        vec![
            Self::Delivered,
            Self::Retried { due_ms: 1_900_000_005_000, serve_ms: 1_900_000_006_000 },
            Self::GivenUp("http_400".into()),
            Self::ReceiverGone("gone".into()),
            Self::Queued {
                due_ms: 1_900_000_007_000,
                serve_ms: 1_900_000_008_000,
                reason: Reason::Busy,
            },
            Self::Replayed { due_ms: 1_900_000_009_000 },
            Self::Cancelled,
            Self::Suppressed(Reason::DestinationRemoved),
            Self::SetAside,
        ]
    }
}

fn waiting(due_ms: Ms, serve_ms: Ms, reason: Reason) -> DeliveryState {
    DeliveryState::Waiting { due_ms, serve_ms, reason }
}
