//! Events in lists.

use super::pack;
use crate::{DeliveryRecord, EventQuery, EventState, EventStatus, EventSummary, Result};

/// An event in a list, if the query selects it.
pub(super) fn summary(
    query: &EventQuery,
    id: &str,
    head: &[u8],
    outcome: Option<&str>,
) -> Result<Option<EventSummary>> {
    let head = pack::read_head(head)?;
    let state = state_of(outcome);
    if !query.selects(&head.kind, head.environment, head.received_ms, state) {
        return Ok(None);
    }
    let mut deliveries = outcome.map(pack::count_outcome).unwrap_or_default();
    let wanted = match query.status {
        Some(EventStatus::Delivery(kind)) => Some(kind),
        _ => None,
    };
    if wanted.is_some_and(|kind| *deliveries.of(kind) == 0) {
        return Ok(None);
    }
    if let Some(lane) = &query.lane {
        let packed = outcome.unwrap_or_default();
        let records = pack::unpack_outcome(id, &head.kind, head.environment, packed);
        let records = if packed.is_empty() { Vec::new() } else { records? };
        let fits = |one: &DeliveryRecord| {
            wanted.is_none_or(|kind| kind == one.state.kind()) && lane.covers(&one.lane)
        };
        if !records.iter().any(fits) {
            return Ok(None);
        }
    }
    Ok(Some(EventSummary {
        id: id.to_owned(),
        kind: head.kind,
        created: head.created,
        received_ms: head.received_ms,
        environment: head.environment,
        state,
        deliveries,
    }))
}

/// The state of an event with this outcome.
pub(super) fn state_of(outcome: Option<&str>) -> EventState {
    match outcome {
        None => EventState::Pending,
        Some(packed) if packed.contains('\n') => EventState::Routed,
        Some(_) => EventState::Unrouted,
    }
}
