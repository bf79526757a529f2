//! A tenant's events in the order in which they became visible, filtered, for following and
//! mailboxes.
//!
//! A cursor is a position in this order. No event ever becomes visible before a position that was
//! returned, so a client that continues from its last cursor misses nothing.

use std::time::Duration;

use serde::Serialize;
use serde_json::value::RawValue;
use tokio::time::Instant;
use utoipa::ToSchema;

use super::deliveries::Delivery;
use crate::api::answer::ApiError;
use crate::api::scope::Caller;
use crate::api::state::ApiState;
use fanfare_store::EventRecord;

/// Longest time that a request may wait for an event, in seconds.
pub(super) const MAX_WAIT: u64 = 60;
/// Most pages of the store that are read at once if a filter excludes most events.
const MAX_PAGES: usize = 20;

/// An event in a list in order of arrival.
#[derive(Serialize, ToSchema)]
pub(super) struct FeedEvent {
    /// The cursor after this event.
    #[schema(example = "17")]
    pub(super) cursor: String,
    /// The event as receivers get it.
    #[schema(value_type = Object, example = json!({"id": "evt_1", "type": "kyc.session.created", "created": 1_735_228_800, "data": {}}))]
    pub(super) event: Box<RawValue>,
    /// When the event was received, in Unix milliseconds.
    pub(super) received_ms: i64,
    /// The delivery to the destination of `undelivered_to`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) delivery: Option<Delivery>,
}

impl FeedEvent {
    pub(super) fn of(place: u64, record: &EventRecord) -> Self {
        Self {
            cursor: place.to_string(),
            event: record.event.raw().to_owned(),
            received_ms: record.event.received_ms,
            delivery: None,
        }
    }
}

/// A filter's decision about one event.
pub(super) enum Verdict {
    /// Return the event.
    Take(Box<FeedEvent>),
    /// Skip the event for good.
    Skip,
    /// The event is not decided yet. Return nothing after it, so that the order is kept.
    Stop,
}

/// Filtered events after a cursor.
pub(super) struct Batch {
    pub(super) data: Vec<FeedEvent>,
    pub(super) next: u64,
    pub(super) more: bool,
}

/// Parses a cursor.
pub(super) fn parse_cursor(field: &str, text: Option<&str>) -> Result<u64, ApiError> {
    let bad = |_| {
        let message = "is not a cursor; send the `next_cursor` of a previous response, or omit it";
        ApiError::field(field, message)
    };
    text.map_or(Ok(0), |text| text.parse().map_err(bad))
}

/// Reads events after a cursor until there are enough, or no more.
async fn read(
    state: &ApiState,
    tenant: &str,
    mut after: u64,
    limit: usize,
    verdict: &(dyn Fn(u64, &EventRecord) -> Verdict + Sync),
) -> Result<Batch, ApiError> {
    let mut data = Vec::new();
    for _ in 0..MAX_PAGES {
        let tail = state.store.ledger.tail(tenant, after, limit.saturating_sub(data.len())).await?;
        for (place, record) in &tail.items {
            match verdict(*place, record) {
                Verdict::Take(event) => data.push(*event),
                Verdict::Skip => {}
                Verdict::Stop => return Ok(Batch { data, next: after, more: false }),
            }
            after = *place;
        }
        after = tail.next;
        if !tail.more || data.len() >= limit {
            return Ok(Batch { data, next: after, more: tail.more });
        }
    }
    Ok(Batch { data, next: after, more: true })
}

/// Reads events after a cursor. If there are none, polls for up to `wait`, but not longer than the
/// caller's key is valid.
pub(super) async fn read_or_wait(
    state: &ApiState,
    Caller { principal, tenant }: &Caller,
    after: u64,
    limit: usize,
    wait: Duration,
    verdict: &(dyn Fn(u64, &EventRecord) -> Verdict + Sync),
) -> Result<Batch, ApiError> {
    let mut batch = read(state, tenant, after, limit, verdict).await?;
    if wait.is_zero() || !batch.data.is_empty() {
        return Ok(batch);
    }
    let waiter = state.v1.waiters.enter(tenant)?;
    let until = Instant::now() + wait;
    while batch.data.is_empty() && Instant::now() < until {
        tokio::select! {
            () = tokio::time::sleep(waiter.pause()) => {}
            () = state.stop.cancelled() => break,
        }
        state.authenticator.check(principal)?;
        batch = read(state, tenant, batch.next, limit, verdict).await?;
    }
    Ok(batch)
}
