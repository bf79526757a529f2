//! The life of a delivery, written once: its states, its reasons, and what changes them.
//!
//! These are pure types without I/O. Every layer that creates, stores or shows a delivery uses them,
//! and only their serialized form crosses the API and the stores. The embedded store and the store
//! in memory call [`transition`]. Redis applies the same rule in `lane.lua`, because several keys
//! must change together there. `tests/it/conformance/lifecycle.rs` drives every state through every
//! change in all three. `docs/delivery-states.md` shows the diagram.

mod change;
mod reason;
mod state;

pub use change::Change;
pub use reason::Reason;
pub use state::{DeliveryState, StateKind, UnknownState};

/// The state of a delivery after `change`. `None` is a delivery that the store does not know yet.
///
/// - A delivery that waits takes every change.
/// - A delivery that has ended stays as it is. Only a replay puts it back into its queue, and a late
///   success corrects what was recorded as suppressed or dead, because the receiver has the message.
///
/// The attempts of a change are always kept, even where the state stays.
pub fn transition(state: Option<&DeliveryState>, change: &Change) -> DeliveryState {
    match state {
        Some(state) if !state.accepts(change) => state.clone(),
        _ => change.target(),
    }
}

impl DeliveryState {
    /// Whether `change` takes effect in this state. Otherwise only its attempts are kept.
    pub fn accepts(&self, change: &Change) -> bool {
        match self.kind() {
            StateKind::Waiting => true,
            StateKind::Delivered => change.is_replay(),
            StateKind::Suppressed | StateKind::Dead => {
                change.is_replay() || matches!(change, Change::Delivered)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn states() -> [DeliveryState; 4] {
        [
            DeliveryState::Delivered,
            DeliveryState::Waiting { due_ms: 1, serve_ms: 2, reason: Reason::Queued },
            DeliveryState::Suppressed { reason: Reason::Cancelled },
            DeliveryState::Dead { reason: Reason::Failed("http_500".into()) },
        ]
    }

    #[test]
    fn a_new_delivery_and_one_that_waits_take_every_change() {
        for change in Change::samples() {
            assert_eq!(transition(None, &change), change.target());
            let waiting = &states()[1];
            assert_eq!(transition(Some(waiting), &change), change.target(), "{change:?}");
        }
    }

    #[test]
    fn only_a_replay_and_a_late_success_change_what_has_ended() {
        for state in states().iter().filter(|state| state.kind() != StateKind::Waiting) {
            for change in Change::samples() {
                let is_late_success =
                    change == Change::Delivered && state.kind() != StateKind::Delivered;
                let expected = match change {
                    Change::Replayed { .. } => change.target(),
                    _ if is_late_success => DeliveryState::Delivered,
                    _ => state.clone(),
                };
                assert_eq!(transition(Some(state), &change), expected, "{state:?} {change:?}");
            }
        }
    }
}
