//! What lists of the ledger ask for.

use fanfare_contract::{Environment, LaneId};

use crate::lifecycle::StateKind;
use crate::{EventState, Ms, SearchKey, TypeFilter};

/// The state of an event, or of one of its deliveries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventStatus {
    /// The event is in this state.
    Event(EventState),
    /// At least one of its deliveries is in this state.
    Delivery(StateKind),
}

/// Which events to list.
#[derive(Clone, Debug, Default)]
pub struct EventQuery {
    /// The tenant.
    pub tenant: String,
    /// Of these types.
    pub kind: Option<TypeFilter>,
    /// In this state.
    pub status: Option<EventStatus>,
    /// With a delivery through this lane, or through any lane of this destination.
    pub lane: Option<LaneId>,
    /// With all of these values. They are found through the index of search keys, in the order in
    /// which the events were stored.
    pub matches: Vec<SearchKey>,
    /// Of this environment.
    pub environment: Option<Environment>,
    /// Received at or after.
    pub from_ms: Option<Ms>,
    /// Received before.
    pub to_ms: Option<Ms>,
    /// The oldest first instead of the newest. A cursor continues in the order it started with.
    pub oldest_first: bool,
    /// From the page before.
    pub cursor: Option<String>,
    /// Most items in the page, 1 to 1,000.
    pub limit: usize,
}

impl EventQuery {
    /// Whether an event is selected by what is known without its deliveries.
    pub(crate) fn selects(
        &self,
        kind: &str,
        environment: Environment,
        received_ms: Ms,
        state: EventState,
    ) -> bool {
        let has_state = match self.status {
            Some(EventStatus::Event(wanted)) => state == wanted,
            // Without deliveries, none is in any state.
            Some(EventStatus::Delivery(_)) => state == EventState::Routed,
            None => true,
        };
        has_state
            && self.environment.is_none_or(|wanted| wanted == environment)
            && self.from_ms.is_none_or(|from| received_ms >= from)
            && self.to_ms.is_none_or(|to| received_ms < to)
            && self.kind.as_ref().is_none_or(|filter| filter.selects(kind))
    }
}

/// Which deliveries to list.
#[derive(Clone, Debug, Default)]
pub struct DeliveryQuery {
    /// The tenant.
    pub tenant: String,
    /// In this state.
    pub state: Option<StateKind>,
    /// Through this lane, or through any lane of this destination.
    pub lane: Option<LaneId>,
    /// Of events of these types.
    pub kind: Option<TypeFilter>,
    /// Of this environment.
    pub environment: Option<Environment>,
    /// Event received at or after.
    pub from_ms: Option<Ms>,
    /// Event received before.
    pub to_ms: Option<Ms>,
    /// The oldest first instead of the newest. A cursor continues in the order it started with.
    pub oldest_first: bool,
    /// From the page before.
    pub cursor: Option<String>,
    /// Most items in the page, 1 to 1,000.
    pub limit: usize,
}
